"""The compression steps that were asked for, carried out and measured one by one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import numpy as np

import edgepack.calibrate.pruning  # noqa: F401  # techniques enter themselves in the table
import edgepack.calibrate.sparsity  # noqa: F401
from edgepack.api.assess import compute_of
from edgepack.api.integer import DEFAULT_SPAN, made_up_inputs
from edgepack.api.lower import is_quantized
from edgepack.api.lowered import calibration_samples, tflite_file
from edgepack.api.options import ExportOptions
from edgepack.calibrate import clustering, factorizing  # noqa: F401 (importing registers)
from edgepack.compress import packing, sharing, streaming  # noqa: F401 (importing registers)
from edgepack.compress.frame import TECHNIQUES, Context, Outcome, Stage, Step
from edgepack.data import load_samples
from edgepack.devices import Target
from edgepack.errors import BadInput, EdgepackError
from edgepack.ir import Array, Graph
from edgepack.ir.check import check
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.passes.pipeline import optimize
from edgepack.plan.device import plan_memory
from edgepack.report import Compression, Figures
from edgepack.run.litert import LiteRTRuntime
from edgepack.strict_toml import Table, near
from edgepack.validation.files import OpenFile
from edgepack.validation.interface import Interface
from edgepack.validation.measure import accuracy_of, run_files

_SAMPLES: Final = 16  # on which a stage's outputs are compared with the source's


def steps_of(options: ExportOptions) -> tuple[Step, ...]:
    """The steps asked for, with their settings read; options come before those of a recipe.

    Raises BadInput for a technique or a setting that there is not.
    """
    given: dict[str, dict[str, float | int | None]] = {
        "prune": {"ratio": options.prune},
        "factorize": {"ratio": options.factorize},
        "cluster": {"bits": options.cluster},
    }
    asked = [
        {"technique": name, **settings}
        for name, settings in given.items()
        if None not in settings.values()
    ]
    steps = [*asked, *options.steps()]
    names = {str(entry.get("technique")) for entry in steps}
    if "sparsify" in names and "code" not in names:  # without it zeros take what others take
        steps.append({"technique": "code"})
    # the others look at whole windows
    steps.sort(key=lambda entry: entry.get("technique") == "stream")
    return tuple(_step(dict(entry)) for entry in steps)


def _step(entry: dict[str, Any]) -> Step:
    name = str(entry.pop("technique", ""))
    if name not in TECHNIQUES:
        raise BadInput(f"no compression technique {name!r}", hint=near(name, TECHNIQUES))
    table = Table(entry, where=f"compression step {name}", error=BadInput, prefix=f"{name}.")
    settings = TECHNIQUES[name].read(table)
    table.finish()
    return Step(TECHNIQUES[name], settings)


def compressed(
    graph: Graph,
    target: Target,
    options: ExportOptions,
    steps: Sequence[Step],
    stage: Stage = "real",
) -> tuple[Graph, tuple[Compression, ...]]:
    """The graph after the steps of `stage`, in their order, and a record for each of them.

    `graph` itself is not changed, and is what comes back when there is nothing to do.

    Raises BadInput where a step contradicts the model (the message names the layer).
    """
    todo = [step for step in steps if step.technique.stage == stage]
    if not todo:
        return graph, ()
    if stage == "real" and is_quantized(graph):
        raise BadInput(
            f"{todo[0].technique.name} works on real weights, and the model is quantized already",
            hint="give the float model",
        )
    meter = Meter(graph, target, options)
    work, record, before = graph.copy(), [], meter.figures(graph)
    for step in todo:
        outcome = step.technique.run(work, step.settings, context_of(graph, target, options))
        _tidy(work, stage, step.technique.name)
        after = meter.figures(work)
        record.append(_record(step.technique.name, before, after, outcome))
        before = after
    return work, tuple(record)


def context_of(graph: Graph, target: Target, options: ExportOptions) -> Context:
    """What a technique may ask for."""

    def inputs() -> Iterator[list[Array]]:
        return model_inputs(graph, options)

    has_data = options.calibration is not None
    span = options.span() or DEFAULT_SPAN
    return Context(target, inputs, has_data, span, options.seed, options.threads)


def model_inputs(graph: Graph, options: ExportOptions) -> Iterator[list[Array]]:
    """Calibration samples as `graph` takes them; synthetic inputs where there are none."""
    samples = calibration_samples(graph, options)
    if samples is None:
        return made_up_inputs(graph, options)
    interface = Interface.of(graph)
    return (interface.feed(sample.inputs, "graph") for sample in samples)


def _tidy(graph: Graph, stage: Stage, name: str) -> None:
    graph.sort()
    graph.remove_dead()
    check(graph, after=name)
    if stage == "real":
        optimize(graph)


def _record(name: str, before: Figures, after: Figures, outcome: Outcome) -> Compression:
    refused = tuple(f"{r.layer}: {r.reason}" if r.layer else r.reason for r in outcome.refused)
    return Compression(name, before, after, outcome.changed, refused, outcome.notes)


class Meter:
    """Figures of a model at each stage, against the model `original`."""

    def __init__(self, original: Graph, target: Target, options: ExportOptions) -> None:
        self._original, self._target, self._options = original, target, options
        self._samples = list(islice(_samples(original, options), _SAMPLES))
        self._wanted = self._outputs(self._open(original))

    def figures(self, graph: Graph) -> Figures:
        """Size and quality of a float graph, or of an integer one that is legalized."""
        opened, compute = self._open(graph), compute_of(graph)
        sqnr = None if graph is self._original else self._sqnr(opened)
        form = "integer" if is_quantized(graph) else "float32"
        legal, file = self._file(graph)
        return Figures(
            form, compute.params, compute.macs, len(file), _arena(self._target, legal, file), sqnr,
            self._accuracy(opened),
        )  # fmt: skip

    def _sqnr(self, opened: OpenFile) -> float | None:
        wanted = self._wanted
        if opened.interface.stream is not None:
            whole = self._open(self._original)
            cut = whole.interface.as_streamed(opened.interface)
            wanted = self._outputs(dataclasses.replace(whole, interface=cut))
        return sqnr_db(wanted, self._outputs(opened))

    def _file(self, graph: Graph) -> tuple[Graph, bytes]:
        legal = graph if is_quantized(graph) else legalized(graph)
        return legal, tflite_file(legal)

    def _open(self, graph: Graph) -> OpenFile:
        legal = graph if is_quantized(graph) else legalized(graph)
        runtime = LiteRTRuntime(tflite_file(legal, packed=False), threads=self._options.threads)
        return OpenFile("tflite", runtime, Interface.of(legal))

    def _outputs(self, opened: OpenFile) -> list[Array]:
        found = (opened.real(opened.run(sample)[1]) for sample in self._samples)
        return [np.concatenate([array.reshape(-1) for array in outputs]) for outputs in found]

    def _accuracy(self, opened: OpenFile) -> float | None:
        if self._options.eval is None:
            return None
        specs = opened.interface.specs(self._options.span())
        samples = load_samples(self._options.eval, specs, preprocess=self._options.preprocess)
        pairs = ((sample.inputs, sample.label) for sample in samples)
        return accuracy_of(run_files([opened], pairs)).exported.get("tflite")


def _samples(graph: Graph, options: ExportOptions) -> Iterator[Mapping[str, Array]]:
    """Inputs in the source's layout, of calibration or synthetic."""
    ports = Interface.of(graph).inputs
    for arrays in model_inputs(graph, options):
        yield {p.name: p.to_source(array) for p, array in zip(ports, arrays, strict=True)}


def sqnr_db(wanted: Sequence[Array], found: Sequence[Array]) -> float | None:
    """Power of the wanted outputs over that of the error, in dB; None when either is nothing."""
    signal = sum(float(np.square(w, dtype=np.float64).sum()) for w in wanted)
    pairs = zip(wanted, found, strict=True)
    noise = sum(float(np.square(w.astype(np.float64) - f).sum()) for w, f in pairs)
    return round(10 * math.log10(signal / noise), 2) if signal > 0 and noise > 0 else None


def legalized(graph: Graph) -> Graph:
    """A copy that has TFLite's builtins only."""
    legal = graph.copy()
    legalize_tflite(legal)
    return legal


def _arena(target: Target, graph: Graph, file: bytes) -> int | None:
    try:
        return plan_memory(target, graph, file).arena_bytes
    except EdgepackError:  # what cannot be planned is told of where the plan is asked for
        return None
