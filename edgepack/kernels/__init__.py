"""Reference kernels in numpy, one function per operator; the oracle for every writer.

Real ones compute in the inputs' own type; quantized ones give the same bits as TFLite's reference
kernels. `run.reference` walks a graph with them, constant folding calls them one node at a time.

Weights may be stored narrower than they are used: a node of real numbers whose constant input is
int8 (or int4) with parameters computes with the real numbers these stand for. (TFLite's hybrid
kernels, which such a node becomes there, quantize the activations on the fly as well; `call` takes
those of `quantized_hybrid` when asked to.)
"""

from edgepack.kernels import (  # noqa: F401  (importing registers)
    activation,
    convolution,
    dense,
    elementwise,
    indexing,
    normalization,
    pooling,
    quantized_activation,
    quantized_arithmetic,
    quantized_convolution,
    quantized_dense,
    quantized_hybrid,
    quantized_lstm,
    quantized_reduction,
    quantized_softmax,
    quantized_svdf,
    recurrent,
    reduction,
    shape,
)
from edgepack.kernels.call import call, find

__all__ = ["call", "find"]
