"""The accuracy that mixed precision must keep, measured on the data of `--eval`."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.api.options import ExportOptions
from edgepack.data import Samples, load_samples
from edgepack.devices import Target
from edgepack.errors import EdgepackError
from edgepack.ir import Graph
from edgepack.progress import advance
from edgepack.run.base import Runtime
from edgepack.run.host import host_runtime
from edgepack.run.tflm import TflmRuntime
from edgepack.validation.compare import class_of
from edgepack.validation.files import runs_in_micro
from edgepack.validation.interface import Interface
from edgepack.writers.tflite import write_tflite


@dataclass(frozen=True, slots=True)
class AccuracyBudget:
    """At least the share `least` of labelled samples must be right.

    `micro`: TensorFlow Lite Micro's results count too.
    """

    samples: Samples
    least: float
    threads: int = 2
    micro: bool = False

    @classmethod
    def of(cls, real: Graph, target: Target, options: ExportOptions) -> AccuracyBudget | None:
        """What `--min-accuracy` and `--max-drop` ask for, the higher of both.

        None where neither is given or the data of `--eval` have no labels. `real` is the float
        graph, legalized for TFLite, which a drop is counted from.
        """
        if options.eval is None or (options.min_accuracy is None and options.max_drop is None):
            return None
        specs = Interface.of(real).specs(options.span())
        samples = load_samples(options.eval, specs, preprocess=options.preprocess)
        if not samples.has_labels:
            return None
        least = options.min_accuracy or 0.0
        if options.max_drop is not None:
            least = max(least, accuracy_of(real, samples, options.threads) - options.max_drop)
        micro = runs_in_micro(target.runtime.id, options.io or target.io)
        return cls(samples, least, options.threads, micro)

    def is_kept(self, graph: Graph) -> bool:
        """Whether a quantized graph is accurate enough in LiteRT."""
        return accuracy_of(graph, self.samples, self.threads) >= self.least

    def is_kept_everywhere(self, graph: Graph) -> bool:
        """Whether it is so in TensorFlow Lite Micro too, where that counts and it runs here.

        That takes long, which is why few graphs are asked about.
        """
        if not self.micro:
            return True
        file = write_tflite(graph)
        ports = host_runtime(graph)
        try:
            runtime = TflmRuntime(file, ports.inputs, ports.outputs)
        except EdgepackError:
            return True
        return _share_right(runtime, graph, self.samples) >= self.least


def accuracy_of(graph: Graph, samples: Samples, threads: int = 2) -> float:
    """The share of samples whose largest first output is that of the label, in LiteRT."""
    return _share_right(host_runtime(graph, threads=threads), graph, samples)


def _share_right(runtime: Runtime, graph: Graph, samples: Samples) -> float:
    interface, right = Interface.of(graph), 0
    for index, sample in enumerate(samples):
        outputs = runtime.run(interface.encoded(sample.inputs, "graph"))
        right += class_of(outputs[0]) == sample.label
        advance(index + 1, len(samples), "measuring accuracy")
    return right / len(samples)
