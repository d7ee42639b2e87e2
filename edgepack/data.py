"""Calibration and evaluation data: samples that suit the model, streamed.

    samples = load_samples("calibration.npz", [InputSpec("input", (1, 32, 32, 3), "nhwc")])
    for sample in samples:              # again and again; memory does not grow with their number
        sample.inputs["input"]          # float32 [1, 32, 32, 3]
        sample.label                    # a class index, or None

What PATH may be: `.npz` with `x` (samples first, then the model's own layout, or NHWC for images),
or with one array per input under the inputs' names, and optionally `y` (class indices); `.npy`; a
folder of images; `module:generator` or `file.py:generator`, which runs that code: naming it is the
permission to. Arrays and iterables can be given directly through the Python API.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, permutations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgepack.data_sources import (
    GENERATED_LIMIT,
    ArrayColumn,
    Source,
    array_file,
    array_source,
    check_numeric,
    generated,
    image_folder,
    named_arrays,
)
from edgepack.errors import BadData
from edgepack.preprocess import Preprocess, parse_preprocess
from edgepack.user_code import load_function

Array = npt.NDArray[Any]
Layout = Literal["nhwc", "nchw"]
DataSource = str | Path | Array | Mapping[str, Array] | Sequence[Array] | Iterable[object]
DataSource |= Callable[[], Iterable[object]]

GENERATOR = re.compile(r"[\w./\\-]+:\w+")
FAR_OUT = 4.0  # times the declared span: beyond it the data is of another scale, not an outlier
RANGE_HINT = "check --preprocess (8-bit images for a 0..1 model need scale=1/255) or --input-range"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What one model input expects.

    `shape` has the batch first (any size; samples come with batch 1), None or -1 for free
    dimensions. `layout` says where the channels of an image are; None for other inputs. `batched`
    is False for a model whose input has no batch dimension. `value_range` is what the values
    should span after preprocessing, where that was declared.
    """

    name: str
    shape: tuple[int | None, ...]
    layout: Layout | None = None
    dtype: str = "float32"
    value_range: tuple[float, float] | None = None
    batched: bool = True

    @property
    def sample_shape(self) -> tuple[int | None, ...]:
        """One sample's shape without the batch dimension; None for free dimensions."""
        dims = self.shape[1:] if self.batched else self.shape
        return tuple(None if dim is None or dim < 0 else dim for dim in dims)

    @property
    def channel_axis(self) -> int:
        """Where the channels are in one sample."""
        return 0 if self.layout == "nchw" else -1


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: arrays with batch 1 by input name, and its class index if known."""

    inputs: Mapping[str, Array]
    label: int | None


@dataclass(slots=True)
class _Span:
    """What one input's values have been so far."""

    low: float = math.inf
    high: float = -math.inf
    elements: int = 0
    blank: list[str] = field(default_factory=list)

    @property
    def is_constant(self) -> bool:
        """Whether all of several values were the same."""
        return self.elements > 1 and self.low == self.high


@dataclass(frozen=True, slots=True)
class Samples:
    """A stream of samples that can be iterated any number of times; `Audit` looks at the values.

    `warnings` are about the source as a whole, whatever its values are.
    """

    source: Source
    specs: tuple[InputSpec, ...]
    preprocess: Preprocess
    indices: tuple[int, ...]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many samples an iteration gives."""
        return len(self.indices)

    @property
    def has_labels(self) -> bool:
        """Whether every sample has a class index."""
        return self.source.has_labels

    def __iter__(self) -> Iterator[Sample]:
        """Yield each sample, ready for the model. Raises BadData for one that does not suit it."""
        return (sample for _, sample in self.located())

    def located(self) -> Iterator[tuple[str, Sample]]:
        """Each sample and, for messages, where it comes from."""
        for where, row, label in self.source.rows(self.indices):
            inputs = {spec.name: self._ready(row[spec.name], spec, where) for spec in self.specs}
            yield where, Sample(inputs, label)

    def check(self) -> tuple[str, ...]:
        """Pass over all samples once, so that bad ones are reported now; return the warnings."""
        audit = Audit(self)
        for _ in audit:
            pass
        return audit.warnings

    def _ready(self, raw: Array, spec: InputSpec, where: str) -> Array:
        """`raw` in the model's layout, preprocessed, with batch 1."""
        array = _fit_shape(raw, spec, where, is_image=self.source.are_images)
        if _is_integer(spec):
            return _add_batch(_as_integers(array, spec, where), spec)
        values = array.astype(np.float32)
        return _add_batch(self.preprocess(values, spec.channel_axis), spec)


class Audit:
    """One pass over samples that looks at their values.

    NaN and infinity, values far outside the declared range, and data that is constant throughout
    raise BadData; `warnings` tells of single constant samples and of values somewhat outside the
    range, besides the samples' own, once all have passed.
    """

    def __init__(self, samples: Samples) -> None:
        self.warnings = samples.warnings
        self._samples = samples

    def __iter__(self) -> Iterator[Sample]:
        """The samples. Raises BadData for values that no model can take."""
        specs = self._samples.specs
        spans = {spec.name: _Span() for spec in specs}
        for where, sample in self._samples.located():
            for spec in specs:
                _check_values(sample.inputs[spec.name], spec, where, spans[spec.name])
            yield sample
        _refuse_constant(self._samples, spans.values())
        found = (_span_warnings(spans[spec.name], spec) for spec in specs)
        self.warnings = (*self._samples.warnings, *chain.from_iterable(found))


def _refuse_constant(samples: Samples, spans: Collection[_Span]) -> None:
    if all(span.is_constant for span in spans):
        low = next(iter(spans)).low
        raise BadData(
            f"{samples.source.name} is constant: all values of {len(samples)} samples are {low:g}",
            hint="give real inputs; constant ones say nothing about the model",
        )


def load_samples(
    data: DataSource,
    specs: Sequence[InputSpec],
    *,
    preprocess: str | Preprocess | None = None,
    limit: int | None = None,
) -> Samples:
    """The samples that `data` (module docstring) holds, for a model with inputs `specs`.

    With a `limit`, that many samples spread evenly over the data, since data is often sorted by
    class; the first ones of a generator. Shapes, types and the first sample are checked here, all
    others when iterated. Raises BadData for what does not suit the model, MissingDependency when
    images are to be decoded without pillow.
    """
    if not specs:
        raise ValueError("a model without inputs takes no samples")
    if limit is not None and limit < 1:
        raise BadData(f"the number of samples must be at least 1, found {limit}")
    spec_tuple = tuple(specs)
    wanted = parse_preprocess(preprocess)
    source = _open(data, spec_tuple, wanted, limit)
    count = source.count()
    if not count:
        raise BadData(f"{source.name} holds no samples", hint="calibration needs at least one")
    samples = Samples(source, spec_tuple, wanted, spread(count, limit), _label_warnings(source))
    _check_channels(samples)
    next(iter(Audit(samples)))
    return samples


def spread(count: int, limit: int | None) -> tuple[int, ...]:
    """At most `limit` indices below `count`, evenly spaced and rising."""
    taken = count if limit is None else min(count, limit)
    return tuple(index * count // taken for index in range(taken))


def _open(
    data: DataSource, specs: tuple[InputSpec, ...], preprocess: Preprocess, limit: int | None
) -> Source:
    names = tuple(spec.name for spec in specs)
    if isinstance(data, str | Path):
        return _open_path(data, specs, preprocess, limit)
    if isinstance(data, np.ndarray):
        return array_source("the array", {names[0]: ArrayColumn(data)}, None, names)
    if isinstance(data, Mapping):
        columns = {str(key): ArrayColumn(np.asarray(value)) for key, value in data.items()}
        return named_arrays("the mapping", columns, names)
    if callable(data):
        return _generated(getattr(data, "__name__", "the function"), data, names, limit)
    if iter(data) is data:  # an iterator runs out after one pass: keep what it gives
        data = list(islice(data, limit or GENERATED_LIMIT))
    items = data
    return _generated("the iterable", lambda: items, names, limit)


def _open_path(
    data: str | Path, specs: tuple[InputSpec, ...], preprocess: Preprocess, limit: int | None
) -> Source:
    path, names = Path(data), tuple(spec.name for spec in specs)
    if path.is_dir():
        return _open_folder(path, specs, preprocess)
    if path.is_file():
        if path.suffix in (".npz", ".npy"):
            return array_file(path, names)
        kinds = ".npz, .npy, a folder of images or module:generator"
        raise BadData(f"{path} is not a kind of data edgepack reads", hint=f"expected {kinds}")
    if GENERATOR.fullmatch(str(data)):
        return _generated(str(data), load_function(str(data), BadData).items, names, limit)
    raise BadData(f"{path} does not exist", hint="check --calibration, --data or --eval")


def _open_folder(path: Path, specs: tuple[InputSpec, ...], preprocess: Preprocess) -> Source:
    if len(specs) > 1:
        raise BadData(
            f"{path} is a folder of images, and the model has {len(specs)} inputs",
            hint=f"use an .npz with the arrays {', '.join(spec.name for spec in specs)}",
        )
    shape = specs[0].sample_shape
    if specs[0].layout == "nchw" and len(shape) == 3:
        shape = (shape[1], shape[2], shape[0])
    return image_folder(path, specs[0].name, shape, preprocess)


def _generated(
    name: str, make: Callable[[], Iterable[object]], names: tuple[str, ...], limit: int | None
) -> Source:
    cap = min(limit or GENERATED_LIMIT, GENERATED_LIMIT)
    return generated(name, lambda: islice(make(), cap), names)


def _label_warnings(source: Source) -> tuple[str, ...]:
    if source.are_images and not source.has_labels:
        return (
            f"{source.name}: not every file name starts with a class index and `_`, so there are "
            "no labels to measure accuracy with",
        )
    return ()


def _check_channels(samples: Samples) -> None:
    for spec in samples.specs:
        if not _is_integer(spec) and spec.sample_shape:
            channels = spec.sample_shape[spec.channel_axis]
            if channels is not None:
                samples.preprocess.check_channels(channels)


def _fit_shape(raw: Array, spec: InputSpec, where: str, *, is_image: bool) -> Array:
    """`raw` in the model's own layout; dimensions of 1 may be missing or extra.

    Rows in the model's layout pass as they are; else NHWC images are turned for an NCHW model
    (and the reverse), where the shape fits only that way round.
    """
    check_numeric(raw.dtype, where)
    wanted = spec.sample_shape
    if not is_image and _matches(raw.shape, wanted):
        return raw
    if spec.layout is not None and raw.ndim == len(wanted) == 3:
        if spec.layout == "nchw" and _matches(raw.transpose(2, 0, 1).shape, wanted):
            return raw.transpose(2, 0, 1)
        if is_image and _matches(raw.shape, wanted):
            return raw
        if spec.layout == "nhwc" and _matches(raw.transpose(1, 2, 0).shape, wanted):
            return raw.transpose(1, 2, 0)
    full = None not in wanted and [dim for dim in raw.shape if dim != 1]
    if full is not False and full == [dim for dim in wanted if dim != 1]:
        return raw.reshape([dim or 1 for dim in wanted])
    raise BadData(
        f"{where} has shape {list(raw.shape)}, the model's input '{spec.name}' takes "
        f"{['any' if dim is None else dim for dim in wanted]} per sample",
        hint=_shape_hint(raw.shape, wanted),
    )


def _shape_hint(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> str:
    if any(_matches(tuple(order), wanted) for order in permutations(found) if len(found) <= 4):
        return "the dimensions are in another order: transpose the data to the model's layout"
    return "arrays are samples first, then the model's own input layout (or NHWC for images)"


def _matches(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        want is None or have == want for have, want in zip(shape, wanted, strict=True)
    )


def _is_integer(spec: InputSpec) -> bool:
    return np.dtype(spec.dtype).kind in "iub"


def _as_integers(array: Array, spec: InputSpec, where: str) -> Array:
    """Token ids and the like: as they are, in the input's type."""
    cast = array.astype(spec.dtype)
    if not np.array_equal(cast, array):
        raise BadData(
            f"{where} has values that are no {spec.dtype}, which input '{spec.name}' takes",
            hint="save whole numbers within that type's range",
        )
    return cast


def _add_batch(array: Array, spec: InputSpec) -> Array:
    return array[np.newaxis] if spec.batched else array


def _check_values(array: Array, spec: InputSpec, where: str, span: _Span) -> None:
    """Add one sample to what is known of an input; raise BadData for values no model can take."""
    if not array.size:
        return
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        count = int(np.count_nonzero(~np.isfinite(array)))
        raise BadData(
            f"{where} has {count} values that are NaN or infinite, for input '{spec.name}'",
            hint="remove that sample, or repair what writes it",
        )
    if spec.value_range is not None:
        _check_far_out(low, high, spec.value_range, f"{where}, input '{spec.name}',")
    if low == high and array.size > 1:
        span.blank.append(where)
    span.low, span.high = min(span.low, low), max(span.high, high)
    span.elements += array.size


def _check_far_out(low: float, high: float, declared: tuple[float, float], where: str) -> None:
    floor, ceiling = declared
    margin = FAR_OUT * (ceiling - floor)
    if low < floor - margin or high > ceiling + margin:
        spans = f"spans {low:g}..{high:g}, far outside the declared {floor:g}..{ceiling:g}"
        raise BadData(f"{where} {spans}", hint=RANGE_HINT)


def _span_warnings(span: _Span, spec: InputSpec) -> list[str]:
    warnings = []
    if span.blank:
        rest = f" and {len(span.blank) - 1} more" if len(span.blank) > 1 else ""
        warnings.append(f"input '{spec.name}': {span.blank[0]}{rest} is constant")
    floor, ceiling = spec.value_range or (span.low, span.high)
    if span.low < floor or span.high > ceiling:
        spans = f"spans {span.low:g}..{span.high:g}, declared {floor:g}..{ceiling:g}"
        warnings.append(f"input '{spec.name}' {spans}: {RANGE_HINT}")
    return warnings
