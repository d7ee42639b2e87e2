"""An emulated microcontroller: compiles a C export, runs it, counts its instructions.

`choice` picks the tools, `cores` knows the processors, `toolchain` and `linker` build, `firmware/`
is start-up and harness in C, `unicorn_machine` and `qemu_machine` run, `runtime` is the front door.
"""

from edgepack.run.emulator.choice import PLACE, Chosen, Wanted, choose
from edgepack.run.emulator.firmware import CModel, DoesNotFit, Firmware, Sizes, build
from edgepack.run.emulator.outcome import EmulationFault
from edgepack.run.emulator.runtime import EmulatedModel, Measured, NodeCost

__all__ = [
    "PLACE",
    "CModel",
    "Chosen",
    "DoesNotFit",
    "EmulatedModel",
    "EmulationFault",
    "Firmware",
    "Measured",
    "NodeCost",
    "Sizes",
    "Wanted",
    "build",
    "choose",
]
