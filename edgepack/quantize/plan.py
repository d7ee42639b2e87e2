"""Which nodes become integer, which values share parameters, and what those are.

The op table's quantization rule decides: "same" ties an operator's inputs and outputs together, so
one set of parameters serves the whole group; "fixed" prescribes them; "observed" takes the range
that calibration saw. Nodes may differ in precision: a value has one storage as it is made, and its
readers may ask for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from edgepack.errors import BadData
from edgepack.ir import DType, Graph, Node, QuantParams, Value, row
from edgepack.quantize.options import Precision, QuantizeOptions
from edgepack.quantize.ranges import Range, choose_range
from edgepack.quantize.recurrent import cell_params, is_quantizable_lstm
from edgepack.quantize.statistics import StatisticsTable
from edgepack.quantize.useful import narrowed, useful_range

HasKernel = Callable[[Node, Precision], bool]


@dataclass(frozen=True, slots=True)
class Storage:
    """How a value is stored: its type, and the parameters when those are integers."""

    dtype: DType
    params: QuantParams | None = None


REAL: Final = Storage(DType.FLOAT32)


@dataclass(slots=True)
class QuantPlan:
    """The decision about one graph, whose nodes and values are the keys.

    `precision` has the nodes that become integer. `own` is how each value is made (absent: real),
    `shared` the parameters in which operators that tie values together read it, by type; `methods`
    says how a range was chosen, by the value's name. `cells` has the cell states of LSTMs. `notes`
    are for the report.
    """

    precision: dict[Node, Precision]
    own: dict[Value, Storage] = field(default_factory=dict)
    shared: dict[tuple[Value, DType], QuantParams] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    cells: dict[Node, QuantParams] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def stored(self, value: Value) -> Storage:
        """How the value is made."""
        return self.own.get(value, REAL)

    def read(self, node: Node, value: Value) -> Storage:
        """How `node` reads the activation `value`."""
        if node not in self.precision:
            return REAL
        dtype = self.precision[node].activations
        own, rule = self.stored(value), row(node.op).quant
        if not rule.rescales:
            return Storage(dtype, self.shared[node.output, dtype])
        if own.dtype is dtype and rule.output != "same":
            return own
        return Storage(dtype, self.shared[value, dtype])


def is_activation(value: Value | None) -> bool:
    """Whether a value carries real numbers that are computed or fed."""
    return value is not None and value.dtype is DType.FLOAT32 and not value.is_const


def is_quantizable(node: Node, precision: Precision) -> bool:
    """Whether an integer kernel may serve `node`: by its rule, with constant weights."""
    rule = row(node.op).quant
    if node.op == "Lstm":
        return is_quantizable_lstm(node, precision)
    if rule.output == "float" or not any(map(is_activation, node.present_inputs)):
        return False
    if rule.output == "fixed" and precision.activations not in rule.fixed:
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
    graph: Graph,
    seen: StatisticsTable,
    options: QuantizeOptions,
    has_kernel: HasKernel = lambda node, precision: True,
) -> QuantPlan:
    """Parameters for every real value that an integer node reads or makes; `graph` is not changed.

    `has_kernel` says whether the runtime has a node's kernel in a precision.
    Raises BadData naming the values that calibration did not see.
    """
    plan = QuantPlan(_precisions(graph, options, has_kernel))
    groups = _groups(graph, plan)
    _require_seen(groups, plan, seen)
    for group in groups:
        useful = useful_range([v for v, _ in group], plan.precision.__contains__, graph.outputs)
        params, method = _group_params(group, plan, seen, options, useful)
        for value, dtype in group:
            plan.shared[value, dtype] = params
            _settle(plan, value, dtype, params, method)
    recurrent = (node for node in plan.precision if node.op == "Lstm")
    plan.cells.update((node, cell_params(node, seen)) for node in recurrent)
    for value in graph.inputs:
        _settle_input(graph, plan, value, options)
    return plan


def _precisions(
    graph: Graph, options: QuantizeOptions, has_kernel: HasKernel
) -> dict[Node, Precision]:
    found = {}
    for node in graph.nodes:
        for precision in _candidates(options.precision_of(node.name)):
            if is_quantizable(node, precision) and has_kernel(node, precision):
                found[node] = precision
                break
    return found


def _candidates(wanted: Precision | None) -> Iterator[Precision]:
    """What was asked for, then the same with the weights that every kernel takes."""
    if wanted is not None:
        yield wanted
        if wanted.weights is not DType.INT8:
            yield Precision(wanted.activations, DType.INT8)


# A value in one type: values of a group share their parameters.
_Member = tuple[Value, DType]


def _groups(graph: Graph, plan: QuantPlan) -> list[list[_Member]]:
    """Members that must share parameters: joined through the operators whose rule is "same"."""
    parent: dict[_Member, _Member] = {}

    def find(key: _Member) -> _Member:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for node in graph.nodes:
        if node not in plan.precision:
            continue
        dtype = plan.precision[node].activations
        real = [v for v in (*node.present_inputs, *node.outputs) if is_activation(v)]
        roots = [find((v, dtype)) for v in real]
        if row(node.op).quant.output == "same":
            for root in roots[1:]:
                parent[find(root)] = find(roots[0])
    grouped: dict[_Member, list[_Member]] = {}
    for key in parent:
        grouped.setdefault(find(key), []).append(key)
    return list(grouped.values())


def _sources(group: list[_Member], plan: QuantPlan) -> list[_Member]:
    """The members whose content does not come from another member by a "same" operator."""
    return [(v, dtype) for v, dtype in group if not _is_carried(v, dtype, plan)]


def _is_carried(value: Value, dtype: DType, plan: QuantPlan) -> bool:
    node = _maker(value, dtype, plan)
    return node is not None and row(node.op).quant.output == "same"


def _maker(value: Value, dtype: DType, plan: QuantPlan) -> Node | None:
    """The integer node that makes `value` in this very type."""
    node = value.producer
    if node is None or node not in plan.precision:
        return None
    return node if plan.precision[node].activations is dtype else None


def _fixed(value: Value, dtype: DType, plan: QuantPlan) -> QuantParams | None:
    node = _maker(value, dtype, plan)
    if node is None or row(node.op).quant.output != "fixed":
        return None
    scale, zero_point = row(node.op).quant.fixed[dtype]
    return QuantParams.per_tensor(scale, zero_point)


def _require_seen(groups: list[list[_Member]], plan: QuantPlan, seen: StatisticsTable) -> None:
    sources = [value.name for group in groups for value, _ in _sources(group, plan)]
    missing = [name for name in sources if name not in seen or not seen[name].count]
    if missing:
        raise BadData(
            f"calibration saw no data at {', '.join(missing[:5])}",
            hint="give at least one calibration sample",
        )


def _group_params(
    group: list[_Member],
    plan: QuantPlan,
    seen: StatisticsTable,
    options: QuantizeOptions,
    useful: Range | None,
) -> tuple[QuantParams, str]:
    dtype = group[0][1]
    sources = _sources(group, plan)
    fixed = {_fixed(v, dtype, plan) for v, _ in sources}
    only = next(iter(fixed)) if len(fixed) == 1 else None
    if only is not None:
        return only, "fixed"
    ranges = [choose_range(seen[v.name], dtype, options.method) for v, _ in sources]
    ranges.extend(_constant_ranges(group, plan))
    union: Range = ranges[0]
    for other in ranges[1:]:
        union = union.united(other)
    final = narrowed(union, useful, dtype)
    return final.params(dtype), final.method


def _constant_ranges(group: list[_Member], plan: QuantPlan) -> Iterator[Range]:
    """Of the constants that a "same" operator mixes with what it makes."""
    for value, dtype in group:
        node = value.producer
        if node is not None and _is_carried(value, dtype, plan):
            for const in node.present_inputs:
                if const.is_const and const.dtype is DType.FLOAT32 and const.size:
                    low, high = float(np.min(const.const)), float(np.max(const.const))
                    yield Range(low, high, "constant")


def _settle(plan: QuantPlan, value: Value, dtype: DType, params: QuantParams, method: str) -> None:
    """Write down how `value` is made, if it is made in this type."""
    fixed = _fixed(value, dtype, plan)
    if _maker(value, dtype, plan) is not None:
        plan.own[value] = Storage(dtype, fixed or params)
    plan.methods[value.name] = "fixed" if fixed else method


def _settle_input(graph: Graph, plan: QuantPlan, value: Value, options: QuantizeOptions) -> None:
    """Take an input as integers where all its readers want the same ones."""
    wanted = {plan.read(user, value) for user in value.users} if is_activation(value) else set()
    if options.integer_io and len(wanted) == 1 and not graph.is_output(value):
        (storage,) = wanted
        if storage != REAL:
            plan.own[value] = storage
