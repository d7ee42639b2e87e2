"""Which quantization schemes a target's runtime has kernels for, node by node and as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edgepack.devices import Runtime, Target
from edgepack.errors import Finding, Unsupported
from edgepack.ir import DType, Graph, Node, row
from edgepack.profiles import load_runtime
from edgepack.quantize.options import INTEGER_SCHEMES, Precision
from edgepack.quantize.plan import HasKernel
from edgepack.writers.tflite.names import builtins_of

# The dtype, as profiles name it, of a weighted kernel in each scheme.
KERNELS: Final = {
    "int8": "int8", "int16x8": "int16x8", "w4a8": "w4a8", "mixed": "int8", "dynamic": "hybrid",
    "dynamic4": "hybrid4", "blockwise4": "hybrid4", "fp16": "float16", "bf16": "bfloat16",
    "none": "float32",
}  # fmt: skip
# Schemes of 16-bit floats: constants, which an operator of their own widens.
HALVES: Final = {"fp16": DType.FLOAT16, "bf16": DType.BFLOAT16}
_WIDENING: Final = {"fp16": "DEQUANTIZE", "bf16": "CAST"}
_TYPES: Final = {DType.INT8: "int8", DType.INT16: "int16x8"}


def checking_runtime() -> Runtime:
    """The runtime that runs every TFLite file on this machine before it is handed out."""
    return load_runtime("litert")


def runtimes_of(target: Target, node: Node, dtype: str) -> dict[str, Target | Runtime]:
    """By name those that must have the node's kernel: the target's, and the one that checks files.

    Files with a 16-bit LSTM are checked by TensorFlow Lite Micro alone: LiteRT has no such kernel.
    """
    alone = node.op == "Lstm" and dtype == "int16x8"
    found: dict[str, Target | Runtime] = {target.runtime.name: target}
    checking = checking_runtime()
    if not alone and checking.name != target.runtime.name:
        found[checking.name] = checking
    return found


def has_kernel(target: Target) -> HasKernel:
    """Whether the target runs a node in a precision, and so does the runtime that checks files."""

    def answer(node: Node, precision: Precision) -> bool:
        dtype = _TYPES[precision.activations]
        if row(node.op).quant.weight is not None and precision.weights is DType.INT4:
            dtype = "w4a8"
        names = builtins_of(node)
        runtimes = runtimes_of(target, node, dtype).values()
        return all(
            runtime.quantizes(name, dtype) for runtime in runtimes for name in names
        ) and not (_pads_with_zero(target.runtime) and _padded_blocks(node))

    return answer


def takes_weights(runtime: Target | Runtime, node: Node, dtype: DType) -> bool:
    """Whether real activations meet weights of `dtype` (int8, int4) in a kernel of the runtime."""
    name = "hybrid4" if dtype is DType.INT4 else "hybrid"
    return all(runtime.quantizes(builtin, name) for builtin in builtins_of(node))


def refuse_scheme(scheme: str, target: Target, graph: Graph) -> None:
    """Raise Unsupported, naming what would do, where no layer could be what the scheme makes.

    `graph` is float and legalized. Layers are the nodes with weights. A scheme that suits some of
    them is no error: the others keep more bits, as the report says.
    """
    layers = [node for node in graph.nodes if row(node.op).quant.weight is not None]
    if not layers or _suits(scheme, target, layers):
        return
    dtype = KERNELS[scheme]
    kinds = {name: node for node in reversed(layers) for name in builtins_of(node)}
    if scheme in HALVES:
        kinds = {_WIDENING[scheme]: layers[0]}
    raise Unsupported(
        f"--quantize {scheme} is not for {target.name}: {target.runtime.name} lacks the kernels",
        [Finding(node.name, name, dtype, "no such kernel") for name, node in kinds.items()],
        hint=_remedy(target, layers),
    )


def _suits(scheme: str, target: Target, layers: Iterable[Node]) -> bool:
    if scheme in INTEGER_SCHEMES:
        answer, precision = has_kernel(target), INTEGER_SCHEMES[scheme]
        return any(answer(node, precision) for node in layers)
    if scheme == "none":
        return any(target.supports(name, "float32") for n in layers for name in builtins_of(n))
    if scheme in HALVES:
        return target.supports(_WIDENING[scheme], str(HALVES[scheme]))
    if scheme == "blockwise4":
        layers = [node for node in layers if node.op == "FullyConnected"]
    weights = DType.INT8 if scheme == "dynamic" else DType.INT4
    return any(takes_weights(target, node, weights) for node in layers)


def _remedy(target: Target, layers: Iterable[Node]) -> str:
    uniform = (name for name in KERNELS if name != "mixed")
    suiting = [name for name in uniform if _suits(name, target, layers)]
    if not suiting:
        return "choose another target: its runtime has kernels for none of these operators"
    return f"choose --quantize {' or '.join(suiting)}"


def _pads_with_zero(runtime: Runtime) -> bool:
    """TensorFlow Lite Micro's SPACE_TO_BATCH_ND pads with 0 where the zero point is meant."""
    return "tflm" in (runtime.id, runtime.fallback.id if runtime.fallback else "")


def _padded_blocks(node: Node) -> bool:
    return node.op == "SpaceToBatch" and any(any(pair) for pair in node.attrs["pad"])
