"""The options of every command, as the command line and the Python API name them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from edgepack.api.recipe import StepsLike, parse_steps, read_recipe
from edgepack.calibrate.effort import EFFORTS
from edgepack.errors import BadInput
from edgepack.preprocess import parse_preprocess
from edgepack.quantize.options import INTEGER_SCHEMES, LAYER_PRECISIONS, METHODS, SCHEMES
from edgepack.readers.options import ReadOptions
from edgepack.writers.c.ctext import require_identifier

FORMATS = ("tflite", "onnx", "c")
OPTIMIZE = ("speed", "ram", "flash")
_READING = ("input_shape", "weights", "trust")
# What each command takes beside its own arguments; `export` takes every option.
TAKEN: Final[Mapping[str, tuple[str, ...]]] = {
    "load": _READING,
    "inspect": (
        "input_layout", "calibration", "samples", "preprocess", "input_range", "per_tensor",
        "threads", *_READING,
    ),
    "check": (
        "formats", "optimize", "quantize", "per_tensor", "io", "input_layout", *_READING,
    ),
    "validate": (
        "preprocess", "input_range", "samples", "min_accuracy", "max_drop", "threads",
    ),
}  # fmt: skip
ShapeLike = str | Sequence[int] | Mapping[str, Sequence[int]] | None


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What `export` may be told; each field is a command-line option of the same name.

    Other commands take some of them (`TAKEN`), the rest keep their defaults there. Raises BadInput
    for a value that is not one of those allowed, naming them.
    """

    formats: str | Sequence[str] | None = None
    quantize: str = "auto"
    calibration: Any = None
    data_free: bool = False
    input_range: str | Sequence[float] | None = None
    samples: int | None = None
    per_tensor: bool = False
    range_method: str = "auto"
    effort: int | None = None
    layer: Sequence[str] | Mapping[str, str] | None = None
    max_flash: str | int | None = None
    min_sqnr: float | None = None
    io: str | None = None
    input_layout: str | None = None
    input_shape: ShapeLike = None
    preprocess: str | None = None
    eval: Any = None
    min_accuracy: float | None = None
    max_drop: float | None = None
    allow_misfit: bool = False
    onnx_exact: bool = False
    optimize: str = "speed"
    prefix: str = "model"
    prune: float | None = None
    factorize: float | None = None
    cluster: int | None = None
    compress: StepsLike = None
    recipe: str | Path | None = None
    weights: str | Path | None = None
    trust: bool = False
    seed: int = 0
    threads: int = 2

    def __post_init__(self) -> None:
        _one_of("quantize", self.quantize, SCHEMES)
        _one_of("range_method", self.range_method, METHODS)
        _one_of("effort", self.effort, (None, *EFFORTS))
        _one_of("io", self.io, (None, "int8", "uint8", "float"))
        _one_of("optimize", self.optimize, OPTIMIZE)
        require_identifier(self.prefix)
        _one_of("input_layout", self.input_layout, (None, "nhwc", "nchw", "keep"))
        _at_least("samples", self.samples, 1)
        _at_least("threads", self.threads, 1)
        _at_least("seed", self.seed, 0)
        _share("min_accuracy", self.min_accuracy)
        _share("max_drop", self.max_drop)
        if self.prune is not None and not 0 <= self.prune < 1:
            raise BadInput(f"--prune is the share of MACs to remove, 0 to 1, not {self.prune:g}")
        if self.factorize is not None and not 0 <= self.factorize < 1:
            raise BadInput(
                f"--factorize is the share of weights to remove, 0 to 1, not {self.factorize:g}"
            )
        if self.cluster is not None and not 1 <= self.cluster <= 7:
            raise BadInput(f"--cluster takes 1 to 7 bits of index, not {self.cluster}")
        self.span()
        self.steps()
        self._refuse_layers()
        parse_preprocess(self.preprocess)
        if self.data_free and self.calibration is not None:
            raise BadInput("--data-free and --calibration exclude each other")

    @classmethod
    def of(cls, command: str, options: Mapping[str, Any]) -> ExportOptions:
        """Options from keyword arguments. Raises TypeError for one that `command` does not take."""
        known = TAKEN.get(command, tuple(field.name for field in fields(cls)))
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise TypeError(
                f"{command}() takes no option {', '.join(unknown)}; it takes {', '.join(known)}"
            )
        if options.get("recipe") is not None:
            return cls(**cls._from_recipe(options))
        return cls(**options)

    @classmethod
    def _from_recipe(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """The recipe's values, but where `options` differ from the defaults."""
        defaults = {field.name: field.default for field in fields(cls)}
        given = {k: v for k, v in options.items() if not _is_default(v, defaults[k])}
        known = tuple(name for name in defaults if name != "recipe")
        return {**read_recipe(options["recipe"], known), **given}

    def steps(self) -> tuple[dict[str, Any], ...]:
        """`compress` as tables of settings. Raises BadInput for what is no step."""
        return parse_steps(self.compress)

    def format_list(self, default: Iterable[str]) -> tuple[str, ...]:
        """The formats asked for, or the default. Raises BadInput for an unknown one."""
        asked = self.formats
        names = asked.split(",") if isinstance(asked, str) else list(asked or default)
        chosen = tuple(dict.fromkeys(name.strip().lower() for name in names))
        for name in chosen:
            _one_of("formats", name, FORMATS)
        if self.onnx_exact and "onnx" not in chosen:
            raise BadInput(
                f"--onnx-exact says how to write ONNX, and the formats are {','.join(chosen)}",
                hint="give --formats onnx or --formats tflite,onnx",
            )
        if (self.optimize, self.prefix) != ("speed", "model") and "c" not in chosen:
            raise BadInput(
                f"--optimize and --prefix are about C, and the formats are {','.join(chosen)}",
                hint="give --formats c or --formats tflite,c",
            )
        return chosen

    def span(self) -> tuple[float, float] | None:
        """`input_range` as two numbers. Raises BadInput when it is not LO,HI with LO < HI."""
        if self.input_range is None:
            return None
        given = self.input_range
        parts = given.split(",") if isinstance(given, str) else list(given)
        try:
            low, high = (float(part) for part in parts)
        except ValueError as problem:
            raise BadInput(f"--input-range is LO,HI, not {given!r}") from problem
        if not -math.inf < low < high < math.inf:
            raise BadInput(f"--input-range needs LO < HI, found {low:g},{high:g}")
        return low, high

    def layers(self) -> dict[str, str]:
        """`layer` as precisions by name. Raises BadInput when an entry is not NAME=PRECISION."""
        if isinstance(self.layer, Mapping):
            pairs = list(self.layer.items())
        else:
            pairs = [(n, p) for n, _, p in (text.rpartition("=") for text in self.layer or ())]
        for name, precision in pairs:
            if not name or precision not in LAYER_PRECISIONS:
                raise BadInput(
                    f"--layer is NAME=PRECISION with one of {', '.join(LAYER_PRECISIONS)}, "
                    f"not {f'{name}={precision}'!r}"
                )
        return dict(pairs)

    def flash_budget(self) -> int | None:
        """`max_flash` in bytes. Raises BadInput when it is not a size such as 200000 or 256KB."""
        return None if self.max_flash is None else parse_bytes(self.max_flash)

    def _refuse_layers(self) -> None:
        """Raise BadInput for choices by layer in a scheme that has none."""
        self.flash_budget()
        if self.layers() and self.quantize not in ("auto", *INTEGER_SCHEMES):
            raise BadInput(
                f"--layer contradicts --quantize {self.quantize}",
                hint=f"choose --quantize {' or '.join(INTEGER_SCHEMES)}",
            )
        for name in ("max_flash", "min_sqnr"):
            if getattr(self, name) is not None and self.quantize != "mixed":
                raise BadInput(
                    f"--{name.replace('_', '-')} says what mixed precision must keep",
                    hint="give --quantize mixed with it",
                )

    def require_labels_for_limits(self, data: object, option: str) -> None:
        """Raise BadInput for a limit on accuracy when no `data`, given by `option`, measures it."""
        for name in ("min_accuracy", "max_drop"):
            if getattr(self, name) is not None and data is None:
                raise BadInput(f"--{name.replace('_', '-')} needs labelled data: give {option}")

    def refuse_without_data(self, option: str, names: Iterable[str]) -> None:
        """Raise BadInput when one of the options `names` is given, which `option` gives data for.

        Call it when there is no such data.
        """
        for name in names:
            if getattr(self, name) is not None:
                raise BadInput(f"--{name.replace('_', '-')} is about data: give {option} too")

    def read_options(self) -> ReadOptions:
        """What concerns the reader."""
        weights = None if self.weights is None else str(self.weights)
        return ReadOptions(parse_shapes(self.input_shape), weights, self.trust)


def parse_shapes(given: ShapeLike) -> dict[str, tuple[int, ...]]:
    """Input shapes by name, "" for the only input, from `1,3,8,8` or `a:1,3;b:1,4` or a mapping.

    Raises BadInput for anything else and for sizes below one.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        pairs = [(str(name), tuple(shape)) for name, shape in given.items()]
    elif isinstance(given, str):
        pairs = [_parse_shape(part) for part in given.split(";")]
    else:
        pairs = [("", tuple(given))]
    for name, shape in pairs:
        if any(not isinstance(dim, int) or dim < 1 for dim in shape):
            raise BadInput(f"input shape {name}{list(shape)} has a size that is not at least 1")
    return dict(pairs)


def _parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, dims = text.rpartition(":")
    try:
        return name.strip(), tuple(int(dim) for dim in dims.replace("x", ",").split(","))
    except ValueError as problem:
        raise BadInput(
            f"--input-shape is like 1,3,224,224 or name:1,3,224,224;other:1,10, not {text!r}"
        ) from problem


def parse_bytes(given: str | int) -> int:
    """Bytes from a number or a text such as `300000`, `256KB` or `1.5MB` (1 KB is 1,024 bytes).

    Raises BadInput for anything else.
    """
    text = str(given).strip().upper().removesuffix("B").removesuffix("I")
    unit = {"K": 1024, "M": 1024**2}.get(text[-1:], 1)
    try:
        size = float(text.rstrip("KM")) * unit
    except ValueError:
        size = 0.0
    if not 0 < size < math.inf:
        raise BadInput(f"--max-flash is a size such as 300000, 256KB or 1.5MB, not {given!r}")
    return int(size)


def _is_default(value: object, default: object) -> bool:
    """Whether an option was left alone; the command line gives an empty list for none."""
    if value is None or (isinstance(value, list) and not value):
        return default is None
    return type(value) is type(default) and value == default


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise BadInput(f"--{name} is at least {least}, not {value}")


def _share(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise BadInput(f"--{name.replace('_', '-')} is a share from 0 to 1, not {value:g}")


def _one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        choices = ", ".join(str(choice) for choice in allowed if choice is not None)
        raise BadInput(f"--{name.replace('_', '-')} is one of {choices}; not {value!r}")
