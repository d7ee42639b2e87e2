"""How much an error in each output channel of a layer matters to the model's outputs.

Each channel's bias is moved a little and the model is run: what its outputs change by is a column
of J, and J'J [out, out] weighs errors of the layer (as the output side of K-FAC does, Martens and
Grosse 2015, without gradients). Errors that later layers throw away cost nothing then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edgepack.ir import Array, Graph, Node, Value, node_macs
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.run.litert import LiteRTRuntime
from edgepack.writers.tflite import write_tflite

_SAMPLES: Final = 8
_MOST_MACS: Final = 3e11  # of all runs together
_STEP: Final = 0.1  # of a channel's deviation
_ACTIVATIONS: Final = {"relu": "Relu", "relu6": "Relu6", "relu_n1_to_1": "ReluN1To1"}


def affordable_effects(graph: Graph, layers: Sequence[Node]) -> bool:
    """Whether every channel of these layers can be moved in a reasonable time."""
    macs = sum(node_macs(node) for node in graph.nodes) + 1e5
    runs = _SAMPLES * sum(node.output.shape[-1] + 1 for node in layers)
    return macs * runs < _MOST_MACS


def shift_effects(
    graph: Graph, layer: str, samples: Sequence[Sequence[Array]], deviation: Array, threads: int = 2
) -> Array:
    """J [rows, out] such that J'J is the mean over samples, for the layer of that name.

    `graph` is canonical; `deviation` [out] tells how much each channel varies before the
    activation, so that steps are small beside it.
    """
    runtime = LiteRTRuntime(write_tflite(_with_shift(graph, layer)), threads=threads)
    out = len(deviation)
    steps = _STEP * np.maximum(deviation, deviation.max() * 1e-3).astype(np.float32)
    few = list(samples)[:: max(1, len(samples) // _SAMPLES)][:_SAMPLES]
    columns = []
    for sample in few:
        base = _run(runtime, sample, np.zeros(out, np.float32))
        moved = [_run(runtime, sample, shift) - base for shift in np.diag(steps)]
        columns.append(np.stack(moved, axis=1) / steps)
    found = np.concatenate(columns).astype(np.float64) / np.sqrt(len(few))
    return _shortened(found)


def _run(runtime: LiteRTRuntime, sample: Sequence[Array], shift: Array) -> Array:
    outputs = runtime.run([*sample, shift])
    return np.concatenate([array.reshape(-1) for array in outputs]).astype(np.float64)


def _shortened(effects: Array) -> Array:
    """As few rows with the same J'J."""
    if len(effects) <= effects.shape[1]:
        return effects
    return np.asarray(np.linalg.qr(effects, mode="r"))


def _with_shift(graph: Graph, layer: str) -> Graph:
    """A copy with another input, [out], that is added to what the layer gives before activation.

    A softmax at the end is left out: where it is certain, it shows no error, however near.
    """
    twin = graph.copy()
    node = next(n for n in twin.nodes if n.name == layer)
    shift = twin.add_input("shift", (node.output.shape[-1],))
    users, was_output = list(node.output.users), twin.is_output(node.output)
    moved = twin.add("Add", [node.output, shift], name=f"{layer}/moved")
    activation = _ACTIVATIONS.get(node.attrs["activation"])
    if activation is not None:
        node.attrs["activation"] = "none"
        moved = twin.add(activation, [moved], name=f"{layer}/activation")
    for user in users:
        user.set_inputs([moved if v is node.output else v for v in user.inputs])
    if was_output:
        twin.outputs = [moved if v is node.output else v for v in twin.outputs]
    twin.outputs = [_before_softmax(value) for value in twin.outputs]
    twin.sort()
    twin.remove_dead()
    legalize_tflite(twin)
    return twin


def _before_softmax(value: Value) -> Value:
    node = value.producer
    return node.input(0) if node is not None and node.op == "Softmax" else value
