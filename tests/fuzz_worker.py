"""Exports damaged files one after the other; a crash takes this process and not the test's.

    python fuzz_worker.py FILE FIRST_SEED COUNT FOLDER

ONNX and TFLite files are exported, what other formats hold is only read. A saved_model.pb stands
for the folder that it lies in. Prints each seed before it is tried, and a line for each that ends
in anything but an export or one of the errors that are meant for users.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path

import edgepack
from edgepack.errors import EdgepackError, InternalError
from tests.damage import damaged


def _use(model: Path, out: Path) -> None:
    if model.suffix in (".onnx", ".tflite"):
        edgepack.export(model, "nucleo-l4r5zi", out, formats="tflite,onnx", threads=1)
    else:
        edgepack.inspect(model)


def main(file: Path, first: int, count: int, folder: Path) -> None:
    warnings.simplefilter("ignore")  # numpy's, about numbers that the damage made huge
    data = file.read_bytes()
    model = path = folder / f"damaged{file.suffix}"
    if file.name == "saved_model.pb":
        model = folder / "damaged"
        shutil.copytree(file.parent, model)
        path = model / file.name
    for seed in range(first, first + count):
        print("seed", seed, flush=True)
        path.write_bytes(damaged(data, seed))
        try:
            _use(model, folder / "out")
        except InternalError as problem:
            print("defect:", seed, "InternalError", problem, flush=True)
        except EdgepackError:
            pass
        except Exception as problem:
            print("defect:", seed, type(problem).__name__, problem, flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
