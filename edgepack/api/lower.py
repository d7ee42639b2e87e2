"""From a model as read to the graph that is exported: optimized, legalized, quantized."""

from __future__ import annotations

import dataclasses
from functools import partial

from edgepack.api.integer import quantized
from edgepack.api.lowered import Lowered, calibration_samples, io_of
from edgepack.api.options import ExportOptions
from edgepack.api.schemes import HALVES, KERNELS, refuse_scheme, takes_weights
from edgepack.compress.packing import stored_for
from edgepack.data import Samples
from edgepack.devices import Runtime, Target
from edgepack.errors import BadInput
from edgepack.ir import DType, Graph
from edgepack.passes.layout import choose_io, to_layout
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.passes.pipeline import canonicalize, optimize
from edgepack.passes.tflite.integer_forms import spell_gelu_in_integers
from edgepack.profiles import load_runtime
from edgepack.quantize.float_weights import (
    TakesWeights,
    halve_weights,
    quantize_dynamic,
    widen_weights,
)
from edgepack.quantize.moments import batch_moments
from edgepack.quantize.options import INTEGER_SCHEMES
from edgepack.report import Quantization
from edgepack.validation.interface import Side

_DYNAMIC = {"dynamic": DType.INT8, "dynamic4": DType.INT4, "blockwise4": DType.INT4}


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
    lowered = stored_for(target, graph)
    if scheme in INTEGER_SCHEMES:
        kernels = KERNELS[scheme]
        spell_gelu_in_integers(lowered, lambda builtin: target.quantizes(builtin, kernels))
    legalize_tflite(lowered, lambda builtin, dtype: target.supports(builtin, str(dtype)))
    if scheme == "source":
        samples, warnings = _measuring_samples(graph, options)
        return Lowered(None, lowered, lowered, _kept(lowered), samples, warnings=warnings)
    refuse_scheme(scheme, target, lowered)
    if scheme in INTEGER_SCHEMES:
        return quantized(lowered, target, options, scheme)
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
    if scheme in HALVES:
        halve_weights(graph, HALVES[scheme])
    elif scheme in _DYNAMIC:
        quantize_dynamic(
            graph, _DYNAMIC[scheme], per_channel=not options.per_tensor, takes=takes,
            blocks=scheme == "blockwise4",
        )  # fmt: skip


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


def _measuring_samples(
    graph: Graph, options: ExportOptions
) -> tuple[Samples | None, tuple[str, ...]]:
    """Calibration data where no range depends on it, and the warnings about it."""
    samples = calibration_samples(graph, options)
    return samples, () if samples is None else samples.check()
