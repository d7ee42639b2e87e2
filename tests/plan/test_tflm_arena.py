"""Against TensorFlow Lite Micro itself: measured on a Cortex-M4, and run on the host."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tflm_cases import CASES

from edgepack.errors import BadModel
from edgepack.ir import DType
from edgepack.plan.abi import CORTEX_M, HOST
from edgepack.plan.micro_file import micro_model_from_file
from edgepack.plan.micro_model import MicroModel, MicroOp, MicroTensor
from edgepack.plan.tflm import plan_tflm
from edgepack.plan.tflm_kernels import KERNELS
from edgepack.plan.tflm_requests import CMSIS_NN_DSP, CMSIS_NN_MVE, REFERENCE
from tests.shared import shared

HERE = Path(__file__).parent

# arena_used_bytes of TensorFlow Lite Micro on a Cortex-M4: with CMSIS-NN, with reference kernels
MEASURED = {
    "ic_resnet8_int8": (54_996, 54_340),
    "kws_dscnn_int8": (22_820, 22_772),
    "vww_mobilenet_int8": (100_708, 100_660),
    "ad_autoencoder_int8": (2_580, 2_260),
}
SHARED_MODELS = (*MEASURED, "micro_speech_int8", "mnist_lstm_int8", "person_detect_int8")


def shared_model(name: str) -> bytes:
    return shared(f"models/{name}.tflite").read_bytes()


@pytest.mark.parametrize("name", MEASURED)
def test_arena_on_cortex_m4(name):
    model = micro_model_from_file(shared_model(name))
    plans = [plan_tflm(model, kernels=k, abi=CORTEX_M) for k in (CMSIS_NN_DSP, REFERENCE)]
    assert tuple(p.arena_bytes for p in plans) == MEASURED[name]
    assert all(p.unmodelled == () for p in plans)


def host_arena(data: bytes, capfd) -> tuple[int, int]:
    """(total, head) as the interpreter on the host prints them."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    runtime.Interpreter.from_bytes(data, arena_size=1 << 20).print_allocations()
    printed = "".join(capfd.readouterr())
    found = [
        re.search(rf"Arena allocation {part} (\d+) bytes", printed) for part in ("total", "head")
    ]
    return int(found[0][1]), int(found[1][1])


@pytest.mark.parametrize("name", SHARED_MODELS)
def test_arena_of_real_models_on_the_host(name, capfd):
    data = shared_model(name)
    plan = plan_tflm(micro_model_from_file(data), abi=HOST)
    assert (plan.arena_bytes, plan.head_bytes) == host_arena(data, capfd)


@pytest.mark.parametrize("case", CASES)
def test_arena_of_each_kernel_on_the_host(case, capfd):
    data = CASES[case]()
    plan = plan_tflm(micro_model_from_file(data), abi=HOST)
    assert (plan.arena_bytes, plan.head_bytes) == host_arena(data, capfd)


_SET_UP_ALL = """
import sys
sys.path[:0] = [{here!r}]
from tflite_micro.python.tflite_micro import runtime
from edgepack.plan.abi import HOST
from edgepack.plan.micro_file import micro_model_from_file
from edgepack.plan.tflm import plan_tflm
from tflm_cases import CASES
for case, make in CASES.items():
    data = make()
    plan = plan_tflm(micro_model_from_file(data), abi=HOST)
    print(case, flush=True)
    runtime.Interpreter.from_bytes(data, arena_size=plan.setup_bytes)
print("done")
"""


def test_every_model_sets_itself_up_in_what_the_plan_reserves():
    pytest.importorskip("tflite_micro")
    # In a process of its own: the interpreter crashes, not raises, when its arena is too small.
    run = subprocess.run(
        [sys.executable, "-c", _SET_UP_ALL.format(here=str(HERE))],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert run.stdout.endswith("done\n"), f"last tried: {run.stdout[-80:]} {run.stderr[-400:]}"


def test_setting_up_takes_more_than_running_a_tiny_model():
    plan = plan_tflm(micro_model_from_file(CASES["dense int8"]()), abi=HOST)
    assert plan.setup_bytes > plan.arena_bytes


def test_timeline_and_peak():
    plan = plan_tflm(micro_model_from_file(CASES["branches"]()))
    live = {point.node: point.live_bytes for point in plan.timeline}
    # x 144, wide 288 (an output, so to the end), narrow 144, sum 144, y 144, each rounded to 16
    assert live == {"wide": 432, "narrow": 576, "sum": 720, "y": 576}
    assert plan.peak_node == "sum"
    assert plan.head_bytes >= 720
    assert plan.arena_bytes == plan.head_bytes + plan.persistent_bytes


def scratch(case: str, kernels) -> list[int]:
    plan = plan_tflm(micro_model_from_file(CASES[case]()), kernels=kernels)
    return [p.nbytes for p in plan.placements if p.name.endswith("(scratch)")]


# CMSIS-NN's get_buffer_size functions, worked out by hand
SCRATCH = {
    "conv: two rows of 45 columns to 48, 16 bits": ("conv int8", CMSIS_NN_DSP, [192]),
    "conv on MVE: four rows of 45 to 48 lanes": ("conv int8", CMSIS_NN_MVE, [192]),
    "depthwise 3x3 needs none on DSP": ("depthwise int8", CMSIS_NN_DSP, []),
    "depthwise on MVE: 4 blocks of 124 channels": ("depthwise int8", CMSIS_NN_MVE, [4 * 124 * 9]),
    "dense needs none on DSP": ("dense int8", CMSIS_NN_DSP, []),
    "average pool sums 5 channels": ("average pool int8", CMSIS_NN_DSP, [20]),
    "average pool on MVE needs none": ("average pool int8", CMSIS_NN_MVE, []),
    "float models take the portable path": ("conv float", CMSIS_NN_DSP, []),
    "transpose conv of 6 channels scatters": (
        "transpose conv int8", CMSIS_NN_DSP, [4 * ((4 - 1) * 2 + 3) * 4 * 3, 0],
    ),
    "reference transpose conv: the whole output": (
        "transpose conv int8", REFERENCE, [4 * 8 * 8 * 4],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SCRATCH)
def test_scratch(case):
    model, kernels, expected = SCRATCH[case]
    assert scratch(model, kernels) == expected


def test_an_unknown_operator_is_named():
    data = CASES["exp"]()
    model = micro_model_from_file(data)
    op = model.ops[0]
    strange = type(op)(op.name, "HASHTABLE_FIND", op.inputs, op.outputs)
    plan = plan_tflm(type(model)(model.tensors, (strange,), model.inputs, model.outputs))
    assert "HASHTABLE_FIND" not in KERNELS
    assert plan.unmodelled == ("HASHTABLE_FIND",)


def test_what_is_not_tflite_is_refused():
    with pytest.raises(BadModel, match="not a TensorFlow Lite file"):
        micro_model_from_file(b"PK\x03\x04 something else")


def test_offsets_set_by_vela_are_kept():
    """An offline plan: a command stream and its scratch tensor, which nothing writes."""
    tensors = (
        MicroTensor("commands", (64,), DType.UINT8, constant=True),
        MicroTensor("scratch", (300,), DType.UINT8, offline_offset=0),
        MicroTensor("x", (100,), DType.INT8, scales=1, offline_offset=208),
        MicroTensor("y", (10,), DType.INT8, scales=1, offline_offset=16),
    )
    op = MicroOp("npu", "ethos-u", (0, 1, 2), (3,))
    plan = plan_tflm(MicroModel(tensors, (op,), (2,), (3,)))
    placed = [(p.name, p.offset, p.nbytes) for p in plan.placements]
    assert placed == [
        ("scratch", 0, 300), ("x", 208, 100), ("y", 16, 10),
        ("npu (scratch)", 320, 32), ("npu (scratch)", 352, 16),
    ]  # fmt: skip
    assert plan.unmodelled == ()
