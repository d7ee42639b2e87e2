"""Exports damaged files one after the other; a crash takes this process and not the test's.

    python fuzz_worker.py FILE FIRST_SEED COUNT FOLDER

Prints each seed before it is tried, and a line for each that ends in anything but an export or one
of the errors that are meant for users.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import edgepack
from edgepack.errors import EdgepackError, InternalError
from tests.damage import damaged


def main(file: Path, first: int, count: int, folder: Path) -> None:
    warnings.simplefilter("ignore")  # numpy's, about numbers that the damage made huge
    data = file.read_bytes()
    path = folder / f"damaged{file.suffix}"
    for seed in range(first, first + count):
        print("seed", seed, flush=True)
        path.write_bytes(damaged(data, seed))
        try:
            edgepack.export(
                path, "nucleo-l4r5zi", folder / "out", formats="tflite,onnx", threads=1
            )
        except InternalError as problem:
            print("defect:", seed, "InternalError", problem, flush=True)
        except EdgepackError:
            pass
        except Exception as problem:
            print("defect:", seed, type(problem).__name__, problem, flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
