from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from run.emulator.emulated import (
    FOLDER,
    INPUTS,
    OUTPUTS,
    X,
    a_compiler,
    changed,
    expected,
    opened,
    require,
    some_inputs,
)

from edgepack.errors import BadData, BadInput
from edgepack.profiles import load_target
from edgepack.run.emulator import CModel, DoesNotFit, EmulatedModel, EmulationFault
from edgepack.run.emulator.cores import CORES
from edgepack.run.emulator.firmware import build
from edgepack.run.emulator.qemu_machine import QemuMachine
from edgepack.run.emulator.toolchain import find_toolchain
from edgepack.run.emulator.unicorn_machine import UnicornMachine

CORE_TARGETS = {
    "Cortex-M0+": "raspberry-pi-pico",
    "Cortex-M4": "nucleo-l4r5zi",
    "Cortex-M7, double precision": "stm32h743",
    "Cortex-M33": "stm32u575",
}


@pytest.mark.parametrize("target", CORE_TARGETS.values(), ids=CORE_TARGETS)
def test_every_core_computes_the_same_bits(target: str) -> None:
    require("unicorn")
    model = opened(f"{a_compiler()}+unicorn", target)
    xs = some_inputs(5)
    for x, (outputs, instructions) in zip(xs, model.run_all([[x] for x in xs]), strict=True):
        np.testing.assert_array_equal(outputs[0], expected(x))
        assert instructions > 64  # a multiplication for each weight


def test_cortex_m55_with_vector_instructions_in_qemu() -> None:
    require("gcc", "qemu")
    model = opened("gcc+qemu", "stm32n657")
    np.testing.assert_array_equal(model.run([X])[0], expected(X))
    scalar = opened("gcc+qemu", "stm32u575")
    assert model.measure([X]).instructions < scalar.measure([X]).instructions


def test_cortex_m55_without_qemu_runs_as_a_cortex_m33(monkeypatch: pytest.MonkeyPatch) -> None:
    require("unicorn")
    monkeypatch.setattr("edgepack.run.emulator.choice.find_qemu", lambda: None)
    model = opened(a_compiler(), "stm32n657")
    assert model.chosen.note is not None
    assert "Cortex-M33" in model.chosen.note
    np.testing.assert_array_equal(model.run([X])[0], expected(X))


def test_what_is_measured() -> None:
    require("unicorn")
    model = opened(f"{a_compiler()}+unicorn")
    found = model.measure([X])
    assert [(n.op, n.node) for n in found.nodes] == [("Dense", "fc"), ("Relu", "fc/relu")]
    by_node = sum(node.instructions for node in found.nodes)
    assert found.instructions - 20 < by_node < found.instructions + 20  # entry, exit, arguments
    assert found.arena_used_bytes == 20  # 16 in, 4 out, of 32
    assert 0 < found.stack_bytes < 200
    assert not found.depends_on_memory
    assert found.unaligned == 0
    sizes = model.firmware.sizes
    assert (sizes.weight_bytes, sizes.static_bytes) == (64, 32)
    assert sizes.flash_bytes == sizes.weight_bytes + sizes.code_bytes + sizes.data_bytes


def test_instructions_are_counted_exactly(tmp_path: Path) -> None:
    """A loop of a known number of instructions, of 16 and 32 bits, literals and an IT block."""
    require("unicorn")
    loop = """__asm volatile(
        "ldr r0, =1000\\n"       /* 1 */
        "1: add.w r1, r1, #1\\n" /* 4 in each of 1000 rounds */
        "mov r2, r1\\n"
        "subs r0, #1\\n"
        "bne 1b\\n"
        "cmp r0, #1\\n"          /* 4, of which the third is skipped */
        "it eq\\n"
        "moveq r1, r2\\n"
        "b 2f\\n"
        ".ltorg\\n"
        "2: nop\\n"              /* 1 */
        ::: "r0", "r1", "r2", "cc", "memory");
    return 0;"""
    on = f"{a_compiler()}+unicorn"
    (tmp_path / "plain").mkdir()
    plain = opened(
        on, folder=changed(tmp_path / "plain", "model.c", "    return 0;", "    return 0;")
    )
    longer = opened(on, folder=changed(tmp_path, "model.c", "    return 0;", loop))
    assert longer.measure([X]).instructions - plain.measure([X]).instructions == 4006


# zig's first compilation for a core takes long: one core shows it
AGREEING = [
    ("gcc", "nucleo-l4r5zi"),
    ("gcc", "stm32u575"),
    ("gcc", "imxrt1060"),
    ("zig", "nucleo-l4r5zi"),
]


@pytest.mark.parametrize(("compiler", "target"), AGREEING)
def test_unicorn_and_qemu_agree_on_the_same_program(compiler: str, target: str) -> None:
    require(compiler, "unicorn", "qemu")
    model = opened(f"{compiler}+unicorn", target)
    firmware, samples = model.firmware, [[x.tobytes()] for x in some_inputs(3)]
    for program in (firmware.released, firmware.profiled):
        ours = UnicornMachine(firmware, program, limit=10**6)
        theirs = QemuMachine(firmware, program, 10**6)
        for a, b in zip(
            ours.run(samples, paint=True), theirs.run(samples, paint=True), strict=True
        ):
            assert a.outputs == b.outputs
            assert (a.nodes, a.stack_bytes, a.arena_bytes) == (
                b.nodes,
                b.stack_bytes,
                b.arena_bytes,
            )
            if program is firmware.released:
                assert a.instructions == b.instructions


def test_the_clock_of_the_cortex_m55_board() -> None:
    """Code for a Cortex-M33 takes the same instructions there as in Unicorn."""
    require("gcc", "unicorn", "qemu")
    target, chosen = load_target("stm32u575"), opened("gcc+unicorn", "stm32u575").chosen
    board = CORES["Cortex-M55"].board
    core = dataclasses.replace(chosen.processor.core, board=board)
    processor = dataclasses.replace(chosen.processor, core=core)
    firmware = build(FOLDER, target, processor, find_toolchain("gcc"))
    (ours,) = UnicornMachine(firmware, firmware.released, limit=10**6).run([[X.tobytes()]])
    (theirs,) = QemuMachine(firmware, firmware.released, 10**6).run([[X.tobytes()]])
    assert ours.instructions == theirs.instructions


def test_many_samples_in_threads_keep_their_order() -> None:
    require("unicorn")
    model = opened(f"{a_compiler()}+unicorn", threads=3)
    xs = some_inputs(20)
    found = [outputs[0] for outputs, _ in model.run_all([[x] for x in xs])]
    np.testing.assert_array_equal(found, [expected(x) for x in xs])


def test_qemu_takes_samples_in_parts_and_keeps_their_order() -> None:
    require("gcc", "qemu")
    model = opened("gcc+qemu", threads=2)
    xs = some_inputs(5)
    found = [outputs[0] for outputs, _ in model.run_all([[x] for x in xs])]
    np.testing.assert_array_equal(found, [expected(x) for x in xs])


# -- what must not pass ----------------------------------------------------------------------------

RELU = "        x[i] = (int8_t)(x[i] < 0 ? 0 : x[i]);"
AT = "*(volatile uint32_t *)"
FAULTS = {
    "endless loop": ("for (volatile int j = 0;;) { j++; }", "does not come to an end"),
    "division by zero": ("volatile int32_t z = 0; x[i] = (int8_t)(7 / z);", "divides by zero"),
    "read of nothing": (f"x[i] = (int8_t){AT}0x70000000u;", "no memory"),
    "write to nothing": (f"{AT}0x70000000u = 1u;", "no memory"),
    "jump to nothing": ("((void (*)(void))0x70000001u)();", "jumps to where there is no memory"),
    "undefined instruction": ('__asm volatile(".inst.n 0xde00");', "that the core does not have"),
    "misaligned pair of words": (
        '__asm volatile("ldrd r0, r1, [%0]" :: "r"(0x20004001u) : "r0", "r1");', "misaligned",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "said"), FAULTS.values(), ids=FAULTS)
def test_faults_name_the_node_and_the_registers(tmp_path: Path, code: str, said: str) -> None:
    require("unicorn")
    folder = changed(tmp_path, "kernels.c", RELU, code)
    model = opened(f"{a_compiler()}+unicorn", folder=folder, limit=1_000_000)
    for run in (model.measure, model.run):
        if run == model.run and "misaligned" in said:
            continue  # only looked for where the first sample is measured
        _must_fault(lambda run=run: run([X]), said)


IN_QEMU = [
    pytest.param(*case, marks=[pytest.mark.slow] if name == "endless loop" else [], id=name)
    for name, case in FAULTS.items()
]


@pytest.mark.parametrize(("code", "said"), IN_QEMU)
def test_faults_in_qemu(tmp_path: Path, code: str, said: str) -> None:
    require("gcc", "qemu")
    folder = changed(tmp_path, "kernels.c", RELU, code)
    model = opened("gcc+qemu", folder=folder, limit=1_000_000)
    _must_fault(lambda: model.run([X]), said)


def _must_fault(run: Callable[[], object], said: str) -> None:
    with pytest.raises(EmulationFault, match=said) as caught:
        run()
    assert caught.value.node == "fc/relu"
    assert "in node fc/relu" in str(caught.value)
    assert "pc=" in str(caught.value)


def test_an_overflowing_stack_is_a_fault(tmp_path: Path) -> None:
    require("unicorn")
    code = "volatile uint8_t big[40000]; big[0] = 1; big[39999] = 2; x[i] = (int8_t)big[0];"
    folder = changed(tmp_path, "kernels.c", RELU, code)
    with pytest.raises(EmulationFault, match="no memory"):
        opened(f"{a_compiler()}+unicorn", folder=folder).run([X])


def test_writing_to_weights_is_a_fault(tmp_path: Path) -> None:
    require("unicorn")
    folder = changed(
        tmp_path, "kernels.c", "sum >>= shift;", "sum >>= shift; ((int8_t *)w)[-1] = 1;"
    )
    with pytest.raises(EmulationFault, match="writes to flash"):
        opened(f"{a_compiler()}+unicorn", folder=folder).run([X])


def test_any_misaligned_word_is_a_fault_on_cortex_m0(tmp_path: Path) -> None:
    require("unicorn")
    code = '__asm volatile("str %0, [%1]" :: "r"(1), "r"(0x20004001u) : "memory");'
    folder = changed(tmp_path, "kernels.c", RELU, code)
    on = f"{a_compiler()}+unicorn"
    found = opened(on, folder=folder).measure([X])  # a Cortex-M4 splits it
    assert found.unaligned == 4
    with pytest.raises(EmulationFault, match="misaligned"):
        opened(on, "raspberry-pi-pico", folder).measure([X])


def test_reading_what_was_never_written_shows(tmp_path: Path) -> None:
    require("unicorn")
    folder = changed(
        tmp_path, "model.c", "    MODEL_NODE(2U);", "    model_arena[16] = model_arena[30];"
    )
    assert opened(f"{a_compiler()}+unicorn", folder=folder).measure([X]).depends_on_memory


def test_more_weights_than_the_profile_has_flash(tmp_path: Path) -> None:
    folder = changed(tmp_path, "weights.c", "weights[64]", "weights[3000000]")
    (folder / "weights.h").write_text(
        (folder / "weights.h").read_text().replace("weights[64]", "weights[3000000]")
    )
    with pytest.raises(DoesNotFit, match=r"weights 3,000,000.*leaves 2,080,768 B"):
        opened(a_compiler(), folder=folder)


def test_a_larger_arena_than_the_profile_has_ram(tmp_path: Path) -> None:
    folder = changed(tmp_path, "model.h", "ARENA_BYTES 32U", "ARENA_BYTES 700000U")
    with pytest.raises(DoesNotFit, match=r"arena 700,000.*leaves 651,264 B"):
        opened(a_compiler(), folder=folder)


def test_c_that_does_not_compile_says_where(tmp_path: Path) -> None:
    folder = changed(tmp_path, "kernels.c", "int32_t sum = 0;", "int32_t sum = zero;")
    with pytest.raises(BadInput, match=r"(?s)does not build kernels\.c.*zero"):
        opened(a_compiler(), folder=folder)


def test_a_folder_without_c(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a C export"):
        CModel.read(tmp_path)


def test_ports_of_another_export() -> None:
    wrong = [dataclasses.replace(INPUTS[0], shape=(1, 8))]
    a_compiler()
    require("unicorn")
    with pytest.raises(BadInput, match="inputs of"):
        EmulatedModel.open(FOLDER, load_target("nucleo-l4r5zi"), wrong, OUTPUTS)


def test_arrays_of_another_shape() -> None:
    require("unicorn")
    with pytest.raises(BadData, match="'x' takes"):
        opened(f"{a_compiler()}+unicorn").run([X[:, :8]])
