"""Reports to draw, made without running anything."""

from __future__ import annotations

import dataclasses

from edgepack.errors import Finding
from edgepack.report import (
    Accuracy,
    Compute,
    FileInfo,
    Histogram,
    Latency,
    LayerInfo,
    Quantization,
    Report,
    Requirement,
    SourceInfo,
)

KIB = 1024
LIVE = (12, 40, 30, 24, 8)
BANKS = (
    ("sram", "ram", 256 * KIB, 16 * KIB, 48 * KIB, 0),
    ("flash", "flash", 1024 * KIB, 64 * KIB, 0, 140 * KIB),
)
BANK_KEYS = ("name", "kind", "bytes", "reserved_bytes", "arena_bytes", "weights_bytes")


def layer(index: int, op: str, inputs: tuple[str, ...], sqnr_db: float, size: int) -> LayerInfo:
    """A layer with a histogram."""
    counts = Histogram(-1.0, 1.5, (1, 9, 30, 9, 1), (2, 8, 30, 10, 0))
    return LayerInfo(
        f"block<{index}>/{op}", op, 1000 * (index + 1), size * KIB, sqnr_db, "mse", (-1.0, 1.5),
        0.001 * index, 0, "int8", "--quantize int8", "none needed", None, (1, 8, 8, 4), "int8",
        inputs, counts,
    )  # fmt: skip


LAYERS = (
    layer(0, "Conv2d", ("x",), 38.5, 2),
    layer(1, "DepthwiseConv2d", ("block<0>/Conv2d",), 31.25, 1),
    layer(2, "Conv2d", ("block<1>/DepthwiseConv2d",), 28.0, 64),
    layer(3, "Add", ("block<0>/Conv2d", "block<2>/Conv2d"), 27.0, 0),
    layer(4, "FullyConnected", ("block<3>/Add",), 22.5, 30),
)
FITS = Report(
    edgepack="0.1.0",
    target="board",
    fits=True,
    source=SourceInfo("models/net & co.onnx", "onnx", "ab" * 32),
    quantization=Quantization("int8", "calibration", 100, True, "int8"),
    memory={
        "runtime": "tflm",
        "arena_bytes": 48 * KIB,
        "arena_setup_bytes": 48 * KIB,
        "flash_bytes": 140 * KIB,
        "sram_budget_bytes": 240 * KIB,
        "flash_budget_bytes": 960 * KIB,
        "peak_node": LAYERS[1].node,
        "timeline": [
            {"node": la.node, "op": la.op.upper(), "live_bytes": live * KIB}
            for la, live in zip(LAYERS, LIVE, strict=True)
        ],
        "banks": [
            {**dict(zip(BANK_KEYS, b, strict=True)), "free_bytes": b[2] - b[3] - b[4] - b[5]}
            for b in BANKS
        ],
    },
    files={
        "tflite": FileInfo("model.tflite", 99_000, "cd" * 32),
        "onnx": FileInfo("model.onnx", 101_234, "ef" * 32),
        "c": None,
    },
    compute=Compute(12_501_632, 77_706),
    accuracy=Accuracy(
        0.9, {"tflite": 0.895, "onnx": 0.896}, "top-1", 500, {"tflite": 30.55, "onnx": 30.6}, "12"
    ),
    agreement={"tflite_vs_onnx_max_lsb": 1.0},
    layers=LAYERS,
    latency=Latency("host, LiteRT", "measured", 0.5123, "ms", 20),
    latencies=(Latency("host, LiteRT", "measured", 0.5123, "ms", 20),),
    requirements=(Requirement("memory", "within the target's banks", "fits", True),),
    notes=("a note <of> ours",),
    versions={"python": "3.12.1", "edgepack": "0.1.0"},
    command="edgepack export 'models/net & co.onnx' --target board --out build",
)
TOO_LARGE = dataclasses.replace(
    FITS,
    fits=False,
    target="smaller",
    memory={**FITS.memory, "sram_budget_bytes": 36 * KIB, "flash_budget_bytes": 100 * KIB},
    unsupported=(Finding("n", "TOPK_V2", "int8", "no kernel", "use ArgMax"),),
    accuracy=Accuracy(0.9, {"tflite": 0.7}, "top-1", 500, {"tflite": 9.0}),
    latency=None,
    latencies=(),
    requirements=(
        Requirement("memory", "within the target's banks", "12.0 KiB too much", False),
        Requirement("operators", "known to the target's runtime", "1 without a kernel", False),
    ),
    warnings=("top-1 is 20.0 points below float",),
    emulator={
        "core": "Cortex-M4", "emulator": "unicorn", "toolchain": "gcc", "samples": 8,
        "compared_with": "TFLite Micro", "different_samples": 0, "instructions": 600,
        "arena_bytes": 48 * KIB, "stack_bytes": 300, "flash_bytes": 140 * KIB,
        "weight_bytes": 97 * KIB,
        "nodes": [
            {"node": la.node, "op": la.op, "instructions": n}
            for la, n in zip(LAYERS, (100, 50, 300, 0, 150), strict=True)
        ],
    },
)  # fmt: skip
BARE = Report(
    "0.1.0", "board", None, SourceInfo("m", "onnx", None), Quantization("none", "none"),
    {**FITS.memory, "arena_bytes": None, "flash_bytes": None, "peak_node": None, "timeline": [],
     "banks": []},
    {"tflite": None, "onnx": None, "c": None}, Compute(0, 0),
)  # fmt: skip
ALL = {"fits": FITS, "too large": TOO_LARGE, "bare": BARE}
