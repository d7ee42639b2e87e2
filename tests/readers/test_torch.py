"""Reading PyTorch models as a whole: networks, files, factories, weights, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgepack.errors import BadInput, BadModel, MissingDependency, Unsupported  # noqa: E402
from edgepack.ir import Graph  # noqa: E402
from edgepack.ir.check import check  # noqa: E402
from edgepack.readers.load import load_graph  # noqa: E402
from edgepack.readers.options import ReadOptions  # noqa: E402
from edgepack.readers.torch import read_torch  # noqa: E402
from edgepack.run.reference import ReferenceRuntime  # noqa: E402
from tests.readers.torch_networks import NETWORKS, CifarResNet, Mobile  # noqa: E402
from tests.shared import shared  # noqa: E402

IMAGE = ReadOptions(input_shapes={"": (1, 3, 24, 24)})
FACTORY = f"{Path(__file__).parent / 'torch_networks.py'}:Mobile"


def randomized(model):
    """Statistics of batch normalization other than 0 and 1."""
    for key, tensor in model.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 2)
    return model.eval()


def assert_agrees(graph: Graph, model, inputs) -> None:
    """Within 1e-4 of the largest output."""
    check(graph)
    with torch.no_grad():
        expected = model(*(torch.from_numpy(x) for x in inputs)).numpy()
    (result,) = ReferenceRuntime(graph).run(inputs)
    assert np.abs(result - expected).max() <= 1e-4 * np.abs(expected).max()


def feeds(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.fixture
def quiet():
    """torch.export itself warns while a test makes a file."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    torch.manual_seed(0)
    make, shapes = NETWORKS[name]
    model, inputs = randomized(make()), feeds(*shapes)
    assert_agrees(read_torch(model, example_inputs=inputs), model, inputs)


@pytest.mark.parametrize("name", NETWORKS)
def test_exported_networks(name, quiet):
    torch.manual_seed(0)
    make, shapes = NETWORKS[name]
    model, inputs = randomized(make()), feeds(*shapes)
    program = torch.export.export(model, tuple(map(torch.from_numpy, inputs)), strict=False)
    assert_agrees(read_torch(program), model, inputs)


@pytest.mark.parametrize("blocks", [3, 5])
def test_published_cifar_resnets(blocks):
    weights = shared(f"models/cifar10_resnet{6 * blocks + 2}.pth")
    model = CifarResNet(blocks)
    options = ReadOptions({"": (1, 3, 32, 32)}, weights=str(weights))
    graph = read_torch(model, options)
    images = np.load(shared("data/cifar10/test.npz"))
    x = images["x"][:50].astype(np.float32).transpose(0, 3, 1, 2) / 255
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    x = (x - mean[:, None, None]) / std[:, None, None]
    run = ReferenceRuntime(graph)
    right = [run.run([x[i : i + 1]])[0].argmax() == images["y"][i] for i in range(50)]
    assert np.mean(right) >= 0.7
    assert_agrees(graph, model.eval(), [x[:1]])


# -- what the graph looks like ---------------------------------------------------------------------


def test_convolutions_keep_their_batchnorm_and_layer_names():
    graph = read_torch(Mobile(), IMAGE)
    assert len(graph.nodes_of("BatchNorm")) == 6
    assert len(graph.nodes_of("HardSwish")) == 5
    assert len(graph.nodes_of("DepthwiseConv2d")) == 2
    assert not graph.nodes_of("Transpose")
    names = [node.name for node in graph.nodes]
    assert "2.body.0" in names
    assert "2.body.6.pool" in names
    assert "2.add" in names
    assert all(n.attrs["layout"] == "NCHW" for n in graph.nodes_of("Conv2d", "DepthwiseConv2d"))


def test_training_mode_is_restored():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())
    model[0].eval()
    read_torch(model, ReadOptions({"": (1, 2)}))
    assert [m.training for m in model] == [False, True]


def test_shared_weights_stay_shared():
    layer = torch.nn.Linear(4, 4)
    graph = read_torch(
        torch.nn.Sequential(layer, torch.nn.ReLU(), layer), ReadOptions({"": (1, 4)})
    )
    first, second = graph.nodes_of("FullyConnected")
    assert first.inputs[1] is second.inputs[1]


def test_several_inputs_by_name():
    model = torch.nn.Bilinear(3, 4, 5)
    graph = read_torch(model, ReadOptions({"input1": (1, 3), "input2": (1, 4)}))
    assert [(v.name, v.shape) for v in graph.inputs] == [("input1", (1, 3)), ("input2", (1, 4))]


# -- files -----------------------------------------------------------------------------------------


def test_pt2_with_a_symbolic_batch(tmp_path, quiet):
    model = randomized(Mobile())
    batch = torch.export.Dim("batch", min=1, max=16)
    program = torch.export.export(
        model, (torch.zeros(2, 3, 24, 24),), dynamic_shapes=({0: batch},), strict=False
    )
    torch.export.save(program, tmp_path / "mobile.pt2")
    graph = read_torch(tmp_path / "mobile.pt2")
    assert graph.inputs[0].shape == (1, 3, 24, 24)
    assert (graph.source.format, len(graph.source.sha256)) == ("pt2", 64)
    assert_agrees(graph, model, feeds((1, 3, 24, 24)))
    wide = read_torch(tmp_path / "mobile.pt2", ReadOptions({"": (4, 3, 24, 24)}))
    assert wide.inputs[0].shape == (4, 3, 24, 24)


def test_pt2_after_decompositions(tmp_path, quiet):
    model = randomized(Mobile())
    program = torch.export.export(model, (torch.zeros(1, 3, 24, 24),), strict=False)
    torch.export.save(program.run_decompositions(), tmp_path / "core.pt2")
    assert_agrees(read_torch(str(tmp_path / "core.pt2")), model, feeds((1, 3, 24, 24)))


def test_damaged_pt2(tmp_path, quiet):
    program = torch.export.export(torch.nn.Linear(4, 4), (torch.zeros(1, 4),), strict=False)
    path = tmp_path / "linear.pt2"
    torch.export.save(program, path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(BadModel, match=r"linear\.pt2 is no readable torch.export archive"):
        read_torch(path)


def test_wrong_shape_for_pt2(tmp_path, quiet):
    program = torch.export.export(torch.nn.Linear(4, 4), (torch.zeros(1, 4),), strict=False)
    with pytest.raises(BadModel, match=r"does not take inputs of shape \(1, 5\)"):
        read_torch(program, ReadOptions({"": (1, 5)}))


# -- factories and weights -------------------------------------------------------------------------


def test_factory_with_weights_of_a_parallel_model(tmp_path):
    model = randomized(Mobile())
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "weights.pth")
    graph = load_graph(FACTORY, ReadOptions(IMAGE.input_shapes, str(tmp_path / "weights.pth")))
    assert graph.source.format == "torch"
    assert_agrees(graph, model, feeds((1, 3, 24, 24)))


def test_weights_of_another_model(tmp_path):
    state = Mobile().state_dict()
    state["7.weight"] = torch.zeros(2, 2)
    state["extra"] = state.pop("7.bias")
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(BadModel) as caught:
        load_graph(FACTORY, ReadOptions(IMAGE.input_shapes, str(tmp_path / "weights.pth")))
    message = str(caught.value)
    assert "lacks 7.bias" in message
    assert "unknown extra" in message
    assert "7.weight [2, 2] for [5, 8]" in message


class Malicious:
    def __reduce__(self):
        return Path.touch, (Path(os.environ["EDGEPACK_TEST_MARK"]),)


def test_weights_that_run_code_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEPACK_TEST_MARK", str(tmp_path / "mark"))
    torch.save({"weight": Malicious()}, tmp_path / "weights.pth")
    with pytest.raises(BadModel, match="--trust"):
        load_graph(FACTORY, ReadOptions(IMAGE.input_shapes, str(tmp_path / "weights.pth")))
    assert not (tmp_path / "mark").exists()


def test_pt2_that_runs_code_is_refused(tmp_path, monkeypatch, quiet):
    import io
    import zipfile

    monkeypatch.setenv("EDGEPACK_TEST_MARK", str(tmp_path / "mark"))
    program = torch.export.export(torch.nn.Linear(4, 4), (torch.zeros(1, 4),), strict=False)
    torch.export.save(program, tmp_path / "good.pt2")
    bad = io.BytesIO()
    torch.save(Malicious(), bad)
    with (
        zipfile.ZipFile(tmp_path / "good.pt2") as source,
        zipfile.ZipFile(tmp_path / "bad.pt2", "w") as target,
    ):
        for item in source.infolist():
            binary = item.filename.endswith(".pt")
            target.writestr(item, bad.getvalue() if binary else source.read(item))
    with pytest.raises(BadModel, match="--trust"):
        read_torch(tmp_path / "bad.pt2")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("nowhere.py:make", BadInput, "there is no file nowhere.py"),
        ("no_such_package.models:make", BadModel, "cannot be imported"),
        (FACTORY.replace("Mobile", "Mobil"), BadInput, "no callable called Mobil"),
        (FACTORY.replace("Mobile", "Recurrent"), BadModel, r"Recurrent\(\) failed: TypeError"),
        ("nowhere.pt2", BadInput, "there is no file"),
    ],
)
def test_bad_factories(spec, error, words):
    with pytest.raises(error, match=words):
        load_graph(spec, IMAGE)


# -- what is refused -------------------------------------------------------------------------------


class Unreadable(torch.nn.Module):
    def forward(self, x):
        y = torch.fft.rfft(x).abs()
        return torch.special.i0(x), y, torch.nn.functional.dropout(x)


def test_all_unsupported_operators_are_listed_at_once():
    with pytest.raises(Unsupported) as caught:
        read_torch(Unreadable(), ReadOptions({"": (1, 8)}))
    found = {finding.op.split(".")[1] for finding in caught.value.findings}
    assert found >= {"_fft_r2c", "i0", "native_dropout"}
    assert "training=self.training" in str(caught.value)


class Branching(torch.nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_data_dependent_control_flow():
    with pytest.raises(BadModel, match=r"torch.export cannot trace the model"):
        read_torch(Branching(), ReadOptions({"": (1, 8)}))


# -- what one run cannot show ----------------------------------------------------------------------


class Leaving(torch.nn.Module):
    def forward(self, x):
        return x * float(x.detach().numpy().sum())


class Reading(torch.nn.Module):
    def forward(self, x):
        return x * x.sum().item()


class Random(torch.nn.Module):
    def forward(self, x):
        return x + torch.rand(8)


@pytest.mark.parametrize("make", [Leaving, Reading, Random, Branching])
def test_what_the_data_decides_is_never_frozen(make):
    with pytest.raises((BadModel, Unsupported)):
        read_torch(make(), ReadOptions({"": (1, 8)}))


class Causal(torch.nn.Module):
    """torch looks into the mask to see whether it is causal, which torch.export does not allow."""

    def __init__(self):
        super().__init__()
        layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = torch.nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, x):
        return self.encoder(x, torch.triu(torch.full((5, 5), float("-inf")), 1))


def test_constants_may_decide(capfd):
    torch.manual_seed(0)
    model = Causal().eval()
    graph = read_torch(model, ReadOptions({"": (1, 5, 8)}))
    assert capfd.readouterr() == ("", "")
    assert_agrees(graph, model, feeds((1, 5, 8)))


OUTSIDE = torch.ones(1, 8)


class Closure(torch.nn.Module):
    def forward(self, x):
        return x + OUTSIDE + torch.tensor([2.0])


def test_tensors_from_outside_are_constants():
    model = Closure()
    assert_agrees(read_torch(model, ReadOptions({"": (1, 8)})), model, feeds((1, 8)))


class Remembering(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("cache", torch.zeros(2, 8))

    def forward(self, x):
        self.cache[1:].add_(x)
        return self.cache.sum(0, keepdim=True)


def test_the_users_module_and_inputs_are_not_changed():
    model, x = Remembering(), torch.ones(1, 8)
    graph = read_torch(model, example_inputs=x)
    assert not model.cache.any()
    assert_agrees(graph, Remembering(), feeds((1, 8)))
    read_torch(torch.nn.ReLU(inplace=True), example_inputs=-x)
    doubled = torch.nn.Hardtanh(0, 0.5, inplace=True)
    read_torch(doubled, example_inputs=x)
    assert (x == 1).all()


def test_what_is_no_model():
    with pytest.raises(BadModel, match="a dict is no PyTorch model"):
        read_torch({"weight": torch.zeros(1)})


class Returning(torch.nn.Module):
    """Returns something beside a tensor."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, x):
        return x + 1, x.shape[0] if self.what == "size" else self.what


@pytest.mark.parametrize("what", [7, 2.5, True, "a", "size"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_a_number_is_no_output(what, dynamic):
    shapes = {"x": {0: torch.export.Dim("n", min=2, max=9)}} if dynamic else None
    program = torch.export.export(Returning(what), (torch.zeros(3, 4),), dynamic_shapes=shapes)
    with pytest.raises(BadModel, match="which is no tensor"):
        read_torch(program)


def test_none_is_left_out_of_the_outputs(tmp_path):
    program = torch.export.export(Returning(None), (torch.zeros(3, 4),))
    torch.export.save(program, tmp_path / "net.pt2")
    assert [v.shape for v in read_torch(tmp_path / "net.pt2").outputs] == [(3, 4)]


def test_a_shape_is_needed():
    with pytest.raises(BadInput, match="--input-shape"):
        read_torch(torch.nn.Linear(2, 2))


def test_unknown_input_name():
    with pytest.raises(BadInput, match="names 'image'"):
        read_torch(torch.nn.Linear(2, 2), ReadOptions({"image": (1, 2)}))


def test_nothing_reaches_the_terminal():
    code = (
        "from edgepack.readers.load import load_graph\n"
        "from edgepack.readers.options import ReadOptions\n"
        f"load_graph({FACTORY!r}, ReadOptions({{'': (1, 3, 24, 24)}}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"edgepack\[torch\]"):
        read_torch("model.pt2")
