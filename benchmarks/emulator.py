"""The C export on an emulated Cortex-M4 and Cortex-M55 beside TensorFlow Lite Micro with CMSIS-NN.

TensorFlow Lite Micro's figures were counted on QEMU's mps2-an386 and mps3-an547 with gcc 12.2 (core
-Os, kernels -O2, int8-only registrations), per inference.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure
from benchmarks.places import shared


@dataclass(frozen=True, slots=True)
class Peer:
    """TensorFlow Lite Micro's figures; `code` is code and constants without the model."""

    instructions: int
    arena: int
    code: int
    stack: int
    m55_instructions: int


PEERS = {
    "ic_resnet8_int8": Peer(29_864_800, 54_996, 51_144, 1_396, 4_913_062),
    "kws_dscnn_int8": Peer(7_696_240, 22_820, 53_340, 1_396, 1_811_969),
    "vww_mobilenet_int8": Peer(24_101_520, 100_708, 53_340, 1_396, 6_557_969),
    "ad_autoencoder_int8": Peer(582_920, 2_580, 28_180, 1_108, 149_938),
}
M4, M55 = "nucleo-l4r5zi", "stm32n657"
TOOLS = {M4: ("gcc+qemu", "gcc+unicorn", "zig+unicorn"), M55: ("gcc+qemu", "zig+qemu")}


def emulator() -> Iterator[Figure]:
    """Instructions, RAM and code of each model, with every pair of tools."""
    for name, peer in PEERS.items():
        yield from _cortex_m4(name, peer)
        yield from _cortex_m55(name, peer)


def _cortex_m4(name: str, peer: Peer) -> Iterator[Figure]:
    model = name.removesuffix("_int8")
    theirs, ram = "TFLite Micro, CMSIS-NN", peer.arena + peer.stack
    for what, value, unit in (
        ("instructions", peer.instructions, ""),
        ("arena + stack", ram, "B"),
        ("code without the model", peer.code, "B"),
    ):
        yield Figure(f"{model} on a Cortex-M4: {what}", theirs, value, unit)
    for tools in TOOLS[M4]:
        who = f"edgepack, {tools}"
        found = _validated(name, M4, tools)
        if isinstance(found, str):
            yield Figure(f"{model} on a Cortex-M4: instructions", who, None, "", found)
            continue
        head = f"{model} on a Cortex-M4:"
        used = found["arena_bytes"] + found["stack_bytes"]
        yield _beside(f"{head} instructions", who, found["instructions"], peer.instructions, "")
        note = f" (arena {found['arena_bytes']:,}, stack {found['stack_bytes']:,})"
        yield _beside(f"{head} arena + stack", who, used, ram, "B", note)
        yield _beside(f"{head} code without the model", who, found["code_bytes"], peer.code, "B")


def _cortex_m55(name: str, peer: Peer) -> Iterator[Figure]:
    what = f"{name.removesuffix('_int8')} on a Cortex-M55: instructions"
    yield Figure(what, "TFLite Micro, CMSIS-NN", peer.m55_instructions, "")
    for tools in TOOLS[M55]:
        found = _validated(name, M55, tools)
        if isinstance(found, str):
            yield Figure(what, f"edgepack, {tools}", None, "", found)
        else:
            yield _beside(
                what, f"edgepack, {tools}", found["instructions"], peer.m55_instructions, ""
            )


def _beside(what: str, who: str, ours: int, theirs: int, unit: str, more: str = "") -> Figure:
    return Figure(what, who, ours, unit, f"{ours / theirs:.2f}x{more}")


def _validated(name: str, target: str, tools: str) -> dict[str, int] | str:
    """`emulator` of the report of an export and its validation; a text where it cannot be run."""
    import edgepack
    from edgepack.errors import EdgepackError

    path = shared("models", f"{name}.tflite")
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "export"
        try:
            edgepack.export(path, target, out, formats="tflite,c", allow_misfit=True)
            report = edgepack.validate(out, _inputs(path), on=f"emulator:{tools}")
        except EdgepackError as problem:
            return str(problem).splitlines()[0]
    unmet = [r.found for r in report.requirements if r.name.startswith("emulator") and not r.met]
    if unmet or report.emulator is None:
        return "; ".join(unmet) or "not run"
    return dict(report.emulator)


def _inputs(path: Path) -> list[np.ndarray]:
    """Three inputs of random integers, as the real numbers they stand for."""
    from edgepack.run.litert import LiteRTRuntime

    info = LiteRTRuntime(path.read_bytes()).inputs[0]
    rng = np.random.default_rng(0)
    integers = rng.integers(-128, 128, (3, *info.shape)).astype(info.dtype.numpy)
    quant = info.quant
    return list(integers if quant is None else quant.dequantize(integers))
