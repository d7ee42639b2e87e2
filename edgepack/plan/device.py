"""The plan of a model on a target: which runtime it is, with the target's ABI and kernels."""

from __future__ import annotations

from edgepack.devices import Target
from edgepack.ir import DType, Graph
from edgepack.plan.abi import Abi
from edgepack.plan.c_memory import Prepared, c_memory, prepare_c
from edgepack.plan.fit import Fit, check_fit
from edgepack.plan.flash import FlashUse, flash_of_file, weight_bytes
from edgepack.plan.graph_plan import plan_interpreter
from edgepack.plan.memory import MemoryPlan
from edgepack.plan.micro_file import micro_model_from_file
from edgepack.plan.tflm import plan_tflm
from edgepack.plan.tflm_requests import REFERENCE, KernelBuild

_TFLM_RUNTIMES = ("tflm", "vela")  # Vela's output runs in TensorFlow Lite Micro


def abi_of(target: Target) -> Abi:
    """Pointer width and enum size of the target's usual compiler."""
    short_enums = target.cores[0].name.startswith("Cortex-M")  # arm-none-eabi
    wide = target.pointer_bytes == 8
    return Abi(8 if wide else 4, 1 if short_enums else 4)


def kernel_build_of(target: Target) -> KernelBuild:
    """The kernels that its firmware is linked with; those of ESP-NN count as reference ones."""
    if target.kernel_set is None or "cmsis" not in target.kernel_set.name:
        return REFERENCE
    if "mve" in target.isa:
        return KernelBuild(True, "mve")
    return KernelBuild(True, "dsp" if "dsp" in target.isa else "none")


def keeps_file_order(target: Target) -> bool:
    """Whether operators run in the order of the file; Vela, too, schedules anew what it takes."""
    return target.runtime.id == "tflm"


def plan_memory(target: Target, graph: Graph, file: bytes) -> MemoryPlan:
    """The arena of `graph` on `target`; `file` is the .tflite file that was written from it.

    For TensorFlow Lite Micro the file is what counts. Raises BadModel for a file that this runtime
    cannot take.
    """
    if target.runtime.id in _TFLM_RUNTIMES:
        model = micro_model_from_file(file)
        return plan_tflm(model, kernels=kernel_build_of(target), abi=abi_of(target))
    if target.runtime.id == "c":
        return c_memory(prepare_c(graph))
    return plan_interpreter(graph, target.runtime.id)


def flash_use(target: Target, graph: Graph, file: bytes) -> FlashUse:
    """Weights, structure and runtime code of `graph`, written as `file`, on `target`."""
    code = None
    if target.runtime.id == "c":
        return FlashUse(weight_bytes(graph), 0)
    if target.kernel_set is not None:
        code = target.kernel_set.code_bytes(op.kind for op in micro_model_from_file(file).ops)
    return flash_of_file(file, graph, code)


def fit(target: Target, graph: Graph, file: bytes) -> Fit:
    """Plan, flash and verdict in one: `graph` as it will run, `file` its .tflite bytes."""
    return check_fit(
        target,
        plan_memory(target, graph, file),
        flash_use(target, graph, file),
        float_activations=_computes_in_float(graph),
    )


def fit_in_c(target: Target, prepared: Prepared, flash: FlashUse) -> Fit:
    """The same for a C project, whichever runtime the target's profile names.

    `flash` is `edgepack.plan.c_flash.c_flash` of what the project consists of.
    """
    return check_fit(
        target,
        c_memory(prepared),
        flash,
        float_activations=_computes_in_float(prepared.graph),
        fast_first=True,
    )


def bank_notes(fit: Fit, target: Target, prefix: str) -> tuple[str, ...]:
    """What of a C project can lie in fast memory, and the macros that put it there.

    Nothing where there is none, or where the linker has no choice.
    """
    fast = {bank.name for bank in target.banks if bank.fast}
    used = [bank for bank in fit.banks if bank.arena_bytes]
    in_fast = bool(used) and {bank.name for bank in used} <= fast
    if not in_fast or not fit.fits or fit.plan.runtime != "c" or len(target.arena_regions) < 2:
        return ()
    left = sum(bank.free_bytes for bank in used)
    macros, what = f"{prefix.upper()}_ARENA_SECTION", "the arena fits"
    if fit.flash.weight_bytes <= left:
        macros, what = f"{macros} and {prefix.upper()}_WEIGHTS_SECTION", "arena and weights fit"
    where = " and ".join(bank.name for bank in used)
    return (f"{what} in {where}, for which the core never waits: define {macros}",)


def _computes_in_float(graph: Graph) -> bool:
    """Whether no activation is quantized; in quantized models some nodes may still be float."""
    made = [v for node in graph.nodes for v in node.outputs]
    return all(v.quant is None for v in made) and any(v.dtype is DType.FLOAT32 for v in made)
