"""What exported files answer, ours and the peers' alike, in LiteRT and ONNX Runtime directly."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.places import cache

Array = npt.NDArray[Any]
Infer = Callable[[Array], Array]


def open_file(path: Path, threads: int = 2) -> Infer:
    """A function from one real NHWC sample (batch 1) to its real outputs, flat."""
    return _open_tflite(path, threads) if path.suffix == ".tflite" else _open_onnx(path, threads)


def _open_tflite(path: Path, threads: int) -> Infer:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    (entry,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    turn = _turn(tuple(entry["shape"]))

    def infer(x: Array) -> Array:
        interpreter.reset_all_variables()  # samples are independent
        interpreter.set_tensor(entry["index"], _encode(turn(x), entry))
        interpreter.invoke()
        return _decode(interpreter.get_tensor(result["index"]), result).reshape(-1)

    return infer


def _encode(x: Array, entry: dict[str, Any]) -> Array:
    if entry["dtype"] is np.float32:
        return np.ascontiguousarray(x.reshape(entry["shape"]))
    scale, zero = entry["quantization"]
    limits = np.iinfo(entry["dtype"])
    stored = np.clip(np.rint(x / scale) + zero, limits.min, limits.max)
    return stored.astype(entry["dtype"]).reshape(entry["shape"])


def _decode(y: Array, result: dict[str, Any]) -> Array:
    if result["dtype"] is np.float32:
        return y
    scale, zero = result["quantization"]
    return (y.astype(np.float32) - zero) * scale


def _turn(shape: tuple[int, ...]) -> Infer:
    if len(shape) == 4 and shape[1] == 3:
        return lambda x: np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return lambda x: x


def _open_onnx(path: Path, threads: int) -> Infer:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # for all files alike: without it x86 cores that lack VNNI saturate in 16-bit sums
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    turn = _turn(tuple(entry.shape))
    return lambda x: session.run(None, {entry.name: turn(x).reshape(entry.shape)})[0].reshape(-1)


def logits(path: Path, x: Array) -> Array:
    """The file's answer to every sample, [N, classes]."""
    infer = open_file(path)
    return np.stack([infer(sample[None]) for sample in x])


def accuracy(answers: Array, labels: Array) -> float:
    """Top-1 in percent."""
    return float(100 * np.mean(answers.argmax(axis=1) == labels))


def agreement(real: Array, found: Array) -> float:
    """Top-1 as the real model's, in percent."""
    return float(100 * np.mean(real.argmax(axis=1) == found.argmax(axis=1)))


def before_softmax(path: Path) -> Path | None:
    """The file without a softmax at its end: the same file where it has none.

    A TFLite file is written anew into the cache; None for ONNX files that have one.
    """
    from edgepack.readers.load import ReadOptions, load_graph
    from edgepack.validation import logits
    from edgepack.writers.tflite import write_tflite

    if path.suffix == ".onnx":
        import onnx

        last = {node.op_type for node in onnx.load(path).graph.node[-4:]}
        return None if "Softmax" in last or "Sigmoid" in last else path
    graph = logits.before_softmax(load_graph(path, ReadOptions()))
    if graph is None:
        return path
    cut = cache("logits", f"{path.parent.name}_{path.stem}.tflite")
    cut.write_bytes(write_tflite(graph))
    return cut


def sqnr_db(real: Array, found: Array) -> float:
    """Power of the real answers over that of the error, in dB."""
    noise = np.square(real.astype(np.float64) - found).sum()
    return float(10 * np.log10(np.square(real.astype(np.float64)).sum() / noise))


def latencies_ms(files: Mapping[str, Path], sample: Array, rounds: int) -> dict[str, float]:
    """Median latency of each file, all of them by turns."""
    opened = {name: open_file(path) for name, path in files.items()}
    times: dict[str, list[float]] = {name: [] for name in opened}
    for index in range(rounds + 5):
        for name, infer in opened.items():
            start = time.perf_counter()
            infer(sample)
            if index >= 5:  # warm
                times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}
