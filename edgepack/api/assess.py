"""What a target says to a graph: operators it lacks, whether the rest fits, what is noted on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgepack.api.lowered import Lowered
from edgepack.api.schemes import KERNELS, runtimes_of
from edgepack.devices import Target
from edgepack.errors import Finding
from edgepack.ir import DType, Graph, Node, Value, node_macs
from edgepack.ir.ops import row
from edgepack.plan.fit import Fit
from edgepack.quantize.options import INTEGER_SCHEMES
from edgepack.report import Compute, Requirement, SourceInfo
from edgepack.writers.tflite.names import builtins_of

_LISTED = 3  # nodes that a note names
_NARROW = {
    (DType.INT8, DType.INT4): "w4a8",
    (DType.FLOAT32, DType.INT8): "hybrid",
    (DType.FLOAT32, DType.INT4): "hybrid4",
}


def unsupported_on(target: Target, graph: Graph) -> tuple[Finding, ...]:
    """Every node of a legalized graph that the target's runtime has no kernel for."""
    return tuple(f for node in graph.nodes for f in _findings(target, node))


def compute_of(graph: Graph) -> Compute:
    """Multiply-accumulates and weights; each constant counts once."""
    weights = {id(v.data): v.size for v in graph.constants() if v.rank}
    return Compute(sum(map(node_macs, graph.nodes)), sum(weights.values()))


def float_notes(target: Target, graph: Graph, scheme: str) -> tuple[str, ...]:
    """One sentence per reason why nodes stay float32 in a graph that edgepack made integer."""
    nodes: dict[str, list[str]] = {}
    for node in graph.nodes:
        if node.op not in ("Quantize", "Dequantize") and _is_float(node):
            nodes.setdefault(why_float(target, node, scheme), []).append(node.name)
    return tuple(f"{_listed(names)} float32: {why}" for why, names in nodes.items())


def accelerator_notes(target: Target, graph: Graph) -> tuple[str, ...]:
    """Which share of the work the accelerator can take, and the operators left to the processor.

    Nothing for targets whose runtime drives none.
    """
    if target.accelerator is None or target.runtime.fallback is None:
        return ()
    beside = [node for node in graph.nodes if not _accelerated(target, node)]
    total = sum(map(node_macs, graph.nodes))
    taken = total - sum(map(node_macs, beside))
    note = f"{taken:,} of {total:,} MACs can run on {target.accelerator.name}"
    if beside:
        kinds = dict.fromkeys(name for node in beside for name in _kernels(node))
        note += f"; on the processor: {', '.join(kinds)} ({_some([n.name for n in beside])})"
    return (note,)


def _accelerated(target: Target, node: Node) -> bool:
    dtype = _kernel_dtype(node)
    return all(target.accelerates(name, dtype) for name in _kernels(node))


def _kernels(node: Node) -> tuple[str, ...]:
    return tuple(builtins_of(node)) or (node.op,)


def _is_float(node: Node) -> bool:
    return any(v.dtype is DType.FLOAT32 for v in (*node.present_inputs, *node.outputs))


def why_float(target: Target, node: Node, scheme: str) -> str:
    """The reason, as the end of a sentence, why a node stays float32 under an integer scheme."""
    names, dtype = _kernels(node), KERNELS[scheme if scheme == "int16x8" else "int8"]
    for runtime_name, runtime in runtimes_of(target, node, dtype).items():
        lacking = [name for name in names if not runtime.quantizes(name, dtype)]
        if lacking:
            return f"no {dtype} kernel for {', '.join(lacking)} in {runtime_name}"
    computed = " with computed weights" if row(node.op).quant.weight is not None else ""
    return f"edgepack does not quantize {', '.join(names)}{computed}"


def _listed(names: Sequence[str]) -> str:
    """A verb's subject, and the verb."""
    return f"{_some(names)} {'stays' if len(names) == 1 else 'stay'}"


def _some(names: Sequence[str]) -> str:
    """A few names and how many more."""
    if len(names) == 1:
        return names[0]
    if len(names) > _LISTED:
        return f"{', '.join(names[:_LISTED])} and {len(names) - _LISTED} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def source_info(graph: Graph) -> SourceInfo:
    """What the report says of the file that was read."""
    source = graph.source
    return SourceInfo(source.path, source.format, source.sha256 or None)


def fit_requirements(verdict: Fit | None, findings: Sequence[Finding]) -> tuple[Requirement, ...]:
    """What a device asks of a model: memory within its banks, kernels for every operator."""
    missing = f"{len(findings)} without a kernel" if findings else "all have kernels"
    operators = Requirement("operators", "known to the target's runtime", missing, not findings)
    if verdict is None:
        return (operators,)
    problems = "; ".join(verdict.problems)
    remedies = "; ".join(verdict.remedies)
    found = problems + (f" (try: {remedies})" if remedies else "") if problems else "fits"
    return (Requirement("memory", "within the target's banks", found, verdict.fits), operators)


def notes_on(lowered: Lowered, target: Target) -> tuple[str, ...]:
    """What was done to the order, what runs where, and what quantization left in float.

    Nothing on float of schemes that leave all activations so.
    """
    scheme = lowered.quantization.scheme
    left = float_notes(target, lowered.graph, scheme) if scheme in INTEGER_SCHEMES else ()
    return (*lowered.notes, *accelerator_notes(target, lowered.graph), *left)


def memory_of(verdict: Fit | None, target: Target) -> Mapping[str, Any]:
    """The report's `memory`; every figure None when nothing could be planned."""
    if verdict is not None:
        return verdict.as_dict()
    return {
        "runtime": None,
        "arena_bytes": None,
        "flash_bytes": None,
        "sram_budget_bytes": target.sram_budget_bytes,
        "flash_budget_bytes": target.flash_budget_bytes,
        "peak_node": None,
        "timeline": [],
        "banks": [],
    }


def _findings(target: Target, node: Node) -> list[Finding]:
    names = _kernels(node)
    dtype = _kernel_dtype(node)
    reason = f"{target.runtime.name} has no such kernel"
    return [
        Finding(node.name, name, dtype, reason, _hint(target, name))
        for name in names
        if not target.supports(name, dtype)
    ]


def _kernel_dtype(node: Node) -> str:
    """The dtype a kernel is chosen by: that of the first data input (weights where narrower).

    A condition does not count where there is other data.
    """
    computed = [v for v in node.present_inputs if not v.is_const] or [node.output]
    data: Value = next((v for v in computed if v.dtype is not DType.BOOL), computed[0])
    weight = node.optional(1)
    if weight is not None and weight.is_const and weight.quant is not None:
        return _NARROW.get((data.dtype, weight.dtype), str(data.dtype))
    return str(data.dtype)


def _hint(target: Target, name: str) -> str | None:
    others = sorted(target.dtypes_of(name))
    if others:
        return f"it runs in {', '.join(others)}"
    return "replace the operator in the model, or choose a target whose runtime has it"
