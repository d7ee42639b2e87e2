"""The table of rows, and what a row sees of the operator it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepack.errors import BadModel, Finding, Unsupported
from edgepack.ir import Array, DType, QuantParams, Value
from edgepack.readers.tflite.records import Operator, Tensor
from edgepack.registry import Registry
from edgepack.schema import tflite as fmt

if TYPE_CHECKING:
    from edgepack.readers.tflite.read import Reading

Row = Callable[["OpView"], None]
ROWS: Registry[Row] = Registry("TFLite rows")

reads = ROWS


class OpView:
    """One operator being read: its inputs as IR values, its options, and where results go."""

    def __init__(self, reading: Reading, operator: Operator) -> None:
        self._reading = reading
        self._operator = operator
        self.graph = reading.graph
        self.states = reading.states
        self.builtin = operator.builtin
        self.outputs = tuple(reading.tensor(i) for i in operator.outputs)
        self.intermediates = tuple(reading.tensor(i) for i in operator.intermediates if i >= 0)

    @property
    def name(self) -> str:
        """What messages call it: the name of its first output."""
        return self.outputs[0].name if self.outputs else f"operator {self._operator.index}"

    @property
    def resized(self) -> bool:
        """Whether shapes may differ from those in the file (an input was given another shape)."""
        return self._reading.resized

    @property
    def input_count(self) -> int:
        """Number of inputs, absent ones included."""
        return len(self._operator.inputs)

    def optional(self, index: int) -> Value | None:
        """Input `index`, None when it is left out."""
        if index >= self.input_count or self._operator.inputs[index] < 0:
            return None
        return self._reading.value(self._operator.inputs[index], self.builtin)

    def input(self, index: int) -> Value:
        """Input `index`, which must be there. Raises BadModel."""
        value = self.optional(index)
        if value is None:
            raise BadModel(f"{self.builtin} lacks its input {index}", at=self.name)
        return value

    def all_inputs(self) -> list[Value]:
        """Every input; all must be there."""
        return [self.input(i) for i in range(self.input_count)]

    def input_tensor(self, index: int) -> Tensor | None:
        """The record of input `index`, None when it is left out."""
        if index >= self.input_count or self._operator.inputs[index] < 0:
            return None
        return self._reading.tensor(self._operator.inputs[index])

    def const(self, index: int) -> Array:
        """The content of input `index`, which the IR wants as an attribute."""
        value = self.input(index)
        if value.data is None:
            raise self.refuse(f"its input {index} ({value.name}) is computed while the model runs")
        return value.data

    def index_of_input(self, index: int) -> int:
        """The tensor index of an input that no value stands for (a handle). Raises BadModel."""
        if index >= self.input_count or self._operator.inputs[index] < 0:
            raise BadModel(f"{self.builtin} lacks its input {index}")
        return self._operator.inputs[index]

    def ints(self, index: int) -> tuple[int, ...]:
        """The content of a constant input as whole numbers."""
        array = self.const(index)
        if not DType.of(array).is_integer:
            raise BadModel(f"input {index} of {self.builtin} must be whole numbers", at=self.name)
        return tuple(int(v) for v in array.reshape(-1))

    def options(self, table: str) -> Any:
        """The members of the option table, in the schema's names; defaults when it is absent."""
        if self._operator.options_table == table:
            return self._operator.options
        if self._operator.options_table is None:
            return getattr(fmt.schema(), f"{table}T")()
        raise BadModel(
            f"{self.builtin} has options of the kind {self._operator.options_table}", at=self.name
        )

    def activation(self, code: int) -> str:
        """The IR's name of a fused activation."""
        codes = fmt.schema().ActivationFunctionType
        names = {getattr(codes, schema): name for name, schema in fmt.ACTIVATIONS.items()}
        if code not in names:
            raise self.refuse(f"its fused activation {code} is not known")
        return names[code]

    def refuse(self, reason: str, hint: str | None = None) -> Unsupported:
        """The error that says why this operator cannot be read; the reader collects them."""
        dtype = self.outputs[0].type_name.lower() if self.outputs else None
        finding = Finding(self.name, self.builtin, dtype, reason, hint)
        return Unsupported("not supported", [finding])

    # -- results -----------------------------------------------------------------------------------

    def emit(self, op: str, inputs: Sequence[Value | None], **attrs: Any) -> None:
        """Add the IR node whose outputs are this operator's outputs."""
        values = self.graph.add_multi(op, inputs, attrs, name=self.name)
        self.finish(*values)

    def step(
        self, op: str, inputs: Sequence[Value | None], quant: QuantParams | None, **attrs: Any
    ) -> Value:
        """Add an IR node in front of the last one; its output has the parameters `quant`."""
        value = self.graph.add(op, inputs, attrs, name=f"{self.name}/{op.lower()}")
        value.quant = quant
        return self._reading.folded(value)

    def constant(self, data: Array) -> None:
        """Let this operator's output be a constant: it is known while reading."""
        value = self.graph.constant(np.ascontiguousarray(data), self.name, self.outputs[0].quant)
        self.finish(value)

    def finish(self, *values: Value) -> None:
        """Bind this operator's outputs to values: names, parameters, and a check of shapes."""
        self._reading.bind(self._operator, values)
