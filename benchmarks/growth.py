"""How processor time and memory grow: with model size, and calibration with samples.

`python -m benchmarks.growth MODEL.onnx` measures one size and prints each step's seconds as JSON.
Each size has a process of its own, in which glibc asks the kernel for every large buffer
(MALLOC_MMAP_THRESHOLD_). By its own rule it keeps a small model's freed buffers and hands them out
again warm, while a large model's come fresh, page by page: writing 5 MB for the second time costs
no page fault, writing 85 MB costs 42,405, most of the time. That growth is the allocator's and not
ours; with the variable, every size pays for its pages. Other C libraries ignore it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure
from benchmarks.measure import run
from benchmarks.places import OURS, cache

BLOCKS, WIDTH = 8, 96  # blocks at 1x: 5 MB of weights
FACTORS = (1, 4, 16)
SAMPLES = (10, 100, 1000)
REPEATS = 5
FRESH_PAGES = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # bytes


def growth() -> Iterator[Figure]:
    """Reading and writing at 1x, 4x and 16x; peak memory with 10, 100 and 1,000 samples."""
    yield from _sizes()
    yield from _samples()


def write_model(blocks: int, path: Path, size: int = 16) -> None:
    """A chain of residual blocks (convolution, ReLU, convolution, addition) as .onnx."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(0)
    nodes, weights, x = [], [], "x"
    for index in range(blocks):
        for part in (0, 1):
            w = rng.normal(0, 0.02, (WIDTH, WIDTH, 3, 3)).astype(np.float32)
            weights.append(numpy_helper.from_array(w, f"w{index}_{part}"))
        a, b, c, y = (f"{kind}{index}" for kind in "abcy")
        pads = {"pads": [1, 1, 1, 1]}
        nodes += [
            helper.make_node("Conv", [x, f"w{index}_0"], [a], **pads),
            helper.make_node("Relu", [a], [b]),
            helper.make_node("Conv", [b, f"w{index}_1"], [c], **pads),
            helper.make_node("Add", [c, x], [y]),
        ]
        x = y
    shape = [1, WIDTH, size, size]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("x", x)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(path))


def _sizes() -> Iterator[Figure]:
    first: dict[str, float] = {}
    for factor in FACTORS:
        path = cache(f"chain_{factor}.onnx")
        write_model(BLOCKS * factor, path)
        done = run([OURS, "-m", "benchmarks.growth", str(path)], environment=FRESH_PAGES)
        for what, seconds in done.json().items():
            base = first.setdefault(what, seconds)
            note = f"{path.stat().st_size / 1e6:.0f} MB, {seconds / base:.1f}x the first"
            yield Figure(
                f"{what} at {factor}x, processor time", "edgepack", 1e3 * seconds, "ms", note
            )


def measure(path: str) -> dict[str, float]:
    """Seconds of processor time for reading the model, with passes after that, and writing it."""
    from edgepack.api.lower import canonical
    from edgepack.passes.legalize_tflite import legalize_tflite
    from edgepack.readers.load import load_graph
    from edgepack.readers.options import ReadOptions
    from edgepack.writers.tflite import write_tflite

    graph = canonical(load_graph(path, ReadOptions()))
    legalize_tflite(graph)
    jobs: dict[str, Callable[[], object]] = {
        "reading": lambda: load_graph(path, ReadOptions()),
        "reading and passes": lambda: canonical(load_graph(path, ReadOptions())),
        "writing": lambda: write_tflite(graph),
    }
    return {what: _median(job) for what, job in jobs.items()}


def _median(job: Callable[[], object]) -> float:
    job()  # warm
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        job()
        times.append(time.process_time() - start)
    return statistics.median(times)


_STREAM = """
import sys, numpy as np
from edgepack.api import export
count = int(sys.argv[2])
def samples():
    for index in range(count):
        yield np.random.default_rng(index).normal(size=(1, 96, 16, 16)).astype(np.float32)
export(sys.argv[1], "raspberry-pi-4", sys.argv[3], formats="tflite", quantize="int8",
       calibration=samples, samples=count)
"""


def _samples() -> Iterator[Figure]:
    path = cache("chain_small.onnx")
    write_model(4, path)
    for count in SAMPLES:
        done = run([OURS, "-c", _STREAM, str(path), str(count), str(cache("ours", "stream"))])
        yield Figure(f"int8 export, {count} samples, peak", "edgepack", done.peak_mb, "MB")


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
