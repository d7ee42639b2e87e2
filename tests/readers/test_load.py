from pathlib import Path

import pytest
from onnx_models import model, save

from edgepack.errors import BadInput
from edgepack.readers.load import load_graph
from edgepack.readers.options import ReadOptions


def test_the_suffix_tells_the_format(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", model("y = Relu(x)"))
    graph = load_graph(path, ReadOptions())
    assert [node.op for node in graph.nodes] == ["Relu"]
    assert (graph.source.format, graph.source.path) == ("onnx", str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.onnx", "there is no file"),
        ("model.bin", "unknown format"),
        ("", "holds no saved_model.pb"),
    ],
)
def test_what_is_no_model(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(BadInput, match=message) as caught:
        load_graph(tmp_path / name, ReadOptions())
    assert "a model is one of" in str(caught.value)


def test_a_factory_is_called(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the factory returns a PyTorch model")
    source = tmp_path / "nets.py"
    source.write_text("import torch\ndef small(): return torch.nn.Linear(4, 2)\n")
    graph = load_graph(f"{source}:small", ReadOptions(input_shapes={"": (1, 4)}))
    assert [v.shape for v in graph.outputs] == [(1, 2)]
    assert graph.source.path == f"{source}:small"
