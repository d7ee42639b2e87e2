"""ONNX models of one LSTM, GRU or RNN, one per way of using it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STATES = {"LSTM": ("h", "c"), "GRU": ("h",), "RNN": ("h",)}


@dataclass(frozen=True)
class Case:
    """`has` are optional inputs, `zero` those of them that are 0.

    `fed` are inputs of the model beside x, the rest is constant.
    """

    op: str
    attrs: Mapping[str, Any] = field(default_factory=dict)
    has: Sequence[str] = ("B",)
    fed: Sequence[str] = ()
    zero: Sequence[str] = ()
    outputs: Sequence[str] = ("Y", "Y_h", "Y_c")
    lengths: Sequence[int] = ()
    time: int = 5
    batch: int = 2
    size: int = 3
    units: int = 4

    @property
    def directions(self) -> int:
        return 2 if self.attrs.get("direction") == "bidirectional" else 1


def arrays(case: Case) -> dict[str, Any]:
    """Every tensor that the case may read, by its name in ONNX's documentation."""
    rng = np.random.default_rng(7)
    gates, units, d = GATES[case.op] * case.units, case.units, case.directions
    steps = (case.batch, case.time) if case.attrs.get("layout") else (case.time, case.batch)
    state = (case.batch, d, units) if case.attrs.get("layout") else (d, case.batch, units)
    shapes = {
        "X": (*steps, case.size), "W": (d, gates, case.size), "R": (d, gates, units),
        "B": (d, 2 * gates), "initial_h": state, "initial_c": state, "P": (d, 3 * units),
    }  # fmt: skip
    made = {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    for name in case.zero:
        made[name][:] = 0
    made["sequence_lens"] = np.array(case.lengths or [case.time] * case.batch, np.int32)
    return made


ORDER = {
    "LSTM": ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"),
    "GRU": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "RNN": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
}


def model(case: Case, opset: int = 14) -> ModelProto:
    made = arrays(case)
    has = {"X", "W", "R", *case.has} | ({"sequence_lens"} if case.lengths else set())
    names = [n if n in has else "" for n in ORDER[case.op]]
    wanted = [n if n in case.outputs else "" for n in ("Y", "Y_h", "Y_c")]
    wanted = wanted[: 1 + len(STATES[case.op])]
    node = helper.make_node(case.op, names, wanted, hidden_size=case.units, **case.attrs)
    fed = ["X", *case.fed]
    graph = helper.make_graph(
        [node], "recurrent",
        [_info(n, made[n]) for n in fed],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in wanted if n],
        [numpy_helper.from_array(made[n], n) for n in names if n and n not in fed],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def _info(name: str, array: Any) -> Any:
    dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, dtype, array.shape)


def feeds(case: Case) -> list[Any]:
    made = arrays(case)
    return [made[n] for n in ("X", *case.fed)]


def _directions(op: str, **more: Any) -> dict[str, Case]:
    return {
        f"{op.lower()} {d}": Case(op, {"direction": d}, **more)
        for d in ("forward", "reverse", "bidirectional")
    }


def _activations(op: str, names: Sequence[str], **attrs: Any) -> Case:
    return Case(op, {"activations": list(names), **attrs})


_LENGTHS = {
    f"{op.lower()} lengths, {d}": Case(
        op, {"direction": d}, ("B", *(f"initial_{s}" for s in STATES[op])), lengths=(2, 5, 3),
        batch=3,
    )
    for op in GATES
    for d in ("forward", "reverse", "bidirectional")
}  # fmt: skip

_COMPUTED = {
    "lstm weights computed": Case("LSTM", fed=("W", "R", "B")),
    "lstm recurrent weights computed": Case("LSTM", fed=("R",), outputs=("Y",)),
    "gru weights computed": Case("GRU", fed=("W", "R", "B")),
    "gru weights computed, linear": Case("GRU", {"linear_before_reset": 1}, fed=("R", "B")),
    "rnn weights computed, bidirectional": Case(
        "RNN", {"direction": "bidirectional"}, fed=("W", "R", "B")
    ),
    "lstm states computed": Case(
        "LSTM", has=("B", "initial_h", "initial_c"), fed=("initial_h", "initial_c")
    ),
    "gru state computed": Case("GRU", has=("initial_h",), fed=("initial_h",)),
    "lstm peepholes computed": Case("LSTM", has=("B", "P"), fed=("P",)),
    "lengths computed": Case("LSTM", lengths=(5, 1), fed=("sequence_lens",)),
    "gru lengths computed, reverse": Case(
        "GRU", {"direction": "reverse"}, lengths=(2, 4), fed=("sequence_lens",)
    ),
}

_OUTPUTS = {
    f"{op.lower()} gives {' '.join(names)}": Case(op, outputs=names)
    for op, names in [
        ("LSTM", ("Y",)), ("LSTM", ("Y_h",)), ("LSTM", ("Y_c",)), ("LSTM", ("Y", "Y_h")),
        ("LSTM", ("Y_h", "Y_c")), ("GRU", ("Y",)), ("GRU", ("Y_h",)), ("RNN", ("Y_h",)),
    ]
}  # fmt: skip

_PLAIN = ("Y", "Y_h")
_ZERO = ("initial_h", "initial_c")

CASES: dict[str, Case] = {
    **_directions("LSTM"),
    **_directions("GRU"),
    **_directions("RNN"),
    **{f"{k}, as one node": v for k, v in _directions("LSTM", outputs=_PLAIN).items()},
    **_OUTPUTS,
    **_LENGTHS,
    **_COMPUTED,
    "lengths that are all full": Case("LSTM", lengths=(5, 5)),
    "lengths that are all short": Case("RNN", lengths=(3, 3)),
    "lstm no bias": Case("LSTM", has=()),
    "lstm no bias, as one node": Case("LSTM", has=(), outputs=("Y",)),
    "gru no bias": Case("GRU", has=()),
    "gru no bias, linear": Case("GRU", {"linear_before_reset": 1}, has=()),
    "rnn no bias": Case("RNN", has=()),
    "lstm states": Case("LSTM", has=("B", "initial_h", "initial_c")),
    "lstm hidden state only": Case("LSTM", has=("B", "initial_h")),
    "lstm cell state only": Case("LSTM", has=("B", "initial_c"), outputs=_PLAIN),
    "lstm states of zero": Case("LSTM", has=_ZERO, zero=_ZERO, outputs=_PLAIN),
    "gru state": Case("GRU", has=("B", "initial_h")),
    "gru state, linear": Case("GRU", {"linear_before_reset": 1}, has=("B", "initial_h")),
    "rnn state, bidirectional": Case("RNN", {"direction": "bidirectional"}, ("B", "initial_h")),
    "one step": Case("LSTM", time=1),
    "two steps": Case("LSTM", time=2, outputs=_PLAIN),
    "one step, gru": Case("GRU", time=1),
    "one sequence": Case("LSTM", batch=1),
    "one sequence, as one node": Case("LSTM", batch=1, outputs=_PLAIN),
    "one sequence, gru": Case("GRU", batch=1),
    "one unit": Case("LSTM", units=1, size=1),
    "peepholes": Case("LSTM", has=("B", "P")),
    "peepholes, no cell": Case("LSTM", has=("B", "P"), outputs=_PLAIN),
    "peepholes, states, bidirectional": Case(
        "LSTM", {"direction": "bidirectional"}, ("B", "P", "initial_h", "initial_c")
    ),
    "lstm clip": Case("LSTM", {"clip": 0.3}),
    "lstm clip, peepholes": Case("LSTM", {"clip": 0.3}, ("B", "P")),
    "gru clip": Case("GRU", {"clip": 0.3}),
    "gru clip, linear": Case("GRU", {"clip": 0.3, "linear_before_reset": 1}),
    "rnn clip": Case("RNN", {"clip": 0.3}),
    "input_forget": Case("LSTM", {"input_forget": 1}),
    "input_forget, no cell": Case("LSTM", {"input_forget": 1}, outputs=_PLAIN),
    "linear_before_reset": Case("GRU", {"linear_before_reset": 1}),
    "linear_before_reset, bidirectional": Case(
        "GRU", {"linear_before_reset": 1, "direction": "bidirectional"}
    ),
    "lstm HardSigmoid": _activations("LSTM", ["HardSigmoid", "Tanh", "Tanh"]),
    "lstm HardSigmoid, given": _activations(
        "LSTM", ["HardSigmoid", "Tanh", "Tanh"], activation_alpha=[0.3], activation_beta=[0.4]
    ),
    "lstm Relu, Softsign, Softplus": _activations("LSTM", ["Relu", "Softsign", "Softplus"]),
    "lstm per direction": _activations(
        "LSTM", ["Sigmoid", "Tanh", "Tanh", "Sigmoid", "Relu", "Tanh"], direction="bidirectional"
    ),
    "gru Affine, LeakyRelu": _activations(
        "GRU", ["Affine", "LeakyRelu"], activation_alpha=[0.1, 0.2], activation_beta=[0.1]
    ),
    "gru ScaledTanh, Elu": _activations(
        "GRU", ["ScaledTanh", "Elu"], activation_alpha=[0.5, 0.7], activation_beta=[0.6]
    ),
    "gru constants per direction": _activations(
        "GRU", ["HardSigmoid", "LeakyRelu"] * 2, activation_alpha=[0.3, 0.1, 0.4, 0.2],
        activation_beta=[0.4, 0.6], direction="bidirectional",
    ),
    "rnn ThresholdedRelu": _activations("RNN", ["ThresholdedRelu"], activation_alpha=[0.4]),
    **{
        f"rnn {name}, default": _activations("RNN", [name])
        for name in ["Relu", "LeakyRelu", "HardSigmoid", "Elu", "Softsign", "Softplus", "Sigmoid"]
    },
    **{
        f"rnn {name}, given": _activations(
            "RNN", [name], activation_alpha=[0.6], activation_beta=[0.2]
        )
        for name in ["Affine", "ScaledTanh", "HardSigmoid", "LeakyRelu", "Elu"]
    },
    "lower-case names": _activations("LSTM", ["sigmoid", "tanh", "tanh"]),
}  # fmt: skip

# ONNX Runtime refuses layout=1: these are compared with the same model in layout 0.
BATCH_FIRST: dict[str, Case] = {
    "lstm": Case("LSTM", {"layout": 1}, ("B", "initial_h", "initial_c")),
    "lstm as one node": Case("LSTM", {"layout": 1}, outputs=_PLAIN),
    "lstm reverse, as one node": Case(
        "LSTM", {"layout": 1, "direction": "reverse"}, outputs=_PLAIN
    ),
    "lstm bidirectional, lengths": Case(
        "LSTM", {"layout": 1, "direction": "bidirectional"}, lengths=(2, 4)
    ),
    "gru": Case("GRU", {"layout": 1}, ("B", "initial_h")),
    "rnn bidirectional": Case("RNN", {"layout": 1, "direction": "bidirectional"}),
    "one sequence": Case("LSTM", {"layout": 1}, batch=1),
}
