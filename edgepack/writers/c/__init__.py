"""The C writer: a legalized graph and its memory plan become a C99 project without dependencies.

A node becomes one call, `kernel(&node7, EP_AT(input), EP_AT(output), EP_AT(scratch))`. Its sizes,
limits and tables stand in a `static const` struct: code is shared by all nodes of a kind, a struct
takes some 60 bytes of flash, and kernels read each field once, before their loops. Requantization
is `ep_scale` of `kernels/a_fixed_point.c` everywhere. In sources and in what lowerings give, `ep_`
at the beginning of a word stands for the prefix of the project.

How kernels walk through memory is an agreement with `edgepack.plan.c_loops` and `c_overlap`, which
decide on scratch and on what lies over what: inputs may lie over outputs at the limit that they
state, so no pointer is `restrict` and outputs are written front to back.

To add an operator: a function with `@lowers("Op")` in the module of its family; it lays weights
out, makes a struct (`out.struct`) and calls a kernel (`out.call`), or raises by `refuse_unless`.
Its kernel is a block `/*@ ep_name */` in `kernels/*.c`; a project gets the blocks it uses.

To add a variant of a kernel (DSP or MVE instructions):

1. `kernels/dsp/SOME.c` (or `mve/`) with blocks of the same names as the portable ones. Such a
   block takes the portable one's place when the variant is `dsp` (or `mve`, which lies over
   `dsp`). It has instructions inside `#if defined(__ARM_FEATURE_DSP)` and plain C for its own
   layout in `#else`, so that a project compiles everywhere and its bits can be tested on the host.
   `ep_matrix_s8` serves convolutions, pointwise ones and dense layers; `ep_filter_s8` is a band of
   a depthwise channel.
2. `@lays_out("ep_matrix_s8 dsp")` on a function from int8 rows [out, depth] to an array: the
   layout that this kernel reads (`variants.py`; import the module in `write.py`). Blocks may have
   fields of their own when the lowering gives them in every variant.
3. What a kernel takes for granted (all shifts positive, a depth that is a multiple of 4) it must
   check itself at run time or be chosen by the lowering: blocks of other names for other cases.
"""

from edgepack.writers.c.write import write_c

__all__ = ["write_c"]
