"""The TFLite writer: one builtin operator for each node of a graph legalized for TFLite.

The legal forms stand in the docstrings of the lowerings, and are checked there. In short:

- values are NHWC, pads of convolutions and pooling amount to SAME or VALID, padding does not count
  in means; transposed convolutions have groups 1, dilation 1 and cut nothing (VALID) or what SAME
  says; 3-D convolutions have constant float32 weights and groups 1;
- Softmax and LogSoftmax run along the last axis; Pad's mode is not edge and it cuts nothing;
  Reverse has one axis; Lrn has rank 4; Slice and Pad have rank 1 to 5; resizing has not both
  align_corners and half_pixel;
- Clip, Erf, BatchNorm, LayerNorm and RmsNorm have no builtin;
- dtypes are those that the builtin takes: no float64, and 16-bit floats only for constants behind
  a Dequantize node. A float32 node whose weight is an int8 constant with parameters is the hybrid
  form ("dynamic range"); int8 weights behind a Dequantize node are weight-only quantization.
"""

from edgepack.writers.tflite.write import write_tflite

__all__ = ["write_tflite"]
