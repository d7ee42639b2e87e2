"""What each TensorFlow Lite Micro kernel asks for while it is prepared, in the order it asks.

Facts read off tensorflow/tflite-micro (August 2026) and ARM-software/CMSIS-NN (July 2026); the file
that each stems from is named beside it, relative to tensorflow/lite/micro/kernels and CMSIS-NN's
Source.
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


def decode(call: Call) -> Iterator[Request]:
    """A list of states, and the state of each tensor that is unpacked (decode.cc).

    Where a pruned tensor has zero points other than 0, which weights have not, the kernel keeps
    them as well.
    """
    outputs = range(len(call.op.outputs))
    yield keep(call.layouts.abi.pointer_bytes * len(outputs))
    for index in outputs:
        coding = call.option(f"coding_{index}", -1)
        if coding in _DECODE_STATES:
            yield keep(call.layouts.of(_DECODE_STATES[coding]).size)


# kernels/decode_state{,_lut,_huffman,_prune}.h, by the number of the coding
_DECODE_STATES = {0: "3p 5p 3b", 1: "3p 3p 2b", 2: "3p 6p 2b"}
