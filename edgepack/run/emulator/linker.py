"""The linker script: the profile's banks at the addresses of the emulated board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgepack.devices import Target
from edgepack.run.emulator.cores import Processor

STACK_BYTES: Final = 16 << 10  # below the static memory, so that overflowing it is a fault
_HARNESS_BYTES: Final = 8 << 10  # what the emulator's own code and data take, beside the profile
_NO_BOARD: Final = (0, 0, 0x2000_0000)  # vectors, code and RAM where QEMU has no such board


@dataclass(frozen=True, slots=True)
class Layout:
    """Addresses of the emulated memories, and what of them the profile leaves to the firmware.

    `flash_bytes` and `ram_bytes` are the profile's, reserves taken off; `ram_total_bytes` has the
    reserve, where the stack lies, too.
    """

    vectors: int
    code: int
    ram: int
    flash_bytes: int
    ram_bytes: int
    ram_total_bytes: int

    @classmethod
    def of(cls, target: Target, processor: Processor) -> Layout:
        """The layout of `target`'s largest regions for weights and code, and for the arena."""
        board = processor.core.board
        vectors, code, ram = (board.vectors, board.code, board.ram) if board else _NO_BOARD
        region = target.arena_regions[0]
        return cls(
            vectors, code, ram, target.flash_budget_bytes, region.free_bytes,
            sum(bank.bytes for bank in region.banks),
        )  # fmt: skip

    @property
    def static(self) -> int:
        """Where the model's static memory begins."""
        return self.ram + STACK_BYTES

    def script(self, static_limit_bytes: int, code_limit_bytes: int) -> str:
        """The linker script. The limits are the emulator's; the profile's are checked on the ELF.

        `.firmware*` hold the emulator's own code and data, which no figure counts.
        """
        return _SCRIPT.format(
            vectors=self.vectors,
            code=self.code if self.code != self.vectors else self.code + 0x100,
            code_bytes=code_limit_bytes,
            stack=self.ram,
            stack_bytes=STACK_BYTES,
            static=self.static,
            static_bytes=static_limit_bytes,
        )


_SCRIPT: Final = """\
ENTRY(firmware_reset)
MEMORY
{{
    VECTORS (rx) : ORIGIN = 0x{vectors:08x}, LENGTH = 0x100
    FLASH (rx) : ORIGIN = 0x{code:08x}, LENGTH = {code_bytes}
    STACK (rw) : ORIGIN = 0x{stack:08x}, LENGTH = {stack_bytes}
    RAM (rw) : ORIGIN = 0x{static:08x}, LENGTH = {static_bytes}
}}
firmware_stack_base = ORIGIN(STACK);
firmware_stack_top = ORIGIN(STACK) + LENGTH(STACK);
SECTIONS
{{
    .firmware_vectors : {{ KEEP(*(.firmware_vectors)) }} > VECTORS
    .firmware : ALIGN(16)
    {{
        *fw__*.o(.text .text.* .rodata .rodata.*)
    }} > FLASH
    .weights : ALIGN(16)
    {{
        *wt__*.o(.rodata .rodata.* .model_weights .model_weights.*)
    }} > FLASH
    .text : ALIGN(16)
    {{
        *(.text .text.* .rodata .rodata.*)
        . = ALIGN(4);
    }} > FLASH
    .data : ALIGN(16)
    {{
        firmware_data_start = .;
        *(.data .data.*)
        . = ALIGN(4);
        firmware_data_end = .;
    }} > RAM AT > FLASH
    firmware_data_load = LOADADDR(.data);
    .bss (NOLOAD) : ALIGN(16)
    {{
        firmware_bss_start = .;
        *(EXCLUDE_FILE(*fw__*.o) .bss EXCLUDE_FILE(*fw__*.o) .bss.*)
        . = ALIGN(4);
        firmware_bss_end = .;
    }} > RAM
    .firmware_bss (NOLOAD) : ALIGN(16) {{ *fw__*.o(.bss .bss.*) }} > RAM
    /DISCARD/ : {{ *(.ARM.exidx .ARM.exidx.* .ARM.extab .ARM.extab.* .comment .debug_*) }}
}}
"""
