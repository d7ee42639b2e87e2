"""From a model as read to the graph that is exported: optimized, legalized, quantized."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import edgepack
from edgepack.api.layers import ASKED, TAIL, MixedPrecision, layer_overrides, runs_float
from edgepack.api.options import ExportOptions
from edgepack.api.schemes import KERNELS, has_kernel, refuse_scheme, takes_weights
from edgepack.calibrate.data_free import DataFree, data_free_statistics
from edgepack.calibrate.effort import MOST_SAMPLES, quantize_with_effort
from edgepack.calibrate.prepare import keep_tails, needs_inputs, prepare
from edgepack.calibrate.sensitivity import SAMPLES
from edgepack.calibrate.synthetic import synthetic_inputs
from edgepack.data import Audit, Sample, Samples, load_samples
from edgepack.errors import BadInput
from edgepack.ir import Array, DType, Graph
from edgepack.passes.layout import choose_io, to_layout
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.passes.manager import run_pass
from edgepack.passes.pipeline import canonicalize, optimize
from edgepack.passes.tflite.flatten import flatten_into_dense
from edgepack.passes.tflite.integer_forms import spell_gelu_in_integers
from edgepack.profiles import Runtime, Target, load_runtime
from edgepack.quantize.ends import unsigned_ends
from edgepack.quantize.float_weights import (
    TakesWeights,
    halve_weights,
    quantize_dynamic,
    widen_weights,
)
from edgepack.quantize.mixed import NoiseTable
from edgepack.quantize.moments import batch_moments
from edgepack.quantize.options import INTEGER_SCHEMES, Precision, QuantizeOptions
from edgepack.quantize.rounding import absorb_double_rounding
from edgepack.quantize.statistics import StatisticsTable
from edgepack.quantize.tails import TakesFloat
from edgepack.report import Quantization
from edgepack.validation.interface import Interface, Side
from edgepack.writers.tflite import write_tflite

DEFAULT_SAMPLES = 100  # of calibration data, spread over all there is
DEFAULT_SPAN = (-1.0, 1.0)
_DYNAMIC = {"dynamic": DType.INT8, "dynamic4": DType.INT4}


@dataclass(frozen=True, slots=True)
class Lowered:
    """`real` is the float graph as legalized, `graph` what goes to TFLite (the same when float).

    `portable` is what goes to ONNX: the same integers where quantized (but biases beside 4-bit
    weights, see `quantize.rounding`), else the graph before it was legalized for TFLite.
    `samples` are the calibration data in the source's layout, for measuring; `methods` says how
    the range of each value was chosen, `reasons` why a node has its precision where there is more
    to say than the scheme. `output_sqnr_db` and `noise` are measured for mixed precision
    only.
    `onnx` is the layout of ONNX files: the source's, or the graph's as in TFLite files. `warnings`
    and `notes` are for the report.
    """

    real: Graph | None
    graph: Graph
    portable: Graph
    quantization: Quantization
    samples: Samples | None = None
    methods: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    onnx: Side = "source"
    reasons: Mapping[str, str] = field(default_factory=dict)
    output_sqnr_db: float | None = None
    noise: NoiseTable | None = None

    @property
    def interface(self) -> Interface:
        """What the exported files take and give."""
        return Interface.of(self.graph, self.onnx)


def canonical(graph: Graph, input_layout: str | None = None) -> Graph:
    """The model in the IR's own layout, simplified and fused; `graph` itself is changed.

    `input_layout` is that of images that go in and out: nhwc, nchw or keep (the source's); None is
    NHWC where that spares a transpose.
    """
    if input_layout in ("nhwc", "nchw"):
        choose_io(graph, input_layout.upper())
    else:
        to_layout(graph, "NHWC", keep_io=input_layout == "keep")
    canonicalize(graph)
    graph.source.batch_moments.update(batch_moments(graph))
    optimize(graph)
    return graph


def lower(graph: Graph, target: Target, options: ExportOptions) -> Lowered:
    """Prepare a canonical graph for the target; `graph` is not changed.

    Raises BadInput when the options contradict the model, BadData when the data does not suit it.
    """
    scheme = scheme_of(graph, target, options)
    _refuse_integer_io(scheme, options.io)
    onnx: Side = "source" if options.input_layout is None else "graph"
    return dataclasses.replace(_lower(graph, target, options, scheme), onnx=onnx)


def _lower(graph: Graph, target: Target, options: ExportOptions, scheme: str) -> Lowered:
    lowered = graph.copy()
    if scheme in INTEGER_SCHEMES:
        kernels = KERNELS[scheme]
        spell_gelu_in_integers(lowered, lambda builtin: target.quantizes(builtin, kernels))
    legalize_tflite(lowered, lambda builtin, dtype: target.supports(builtin, str(dtype)))
    if scheme == "source":
        samples, warnings = _measuring_samples(graph, options)
        return Lowered(None, lowered, lowered, _kept(lowered), samples, warnings=warnings)
    refuse_scheme(scheme, target, lowered)
    if scheme in INTEGER_SCHEMES:
        return _integer(lowered, target, options, scheme)
    result, portable = lowered.copy(), graph.copy()
    runtimes: tuple[Target | Runtime, ...] = (target, load_runtime("onnxruntime"))
    for each, runtime in zip((result, portable), runtimes, strict=True):
        _narrow(each, partial(takes_weights, runtime), scheme, options)
    quantization = Quantization(scheme, "none", io="float")
    samples, warnings = _measuring_samples(graph, options)
    return Lowered(lowered, result, portable, quantization, samples, warnings=warnings)


def _narrow(graph: Graph, takes: TakesWeights, scheme: str, options: ExportOptions) -> None:
    """Carry out a scheme that leaves activations real, in place."""
    widen_weights(graph, takes)
    if scheme == "fp16":
        halve_weights(graph)
    elif scheme in _DYNAMIC:
        quantize_dynamic(graph, _DYNAMIC[scheme], per_channel=not options.per_tensor, takes=takes)


def tflite_file(graph: Graph) -> bytes:
    """The TFLite file of a lowered graph; `graph` is not changed."""
    final = graph.copy()
    run_pass(final, flatten_into_dense)  # here and not before: ONNX takes the graph without it
    return write_tflite(final, f"edgepack {edgepack.__version__}")


def scheme_of(graph: Graph, target: Target, options: ExportOptions) -> str:
    """The scheme to use: the one asked for, or by the source and the target when that is auto."""
    quantized = is_quantized(graph)
    if options.quantize == "auto":
        return "source" if quantized else target.quantize
    if quantized and options.quantize != "none":
        raise BadInput(
            f"the model is quantized already, so --quantize {options.quantize} is refused",
            hint="leave --quantize out to keep the source's quantization, or give the float model",
        )
    return "source" if quantized else options.quantize


def _refuse_integer_io(scheme: str, io: str | None) -> None:
    if io in ("int8", "uint8") and scheme not in ("source", *INTEGER_SCHEMES):
        raise BadInput(
            f"--io {io} contradicts --quantize {scheme}, which keeps inputs and outputs in float",
            hint="leave --io out, or choose --quantize int8",
        )
    if io == "uint8" and scheme == "int16x8":
        raise BadInput(
            "--io uint8 contradicts --quantize int16x8, whose inputs and outputs have 16 bits",
            hint="choose --io int8 (int16 with this scheme) or --io float",
        )


def is_quantized(graph: Graph) -> bool:
    """Whether activations of the model are quantized integers."""
    return any(v.quant is not None and not v.is_const for v in graph.values())


def _kept(graph: Graph) -> Quantization:
    weights = [v for v in graph.constants() if v.quant is not None]
    per_channel = any(v.quant.axis is not None for v in weights if v.quant)
    return Quantization("source", "source", None, per_channel, io_of(graph))


def io_of(graph: Graph) -> str:
    """What the model takes: the type of its integer inputs (int8, uint8, int16), else float."""
    if not graph.inputs or not all(v.quant for v in graph.inputs):
        return "float"
    return str(graph.inputs[0].dtype)


def _samples(graph: Graph, options: ExportOptions) -> Samples | None:
    if options.calibration is None:
        return None
    specs = Interface.of(graph).specs(options.span())
    limit = options.samples or DEFAULT_SAMPLES
    return load_samples(options.calibration, specs, preprocess=options.preprocess, limit=limit)


def _measuring_samples(
    graph: Graph, options: ExportOptions
) -> tuple[Samples | None, tuple[str, ...]]:
    """Calibration data where no range depends on it, and the warnings about it."""
    samples = _samples(graph, options)
    return samples, () if samples is None else samples.check()


def _integer(real: Graph, target: Target, options: ExportOptions, scheme: str) -> Lowered:
    samples = _samples(real, options)
    audit = None if samples is None else Audit(samples)
    free, precision = None, INTEGER_SCHEMES[scheme]
    takes_float = _float_tails(target, options, precision)
    prepared_by = partial(
        prepare, real, takes_float=takes_float, has_kernel=has_kernel(target), precision=precision,
        threads=options.threads,
    )  # fmt: skip
    if audit is None:
        span, prepared = options.span() or DEFAULT_SPAN, None
        if needs_inputs(real):
            prepared = prepared_by(made_up_inputs(real, options), made_up_inputs(real, options))
        free = data_free_statistics(real, span, seed=options.seed, threads=options.threads)
        if prepared is None:
            prepared = keep_tails(real, free.seen, takes_float, precision.activations)
        prepared = dataclasses.replace(prepared, seen=free.seen)
    else:
        assert samples is not None  # the audit reads them
        feed = partial(_feeds, Interface.of(real))
        prepared = prepared_by(feed(audit), feed(samples))
    seen, wanted = prepared.seen, _quantize_options(real, target, options, scheme)
    reasons = {**dict.fromkeys(prepared.layers, TAIL), **dict.fromkeys(wanted.layers, ASKED)}
    wanted = dataclasses.replace(wanted, layers={**prepared.layers, **wanted.layers})
    mixing = mixed_precision(real, seen, samples, wanted, target, options)
    chosen = None
    if scheme == "mixed":
        chosen = mixing.choose(options.flash_budget(), options.min_sqnr)
        wanted = chosen.options
    graph, effort = real.copy(), effort_of(options, scheme)
    plan = quantize_with_effort(
        graph, seen, wanted, has_kernel(target), _some_inputs(real, samples, options, effort),
        effort=effort, seed=options.seed, threads=options.threads,
        corrections=None if free is None else free.corrections,
    )  # fmt: skip
    widen_weights(graph, partial(takes_weights, target))  # of what stays in float
    if (options.io or target.io) == "uint8":
        unsigned_ends(graph)
    portable = graph if options.onnx_exact else graph.copy()
    # with data, any effort fits the biases to what the kernels really give
    if effort == 0 or free is not None:
        absorb_double_rounding(graph)
    quantization = Quantization(
        scheme,
        "data-free" if samples is None else "calibration",
        None if samples is None else len(samples),
        wanted.per_channel,
        io_of(graph),
        None if free is None else free.basis,
    )
    warnings = audit.warnings if audit is not None else ()
    if free is not None:
        warnings = _guess_warnings(free, options)
    return Lowered(
        real, graph, portable, quantization, samples, plan.methods,
        (*warnings, *prepared.warnings), (*prepared.notes, *plan.notes),
        reasons=reasons if chosen is None else {**reasons, **chosen.mixture.reasons},
        output_sqnr_db=None if chosen is None else mixing.measured(graph),
        noise=None if chosen is None else mixing.noise,
    )  # fmt: skip


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
