"""`--formats c` through the Python API: the folder, the report, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgepack
from edgepack.errors import BadInput, Unsupported
from tests.small_models import TARGET, save_onnx

X = np.random.default_rng(0).random((6, 3, 8, 8), np.float32)


def test_c_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = edgepack.export(save_onnx(tmp_path), TARGET, out, calibration=X, formats="c")
    assert report.files["tflite"] is None
    assert report.files["onnx"] is None
    info = report.files["c"]
    assert info is not None
    assert info.path == "model_c"
    assert info.bytes == sum(p.stat().st_size for p in (out / "model_c").rglob("*") if p.is_file())
    assert {p.name for p in (out / "model_c").iterdir()} >= {
        "model.h", "model.c", "weights.c", "kernels.c", "kernels.h",
    }  # fmt: skip
    assert not (out / "model.tflite").exists()


def test_beside_tflite_with_a_prefix(tmp_path: Path) -> None:
    out = tmp_path / "out"
    edgepack.export(
        save_onnx(tmp_path), TARGET, out, calibration=X, formats="tflite,c", prefix="net",
        optimize="ram",
    )  # fmt: skip
    assert (out / "model.tflite").exists()
    assert "#define NET_ARENA_BYTES" in (out / "model_c" / "net.h").read_text()


def test_an_export_again_leaves_no_old_project(tmp_path: Path) -> None:
    out = tmp_path / "out"
    edgepack.export(save_onnx(tmp_path), TARGET, out, calibration=X, formats="c")
    edgepack.export(save_onnx(tmp_path), TARGET, out, calibration=X, formats="tflite")
    assert not (out / "model_c").exists()


@pytest.mark.parametrize("options", [{"prefix": "net"}, {"optimize": "ram"}])
def test_options_of_c_without_c(options: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="are about C"):
        edgepack.export(save_onnx(tmp_path), TARGET, tmp_path / "out", formats="tflite", **options)


def test_a_prefix_that_is_no_identifier(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="identifier"):
        edgepack.export(
            save_onnx(tmp_path), TARGET, tmp_path / "out", formats="c", prefix="my-model"
        )
    assert not (tmp_path / "out").exists()


def test_operators_without_a_kernel_are_listed(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Sin", ["x"], ["a"]), helper.make_node("Cos", ["a"], ["y"])]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    path = tmp_path / "strange.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    with pytest.raises(Unsupported, match="no C kernel") as caught:
        edgepack.export(path, "raspberry-pi-4", tmp_path / "out", formats="c", quantize="none")
    assert [f.op for f in caught.value.findings] == ["Sin", "Cos"]
