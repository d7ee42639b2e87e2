"""The kernels of TensorFlow Lite Micro and what each takes from the arena: one row per operator.

Structures use the notation of `abi.py`. A kernel's needs have three parts: the parsed options
(`params`), the structure made by init (`op_data`), and what prepare asks for (`tflm_requests.py`,
which also says what the facts were read off).
"""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.plan.tflm_requests import (
    Prepare,
    add_n,
    average_pool,
    batch_matmul,
    conv,
    cumsum,
    decode,
    depthwise_conv,
    ethos_u,
    fully_connected,
    log_softmax,
    lstm,
    mean_or_sum,
    min_or_max,
    mirror_pad,
    nothing,
    softmax,
    svdf,
    transpose_conv,
    writable_dims,
)

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
    "TFLM_DECODE": Kernel(prepare=decode),  # custom, unpacks constants
    "ethos-u": Kernel("3i", prepare=ethos_u),  # custom, made by Vela
}
