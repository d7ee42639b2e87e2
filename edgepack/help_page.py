"""Help pages of commands with many options: these in groups, in the order of the work."""

from __future__ import annotations

from typing import Any, Final

from typer.core import TyperCommand

# Options that no group names come first, under "Options".
GROUPS: Final = {
    "Model": ("--input-shape", "--weights", "--trust"),
    "Quantization": (
        *("--quantize", "--calibration", "--data-free", "--input-range", "--preprocess"),
        *("--samples", "--effort", "--range-method", "--per-tensor", "--layer", "--max-flash"),
        "--min-sqnr",
    ),
    "Compression": ("--prune", "--factorize", "--cluster", "--compress"),
    "Files": ("--io", "--input-layout", "--onnx-exact", "--optimize", "--prefix"),
    "Requirements": ("--eval", "--min-accuracy", "--max-drop", "--allow-misfit"),
    "The run": ("--seed", "--threads", "--json", "--quiet", "--help"),
}


class Grouped(TyperCommand):
    """A command whose help page has its options in GROUPS."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then each group that has options."""
        groups: dict[str, list[tuple[str, str]]] = {
            name: [] for name in ("Arguments", "Options", *GROUPS)
        }
        by_option = {option: name for name, options in GROUPS.items() for option in options}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            named = (by_option[o] for o in parameter.opts if o in by_option)
            plain = "Options" if parameter.param_type_name == "option" else "Arguments"
            groups[next(named, plain)].append(record)
        for name, records in groups.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)
