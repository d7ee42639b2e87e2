"""Which nodes become integer, which values share parameters, and what those are.

The op table's quantization rule decides: "same" ties an operator's inputs and outputs together, so
one set of parameters serves the whole group; "fixed" prescribes them; "observed" takes the range
that calibration saw.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edgepack.errors import BadData
from edgepack.ir import DType, Graph, Node, QuantParams, Value, row
from edgepack.quantize.options import QuantizeOptions
from edgepack.quantize.ranges import Range, choose_range
from edgepack.quantize.statistics import StatisticsTable


@dataclass(slots=True)
class QuantPlan:
    """The decision: `nodes` become integer; `params` by id and `methods` by name of real values.

    `requantized` lists values whose parameters are prescribed, with those in which the operators
    that tie their inputs together must read them.
    """

    nodes: set[Node]
    params: dict[int, QuantParams] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    requantized: list[tuple[Value, QuantParams]] = field(default_factory=list)


def is_activation(value: Value | None) -> bool:
    """Whether a value carries real numbers that are computed or fed."""
    return value is not None and value.dtype is DType.FLOAT32 and not value.is_const


def is_quantizable(node: Node) -> bool:
    """Whether an integer kernel may serve `node`: by its rule, with constant weights."""
    rule = row(node.op).quant
    if rule.output == "float" or not any(map(is_activation, node.present_inputs)):
        return False
    if rule.weight is not None:
        weight, bias = node.optional(rule.weight), node.optional(rule.bias or 0)
        return (
            weight is not None
            and weight.is_const
            and (bias is None or bias.is_const or not rule.bias)
        )
    return all(v.dtype is DType.FLOAT32 or v.dtype.is_integer or v.dtype is DType.BOOL
               for v in node.present_inputs)  # fmt: skip


def plan_quantization(
    graph: Graph, seen: StatisticsTable, options: QuantizeOptions, nodes: set[Node]
) -> QuantPlan:
    """Parameters for every real value that one of `nodes` reads or makes.

    Raises BadData naming the values that calibration did not see.
    """
    plan = QuantPlan(nodes)
    groups = _groups(graph, nodes)
    missing = [v.name for group in groups for v in _sources(group, nodes) if not _known(v, seen)]
    if missing:
        raise BadData(
            f"calibration saw no data at {', '.join(missing[:5])}",
            hint="give at least one calibration sample",
        )
    for group in groups:
        params, method = _group_params(group, seen, options, nodes)
        for value in group:
            own = _fixed(value, nodes, options.activations)
            if own is not None and own != params:
                plan.requantized.append((value, params))
            plan.params[id(value)] = own or params
            plan.methods[value.name] = "fixed" if own else method
    return plan


def _groups(graph: Graph, nodes: set[Node]) -> list[list[Value]]:
    """Values that must share parameters: joined through the operators whose rule is "same"."""
    parent: dict[int, int] = {}
    values: dict[int, Value] = {}

    def find(key: int) -> int:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    def touch(value: Value) -> int:
        values.setdefault(id(value), value)
        parent.setdefault(id(value), id(value))
        return find(id(value))

    for node in graph.nodes:
        if node not in nodes:
            continue
        real = [v for v in (*node.present_inputs, *node.outputs) if is_activation(v)]
        roots = [touch(v) for v in real]
        if row(node.op).quant.output == "same":
            for root in roots[1:]:
                parent[find(root)] = find(roots[0])
    grouped: dict[int, list[Value]] = {}
    for key, value in values.items():
        grouped.setdefault(find(key), []).append(value)
    return list(grouped.values())


def _sources(group: list[Value], nodes: set[Node]) -> list[Value]:
    """The members whose content does not come from another member by a "same" operator."""
    return [v for v in group if not _is_carried(v, nodes)]


def _is_carried(value: Value, nodes: set[Node]) -> bool:
    node = value.producer
    return node is not None and node in nodes and row(node.op).quant.output == "same"


def _fixed(value: Value, nodes: set[Node], dtype: DType) -> QuantParams | None:
    node = value.producer
    if node is None or node not in nodes or row(node.op).quant.output != "fixed":
        return None
    scale, zero_point = row(node.op).quant.fixed[dtype]
    return QuantParams.per_tensor(scale, zero_point)


def _known(value: Value, seen: StatisticsTable) -> bool:
    return value.name in seen and seen[value.name].count > 0


def _group_params(
    group: list[Value], seen: StatisticsTable, options: QuantizeOptions, nodes: set[Node]
) -> tuple[QuantParams, str]:
    dtype = options.activations
    sources = _sources(group, nodes)
    fixed = {_fixed(v, nodes, dtype) for v in sources}
    only = next(iter(fixed)) if len(fixed) == 1 else None
    if only is not None:
        return only, "fixed"
    ranges = [choose_range(seen[v.name], dtype, options.method) for v in sources]
    union: Range = ranges[0]
    for other in ranges[1:]:
        union = union.united(other)
    return union.params(dtype), union.method
