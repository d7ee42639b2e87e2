"""How many channels kernels like: their inner loops take so many at once."""

from __future__ import annotations

from typing import Final

from edgepack.devices import Target

_LEAST_SHARE: Final = 8  # a layer keeps at least so many steps of width, however wide the kernel

# Output channels of the inner loops: XNNPACK's and MLAS's matrix products are 8 wide; CMSIS-NN's
# convolutions take four values in a 32-bit multiplication pair, sixteen in a Helium register; Ethos
# has 16-channel bricks; the Edge TPU's array is 64 wide, fed by four.
_BY_RUNTIME: Final = {"litert": 8, "onnxruntime": 8, "tflm": 4, "c": 4, "vela": 16, "edgetpu": 4}


def channel_multiple(target: Target) -> int:
    """The multiple of channels that the target's kernels like best."""
    if "mve" in target.isa:
        return max(16, _BY_RUNTIME.get(target.runtime.id, 1))
    return _BY_RUNTIME.get(target.runtime.id, 1)


def multiple_for(channels: int, liked: int) -> int:
    """The multiple to which a layer of so many channels is rounded: smaller for narrow layers."""
    multiple = liked
    while multiple > 1 and (channels % multiple or channels < _LEAST_SHARE * multiple):
        multiple //= 2
    return multiple
