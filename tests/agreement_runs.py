"""One quantized graph in every runtime: how many steps their results are apart, end to end.

found = run_everywhere(graph, inputs)       integers of the first output by runtime
print(row("KWS", "int8", found))            a line of the table, under HEADER
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.api.schemes import has_kernel
from edgepack.calibrate.collect import collect
from edgepack.ir import Array, Graph
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.profiles import load_target
from edgepack.quantize.integer import quantize_nearest
from edgepack.quantize.options import INTEGER_SCHEMES, QuantizeOptions
from edgepack.quantize.rounding import absorb_double_rounding
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.ort import OrtRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.validation.logits import before_softmax
from edgepack.writers.onnx import write_onnx
from edgepack.writers.tflite import write_tflite
from edgepack.writers.tflite.names import builtins_of

MICRO = "nucleo-l4r5zi"  # what TensorFlow Lite Micro has kernels for
SCHEMES = {
    "int8": QuantizeOptions(),
    "int8 per tensor": QuantizeOptions(per_channel=False),
    "int16x8": QuantizeOptions(precision=INTEGER_SCHEMES["int16x8"]),
    "w4a8": QuantizeOptions(precision=INTEGER_SCHEMES["w4a8"]),
}


def quantized(graph: Graph, samples: Sequence[Array], scheme: str) -> Graph:
    """A float graph in a scheme, its ranges from these samples of its only input."""
    target = load_target(MICRO)
    graph = graph.copy()
    legalize_tflite(graph, lambda builtin, dtype: target.supports(builtin, str(dtype)))
    seen = collect(graph, [[x] for x in samples])
    quantize_nearest(graph, seen, SCHEMES[scheme], has_kernel(target))
    return graph


def run_everywhere(graph: Graph, inputs: Sequence[Array]) -> dict[str, Array]:
    """Integers of the first output in each runtime, samples first, before any softmax.

    `inputs` are real. "plain" are LiteRT's reference kernels, missing where it has none.
    """
    cut = before_softmax(graph) or graph
    portable = cut.copy()
    portable.source.input_perms.clear()  # the same layout in both files
    portable.source.output_perms.clear()
    legalize_onnx(portable)
    absorb_double_rounding(cut)
    file = write_tflite(cut)
    litert = LiteRTRuntime(file)
    runtimes = {
        "tflm": TflmRuntime(file, litert.inputs, litert.outputs),
        "reference": ReferenceRuntime(cut),
        "litert": litert,
        "onnx": OrtRuntime(write_onnx(portable)),
    }
    if _all_in_reference_kernels(cut):
        runtimes["plain"] = LiteRTRuntime(file, reference_kernels=True)
    taken = cut.inputs[0]
    assert taken.quant is not None
    fed = [taken.quant.quantize(x, taken.dtype) for x in inputs]
    shape = litert.outputs[0].shape
    return {
        name: np.stack([runtime.run([x])[0].reshape(shape) for x in fed]).astype(int)
        for name, runtime in runtimes.items()
    }


def _all_in_reference_kernels(graph: Graph) -> bool:
    """LiteRT has DEPTHWISE_CONV_2D of int4 only among its optimized kernels."""
    return not any(
        "DEPTHWISE_CONV_2D" in builtins_of(n) and str(n.input(1).dtype) == "int4"
        for n in graph.nodes
    )


def within_one(first: Array, second: Array) -> float:
    """Share of elements within one step."""
    return float(np.mean(np.abs(first - second) <= 1))


def same_class(first: Array, second: Array) -> float:
    """Share of samples whose largest element is the same one."""
    rows = [a.reshape(len(a), -1).argmax(axis=1) for a in (first, second)]
    return float(np.mean(rows[0] == rows[1]))


HEADER = (
    f"{'model':28} {'scheme':16} {'reference':10} {'plain':>14} {'LiteRT':>15} {'ORT':>15} "
    f"{'ORT-LiteRT':>15} {'top-1 LiteRT, ORT'}"
)


def row(model: str, scheme: str, found: dict[str, Array]) -> str:
    """Each runtime against TensorFlow Lite Micro: share within one step, and the most steps."""
    micro = found["tflm"]
    exact = "identical" if np.array_equal(found["reference"], micro) else "DIFFERS"
    cells = [_apart(found[n], micro) if n in found else "-" for n in ("plain", "litert", "onnx")]
    cells.append(_apart(found["onnx"], found["litert"]))
    classes = ", ".join(f"{100 * same_class(found[n], micro):.0f}%" for n in ("litert", "onnx"))
    widths = (14, 15, 15, 15)
    middle = " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{model:28} {scheme:16} {exact:10} {middle} {classes}"


def _apart(first: Array, second: Array) -> str:
    return f"{100 * within_one(first, second):.1f}% max {int(np.abs(first - second).max())}"
