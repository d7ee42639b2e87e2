"""From a model as read to the graph that is exported: optimized, legalized, quantized."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

import edgepack
from edgepack.api.options import ExportOptions
from edgepack.calibrate.collect import collect
from edgepack.data import Audit, Samples, load_samples
from edgepack.errors import BadInput
from edgepack.ir import Array, DType, Graph, Node, Value, row
from edgepack.passes.layout import choose_io, to_layout
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.passes.manager import run_pass
from edgepack.passes.pipeline import optimize
from edgepack.passes.tflite.flatten import flatten_into_dense
from edgepack.profiles import Target
from edgepack.quantize.float_weights import halve_weights, quantize_dynamic
from edgepack.quantize.integer import quantize_nearest
from edgepack.quantize.options import INTEGER_SCHEMES, Precision, QuantizeOptions
from edgepack.quantize.plan import HasKernel
from edgepack.report import Quantization
from edgepack.validation.interface import Interface, Side
from edgepack.writers.tflite import write_tflite
from edgepack.writers.tflite.names import builtins_of

DEFAULT_SAMPLES = 100  # of calibration data, spread over all there is
_NOISE_SAMPLES = 16
_DEFAULT_SPAN = (-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Lowered:
    """`real` is the float graph as legalized, `graph` what goes to TFLite (the same when float).

    `portable` is what goes to ONNX: the same integers where quantized, else the graph before it
    was legalized for TFLite.
    `samples` are the calibration data in the source's layout, for measuring; `methods` says how
    the range of each value was chosen.
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
    legalize_tflite(lowered, lambda builtin, dtype: target.supports(builtin, str(dtype)))
    if scheme == "source":
        samples, warnings = _measuring_samples(graph, options)
        return Lowered(None, lowered, lowered, _kept(lowered), samples, warnings=warnings)
    if scheme in INTEGER_SCHEMES:
        return _integer(lowered, target, options, scheme)
    result, portable = lowered.copy(), graph.copy()
    for each in (result, portable):
        if scheme == "fp16":
            halve_weights(each)
        elif scheme == "dynamic":
            quantize_dynamic(each, per_channel=not options.per_tensor)
    quantization = Quantization(scheme, "none", io="float")
    samples, warnings = _measuring_samples(graph, options)
    return Lowered(lowered, result, portable, quantization, samples, warnings=warnings)


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
    if io == "int8" and scheme in ("none", "dynamic", "fp16"):
        raise BadInput(
            f"--io int8 contradicts --quantize {scheme}, which keeps inputs and outputs in float",
            hint="leave --io out, or choose --quantize int8",
        )


def is_quantized(graph: Graph) -> bool:
    """Whether activations of the model are quantized integers."""
    return any(v.quant is not None and not v.is_const for v in graph.values())


def _kept(graph: Graph) -> Quantization:
    weights = [v for v in graph.constants() if v.quant is not None]
    per_channel = any(v.quant.axis is not None for v in weights if v.quant)
    io = "int8" if all(v.quant for v in graph.inputs) else "float"
    return Quantization("source", "source", None, per_channel, io)


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
    data: Iterable[Sequence[Array]] = noise(real, options)
    if audit is not None:
        interface = Interface.of(real)
        data = (interface.feed(sample.inputs, "graph") for sample in audit)
    seen = collect(real, data, threads=options.threads)
    wanted = _quantize_options(target, options, scheme)
    graph = real.copy()
    plan = quantize_nearest(graph, seen, wanted, _has_kernel(target))
    quantization = Quantization(
        scheme,
        "data-free" if samples is None else "calibration",
        None if samples is None else len(samples),
        wanted.per_channel,
        "int8" if wanted.integer_io else "float",
    )
    warnings = (_guess_warning(options),) if audit is None else audit.warnings
    return Lowered(real, graph, graph, quantization, samples, plan.methods, warnings)


def _quantize_options(target: Target, options: ExportOptions, scheme: str) -> QuantizeOptions:
    return QuantizeOptions(
        precision=INTEGER_SCHEMES[scheme],
        per_channel=not options.per_tensor,
        method=options.range_method,
        correct_bias=options.calibration is not None,  # mean inputs of noise would be guesses
        integer_io=(options.io or target.io) == "int8",
    )


def _has_kernel(target: Target) -> HasKernel:
    def has_kernel(node: Node, precision: Precision) -> bool:
        dtype = str(precision.activations)
        if row(node.op).quant.weight is not None and precision.weights is DType.INT4:
            dtype = "w4a8"
        return all(target.supports(name, dtype) for name in builtins_of(node))

    return has_kernel


def _guess_warning(options: ExportOptions) -> str:
    basis = "--input-range" if options.input_range is not None else "an assumed range of -1..1"
    return (
        f"no calibration data: activation ranges come from seeded noise within {basis} and are "
        "guesses; give --calibration for figures to rely on"
    )


def noise(graph: Graph, options: ExportOptions) -> Iterator[list[Array]]:
    """Seeded inputs within the declared range, smooth and rough by turns, in the graph's layout."""
    low, high = options.span() or _DEFAULT_SPAN
    for index in range(_NOISE_SAMPLES):
        yield [_noise(v, low, high, options.seed, index) for v in graph.inputs]


def _noise(value: Value, low: float, high: float, seed: int, index: int) -> Array:
    rng = np.random.default_rng([seed, index, zlib.crc32(value.name.encode())])
    if not value.dtype.is_float:
        return np.zeros(value.shape, value.dtype.numpy)
    unit = rng.random(value.shape)
    if index % 2 and value.rank == 4:
        coarse = rng.random((value.shape[0], 4, 4, value.shape[3]))
        rows = np.arange(value.shape[1]) * 4 // value.shape[1]
        columns = np.arange(value.shape[2]) * 4 // value.shape[2]
        unit = coarse[:, rows][:, :, columns]
    return (low + (high - low) * unit).astype(value.dtype.numpy)
