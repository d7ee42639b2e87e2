import pytest
from tflm_cases import CASES

from edgepack.ir.text import parse
from edgepack.plan.abi import CORTEX_M
from edgepack.plan.c_memory import c_memory, prepare_c
from edgepack.plan.graph_plan import plan_interpreter
from edgepack.plan.micro_file import micro_model_from_file
from edgepack.plan.tflm import plan_tflm
from edgepack.writers.tflite import write_tflite

RESIDUAL = """
x: int8[1, 6, 6, 4] @ q(0.05, 3) = input()
w: int8[8, 1, 1, 4] @ q([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], axis=0) = random()
b: int32[8] @ q([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], axis=0) = random()
wide: q(0.05, 3) = Conv2d(x, w, b)
w2: int8[4, 3, 3, 8] @ q([0.1, 0.1, 0.1, 0.1], axis=0) = random()
b2: int32[4] @ q([0.1, 0.1, 0.1, 0.1], axis=0) = random()
narrow: q(0.05, 3) = Conv2d(wide, w2, b2, pad=((1, 1), (1, 1)))
sum: q(0.05, 3) = Add(x, narrow)
y: q(0.05, 3) = Reshape(sum, shape=(1, 144))
output(y, wide)
"""


def test_a_written_graph_plans_like_a_file_made_by_hand():
    """The same model, written by hand as a file, needs the same arena: tensor for tensor."""
    from_graph = plan_tflm(micro_model_from_file(write_tflite(parse(RESIDUAL))), abi=CORTEX_M)
    from_file = plan_tflm(micro_model_from_file(CASES["branches"]()), abi=CORTEX_M)
    assert from_graph.persistent_bytes == from_file.persistent_bytes
    assert from_graph.arena_bytes == from_file.arena_bytes
    assert from_graph.timeline == from_file.timeline


def test_c_plan_shares_memory_and_places_every_value():
    plan = c_memory(prepare_c(parse(RESIDUAL)))
    at = {p.name: p.offset for p in plan.placements}
    assert set(at) == {
        "x", "wide", "narrow", "sum", "y", "wide (scratch)", "narrow (scratch)"
    }  # fmt: skip
    assert at["sum"] == at["y"]  # a view
    assert plan.arena_bytes == plan.setup_bytes == 144 + 288 + 144 + 4 * 72 * 2
    assert plan.peak_node == "narrow"


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
def test_interpreter_plan_is_aligned_to_64(runtime):
    plan = plan_interpreter(parse(RESIDUAL), runtime)
    assert plan.runtime == runtime
    assert all(p.offset % 64 == 0 for p in plan.placements)
    assert plan.peak_node == "sum"
