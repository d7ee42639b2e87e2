"""Profiles: all of them load and make sense; wrong ones are refused with the field's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.devices import KernelSet, Target, regions_of
from edgepack.errors import BadTarget
from edgepack.profiles import list_targets, load_runtime, load_target
from edgepack.strict_toml import data_folder

IDS = [
    *("arduino-nano-33-ble", "raspberry-pi-pico", "raspberry-pi-pico-2"),
    *("stm32f407-discovery", "stm32f746g-discovery", "nucleo-l4r5zi"),
    *("stm32h743", "stm32h747", "stm32u575"),
    *("stm32n657", "nrf5340", "nrf54l15"),
    *("esp32", "esp32-s3", "esp32-p4"),
    *("max78000", "alif-ensemble-e7", "corstone-300"),
    *("imxrt1060", "imxrt1170", "apollo4-plus"),
    *("raspberry-pi-zero-2", "raspberry-pi-4", "raspberry-pi-5"),
    *("coral-edgetpu", "android-midrange", "jetson-nano"),
    *("qemu-mps2-an386", "qemu-mps2-an500", "qemu-mps3-an547"),
]

KIB = 1024
PROFILE = """
id = "my-board"
name = "My board"
kind = "mcu"
runtime = "tflm"
kernel_set = "cmsis-nn"
source = "my own"

[[cores]]
name = "Cortex-M4F"
clock_hz = 80_000_000
source = "data sheet"

[[banks]]
name = "sram"
kind = "ram"
bytes = 131_072
source = "data sheet"

[[banks]]
name = "flash"
kind = "flash"
bytes = 524_288
source = "data sheet"
"""


def test_every_contracted_id_has_a_profile() -> None:
    assert {target.id for target in list_targets()} >= set(IDS)


@pytest.mark.parametrize("target_id", sorted(p.stem for p in data_folder("targets").glob("*.toml")))
def test_profile_makes_sense(target_id: str) -> None:
    target = load_target(target_id)
    assert target.id == target_id
    assert 1_000_000 <= target.clock_hz <= 4_000_000_000
    assert 0 < target.sram_budget_bytes <= sum(bank.bytes for bank in target.banks)
    assert target.flash_budget_bytes > 100 * KIB
    assert target.pointer_bytes == (4 if target.kind == "mcu" else 8)
    assert target.supports("CONV_2D", "int8")
    assert set(target.formats) <= {"tflite", "onnx", "c"}
    assert (target.kernel_set is not None) == (target.runtime.id in ("tflm", "vela"))


SRAM_KIB = {
    "nucleo-l4r5zi": 640,  # three banks end to end
    "stm32f407-discovery": 128,  # 112 + 16; the CCM lies elsewhere
    "stm32f746g-discovery": 320,
    "stm32h743": 512,
    "stm32u575": 768,
    "esp32": 200,  # 520 nominal; the data bus sees two runs
    "esp32-s3": 480,
    "corstone-300": 2048,
    "apollo4-plus": 2816,
    "qemu-mps2-an386": 4096,
}


@pytest.mark.parametrize(("target_id", "kib"), SRAM_KIB.items())
def test_largest_arena_region_joins_contiguous_banks_only(target_id: str, kib: int) -> None:
    target = load_target(target_id)
    region = target.arena_regions[0]
    assert sum(bank.bytes for bank in region.banks) == kib * KIB
    reserved = sum(bank.reserved_bytes for bank in region.banks)
    assert target.sram_budget_bytes == kib * KIB - reserved


def test_measured_reserves_are_kept() -> None:
    nano = load_target("arduino-nano-33-ble")
    assert nano.flash_budget_bytes == (1024 - 85) * KIB
    assert load_target("esp32-s3").flash_budget_bytes == (8 * 1024 - 347) * KIB


def test_a_part_without_flash_shares_its_ram() -> None:
    assert load_target("stm32n657").weights_share_ram
    assert not load_target("nucleo-l4r5zi").weights_share_ram


SUPPORT = {
    "a kernel": ("nucleo-l4r5zi", "CONV_2D", "int8", True),
    "no kernel in that dtype": ("nucleo-l4r5zi", "EXP", "int8", False),
    "int16 is int16x8": ("nucleo-l4r5zi", "CONV_2D", "int16", True),
    "int16x8 is int16": ("nucleo-l4r5zi", "ADD", "int16x8", True),
    "4-bit weights": ("nucleo-l4r5zi", "FULLY_CONNECTED", "w4a8", True),
    "float16 has no kernels": ("nucleo-l4r5zi", "DEQUANTIZE", "float16", False),
    "an operator it lacks": ("nucleo-l4r5zi", "GELU", "int8", False),
    "no such operator at all": ("nucleo-l4r5zi", "NONSENSE", "int8", False),
    "litert runs what is written": ("raspberry-pi-4", "GELU", "float32", True),
    "the NPU takes what TFLM lacks": ("corstone-300", "GELU", "int8", True),
    "the processor takes what the NPU lacks": ("corstone-300", "SVDF", "int8", True),
    "neither takes it": ("corstone-300", "TOPK_V2", "int8", False),
    "the Edge TPU takes 8 bits": ("coral-edgetpu", "CONV_2D", "int8", True),
    "the Edge TPU takes no floats": ("coral-edgetpu", "CONV_2D", "float32", False),
}


@pytest.mark.parametrize(("target_id", "op", "dtype", "expected"), SUPPORT.values(), ids=SUPPORT)
def test_supports(target_id: str, op: str, dtype: str, expected: bool) -> None:
    assert load_target(target_id).supports(op, dtype) is expected


ACCELERATED = {
    "on the NPU": ("corstone-300", "CONV_2D", "int8", True),
    "NPU weights are 8-bit": ("corstone-300", "CONV_2D", "w4a8", False),
    "by CMSIS-NN": ("nucleo-l4r5zi", "CONV_2D", "int8", True),
    "a reference kernel": ("nucleo-l4r5zi", "RESIZE_BILINEAR", "int8", False),
    "CMSIS-NN has no floats": ("nucleo-l4r5zi", "CONV_2D", "float32", False),
    "on the Edge TPU": ("coral-edgetpu", "CONV_2D", "int8", True),
    "beside the Edge TPU": ("coral-edgetpu", "GATHER", "int8", False),
    "no accelerator": ("raspberry-pi-4", "CONV_2D", "int8", False),
}


@pytest.mark.parametrize(
    ("target_id", "op", "dtype", "expected"), ACCELERATED.values(), ids=ACCELERATED
)
def test_accelerates(target_id: str, op: str, dtype: str, expected: bool) -> None:
    assert load_target(target_id).accelerates(op, dtype) is expected


DEFAULTS = {
    "nucleo-l4r5zi": (("tflite",), "int8", "int8"),
    "raspberry-pi-4": (("tflite",), "int8", "float"),
    "jetson-nano": (("onnx",), "fp16", "float"),
    "coral-edgetpu": (("tflite",), "int8", "int8"),
}


@pytest.mark.parametrize(("target_id", "expected"), DEFAULTS.items())
def test_defaults(target_id: str, expected: tuple[tuple[str, ...], str, str]) -> None:
    target = load_target(target_id)
    assert (target.formats, target.quantize, target.io) == expected


CLOSEST = {
    "nucleo": "nucleo-l4r5zi",
    "raspberry-pi4": "raspberry-pi-4",
    "STM32H743": "stm32h743",
    "esp32s3": "esp32-s3",
}


@pytest.mark.parametrize(("wanted", "closest"), CLOSEST.items())
def test_unknown_id_names_the_closest(wanted: str, closest: str) -> None:
    with pytest.raises(BadTarget, match=wanted) as caught:
        load_target(wanted)
    assert closest in str(caught.value.hint)


def test_unknown_id_with_nothing_close_points_to_the_list() -> None:
    with pytest.raises(BadTarget) as caught:
        load_target("qqqqqqqq")
    assert "edgepack targets" in str(caught.value.hint)


def written(folder: Path, text: str) -> Path:
    path = folder / "my-board.toml"
    path.write_text(text)
    return path


def test_a_profile_by_path(tmp_path: Path) -> None:
    target = load_target(written(tmp_path, PROFILE))
    assert isinstance(target, Target)
    assert (target.sram_budget_bytes, target.flash_budget_bytes) == (128 * KIB, 512 * KIB)
    assert load_target(str(tmp_path / "my-board.toml")) == target


def test_a_profile_may_override_kernels(tmp_path: Path) -> None:
    target = load_target(written(tmp_path, PROFILE + '[ops]\nCONV_2D = []\nGELU = ["int8"]\n'))
    assert not target.supports("CONV_2D", "int8")
    assert target.supports("GELU", "int8")


MISTAKES = {
    "unknown field": ("clock_hz = 80", "clock_mhz = 80", "cores[0].clock_mhz: no such", "clock_hz"),
    "missing field": ("clock_hz = 80_000_000", "", "cores[0].clock_hz: expected a value", None),
    "misspelt field": ('source = "my own"', 'source = "my own"\nnmae = "x"', "nmae", "name"),
    "misspelt nested field": ("bytes = 131_072", "bytes = 131_072\narene = true", "arene", "arena"),
    "wrong type": ("bytes = 131_072", 'bytes = "128K"', "banks[0].bytes", None),
    "negative": ("bytes = 131_072", "bytes = -1", "banks[0].bytes", None),
    "true is no number": ("bytes = 131_072", "bytes = true", "banks[0].bytes", None),
    "unknown runtime": ('"tflm"', '"tflmicro"', "runtime", "tflm"),
    "unknown kernel set": ('"cmsis-nn"', '"cmsis"', "kernel_set", "cmsis-nn"),
    "unknown kind": ('kind = "mcu"', 'kind = "micro"', "kind", None),
    "no source": ('source = "my own"', "", "source", None),
    "no banks": ("[[banks]]", "[[other]]", "other: no such field", None),
    "no arena": (
        *('kind = "ram"', 'kind = "flash"'),
        *("banks: expected a bank for the arena, found only sram, flash", 'kind = "ram"'),
    ),
    "no flash": (
        *('name = "flash"\nkind = "flash"', 'name = "dtcm"\nkind = "ram"'),
        *("banks: expected a bank for weights and code, found only sram, dtcm", "weights = true"),
    ),
    "a table for a number": (
        *("bytes = 131_072", "bytes = {kib = 128}"),
        *("banks[0].bytes: expected a whole number of at least 1, found a table", None),
    ),
    "same name twice": ('name = "flash"', 'name = "sram"', "banks[1].name", None),
    "flash as arena": ("bytes = 524_288", "bytes = 524_288\narena = true", "banks[1].arena", None),
    "reserve without source": (
        *("bytes = 131_072", "bytes = 131_072\nreserved_bytes = 4", "banks[0].reserved_source"),
        None,
    ),
    "reserve too large": (
        *("bytes = 131_072", "bytes = 131_072\nreserved_bytes = 200_000"),
        *("banks[0].reserved_bytes", None),
    ),
    "contiguous with nothing": (
        *("bytes = 524_288", 'bytes = 524_288\ncontiguous_with = "sran"'),
        *("banks[1].contiguous_with", "sram"),
    ),
    "unknown dtype": ('name = "My board"', 'name = "b"\ndtypes = ["int9"]', "dtypes", "int8"),
    "not an array of strings": ('name = "My board"', 'name = "b"\nnotes = "x"', "notes", None),
}


@pytest.mark.parametrize(("old", "new", "field", "hint"), MISTAKES.values(), ids=MISTAKES)
def test_wrong_field_is_named(
    tmp_path: Path, old: str, new: str, field: str, hint: str | None
) -> None:
    assert old in PROFILE
    path = written(tmp_path, PROFILE.replace(old, new))
    with pytest.raises(BadTarget) as caught:
        load_target(path)
    assert field in caught.value.message
    assert caught.value.at == str(path)
    assert hint is None or hint in str(caught.value.hint)


def test_a_profile_without_banks(tmp_path: Path) -> None:
    path = written(tmp_path, PROFILE.partition("[[banks]]")[0])
    with pytest.raises(BadTarget, match="banks: expected at least 1"):
        load_target(path)


UNREADABLE = {"not TOML": b"id = ", "not text": b"\xff\xfe\x00\x01", "empty": b""}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_profile(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "board.toml"
    path.write_bytes(content)
    with pytest.raises(BadTarget):
        load_target(path)


def test_missing_profile(tmp_path: Path) -> None:
    with pytest.raises(BadTarget, match="cannot read"):
        load_target(tmp_path / "board.toml")


def test_unknown_runtime() -> None:
    with pytest.raises(BadTarget, match="no runtime") as caught:
        load_runtime("litrt")
    assert "litert" in str(caught.value.hint)


def test_regions_join_in_a_chain() -> None:
    h743 = load_target("stm32h743")
    assert [region.name for region in regions_of(bank for bank in h743.banks if bank.arena)] == [
        *("axi-sram", "sram1+sram2+sram3", "dtcm", "sram4")
    ]


# Measured on a Cortex-M4 with CMSIS-NN, int8-only registrations, model bytes excluded.
CODE_BYTES = {
    "IC": (
        ("CONV_2D", "ADD", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"),
        51_144,
    ),
    "KWS and VWW": (
        (
            "CONV_2D",
            "DEPTHWISE_CONV_2D",
            "AVERAGE_POOL_2D",
            "RESHAPE",
            "FULLY_CONNECTED",
            "SOFTMAX",
        ),
        53_340,
    ),
    "AD": (("FULLY_CONNECTED",), 28_180),
}


@pytest.mark.parametrize(("ops", "measured"), CODE_BYTES.values(), ids=CODE_BYTES)
def test_code_size_table_adds_up_to_the_measurements(ops: tuple[str, ...], measured: int) -> None:
    kernels = load_target("nucleo-l4r5zi").kernel_set
    assert kernels is not None
    assert kernels.code_bytes(ops) == pytest.approx(measured, rel=0.01)


def test_code_bytes_counts_each_kernel_once_and_unlisted_ones_too() -> None:
    kernels = KernelSet("k", 100, 10, {"ADD": 7}, frozenset(), "test", False)
    assert kernels.code_bytes(["ADD", "ADD", "MUL"]) == 100 + 7 + 10


def test_every_kernel_with_a_figure_exists() -> None:
    runtime = load_runtime("tflm")
    assert runtime.ops is not None
    for kernels in runtime.kernel_sets.values():
        assert set(kernels.op_bytes) <= set(runtime.ops)
        assert kernels.accelerated <= set(runtime.ops)
