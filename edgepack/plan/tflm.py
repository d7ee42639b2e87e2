"""The arena that TensorFlow Lite Micro uses for a model, byte for byte.

The arena has two ends. From its tail, for good: the allocator's own objects, a record for every
tensor and operator, the parsed options, what each kernel keeps. From its head: the activations and
scratch buffers, packed by the greedy planner; before that, while the model is being set up, the
planner's own notes. Facts: micro_allocator.cc, micro_interpreter.cc, micro_allocation_info.cc and
arena_allocator/single_arena_buffer_allocator.cc in tensorflow/lite/micro.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgepack.plan.abi import CORTEX_M, Abi, Extent, Layouts, align_up
from edgepack.plan.arena import Allocation, Buffer, aligned, allocate_greedy, live_bytes
from edgepack.plan.memory import LivePoint, MemoryPlan, Placement
from edgepack.plan.micro_model import MicroModel, MicroOp, MicroTensor
from edgepack.plan.tflm_kernels import KERNELS, STRUCTS, Kernel
from edgepack.plan.tflm_requests import REFERENCE, Call, KernelBuild, Request

ALIGNMENT = 16  # micro_arena_constants.h
_SPARE_SCRATCH_REQUESTS = 12  # kMaxScratchBuffersPerOp in micro_allocator.cc

# lite/core/c/common.h, micro_allocator.{h,cc}, recording_micro_allocator.h, greedy_memory_planner.h
_STRUCTS = {
    **STRUCTS,
    "SingleArenaBufferAllocator": "8p i",
    "RecordingSingleArenaBufferAllocator": "8p i 4p",
    "GreedyMemoryPlanner": "p 2i 4p 2i p b",
    "MicroAllocator": "5p b 3p",
    "RecordingMicroAllocator": "5p b 3p p 18p ?3p 3p",
    "BuiltinDataAllocator": "2p",
    "SubgraphAllocations": "2p ?p",
    "NodeAndRegistration": "6p i p",
    "TfLiteTensor": "e p 2i 3p 2e b",
    "AffineQuantization": "2p i",
    "ScratchRequest": "p 2i",
    "AllocationInfo": "2p 3i b",
    "PlannerBuffer": "10i",  # 4 of the requirements, 3 of the list entry, size, id and offset
}
_NO_KERNEL = Kernel()


@dataclass(slots=True)
class _Tail:
    """The tail of the arena: allocations go downwards, each aligned."""

    used: int = 0

    def take(self, extent: Extent, count: int = 1) -> None:
        self.used = align_up(self.used + extent.size * count, extent.alignment)

    def take_aligned(self, nbytes: int) -> None:
        self.used = align_up(self.used + nbytes, ALIGNMENT)


@dataclass(slots=True)
class _Setup:
    """Setting a model up: the tail as it grows, scratch requests, the peak of both ends."""

    layouts: Layouts
    tail: _Tail = field(default_factory=_Tail)
    requests: list[tuple[int, int]] = field(default_factory=list)  # (operator, bytes)
    peak: int = 0

    def note_peak(self, head: int) -> None:
        self.peak = max(self.peak, head + self.tail.used)


def plan_tflm(
    model: MicroModel, *, kernels: KernelBuild = REFERENCE, abi: Abi = CORTEX_M
) -> MemoryPlan:
    """The plan of the interpreter's arena; `arena_bytes` is its `arena_used_bytes()`."""
    setup = _Setup(Layouts(_STRUCTS, abi))
    _take_bookkeeping(model, setup)
    _take_op_data(model, kernels, setup)
    _prepare_ops(model, kernels, setup)
    _take_plan_inputs(model, setup)
    buffers = head_buffers(model, setup.requests)
    allocation = allocate_greedy(buffers, ALIGNMENT)
    _note_planning(model, len(buffers), setup)
    _take_io(model, setup)
    head_bytes = allocation.arena_bytes
    arena_bytes = head_bytes + setup.tail.used
    return MemoryPlan(
        runtime="tflm",
        arena_bytes=arena_bytes,
        setup_bytes=align_up(max(setup.peak, arena_bytes), ALIGNMENT),
        head_bytes=head_bytes,
        persistent_bytes=setup.tail.used,
        timeline=_timeline(model, buffers),
        placements=_placements(buffers, allocation),
        unmodelled=tuple(dict.fromkeys(op.kind for op in model.ops if op.kind not in KERNELS)),
    )


def _take_bookkeeping(model: MicroModel, setup: _Setup) -> None:
    """MicroAllocator::Create and StartModelAllocation."""
    layouts, tail = setup.layouts, setup.tail
    recording = "Recording" if layouts.abi.recording else ""
    tail.take(layouts.named(f"{recording}SingleArenaBufferAllocator"))
    tail.take(layouts.named("GreedyMemoryPlanner"))
    tail.take(layouts.named(f"{recording}MicroAllocator"))
    tail.take(layouts.named("BuiltinDataAllocator"))
    tail.take(layouts.named("SubgraphAllocations"))
    tail.take(layouts.named("EvalTensor"), len(model.tensors))
    tail.take(layouts.named("NodeAndRegistration"), len(model.ops))


def _take_op_data(model: MicroModel, kernels: KernelBuild, setup: _Setup) -> None:
    """Options of every operator (PrepareNodeAndRegistrationDataFromFlatbuffer), then its init."""
    rows = [KERNELS.get(op.kind, _NO_KERNEL) for op in model.ops]
    for row in rows:
        if row.params:
            setup.tail.take(setup.layouts.of(row.params))
    for row in rows:
        fields = row.cmsis_op_data if kernels.cmsis_nn and row.cmsis_op_data else row.op_data
        if fields:
            setup.tail.take_aligned(setup.layouts.of(fields).size)


def _prepare_ops(model: MicroModel, kernels: KernelBuild, setup: _Setup) -> None:
    for index, op in enumerate(model.ops):
        call = Call(op, model, kernels, setup.layouts)
        row = KERNELS.get(op.kind, _NO_KERNEL)
        for request in row.prepare(call):
            _take_request(request, index, setup)
        temporary = row.looks * _temporary_bytes(model, op, setup.layouts)
        setup.note_peak(_requests_bytes(setup) + temporary)


def _take_request(request: Request, op_index: int, setup: _Setup) -> None:
    if request.scratch:
        setup.requests.append((op_index, request.nbytes))
    else:
        setup.tail.take_aligned(request.nbytes)


def _requests_bytes(setup: _Setup) -> int:
    count = len(setup.requests) + _SPARE_SCRATCH_REQUESTS
    return setup.layouts.named("ScratchRequest").size * count


def _temporary_bytes(model: MicroModel, op: MicroOp, layouts: Layouts) -> int:
    """An upper bound: a kernel looks at its tensors through temporary records, most at once."""
    return sum(
        layouts.named("TfLiteTensor").size + _quantization_bytes(model.tensors[i], layouts)
        for i in (*op.inputs, *op.outputs)
        if i >= 0
    )


def _quantization_bytes(tensor: MicroTensor, layouts: Layouts) -> int:
    if not tensor.scales:
        return 0
    return layouts.named("AffineQuantization").size + 4 + 4 * tensor.scales


def _take_plan_inputs(model: MicroModel, setup: _Setup) -> None:
    """FinishModelAllocation: a handle for each scratch buffer, and the variables."""
    if setup.requests:
        setup.tail.take(setup.layouts.of("p"), len(setup.requests))
    for tensor in model.tensors:
        if tensor.variable and tensor.offline_offset is None:
            setup.tail.take_aligned(tensor.nbytes)


def _note_planning(model: MicroModel, buffers: int, setup: _Setup) -> None:
    """The planner's notes lie in the head while it works (CommitStaticMemoryPlan)."""
    layouts = setup.layouts
    records = len(model.tensors) + len(setup.requests)
    notes = align_up(_requests_bytes(setup), layouts.abi.pointer_bytes)
    notes += layouts.abi.pointer_bytes + layouts.named("AllocationInfo").size * records
    setup.tail.used, kept = align_up(setup.tail.used, ALIGNMENT), setup.tail.used
    setup.note_peak(align_up(notes, ALIGNMENT) + layouts.named("PlannerBuffer").size * buffers)
    setup.tail.used = kept


def _take_io(model: MicroModel, setup: _Setup) -> None:
    """A full tensor record for every input and output of the model (AllocateTensors)."""
    layouts, tail = setup.layouts, setup.tail
    for indices in (model.inputs, model.outputs):
        tail.take_aligned(layouts.abi.pointer_bytes * len(indices))
        for index in indices:
            tail.take(layouts.named("TfLiteTensor"))
            if scales := model.tensors[index].scales:
                tail.take(layouts.named("AffineQuantization"))
                tail.take(Extent(4 + 4 * scales, 4))


def head_buffers(model: MicroModel, requests: Sequence[tuple[int, int]]) -> list[Buffer]:
    """The buffers of the head in the planner's order: tensors by index, then scratch.

    Step 0 is before the first operator; operator i runs in step i + 1. A tensor that nothing uses
    is planned too, for a step that it has to itself.
    """
    unused = len(model.ops) + 1
    first: dict[int, int] = dict.fromkeys(model.inputs, 0)
    last: dict[int, int] = dict.fromkeys(model.inputs, 0)
    for step, op in enumerate(model.ops, start=1):
        for index in op.outputs:
            first.setdefault(index, step)
        last.update(dict.fromkeys((i for i in (*op.inputs, *op.outputs) if i >= 0), step))
    for index in model.outputs:
        first.setdefault(index, len(model.ops))
        last[index] = len(model.ops)
    first = {**dict.fromkeys(last, 0), **first}  # read but never written: there from the start
    buffers = [
        Buffer(t.name, t.nbytes, first.get(i, unused), last.get(i, unused), t.offline_offset)
        for i, t in enumerate(model.tensors)
        if t.nbytes and not t.constant and (not t.variable or t.offline_offset is not None)
    ]
    for op_index, nbytes in requests:
        name = f"{model.ops[op_index].name} (scratch)"
        buffers.append(Buffer(name, nbytes, op_index + 1, op_index + 1))
    return buffers


def _timeline(model: MicroModel, buffers: Sequence[Buffer]) -> tuple[LivePoint, ...]:
    live = live_bytes(aligned(buffers, ALIGNMENT), len(model.ops) + 2)
    steps = zip(model.ops, live[1:-1], strict=True)
    return tuple(LivePoint(op.name, nbytes, op.kind) for op, nbytes in steps)


def _placements(buffers: Sequence[Buffer], allocation: Allocation) -> tuple[Placement, ...]:
    return tuple(
        Placement(b.name, offset, b.nbytes, b.first, b.last)
        for b, offset in zip(buffers, allocation.offsets, strict=True)
    )
