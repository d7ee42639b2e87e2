"""The folder that goes to a device: the model, samples with expected outputs, and a script."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.ir import Array
from edgepack.validation.interface import Interface

SCRIPT = Path(__file__).with_name("device_script.py")


class DeviceSamples:
    """The samples that go to the device, with what the files made of them on this machine."""

    def __init__(self, wanted: Iterable[int]) -> None:
        """`wanted`: the numbers of the samples, among those that are run."""
        self._wanted = frozenset(wanted)
        self._columns: dict[str, list[Array]] = {}

    def take(self, number: int, key: str, fed: Sequence[Array], given: Sequence[Array]) -> None:
        """Note what file `key` was fed and gave, where sample `number` is wanted."""
        if number not in self._wanted:
            return
        for side, arrays in (("in", fed), ("out", given)):
            for index, array in enumerate(arrays):
                self._columns.setdefault(f"{key}_{side}_{index}", []).append(array)

    def arrays(self, keys: Iterable[str]) -> dict[str, Array]:
        """Inputs and outputs of the files `keys` by name, samples first."""
        starts = tuple(f"{key}_" for key in keys)
        return {n: np.stack(c) for n, c in self._columns.items() if n.startswith(starts)}


def write_bundle(
    folder: Path,
    files: Mapping[str, tuple[str, bytes]],
    interface: Interface,
    samples: DeviceSamples,
    target: str,
) -> None:
    """Write `folder`/device: `files` has (name, bytes) of each format. Needs a sample at least."""
    device = folder / "device"
    device.mkdir()
    (device / "validate.py").write_text(SCRIPT.read_text())
    manifest: dict[str, Any] = {"target": target, "files": {}, **interface.to_dict()}
    for key, (name, data) in files.items():
        (device / name).write_bytes(data)
        manifest["files"][key] = {"path": name, "sha256": hashlib.sha256(data).hexdigest()}
    (device / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    np.savez(device / "samples.npz", allow_pickle=False, **samples.arrays(files))


def read_interface(folder: Path) -> Interface:
    """The interface of an exported folder. Raises KeyError, OSError or ValueError when damaged."""
    return Interface.from_dict(json.loads((folder / "device" / "manifest.json").read_text()))


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
