"""The folder that goes to a device: the model, samples with expected outputs, and a script."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.ir import Array
from edgepack.validation.files import OpenFile
from edgepack.validation.interface import Interface

SCRIPT = Path(__file__).with_name("device_script.py")


def write_bundle(
    folder: Path,
    files: Mapping[str, tuple[str, bytes]],
    opened: Sequence[OpenFile],
    samples: Sequence[Mapping[str, Array]],
    target: str,
) -> None:
    """Write `folder`/device: `files` has (name, bytes) of each format, `opened` runs them.

    Expected outputs are those of this machine's runtimes. Needs at least one sample.
    """
    device = folder / "device"
    device.mkdir()
    (device / "validate.py").write_text(SCRIPT.read_text())
    manifest: dict[str, Any] = {"target": target, "files": {}, **_ports(opened)}
    arrays: dict[str, Array] = {}
    for file in opened:
        if file.key not in files:
            continue
        name, data = files[file.key]
        (device / name).write_bytes(data)
        manifest["files"][file.key] = {"path": name, "sha256": hashlib.sha256(data).hexdigest()}
        arrays.update(_columns(file, samples))
    (device / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    np.savez(device / "samples.npz", allow_pickle=False, **arrays)


def read_interface(folder: Path) -> Interface:
    """The interface of an exported folder. Raises KeyError, OSError or ValueError when damaged."""
    return Interface.from_dict(json.loads((folder / "device" / "manifest.json").read_text()))


def _ports(opened: Sequence[OpenFile]) -> dict[str, Any]:
    return opened[0].interface.to_dict() if opened else {"inputs": [], "outputs": []}


def _columns(file: OpenFile, samples: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Inputs as the file takes them and outputs as it gave them, samples first."""
    fed = [file.interface.encoded(sample, file.side) for sample in samples]
    given = [file.raw(sample) for sample in samples]
    named = {"in": zip(*fed, strict=True), "out": zip(*given, strict=True)}
    return {
        f"{file.key}_{side}_{index}": np.stack(column)
        for side, columns in named.items()
        for index, column in enumerate(columns)
    }


def bundle_samples(folder: Path, interface: Interface) -> list[dict[str, Array]]:
    """The samples of an exported folder as real arrays in the source's layout.

    Raises what reading a damaged file may: OSError, EOFError, KeyError, ValueError and zip's own.
    """
    with np.load(folder / "device" / "samples.npz", allow_pickle=False) as stored:
        key = "onnx" if "onnx_in_0" in stored.files else "tflite"
        columns = [stored[f"{key}_in_{i}"] for i in range(len(interface.inputs))]
    samples = []
    for row in zip(*columns, strict=True):
        real = [port.decode(array) for port, array in zip(interface.inputs, row, strict=True)]
        if interface.side_of(key) == "graph":
            real = [port.to_source(a) for port, a in zip(interface.inputs, real, strict=True)]
        samples.append({p.name: a for p, a in zip(interface.inputs, real, strict=True)})
    return samples
