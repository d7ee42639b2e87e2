"""What each TensorFlow Lite Micro kernel takes from the arena while it is prepared.

Facts read off tensorflow/tflite-micro (August 2026) and ARM-software/CMSIS-NN (July 2026); the file
that each stems from is named beside it, relative to tensorflow/lite/micro/kernels and CMSIS-NN's
Source. Structures use the notation of `abi.py`. A kernel's needs have three parts: the parsed
options (`params`), the structure made by init (`op_data`), and what prepare asks for (`prepare`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from edgepack.ir.dtypes import DType
from edgepack.plan.abi import Layouts
from edgepack.plan.micro_model import MicroModel, MicroOp, MicroTensor

Simd = Literal["none", "dsp", "mve"]


@dataclass(frozen=True, slots=True)
class KernelBuild:
    """Which kernels a firmware is linked with: portable ones, or CMSIS-NN's for a core's SIMD."""

    cmsis_nn: bool = False
    simd: Simd = "none"

    def __str__(self) -> str:
        return f"CMSIS-NN ({self.simd})" if self.cmsis_nn else "reference"


REFERENCE = KernelBuild()
CMSIS_NN_DSP = KernelBuild(True, "dsp")
CMSIS_NN_MVE = KernelBuild(True, "mve")


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes asked for by a kernel: kept for good, or scratch for the time it runs."""

    nbytes: int
    scratch: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One operator being prepared: its tensors, and the build it runs in."""

    op: MicroOp
    model: MicroModel
    kernels: KernelBuild
    layouts: Layouts

    def input(self, index: int) -> MicroTensor:
        """Input `index`, which is present."""
        return self.model.tensors[self.op.inputs[index]]

    def output(self, index: int = 0) -> MicroTensor:
        """Output `index`."""
        return self.model.tensors[self.op.outputs[index]]

    def has_input(self, index: int) -> bool:
        """Whether input `index` is given."""
        return index < len(self.op.inputs) and self.op.inputs[index] >= 0

    def option(self, name: str, default: int = 1) -> int:
        """A number from the operator's options."""
        return int(self.op.options.get(name, default))


Prepare = Callable[[Call], Iterator[Request]]

# kernels/*.h, kernels/*.cc, lite/kernels/internal/types.h, CMSIS-NN Include/arm_nn_types.h
STRUCTS = {
    "PaddingValues": "4i",
    "Conv": "{PaddingValues} 5i 2p 3i ?2i",
    "FullyConnected": "8i i 2p b ?2i",
    "Pooling": "{PaddingValues} 4i",
    "ConvParams": "b 4h 4h 9i",
    "FullyConnectedParams": "9i 3b",
    "ArithmeticParams": "b 14i 2q 2h 5i",
    "SoftmaxParams": "q 7i 5p",
    "PadParams": "b 5i b 5i b",
    "BatchMatmul": "3p 3b",
    "BatchMatmulQuantization": "7i",
    "LstmGate": "{FullyConnectedParams} {FullyConnectedParams}",
    "LstmSize": "b 4i",
    "LstmCellState": "i h i",
    "Lstm": "{LstmSize} {LstmCellState} e 4{LstmGate} 3{ArithmeticParams} 4i",
    "CmsisLstmGate": "2i 2p 2i 3p e",
    "CmsisLstm": "{Lstm} {CmsisLstmOnly}",
    "CmsisLstmOnly": "15i 4{CmsisLstmGate}",
    "QuantizationParams": "i q",
    "DequantizationParams": "q i",
    "EvalTensor": "2p e",
}


def keep(nbytes: int) -> Request:
    """Bytes kept for good."""
    return Request(nbytes, scratch=False)


def scratch(nbytes: int) -> Request:
    """Bytes for the time that the operator runs."""
    return Request(nbytes, scratch=True)


def is_quantized(tensor: MicroTensor) -> bool:
    """Whether kernels take the integer path for this tensor."""
    return tensor.dtype in (DType.INT8, DType.INT16)


def nothing(call: Call) -> Iterator[Request]:
    """The kernel asks for nothing in prepare."""
    return iter(())


def _per_channel(channels: int) -> Iterator[Request]:
    yield keep(4 * channels)  # multipliers
    yield keep(4 * channels)  # shifts


def _unpacked_int4(call: Call) -> Iterator[Request]:
    # conv_common.cc, depthwise_conv_common.cc, fully_connected.cc: 4-bit filters are unpacked
    if call.input(1).dtype is DType.INT4 and not call.kernels.cmsis_nn:
        yield scratch(call.input(1).size)


def conv(call: Call) -> Iterator[Request]:
    """Multipliers and shifts per output channel, and CMSIS-NN's im2col buffer (conv.cc).

    The reference kernel allocates the two arrays for float models as well.
    """
    data, weights = call.input(0), call.input(1)
    if is_quantized(data) or not call.kernels.cmsis_nn:
        yield from _per_channel(weights.shape[0])
    yield from _unpacked_int4(call)
    if call.kernels.cmsis_nn and is_quantized(data):
        wide_bias = not call.has_input(2) or call.input(2).dtype is DType.INT64
        if data.dtype is DType.INT8 or wide_bias:
            yield from _if_any(_conv_buffer(call))


def _if_any(nbytes: int) -> Iterator[Request]:
    if nbytes > 0:
        yield scratch(nbytes)


def _conv_buffer(call: Call) -> int:
    # ConvolutionFunctions/arm_convolve_get_buffer_sizes_{s8,s16,s4}.c
    (_, height, width, channels), weights = call.input(0).shape, call.input(1)
    _, kernel_h, kernel_w, kernel_c = weights.shape
    columns = kernel_h * kernel_w * channels
    mve = call.kernels.simd == "mve"
    if call.input(0).dtype is DType.INT16:
        return 64 * -(-columns // 8) if mve else 4 * columns
    undilated = call.option("dilation_h") == call.option("dilation_w") == 1
    grouped = channels != kernel_c
    unpadded = call.option("pad_h", 0) == call.option("pad_w", 0) == 0
    if unpadded and kernel_h == kernel_w == 1 and undilated and not grouped:
        return 0
    row = height == kernel_h == 1 and undilated and not grouped
    if row and mve and (call.option("stride_w") * channels) % 4 == 0:
        return _row_conv_buffer(call, width, kernel_w, channels)
    if mve:
        return _im2col_mve(columns)
    return 4 * (columns if weights.dtype is DType.INT4 else -(-columns // 4) * 4)


def _im2col_mve(columns: int) -> int:
    return 64 * -(-columns // 16)  # four rows, each a multiple of 16 int8 lanes


def _row_conv_buffer(call: Call, width: int, kernel: int, channels: int) -> int:
    # arm_convolve_1_x_n_s8_get_buffer_size_mve
    stride, pad, out = call.option("stride_w"), call.option("pad_w", 0), call.output().shape[2]
    uneven = ((out - 1) * stride + kernel - width) % 2
    right = max(1, (pad + uneven + stride - 1) // stride) if pad + uneven else 0
    left = max(1, (pad + stride - 1) // stride) if pad else 0
    if right + max(out - (right + left), 0) + left != out:
        return _im2col_mve(kernel * channels)
    if call.input(1).dtype is DType.INT4:
        return 0
    pad_right = right * channels if uneven else pad * channels
    return max((kernel + pad) * channels, (kernel - 1) * channels + pad_right)


def depthwise_conv(call: Call) -> Iterator[Request]:
    """As `conv`, with CMSIS-NN's own buffer rule (depthwise_conv.cc)."""
    data = call.input(0)
    if is_quantized(data) or not call.kernels.cmsis_nn:
        yield from _per_channel(call.input(1).shape[3])
    yield from _unpacked_int4(call)
    if call.kernels.cmsis_nn and data.dtype is DType.INT8:
        yield from _if_any(_depthwise_buffer(call))


def _depthwise_buffer(call: Call) -> int:
    # ConvolutionFunctions/arm_depthwise_conv_get_buffer_sizes_{s8,s4}.c
    batch, _, _, channels = call.input(0).shape
    _, kernel_h, kernel_w, out_channels = call.input(1).shape
    taps, mve = kernel_h * kernel_w, call.kernels.simd == "mve"
    int4 = call.input(1).dtype is DType.INT4
    if mve and channels == 1 and out_channels > 8 and not int4:
        return _im2col_mve(taps) + taps * out_channels  # runs as a convolution, weights turned
    undilated = call.option("dilation_h") == call.option("dilation_w") == 1
    if channels != out_channels or batch != 1 or not undilated:
        return 0
    if mve:
        return 4 * 124 * taps  # blocks of 124 channels
    small_pad = call.option("pad_h", 0) <= 1 and call.option("pad_w", 0) <= 1
    if kernel_h == kernel_w == 3 and small_pad and not int4:
        return 0
    return 2 * channels * taps if call.kernels.simd == "dsp" or int4 else 0


def fully_connected(call: Call) -> Iterator[Request]:
    """Per-channel arrays when there are several scales; CMSIS-NN's kernel sums on MVE.

    fully_connected_common.cc, cmsis_nn/fully_connected.cc.
    """
    data, weights = call.input(0), call.input(1)
    per_channel = is_quantized(data) and weights.scales > 1
    if not call.kernels.cmsis_nn:
        yield from _unpacked_int4(call)
    if per_channel:
        yield from _per_channel(weights.scales)
    if not call.kernels.cmsis_nn or data.dtype is not DType.INT8 or weights.dtype is DType.INT4:
        return
    depth, units = weights.shape[-1], call.output().shape[-1]
    if len(call.output().shape) > 2 and depth % 4 == 0:  # runs as a 1x1 convolution
        if not per_channel:
            yield scratch(8 * units)
    elif call.kernels.simd == "mve":
        fixed = weights.constant and (not call.has_input(2) or call.input(2).constant)
        yield keep(4 * units) if fixed else scratch(4 * units)


def average_pool(call: Call) -> Iterator[Request]:
    """CMSIS-NN sums a row in 32 bits on cores with DSP (arm_avgpool_get_buffer_sizes_s8.c)."""
    if call.kernels.cmsis_nn and call.kernels.simd == "dsp" and is_quantized(call.input(0)):
        yield scratch(4 * call.output().shape[3])


def softmax(call: Call) -> Iterator[Request]:
    """Two tables of 513 entries for int16 (softmax_common.cc)."""
    if call.input(0).dtype is DType.INT16:
        yield keep(2 * 513)
        yield keep(2 * 513)


def mean_or_sum(call: Call) -> Iterator[Request]:
    """32-bit sums, an index and the axes (reduce_common.cc)."""
    if is_quantized(call.input(0)):
        yield scratch(4 * call.output().size)
    yield from min_or_max(call)


def min_or_max(call: Call) -> Iterator[Request]:
    """An index and the axes (reduce_common.cc)."""
    yield scratch(4 * len(call.input(0).shape))
    yield scratch(4 * call.input(1).size)


def add_n(call: Call) -> Iterator[Request]:
    """A list of the inputs' addresses, and op data only when quantized (add_n.cc)."""
    if call.output().dtype is DType.INT8:
        yield keep(40)
    yield scratch(call.layouts.abi.pointer_bytes * len(call.op.inputs))


def cumsum(call: Call) -> Iterator[Request]:
    """Op data only when quantized (cumsum.cc)."""
    if call.input(0).dtype is DType.INT8:
        yield keep(36)


def log_softmax(call: Call) -> Iterator[Request]:
    """Op data only when quantized (log_softmax.cc)."""
    if call.input(0).dtype is DType.INT8:
        yield keep(call.layouts.of("5i 2p").size)


def writable_dims(call: Call) -> Iterator[Request]:
    """The output's dimensions are copied out of the file (CreateWritableTensorDimsWithCopy)."""
    yield keep(4 + 4 * len(call.output().shape))


def mirror_pad(call: Call) -> Iterator[Request]:
    """Two index arrays (mirror_pad.cc)."""
    yield scratch(4 * len(call.input(0).shape))
    yield scratch(4 * len(call.input(0).shape))


def batch_matmul(call: Call) -> Iterator[Request]:
    """A transposed copy of an operand stays in the arena for good (batch_matmul.cc)."""
    quantization = call.layouts.named("BatchMatmulQuantization").size
    quantized = is_quantized(call.input(0))
    if quantized and not call.kernels.cmsis_nn:
        yield keep(quantization)
    if call.option("adj_x", 0):
        yield from _transposed(call, call.input(0))
    if not call.option("adj_y", 0):
        yield from _transposed(call, call.input(1))
    yield from writable_dims(call)
    if quantized and call.kernels.cmsis_nn:
        yield keep(quantization)
        if call.kernels.simd == "mve" and call.input(0).dtype is DType.INT8:
            yield scratch(4 * call.output().shape[-1])


def _transposed(call: Call, tensor: MicroTensor) -> Iterator[Request]:
    yield keep(call.layouts.named("EvalTensor").size)
    yield keep(4 + 4 * len(tensor.shape))
    yield keep(tensor.nbytes)


def transpose_conv(call: Call) -> Iterator[Request]:
    """Per-channel arrays, and an accumulator of the whole output (transpose_conv.cc).

    CMSIS-NN needs less: ConvolutionFunctions/arm_transpose_conv_get_buffer_sizes_s8.c.
    """
    data, weights = call.input(2), call.input(1)
    yield from _per_channel(weights.shape[0])
    if data.dtype is DType.INT8 and call.kernels.cmsis_nn:
        yield from _transpose_conv_cmsis(call, data.shape, weights.shape)
    elif data.dtype is DType.INT8:
        yield scratch(4 * call.output().size)
    elif data.dtype is DType.INT16:
        yield scratch(8 * call.output().size)
        if call.has_input(3) and call.input(3).dtype is DType.INT16:
            yield scratch(8 * call.input(3).size)


def _transpose_conv_cmsis(
    call: Call, data: tuple[int, ...], weights: tuple[int, ...]
) -> Iterator[Request]:
    stride_h, stride_w = call.option("stride_h"), call.option("stride_w")
    out_channels, kernel_h, kernel_w, channels = weights
    if max(stride_h, stride_w) <= 2 and channels > 16:  # runs as a convolution, filter reversed
        columns = kernel_h * kernel_w * channels
        mve = call.kernels.simd == "mve"
        yield scratch(_im2col_mve(columns) if mve else 4 * (-(-columns // 4) * 4))
        yield scratch(columns * out_channels)
    else:
        rows = max(kernel_h, stride_h)
        row = ((data[2] - 1) * stride_w + max(kernel_w, stride_h)) * out_channels
        yield scratch(4 * row * rows)
        yield scratch(0)


def svdf(call: Call) -> Iterator[Request]:
    """Filter responses and sums (svdf_common.cc, cmsis_nn/svdf.cc)."""
    batch, filters = call.input(0).shape[0], call.input(1).shape[0]
    yield scratch(4 * batch * filters)
    if call.input(0).dtype is DType.INT8:
        yield scratch(4 * call.output().size)
        if call.kernels.cmsis_nn and call.kernels.simd == "mve":
            yield keep(4 * filters)


def lstm(call: Call) -> Iterator[Request]:
    """Gate buffers; CMSIS-NN folds the biases of the eight products beforehand.

    unidirectional_sequence_lstm.cc: inputs 18 and 19 are the hidden and the cell state.
    """
    hidden, cell = call.input(18), call.input(19)
    optimized = call.kernels.cmsis_nn and cell.dtype is DType.INT16
    if optimized:
        item = 8 if call.input(0).dtype is DType.INT16 else 4
        for _ in range(8):
            yield keep(item * hidden.shape[-1])
    for _ in range(3 if optimized else 4):
        yield scratch(hidden.size * cell.item_bytes)


def ethos_u(call: Call) -> Iterator[Request]:
    """Addresses and sizes of all tensors of a command stream (ethos_u/ethosu.cc)."""
    tensors = len(call.op.inputs) + len(call.op.outputs)
    yield scratch(8 * tensors)
    yield scratch(call.layouts.abi.pointer_bytes * tensors)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One row of the kernel table; layouts are empty where nothing is allocated.

    `looks` is how often prepare opens temporary records of its tensors, which are freed together.
    """

    op_data: str = ""
    params: str = ""
    prepare: Prepare = nothing
    cmsis_op_data: str = ""  # empty: as op_data
    looks: int = 1


_COMPARISON = Kernel("7i b")
_REDUCE_SUM = Kernel("11i", "b", mean_or_sum, looks=2)
_REDUCE_MAX = Kernel("11i", "b", min_or_max, looks=2)

# Options (params): lite/core/c/builtin_op_data.h as parsed by core/api/flatbuffer_conversions.cc
KERNELS: dict[str, Kernel] = {
    "ABS": Kernel("4i b 2e"),
    "ADD": Kernel("b 14i", "e b"),
    "ADD_N": Kernel(prepare=add_n),
    "ARG_MAX": Kernel(params="e"),
    "ARG_MIN": Kernel(params="e"),
    "AVERAGE_POOL_2D": Kernel("{Pooling}", "e 4i e {PaddingValues}", average_pool, "{Pooling} i"),
    "BATCH_MATMUL": Kernel("{BatchMatmul}", "3b", batch_matmul, "{BatchMatmul} 4i i"),
    "BATCH_TO_SPACE_ND": Kernel(),
    "BROADCAST_ARGS": Kernel(),
    "BROADCAST_TO": Kernel(),
    "CAST": Kernel(params="2e"),
    "CEIL": Kernel(),
    "CONCATENATION": Kernel("i 2p 3i ?10i", "i e", looks=2),
    "CONV_2D": Kernel("{Conv}", "e 2i e 2i e", conv, "{Conv} i", looks=2),
    "COS": Kernel(),
    "CUMSUM": Kernel(params="2b", prepare=cumsum),
    "DEPTH_TO_SPACE": Kernel(params="i", prepare=writable_dims),
    "DEPTHWISE_CONV_2D": Kernel("{Conv}", "e 3i e 2i", depthwise_conv, "{Conv} i", looks=2),
    "DEQUANTIZE": Kernel("{DequantizationParams} 3i"),
    "DIV": Kernel("7i", "e"),
    "DYNAMIC_UPDATE_SLICE": Kernel(),
    "ELU": Kernel("256b"),
    "EQUAL": _COMPARISON,
    "EXP": Kernel(),
    "EXPAND_DIMS": Kernel(),
    "FILL": Kernel(),
    "FLOOR": Kernel(),
    "FLOOR_DIV": Kernel(),
    "FLOOR_MOD": Kernel(),
    "FULLY_CONNECTED": Kernel(
        "{FullyConnected}", "2e 2b e +2p", fully_connected, "{FullyConnected} 2i p 3i"
    ),
    "GATHER": Kernel(params="2i", prepare=writable_dims),
    "GATHER_ND": Kernel(prepare=writable_dims),
    "GREATER": _COMPARISON,
    "GREATER_EQUAL": _COMPARISON,
    "HARD_SWISH": Kernel("3h i h i"),
    "L2_NORMALIZATION": Kernel("i", "e"),
    "L2_POOL_2D": Kernel(params="e 4i e {PaddingValues}", prepare=writable_dims),
    "LEAKY_RELU": Kernel("6i", "i"),
    "LESS": _COMPARISON,
    "LESS_EQUAL": _COMPARISON,
    "LOG": Kernel(),
    "LOG_SOFTMAX": Kernel(prepare=log_softmax),
    "LOGICAL_AND": Kernel(),
    "LOGICAL_NOT": Kernel(),
    "LOGICAL_OR": Kernel(),
    "LOGISTIC": Kernel("4i"),
    "MAXIMUM": Kernel(),
    "MAX_POOL_2D": Kernel("{Pooling}", "e 4i e {PaddingValues}", nothing, "{Pooling} i"),
    "MEAN": _REDUCE_SUM,
    "MINIMUM": Kernel(),
    "MIRROR_PAD": Kernel("5i", "e", mirror_pad),
    "MUL": Kernel("9i", "e"),
    "NEG": Kernel(),
    "NOT_EQUAL": _COMPARISON,
    "PACK": Kernel(params="2i"),
    "PAD": Kernel("{PadParams} i"),
    "PADV2": Kernel("{PadParams} i"),
    "PRELU": Kernel("7i"),
    "QUANTIZE": Kernel("{QuantizationParams} 3i"),
    "REDUCE_ALL": _REDUCE_MAX,
    "REDUCE_MAX": _REDUCE_MAX,
    "REDUCE_MIN": _REDUCE_MAX,
    "RELU": Kernel("b 2i 4i"),  # ReluParams derives from ActivationParams
    "RELU6": Kernel("2i"),
    "RESHAPE": Kernel(params="9i"),
    "RESIZE_BILINEAR": Kernel(params="2b"),
    "RESIZE_NEAREST_NEIGHBOR": Kernel(params="2b"),
    "REVERSE_V2": Kernel(),
    "ROUND": Kernel(),
    "RSQRT": Kernel("4i b 2e"),
    "SELECT_V2": Kernel("b"),
    "SHAPE": Kernel(params="e"),
    "SIN": Kernel(),
    "SLICE": Kernel(),
    "SOFTMAX": Kernel("{SoftmaxParams}", "i", softmax, "{SoftmaxParams} 2i"),
    "SPACE_TO_BATCH_ND": Kernel("i"),
    "SPACE_TO_DEPTH": Kernel(params="i", prepare=writable_dims),
    "SPLIT": Kernel(params="i"),
    "SPLIT_V": Kernel(params="i"),
    "SQRT": Kernel(),
    "SQUARE": Kernel(),
    "SQUARED_DIFFERENCE": Kernel("b {ArithmeticParams}"),
    "SQUEEZE": Kernel(params="9i"),
    "STRIDED_SLICE": Kernel("b 5i b 5i b 5i 5h b", "5i b"),
    "SUB": Kernel("b 12i", "e b"),
    "SUM": _REDUCE_SUM,
    "SVDF": Kernel("9i", "i e b", svdf, "9i p"),
    "TANH": Kernel("4i", looks=2),
    "TRANSPOSE": Kernel(),
    "TRANSPOSE_CONV": Kernel(
        "{ConvParams} i ?2i i 2p", "e 2i 2e", transpose_conv, "{ConvParams} 3i 2p", 2
    ),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Kernel("{Lstm}", "e 2i 3b", lstm, "{CmsisLstm}"),
    "UNPACK": Kernel(params="2i"),
    "ZEROS_LIKE": Kernel(),
    "ethos-u": Kernel("3i", prepare=ethos_u),  # custom, made by Vela
}
