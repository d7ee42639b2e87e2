"""Recurrent operators."""

from __future__ import annotations

from typing import Final

from edgepack.errors import InternalError
from edgepack.ir import DType, Node, QuantParams, Value
from edgepack.schema import tflite as fmt
from edgepack.writers.tflite.builder import TFLiteBuilder, lowers
from edgepack.writers.tflite.convolution import activation

_SLOTS: Final = 24
_STATES: Final = (18, 19)


def _variable(node: Node, index: int, out: TFLiteBuilder) -> Value:
    """A state as a variable, which starts at zero."""
    state = node.input(index)
    start = state.quant.zero_point[0] if state.quant else 0
    if not state.is_const or (state.const != start).any():
        raise InternalError(f"{node.name} starts from a state that is not zero", at=state.name)
    return out.variable(state)


@lowers("Lstm")
def lstm(node: Node, out: TFLiteBuilder) -> None:
    """UNIDIRECTIONAL_SEQUENCE_LSTM; the states become variables, which start at zero."""
    inputs = list(node.inputs)
    for index in _STATES:
        inputs[index] = _variable(node, index, out)
    code = getattr(fmt.schema().ActivationFunctionType, node.attrs["activation"].upper())
    out.emit(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", node, inputs=inputs, slots=_SLOTS,
        intermediates=_intermediates(node), options="UnidirectionalSequenceLSTMOptions",
        fused_activation_function=int(code), cell_clip=node.attrs["cell_clip"],
        proj_clip=node.attrs["proj_clip"], time_major=node.attrs["time_major"],
    )  # fmt: skip


def _intermediates(node: Node) -> list[Value]:
    """Tensors without content whose parameters the kernel reads: (scale, zero point) or None."""
    values = []
    for index, pair in enumerate(node.attrs["intermediates"]):
        name = f"{node.name}/intermediate_{index}"
        if pair is None:
            values.append(Value(name, (0,), DType.FLOAT32))
        else:
            # the four before the activations are 16-bit, the hidden state has a type of its own
            dtype = node.input(_STATES[0]).dtype if index == 4 else DType.INT16
            values.append(Value(name, (0,), dtype, QuantParams.per_tensor(*pair)))
    return values


@lowers("Svdf")
def svdf(node: Node, out: TFLiteBuilder) -> None:
    """SVDF; the state becomes a variable, which starts at zero."""
    out.emit(
        "SVDF", node, inputs=[*node.inputs[:4], _variable(node, 4, out)], options="SVDFOptions",
        rank=node.attrs["rank"], fused_activation_function=activation(node),
    )  # fmt: skip
