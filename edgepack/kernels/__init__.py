"""Reference kernels in numpy, one function per operator; the oracle for every writer.

Real ones compute in the inputs' own type; quantized ones give the same bits as TFLite's reference
kernels. `run.reference` walks a graph with them, constant folding calls them one node at a time.
"""

from edgepack.kernels import convolution, dense, elementwise, shape  # noqa: F401 (register)
from edgepack.kernels.call import call, find

__all__ = ["call", "find"]
