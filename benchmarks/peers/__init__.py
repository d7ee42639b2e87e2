"""Scripts that run one peer each, as a process of their own, in the interpreter that has it."""
