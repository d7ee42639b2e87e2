#!/usr/bin/env python3
"""Checks the model beside this file on the device it runs on; prints one JSON object.

Needs Python 3.7 or newer, numpy, and one of tflite-runtime, ai-edge-litert, tensorflow (for
model.tflite) or onnxruntime (for model.onnx). It knows nothing of edgepack.

    python3 validate.py [--format tflite|onnx] [--threads N] [--repeat N]

Exit code 0: outputs are as expected; 1: they differ; 2: nothing could be run.
"""

import argparse
import hashlib
import json
import os
import platform
import sys
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
WITHIN_ONE_STEP = 0.99  # share of integer outputs that may not be more than one step away
REAL_TOLERANCE = 1e-3  # of the largest expected magnitude, for real outputs


def main():
    """Run the check and print its result."""
    arguments = parse_arguments()
    try:
        result = validate(arguments)
    except Exception as problem:
        fail("{}: {}".format(type(problem).__name__, problem))
    print(json.dumps(result))
    sys.exit(0 if result["ok"] else 1)


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description="Check the exported model on this device.")
    parser.add_argument("--format", choices=("tflite", "onnx"), help="default: what can be run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=50, help="timed inferences")
    return parser.parse_args()


def fail(message):
    """Say why nothing could be run, as JSON too."""
    print(json.dumps({"ok": False, "error": message}))
    sys.exit(2)


def validate(arguments):
    """Run the model on every sample and compare; returns the JSON object."""
    with open(os.path.join(HERE, "manifest.json")) as file:
        manifest = json.load(file)
    wanted = [arguments.format] if arguments.format else list(manifest["files"])
    name, run, runtime = open_any(manifest, wanted, arguments.threads)
    samples = np.load(os.path.join(HERE, "samples.npz"), allow_pickle=False)
    inputs = columns(samples, name + "_in_")
    expected = columns(samples, name + "_out_")
    count = len(inputs[0])
    outputs = [run([column[i] for column in inputs]) for i in range(count)]
    result = {"runtime": runtime, "format": name, "samples": count, "target": manifest["target"]}
    result.update(compare(outputs, expected, manifest["outputs"]))
    result["latency"] = latency(run, [column[0] for column in inputs], arguments.repeat)
    result["peak_rss_bytes"] = peak_rss_bytes()
    result["machine"] = platform.machine()
    result["python"] = platform.python_version()
    return result


def columns(samples, prefix):
    """The arrays called prefix0, prefix1, ... in order."""
    count = sum(key.startswith(prefix) for key in samples.files)
    return [samples[prefix + str(i)] for i in range(count)]


# -- runtimes --------------------------------------------------------------------------------------


def open_any(manifest, wanted, threads):
    """The first format that a runtime on this device can load: (format, run, runtime's name)."""
    problems = []
    for name in wanted:
        entry = manifest["files"].get(name)
        if entry is None:
            problems.append("there is no {} file".format(name))
            continue
        path = os.path.join(HERE, entry["path"])
        check_file(path, entry["sha256"])
        opener = open_tflite if name == "tflite" else open_onnx
        try:
            run, runtime = opener(path, threads)
            return name, run, runtime
        except ImportError as problem:
            problems.append("{}: {}".format(name, problem))
    raise RuntimeError("; ".join(problems))


def check_file(path, sha256):
    """Refuse a model file that is not the one exported."""
    with open(path, "rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
    if found != sha256:
        raise RuntimeError(path + " was changed or damaged after the export (sha256 differs)")


def open_tflite(path, threads):
    """A function from input arrays to output arrays, and the interpreter's name."""
    interpreter_class, name = find_interpreter()
    interpreter = interpreter_class(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    inputs = [detail["index"] for detail in interpreter.get_input_details()]
    outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def run(arrays):
        interpreter.reset_all_variables()  # samples are independent, states are not kept
        for index, array in zip(inputs, arrays):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run, name


def find_interpreter():
    """The TFLite interpreter that is installed here."""
    try:
        from tflite_runtime.interpreter import Interpreter

        return Interpreter, "tflite-runtime"
    except ImportError:
        pass
    try:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter, "ai-edge-litert"
    except ImportError:
        pass
    try:
        from tensorflow.lite import Interpreter

        return Interpreter, "tensorflow"
    except ImportError:
        raise ImportError("install tflite-runtime or ai-edge-litert") from None


def open_onnx(path, threads):
    """A function from input arrays to output arrays, and the runtime's name."""
    try:
        import onnxruntime
    except ImportError:
        raise ImportError("install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(arrays):
        return session.run(None, dict(zip(names, arrays)))

    return run, "onnxruntime"


# -- figures ---------------------------------------------------------------------------------------


def compare(outputs, expected, ports):
    """How far the outputs are from those expected: one object per output, and the verdict."""
    rows = []
    for index, port in enumerate(ports):
        found = np.stack([sample[index] for sample in outputs]).astype(np.float64)
        wanted = expected[index].astype(np.float64)
        apart = np.abs(found - wanted)
        reach = port.get("reach", 1)  # steps that one step before a final softmax may become
        row = {"name": port["name"], "max_apart": float(apart.max()) if apart.size else 0.0}
        if expected[index].dtype.kind in "iu" and port["scale"] is not None:
            row["within_1_lsb"] = float(np.mean(apart <= 1)) if apart.size else 1.0
            row["ok"] = bool(np.sum(apart > reach) <= (1 - WITHIN_ONE_STEP) * apart.size)
        elif expected[index].dtype.kind == "f":
            span = float(np.abs(wanted).max()) if wanted.size else 0.0
            row["ok"] = row["max_apart"] <= REAL_TOLERANCE * span
            if port["step"] is not None and apart.size:  # integers, made real at the end
                row["within_1_lsb"] = float(np.mean(apart <= 1.001 * port["step"]))
                near = np.mean(apart <= 1.001 * reach * port["step"])
                row["ok"] = bool(row["ok"] or near >= WITHIN_ONE_STEP)
        else:
            row["ok"] = row["max_apart"] == 0.0
        rows.append(row)
    return {"ok": all(row["ok"] for row in rows), "outputs": rows}


def latency(run, inputs, repeat):
    """Milliseconds of warm inferences: median and tails."""
    for _ in range(3):
        run(inputs)
    times = []
    for _ in range(max(1, repeat)):
        start = time.perf_counter()
        run(inputs)
        times.append((time.perf_counter() - start) * 1e3)
    points = np.percentile(times, [50, 90, 99])
    named = zip(("median_ms", "p90_ms", "p99_ms"), points)
    return dict([(name, round(float(value), 4)) for name, value in named], runs=len(times))


def peak_rss_bytes():
    """The process's largest resident size so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


if __name__ == "__main__":
    main()
