from dataclasses import replace

import pytest
from tflm_cases import CASES

from edgepack.devices import Bank
from edgepack.ir.text import parse
from edgepack.plan.device import abi_of, bank_notes, fit, kernel_build_of
from edgepack.plan.fit import check_fit
from edgepack.plan.flash import FlashUse, flash_of_file, weight_bytes
from edgepack.plan.memory import LivePoint, MemoryPlan
from edgepack.profiles import load_target
from edgepack.writers.tflite import write_tflite

KB = 1024


def bank(name, nbytes, kind="ram", **fields):
    defaults = {
        "reserved_bytes": 0,
        "arena": kind == "ram",
        "weights": kind == "flash",
        "contiguous_with": None,
        "source": "made up",
        "reserved_source": "",
        "unverified": False,
        "reserved_unverified": False,
    }
    return Bank(name=name, kind=kind, bytes=nbytes, **{**defaults, **fields})


def device(*banks):
    return replace(load_target("nucleo-l4r5zi"), banks=banks)


def plan(arena_bytes):
    return MemoryPlan(
        "tflm", arena_bytes, arena_bytes, arena_bytes, 0, (LivePoint("conv", arena_bytes),), ()
    )


FLASH = bank("flash", 512 * KB, "flash")
TWO_APART = (bank("tcm", 64 * KB), bank("sram", 100 * KB), FLASH)
TWO_JOINED = (bank("low", 64 * KB), bank("high", 100 * KB, contiguous_with="low"), FLASH)
ONE_RAM_FOR_ALL = (bank("ram", 256 * KB, weights=True),)

# banks, arena, weights, whether they fit
FITS = {
    "in the larger bank": (TWO_APART, 90, 100, True),
    "an arena does not span banks that lie apart": (TWO_APART, 120, 100, False),
    "but those that lie end to end": (TWO_JOINED, 120, 100, True),
    "flash too small": (TWO_APART, 10, 600, False),
    "weights beside the arena in one RAM": (ONE_RAM_FOR_ALL, 100, 150, True),
    "which they share": (ONE_RAM_FOR_ALL, 100, 200, False),
    "firmware keeps its reserve": (
        (bank("ram", 128 * KB, reserved_bytes=32 * KB), FLASH), 100, 10, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FITS)
def test_verdict(case):
    banks, arena_kb, weights_kb, fits = FITS[case]
    found = check_fit(device(*banks), plan(arena_kb * KB), FlashUse(weights_kb * KB, 0))
    assert found.fits is fits
    assert bool(found.problems) is bool(found.remedies) is not fits
    assert all(b.free_bytes >= 0 for b in found.banks)


def test_joined_banks_fill_in_order():
    found = check_fit(device(*TWO_JOINED), plan(120 * KB), FlashUse(0, 0))
    assert [b.arena_bytes for b in found.banks] == [64 * KB, 56 * KB, 0]


FAST_APART = (bank("sram", 100 * KB), bank("tcm", 64 * KB, fast=True), FLASH)
# arena, weights, banks of the arena when fast memory is wanted, words of the note for C
FAST = {
    "arena and weights": (30, 20, "tcm", "arena and weights fit in tcm"),
    "the arena alone": (30, 40, "tcm", "the arena fits in tcm"),
    "an arena too large for it": (90, 40, "sram", None),
    "one too large for anything": (200, 40, "sram", None),
}


@pytest.mark.parametrize("case", FAST)
def test_fast_memory_first(case):
    arena_kb, weights_kb, where, told = FAST[case]
    target = device(*FAST_APART)
    memory, flash = replace(plan(arena_kb * KB), runtime="c"), FlashUse(weights_kb * KB, 0)
    found = check_fit(target, memory, flash, fast_first=True)
    assert [b.name for b in found.banks if b.arena_bytes] == [where]
    assert [b.name for b in check_fit(target, memory, flash).banks if b.arena_bytes] == ["sram"]
    notes = bank_notes(found, target, "model")
    assert [note.partition(",")[0] for note in notes] == ([told] if told else [])
    assert bank_notes(replace(found, plan=plan(arena_kb * KB)), target, "model") == ()


def test_the_verdict_counts_what_setting_up_takes():
    tight = replace(plan(60 * KB), setup_bytes=70 * KB)
    found = check_fit(device(bank("ram", 64 * KB), FLASH), tight, FlashUse(0, 0))
    assert not found.fits
    assert "70.0 KiB" in found.problems[0]
    assert "conv" in found.problems[0]


def test_remedies_name_the_share_that_must_go():
    found = check_fit(device(bank("ram", 75 * KB), FLASH), plan(100 * KB), FlashUse(0, 0))
    assert any("25% of the arena" in remedy for remedy in found.remedies)


def test_remedies_for_float_models_start_with_int8():
    found = check_fit(device(*TWO_APART), plan(200 * KB), FlashUse(0, 0), float_activations=True)
    assert found.remedies[0].startswith("--quantize int8")


REAL = "x: float32[1, 8] = input()\ny = Relu(x)\noutput(y)"
MIXED = """
x: int8[1, 8] @ q(0.1, 0) = input()
y: q(0.1, 0) = Relu(x)
z = Dequantize(y)
e = Exp(z)
output(e)
"""


@pytest.mark.parametrize(("text", "advised"), [(REAL, True), (MIXED, False)], ids=["real", "mixed"])
def test_int8_is_advised_to_float_models_only(text, advised):
    graph = parse(text)
    found = fit(device(bank("ram", 256), FLASH), graph, write_tflite(graph))
    assert not found.fits
    assert any("--quantize int8" in remedy for remedy in found.remedies) is advised


# weights, code, what the remedy speaks of
FLASH_SHARES = {
    "mostly code": (100, 500, "fewer kinds of operators: 500.0 KiB of it is runtime code"),
    "mostly weights": (500, 100, "fewer or narrower layers: "),
}


@pytest.mark.parametrize("case", FLASH_SHARES)
def test_remedies_name_what_takes_the_flash(case):
    weights_kb, code_kb, words = FLASH_SHARES[case]
    found = check_fit(device(*TWO_APART), plan(KB), FlashUse(weights_kb * KB, 0, code_kb * KB))
    assert any(words in remedy and "15%" in remedy for remedy in found.remedies)


def test_code_without_a_figure_is_null():
    found = check_fit(device(*TWO_APART), plan(KB), FlashUse(KB, 100))
    memory = found.as_dict()
    assert memory["flash_code_bytes"] is None
    assert memory["flash_bytes"] == KB + 100
    assert memory["timeline"] == [{"node": "conv", "op": "", "live_bytes": KB}]
    assert memory["banks"][0]["name"] == "tcm"


TEXT = "x: float32[1, 8] = input()\nw = random(4, 8)\ny = FullyConnected(x, w)\noutput(y)"


def test_flash_of_a_file_is_its_size():
    use = flash_of_file(b"\0" * 500, parse(TEXT), 1000)
    assert (use.weight_bytes, use.graph_bytes, use.total_bytes) == (128, 372, 1500)


def test_shared_constants_count_once():
    twice = TEXT.replace("output(y)", "z = FullyConnected(x, w)\noutput(y, z)")
    assert weight_bytes(parse(twice)) == 128


def test_fit_of_a_file_on_a_microcontroller():
    target = load_target("nucleo-l4r5zi")
    data = CASES["branches"]()
    graph = parse(TEXT)
    found = fit(target, graph, data)
    assert found.fits
    assert found.plan.runtime == "tflm"
    assert found.flash.code_bytes == target.kernel_set.code_bytes(["CONV_2D", "ADD", "RESHAPE"])
    assert found.as_dict()["sram_budget_bytes"] == target.sram_budget_bytes


TARGETS = {
    "nucleo-l4r5zi": (4, 1, True, "dsp"),
    "raspberry-pi-pico": (4, 1, True, "none"),
    "corstone-300": (4, 1, True, "mve"),
    "esp32": (4, 4, False, "none"),
}


@pytest.mark.parametrize("target_id", TARGETS)
def test_abi_and_kernels(target_id):
    target = load_target(target_id)
    abi, kernels = abi_of(target), kernel_build_of(target)
    found = (abi.pointer_bytes, abi.enum_bytes, kernels.cmsis_nn, kernels.simd)
    assert found == TARGETS[target_id]
