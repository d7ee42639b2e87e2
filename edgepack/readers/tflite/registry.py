"""The table of rows, and what a row sees of the operator it reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from edgepack.errors import BadModel
from edgepack.ir import Array, DType, Value
from edgepack.readers.emitter import Emitter, Refused, Spec
from edgepack.readers.tflite.records import Operator, Tensor
from edgepack.registry import Registry
from edgepack.schema import tflite as fmt

if TYPE_CHECKING:
    from edgepack.readers.tflite.read import Reading

# A row adds IR nodes and returns the value of each output, or nothing where no values come out.
Row = Callable[["OpView"], "Value | Sequence[Value]"]
ROWS: Registry[Row] = Registry("TFLite rows")

reads = ROWS


# Shape arithmetic is folded while reading; weights are not, they stay as the file has them.
_FOLD_ELEMENTS: Final = 4096
_WHOLE: Final = (DType.INT32, DType.INT64, DType.BOOL)


class OpView(Emitter):
    """One operator being read: its inputs as IR values, its options, and what adds nodes for it.

    `stem`, what messages call it, is the name of its first output.
    """

    def __init__(self, reading: Reading, operator: Operator) -> None:
        self._reading = reading
        self._operator = operator
        self.states = reading.states
        self.builtin = operator.builtin
        self.outputs = tuple(reading.tensor(i) for i in operator.outputs)
        self.intermediates = tuple(reading.tensor(i) for i in operator.intermediates if i >= 0)
        stem = self.outputs[0].name if self.outputs else f"operator {operator.index}"
        super().__init__(reading.graph, stem)

    def folds(self, inputs: Sequence[Value | None], specs: Sequence[Spec]) -> bool:
        """Only a few whole numbers."""
        known = [(v.shape, v.dtype) for v in inputs if v is not None]
        return all(t in _WHOLE and math.prod(s) <= _FOLD_ELEMENTS for s, t in [*known, *specs])

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
            raise BadModel(f"{self.builtin} lacks its input {index}", at=self.stem)
        return value

    def all_inputs(self) -> list[Value]:
        """Every input; all must be there."""
        return [self.input(i) for i in range(self.input_count)]

    def input_tensor(self, index: int) -> Tensor | None:
        """The record of input `index`, None when it is left out."""
        if index >= self.input_count or self._operator.inputs[index] < 0:
            return None
        return self._reading.tensor(self._operator.inputs[index])

    def array(self, index: int) -> Array:
        """The content of input `index`, which the IR wants as an attribute."""
        value = self.input(index)
        if value.data is None:
            raise Refused(f"its input {index} ({value.name}) is computed while the model runs")
        return value.data

    def index_of_input(self, index: int) -> int:
        """The tensor index of an input that no value stands for (a handle). Raises BadModel."""
        if index >= self.input_count or self._operator.inputs[index] < 0:
            raise BadModel(f"{self.builtin} lacks its input {index}")
        return self._operator.inputs[index]

    def ints(self, index: int) -> tuple[int, ...]:
        """The content of a constant input as whole numbers."""
        array = self.array(index)
        if not DType.of(array).is_integer:
            raise BadModel(f"input {index} of {self.builtin} must be whole numbers", at=self.stem)
        return tuple(int(v) for v in array.reshape(-1))

    def options(self, table: str) -> Any:
        """The members of the option table, in the schema's names; defaults when it is absent."""
        if self._operator.options_table == table:
            return self._operator.options
        if self._operator.options_table is None:
            return getattr(fmt.schema(), f"{table}T")()
        raise BadModel(
            f"{self.builtin} has options of the kind {self._operator.options_table}", at=self.stem
        )

    def activation(self, code: int) -> str:
        """The IR's name of a fused activation."""
        codes = fmt.schema().ActivationFunctionType
        names = {getattr(codes, schema): name for name, schema in fmt.ACTIVATIONS.items()}
        if code not in names:
            raise Refused(f"its fused activation {code} is not known")
        return names[code]
