"""What a change to a graph does to its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edgepack.ir import Array, Graph, node_macs
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.run.litert import LiteRTRuntime
from edgepack.writers.tflite import write_tflite

_MOST_SAMPLES: Final = 64
_FEWEST_SAMPLES: Final = 16
_MACS: Final = 4_000_000_000  # of one measurement: large models are run on fewer samples


class OutputNoise:
    """Error of a canonical float graph's outputs, relative to their power over the samples.

    Before a final softmax, which would hide what becomes of the less likely classes.
    """

    def __init__(
        self, original: Graph, samples: Sequence[Sequence[Array]], *, threads: int = 2
    ) -> None:
        affordable = _MACS // max(1, sum(map(node_macs, original.nodes)))
        most = min(_MOST_SAMPLES, max(_FEWEST_SAMPLES, affordable))
        every = max(1, len(samples) // most)
        self._samples = samples[::every][:most]
        self._threads = threads
        self._wanted = self._outputs(original)
        self._power = [max(float(np.square(w - w.mean(axis=0)).sum()), 1e-30) for w in self._wanted]

    def of(self, graph: Graph) -> float:
        """The error's power, the mean over the outputs; it may exceed 1."""
        pairs = zip(self._wanted, self._outputs(graph), self._power, strict=True)
        parts = [float(np.square(w - f).sum()) / p for w, f, p in pairs]
        return sum(parts) / len(parts)

    def _outputs(self, graph: Graph) -> list[Array]:
        """Each output of all samples, [samples, elements], float64."""
        runtime = LiteRTRuntime(_file(graph), threads=self._threads)
        runs = [runtime.run(sample) for sample in self._samples]
        return [
            np.stack([run[i].reshape(-1) for run in runs]).astype(np.float64)
            for i in range(len(graph.outputs))
        ]


def _file(graph: Graph) -> bytes:
    cut = graph.copy()
    cut.outputs = [
        v.producer.input(0) if v.producer is not None and v.producer.op == "Softmax" else v
        for v in cut.outputs
    ]
    cut.remove_dead()
    legalize_tflite(cut)
    return write_tflite(cut)
