"""Command lines of edgepack and of the peers, and the files they leave in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.places import OURS, PROJECT, cache, peer

HOST = "raspberry-pi-4"  # its runtimes are LiteRT and ONNX Runtime, as on this machine
MICRO = "nucleo-l4r5zi"
EFFICIENTNET = "benchmarks.models.efficientnet_lite0:make"


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and the file it leaves."""

    argv: tuple[str, ...]
    out: Path


def edgepack(name: str, model: str | Path, *options: str | Path, target: str = HOST) -> Command:
    """`edgepack export` of `model` into a folder of the cache."""
    out = cache("ours", name)
    argv = (
        str(Path(OURS).with_name("edgepack")),
        "export",
        str(model),
        "--target",
        target,
        "--out",
        str(out),
    )
    return Command((*argv, "--quiet", *map(str, options)), out)


def ort_static(model: Path, data: Path, *options: str) -> Command:
    """ONNX Runtime's quantize_static after its own preparation."""
    python = peer("onnxruntime", "onnxruntime onnx sympy")
    return _script(python, "ort_static", (model, data), f"ort{''.join(options)}.onnx", options)


def litert_torch(name: str, *options: str | Path) -> Command:
    """litert-torch from our factory; int8 with AI Edge Quantizer given `--calibration FILE`."""
    python = peer("litert_torch", "litert-torch ai-edge-quantizer")
    out = cache("peers", name)
    script = str(PROJECT / "benchmarks" / "peers" / "torch_to_tflite.py")
    return Command((python, script, EFFICIENTNET, str(out), *map(str, options)), out)


def ai_edge_quantizer(model: Path, data: Path) -> Command:
    """AI Edge Quantizer's stock int8 recipe."""
    python = peer("ai_edge_quantizer", "ai-edge-quantizer")
    return _script(python, "ai_edge", (model, data), "ai_edge.tflite")


def onnx2tf(model: Path) -> Command:
    """onnx2tf with its defaults: a float32 and a float16 file."""
    python = peer("onnx2tf", "onnx2tf")
    return _script(python, "onnx_to_tflite", (model,), "onnx2tf")


def tflite_converter(model: Path, data: Path) -> Command:
    """TensorFlow's converter, full-integer int8."""
    python = peer("tensorflow", "tensorflow")
    return _script(python, "keras_to_tflite", (model, data), "keras_int8.tflite")


def mct(weights: Path, data: Path, test: Path) -> Command:
    """Sony's PTQ of ResNet-20; its last argument is the test data."""
    python = peer("model_compression_toolkit", "model-compression-toolkit")
    return _script(python, "mct", (weights, data), str(test))


def _script(
    python: str, script: str, inputs: Sequence[Path], out: str, options: Sequence[str] = ()
) -> Command:
    path = cache("peers", out)
    program = str(PROJECT / "benchmarks" / "peers" / f"{script}.py")
    return Command((python, program, *map(str, inputs), str(path), *options), path)


def file_of(command: Command, suffix: str) -> Path:
    """The file with this suffix that a command left."""
    return command.out / f"model{suffix}" if command.out.is_dir() else command.out


def files_of(command: Command) -> list[Path]:
    """Every model file that a command left."""
    if not command.out.is_dir():
        return [command.out]
    return [
        path for path in map(command.out.joinpath, ("model.tflite", "model.onnx")) if path.is_file()
    ]


def litert_int8(calibration: Path) -> Command:
    """litert-torch and AI Edge Quantizer in one process."""
    return litert_torch("effnet_int8.tflite", "--calibration", calibration)


def litert_w4a8(calibration: Path) -> Command:
    """The same with weights of 4 bits."""
    return litert_torch("effnet_w4a8.tflite", "--calibration", calibration, "--weight-bits", "4")
