"""Integer schemes: calibrated or not, with the precision of each layer, to the effort asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice

from edgepack.api.accuracy import AccuracyBudget
from edgepack.api.layers import ASKED, TAIL, MixedPrecision, layer_overrides, runs_float
from edgepack.api.lowered import Lowered, calibration_samples, io_of, tflite_file
from edgepack.api.options import ExportOptions
from edgepack.api.schemes import has_kernel, takes_weights
from edgepack.calibrate.data_free import DataFree, data_free_statistics
from edgepack.calibrate.effort import MOST_SAMPLES, quantize_with_effort
from edgepack.calibrate.prepare import Prepared, keep_tails, needs_inputs, prepare
from edgepack.calibrate.sensitivity import SAMPLES
from edgepack.calibrate.synthetic import synthetic_inputs
from edgepack.data import Audit, Sample, Samples
from edgepack.devices import Target
from edgepack.ir import Array, DType, Graph
from edgepack.quantize.ends import unsigned_ends
from edgepack.quantize.float_weights import widen_weights
from edgepack.quantize.options import INTEGER_SCHEMES, Precision, QuantizeOptions
from edgepack.quantize.rounding import absorb_double_rounding
from edgepack.quantize.statistics import StatisticsTable
from edgepack.quantize.tails import TakesFloat
from edgepack.report import Quantization
from edgepack.validation.interface import Interface

DEFAULT_SPAN = (-1.0, 1.0)


def quantized(real: Graph, target: Target, options: ExportOptions, scheme: str) -> Lowered:
    """`real` (legalized for TFLite) in one of the integer schemes; it may be evened out in place.

    Raises BadInput when the options contradict the model, BadData when the data does not suit it.
    """
    samples = calibration_samples(real, options)
    seen = _observe(real, target, options, scheme, samples)
    choice = _choose(real, target, options, scheme, samples, seen)
    graph, effort = real.copy(), effort_of(options, scheme)
    plan = quantize_with_effort(
        graph, seen.table, choice.options, has_kernel(target),
        _some_inputs(real, samples, options, effort),
        effort=effort, seed=options.seed, threads=options.threads,
        corrections=None if seen.free is None else seen.free.corrections,
    )  # fmt: skip
    widen_weights(graph, partial(takes_weights, target))  # of what stays in float
    if (options.io or target.io) == "uint8":
        unsigned_ends(graph)
    portable = graph if options.onnx_exact else graph.copy()
    # with data, any effort fits the biases to what the kernels really give
    if effort == 0 or seen.free is not None:
        absorb_double_rounding(graph)
    quantization = Quantization(
        scheme,
        "data-free" if samples is None else "calibration",
        None if samples is None else len(samples),
        choice.options.per_channel,
        io_of(graph),
        None if seen.free is None else seen.free.basis,
    )
    mixing = choice.mixing
    return Lowered(
        real, graph, portable, quantization, samples, plan.methods, seen.warnings,
        (*seen.prepared.notes, *plan.notes),
        reasons=choice.reasons,
        output_sqnr_db=None if mixing is None else mixing.measured(graph),
        noise=None if mixing is None else mixing.noise,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Seen:
    """What calibration found: `free` where there were no data."""

    prepared: Prepared
    free: DataFree | None
    warnings: tuple[str, ...]

    @property
    def table(self) -> StatisticsTable:
        """Statistics of every value by name."""
        return self.prepared.seen if self.free is None else self.free.seen


def _observe(
    real: Graph, target: Target, options: ExportOptions, scheme: str, samples: Samples | None
) -> _Seen:
    """Calibrate, on data or without; `real` may be evened out on the way, in place."""
    precision = INTEGER_SCHEMES[scheme]
    takes_float = _float_tails(target, options, precision)
    prepared_by = partial(
        prepare, real, takes_float=takes_float, has_kernel=has_kernel(target), precision=precision,
        threads=options.threads,
    )  # fmt: skip
    if samples is not None:
        audit, feed = Audit(samples), partial(_feeds, Interface.of(real))
        prepared = prepared_by(feed(audit), feed(samples))
        return _Seen(prepared, None, (*audit.warnings, *prepared.warnings))
    evened = needs_inputs(real)
    if evened:
        prepared = prepared_by(made_up_inputs(real, options), made_up_inputs(real, options))
    span = options.span() or DEFAULT_SPAN
    free = data_free_statistics(real, span, seed=options.seed, threads=options.threads)
    if not evened:
        prepared = keep_tails(real, free.seen, takes_float, precision.activations)
    return _Seen(prepared, free, (*_guess_warnings(free, options), *prepared.warnings))


@dataclass(frozen=True, slots=True)
class _Choice:
    """The precision of every layer, and why; `mixing` where it was chosen layer by layer."""

    options: QuantizeOptions
    reasons: Mapping[str, str]
    mixing: MixedPrecision | None


def _choose(
    real: Graph, target: Target, options: ExportOptions, scheme: str, samples: Samples | None,
    seen: _Seen,
) -> _Choice:  # fmt: skip
    wanted = _quantize_options(real, target, options, scheme)
    reasons = {**dict.fromkeys(seen.prepared.layers, TAIL), **dict.fromkeys(wanted.layers, ASKED)}
    wanted = dataclasses.replace(wanted, layers={**seen.prepared.layers, **wanted.layers})
    if scheme != "mixed":
        return _Choice(wanted, reasons, None)
    mixing = mixed_precision(real, seen.table, samples, wanted, target, options)
    accuracy = AccuracyBudget.of(real, target, options)
    chosen = mixing.choose(options.flash_budget(), options.min_sqnr, accuracy)
    return _Choice(chosen.options, {**reasons, **chosen.mixture.reasons}, mixing)


def mixed_precision(
    real: Graph,
    seen: StatisticsTable,
    samples: Samples | None,
    wanted: QuantizeOptions,
    target: Target,
    options: ExportOptions,
) -> MixedPrecision:
    """What chooses layers' precisions, on a few samples or synthetic inputs; nothing runs yet."""
    if samples is None:
        inputs = made_up_inputs(real, options)
    else:
        every = max(1, len(samples) // SAMPLES)
        inputs = islice(_feeds(Interface.of(real), samples), 0, None, every)
    return MixedPrecision(real, seen, inputs, wanted, target, tflite_file, options.threads)


def effort_of(options: ExportOptions, scheme: str) -> int:
    """The effort asked for; else 0, or 1 where closed forms without data are not enough."""
    if options.effort is not None:
        return options.effort
    hard = scheme == "w4a8" or (scheme == "int8" and options.per_tensor)
    return 1 if hard and options.calibration is None else 0


def _some_inputs(
    real: Graph, samples: Samples | None, options: ExportOptions, effort: int
) -> Iterator[list[Array]]:
    """As many inputs as the effort reads, spread over the data; synthetic ones without any."""
    if samples is None:
        return made_up_inputs(real, options)
    every = max(1, len(samples) // max(1, MOST_SAMPLES[effort]))
    return islice(_feeds(Interface.of(real), samples), 0, None, every)


def _feeds(interface: Interface, samples: Iterable[Sample]) -> Iterator[list[Array]]:
    """The samples as a graph takes them."""
    return (interface.feed(sample.inputs, "graph") for sample in samples)


def _float_tails(target: Target, options: ExportOptions, precision: Precision) -> TakesFloat:
    """Where outputs may end in float: where they need not be integers and the target has it."""
    dequantizes = target.supports("DEQUANTIZE", str(precision.activations))
    allowed = options.io in (None, "float") and dequantizes
    return runs_float(target) if allowed else lambda node: False


def _quantize_options(
    real: Graph, target: Target, options: ExportOptions, scheme: str
) -> QuantizeOptions:
    return QuantizeOptions(
        precision=INTEGER_SCHEMES[scheme],
        layers=layer_overrides(real, options.layers(), target),
        per_channel=not options.per_tensor,
        per_channel_dense=_dense_channels(target, options),
        method=options.range_method,
        integer_io=(options.io or target.io) != "float",
    )


def _dense_channels(target: Target, options: ExportOptions) -> frozenset[DType]:
    """The types of weights that fully connected layers may have with a scale per channel."""
    narrow = "w4a8" in target.runtime.dense_per_channel and not options.per_tensor
    return frozenset((DType.INT4,)) if narrow else frozenset()


def _guess_warnings(free: DataFree, options: ExportOptions) -> tuple[str, ...]:
    unknown = options.input_range is None
    if not (unknown or free.guessed):
        return ()
    low, high = options.span() or DEFAULT_SPAN
    within = f"an assumed range of {low:g}..{high:g}" if unknown else "--input-range"
    remedy = "--input-range or --calibration" if unknown else "--calibration"
    return (
        f"no calibration data: activation ranges come from {free.basis} within {within} and are "
        f"guesses; give {remedy} for figures to rely on",
    )


def made_up_inputs(graph: Graph, options: ExportOptions) -> Iterator[list[Array]]:
    """Seeded inputs within the declared range, in the graph's layout, where there are no data."""
    return synthetic_inputs(graph, options.span() or DEFAULT_SPAN, seed=options.seed)
