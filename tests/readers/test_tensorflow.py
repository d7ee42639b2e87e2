"""Reading Keras files and SavedModels as a whole, old and new, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from edgepack.readers.tensorflow.session import quiet_tensorflow  # noqa: E402

with quiet_tensorflow():
    import h5py
    import keras
    import tensorflow as tf

from edgepack.errors import BadInput, BadModel, MissingDependency, Unsupported  # noqa: E402
from edgepack.ir.check import check  # noqa: E402
from edgepack.readers.load import load_graph  # noqa: E402
from edgepack.readers.options import ReadOptions  # noqa: E402
from edgepack.readers.tensorflow import (  # noqa: E402
    read_keras,
    read_keras_model,
    read_saved_model,
)
from edgepack.readers.tensorflow.keras_files import load_keras  # noqa: E402
from edgepack.run.reference import ReferenceRuntime  # noqa: E402
from tests.shared import shared

layers = keras.layers


def assert_agrees(graph, x, expected) -> None:
    """Within 1e-4 of the largest output."""
    check(graph)
    (result,) = ReferenceRuntime(graph).run([x])
    assert np.abs(result - expected).max() <= 1e-4 * np.abs(expected).max()


def feed(graph):
    return np.random.default_rng(0).random(graph.inputs[0].shape).astype(np.float32)


def convolutional() -> keras.Model:
    with quiet_tensorflow():
        return keras.Sequential(
            [
                keras.Input((8, 8, 3), name="image"),
                layers.Conv2D(4, 3, padding="same", use_bias=False, name="stem"),
                layers.BatchNormalization(name="norm"),
                layers.DepthwiseConv2D(3, strides=2, padding="same", name="spread"),
                layers.ReLU(6.0, name="six"),
                layers.GlobalAveragePooling2D(name="pool"),
                layers.Dense(5, activation="softmax", name="head"),
            ],
            name="net",
        )


# -- published models ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["ic_resnet8.h5", "vww_mobilenet.h5", "ad_autoencoder.h5", "sww_conv.h5"]
)
def test_published_keras_2_models(name):
    path = shared(f"models/{name}")
    graph = read_keras(path)
    with quiet_tensorflow():
        expected = load_keras(path, trust=False)([feed(graph)], training=False).numpy()
    assert_agrees(graph, feed(graph), expected)
    assert graph.nodes_of("BatchNorm")


def test_published_saved_model_of_2020():
    path = shared("models/kws_dscnn_savedmodel")
    graph = read_saved_model(path)
    assert [v.name for v in (*graph.inputs, *graph.outputs)] == ["input_1", "dense"]
    assert len(graph.nodes_of("BatchNorm")) == 9
    assert not graph.nodes_of("Square")  # the weight penalty of training
    with quiet_tensorflow(), tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        signature = meta.signature_def["serving_default"]
        (result,) = signature.outputs.values()
        expected = session.run(result.name, {signature.inputs["input_1"].name: feed(graph)})
    assert_agrees(graph, feed(graph), expected)


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_keras_files(tmp_path, suffix):
    model, path = convolutional(), tmp_path / f"net.{suffix}"
    with quiet_tensorflow():
        model.save(path)
    graph = read_keras(path)
    assert graph.name == "net"
    assert (graph.source.format, len(graph.source.sha256)) == ("keras", 64)
    assert graph.inputs[0].shape == (1, 8, 8, 3)
    assert graph.outputs[0].name == "head"
    names = [node.name for node in graph.nodes]
    assert names[0] == "stem/convolution"
    assert names[1].startswith("norm/")
    assert [n.op for n in graph.nodes][:4] == ["Conv2d", "BatchNorm", "DepthwiseConv2d", "Add"]
    assert_agrees(graph, feed(graph), model(feed(graph), training=False).numpy())


@pytest.mark.parametrize("how", ["export", "save"])
def test_saved_model(tmp_path, how):
    model = convolutional()
    for variable in model.weights:  # equal shapes must not hide variables that change places
        variable.assign(np.random.default_rng(1).random(variable.shape) * 0.5 + 0.1)
    with quiet_tensorflow():
        if how == "export":
            model.export(tmp_path / "saved", verbose=False)
        else:
            tf.saved_model.save(model, str(tmp_path / "saved"))
    graph = read_saved_model(tmp_path / "saved", ReadOptions({"": (2, 8, 8, 3)}))
    assert graph.inputs[0].shape == (2, 8, 8, 3)
    assert_agrees(graph, feed(graph), model(feed(graph), training=False).numpy())


def test_saved_model_of_a_function_with_loop_and_branch(tmp_path):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight = tf.Variable([[1.0, 2.0], [3.0, -1.0]])

        @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="x")])
        def __call__(self, x):
            for step in tf.range(3):
                x = tf.nn.relu(x @ self.weight) if step < 2 else x + 1.0
            return {"y": x}

    module = Module()
    with quiet_tensorflow():
        tf.saved_model.save(module, str(tmp_path / "saved"))
    graph = read_saved_model(tmp_path / "saved")
    assert [n.op for n in graph.nodes].count("FullyConnected") == 2
    x = np.float32([[0.5, -0.25]])
    assert_agrees(graph, x, module(x)["y"].numpy())


def test_keras_model_with_two_outputs_and_another_batch():
    with quiet_tensorflow():
        x = keras.Input((4,))
        model = keras.Model(x, [layers.Dense(2, name="a")(x), layers.Dense(3, name="b")(x)])
    graph = read_keras_model(model, ReadOptions({"": (3, 4)}))
    assert [(v.name, v.shape) for v in graph.outputs] == [("a", (3, 2)), ("b", (3, 3))]


def test_factory_that_makes_a_keras_model(tmp_path):
    (tmp_path / "nets.py").write_text(
        "import keras\n\n\ndef make():\n"
        "    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])\n"
    )
    with quiet_tensorflow():
        twin = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
        twin.save_weights(tmp_path / "twin.weights.h5")
        convolutional().save_weights(tmp_path / "other.weights.h5")
    spec = f"{tmp_path / 'nets.py'}:make"
    graph = load_graph(spec, ReadOptions(weights=str(tmp_path / "twin.weights.h5")))
    assert_agrees(graph, feed(graph), twin(feed(graph)).numpy())
    with pytest.raises(BadModel, match="does not suit the model"):
        load_graph(spec, ReadOptions(weights=str(tmp_path / "other.weights.h5")))


# -- files of the Keras-2 age ----------------------------------------------------------------------


def rewrite_config(path: Path, change) -> None:
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config["config"]["layers"])
        file.attrs["model_config"] = json.dumps(config)


def saved_h5(tmp_path: Path, *stack) -> Path:
    path = tmp_path / "old.h5"
    with quiet_tensorflow():
        keras.Sequential(list(stack)).save(path)
    return path


def test_keys_that_keras_3_does_not_know(tmp_path):
    path = saved_h5(
        tmp_path, keras.Input((6, 6, 2)), layers.DepthwiseConv2D(3), layers.BatchNormalization(),
        layers.Conv2DTranspose(2, 2), layers.Reshape((5, 10)), layers.LSTM(2),
    )  # fmt: skip
    plain = read_keras(path)

    def age(stack):
        for layer in stack:
            kind, config = layer["class_name"], layer["config"]
            if kind in ("DepthwiseConv2D", "Conv2DTranspose"):
                config["groups"] = 1
            if kind == "BatchNormalization":
                config |= {"axis": [3], "fused": True}
            if kind == "LSTM":
                config |= {"time_major": False, "implementation": 2}

    rewrite_config(path, age)
    x = feed(plain)
    assert_agrees(read_keras(path), x, ReferenceRuntime(plain).run([x])[0])


def test_a_key_that_would_change_the_result_is_not_dropped(tmp_path):
    path = saved_h5(tmp_path, keras.Input((6, 6, 2)), layers.DepthwiseConv2D(3))
    rewrite_config(path, lambda stack: stack[1]["config"].update(groups=2))
    with pytest.raises(BadModel, match="groups=2"):
        read_keras(path)


def tensorflow_function(function: str, **arguments):
    def change(stack):
        inbound = ["dense", 0, 0, arguments]
        stack[-1] = {
            "class_name": "TFOpLambda", "name": "tf.op", "inbound_nodes": [inbound],
            "config": {"name": "tf.op", "trainable": True, "function": function},
        }  # fmt: skip

    return change


def functional_h5(tmp_path: Path) -> Path:
    with quiet_tensorflow():
        x = keras.Input((4,), name="x")
        y = layers.ReLU(name="tf.op")(layers.Dense(4, name="dense")(x))
        keras.Model(x, y).save(tmp_path / "old.h5")
    return tmp_path / "old.h5"


def test_functions_called_on_symbolic_tensors(tmp_path):
    path = functional_h5(tmp_path)
    rewrite_config(path, tensorflow_function("nn.leaky_relu", alpha=0.5))
    graph = read_keras(path)
    assert [n.op for n in graph.nodes] == ["FullyConnected", "Add", "LeakyRelu"]
    assert graph.nodes[2].attrs["alpha"] == 0.5


def test_operators_between_symbolic_tensors(tmp_path):
    path = functional_h5(tmp_path)
    rewrite_config(path, tensorflow_function("__operators__.add", y=["x", 0, 0], name=None))

    def slicing(stack):
        spec = [{"start": None, "stop": None, "step": None}, {"start": 1, "stop": 3, "step": None}]
        stack[-1]["class_name"] = "SlicingOpLambda"
        stack[-1]["inbound_nodes"] = [["dense", 0, 0, {"slice_spec": spec}]]

    assert [n.op for n in read_keras(path).nodes] == ["FullyConnected", "Add", "Add"]
    rewrite_config(path, slicing)
    assert read_keras(path).outputs[0].shape == (1, 2)


@pytest.mark.parametrize("function", ["io.write_file", "py_function", "nn.__builtins__"])
def test_functions_that_do_more_than_compute_are_refused(tmp_path, function):
    path = functional_h5(tmp_path)
    rewrite_config(path, tensorflow_function(function))
    with pytest.raises(BadModel, match="not known to be safe"):
        read_keras(path)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_lambda_layers_need_trust(tmp_path, suffix):
    path = tmp_path / f"code.{suffix}"
    with quiet_tensorflow():
        stack = [keras.Input((4,)), layers.Lambda(lambda x: x * 2, name="twice")]
        keras.Sequential(stack).save(path)
    with pytest.raises(BadModel, match=r"Lambda layer twice(.|\n)*--trust"):
        read_keras(path)
    graph = read_keras(path, ReadOptions(trust=True))
    assert [n.op for n in graph.nodes] == ["Mul"]


def test_the_model_that_keras_would_load_is_the_one_that_is_checked(tmp_path):
    """An .h5 file with code, which is a harmless .keras archive as well."""
    with quiet_tensorflow():
        keras.Sequential([keras.Input((4,)), layers.Dense(2)]).save(tmp_path / "plain.keras")
        code = layers.Lambda(lambda x: x * 2, name="twice")
        keras.Sequential([keras.Input((4,)), code]).save(tmp_path / "code.h5")
    both = tmp_path / "both.h5"
    both.write_bytes((tmp_path / "code.h5").read_bytes())
    with zipfile.ZipFile(tmp_path / "plain.keras") as source, zipfile.ZipFile(both, "a") as target:
        target.writestr("config.json", source.read("config.json"))
    assert zipfile.is_zipfile(both)
    with pytest.raises(BadModel, match=r"Lambda layer twice(.|\n)*--trust"):
        read_keras(both)


def test_a_configuration_that_unpacks_without_end(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", bytes(70_000_000))
    with pytest.raises(BadModel, match=r"config\.json in .*bomb\.keras has 70000000 bytes"):
        read_keras(tmp_path / "bomb.keras")


class Own(layers.Layer):
    def call(self, x):
        return x + 1


def test_layers_of_the_users_own(tmp_path):
    with quiet_tensorflow():
        keras.Sequential([keras.Input((4,)), Own()]).save(tmp_path / "own.keras")
    with pytest.raises(BadModel, match=r"Own(.|\n)*factory"):
        read_keras(tmp_path / "own.keras")


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_damaged_keras_files(tmp_path, suffix):
    path = tmp_path / f"net.{suffix}"
    with quiet_tensorflow():
        convolutional().save(path)
    content = path.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 50):
        path.write_bytes(content[:size])
        with pytest.raises(BadModel):
            read_keras(path)


def test_weights_alone_are_no_model(tmp_path):
    with quiet_tensorflow():
        convolutional().save_weights(tmp_path / "net.weights.h5")
    with pytest.raises(BadModel, match="weights only"):
        read_keras(tmp_path / "net.weights.h5")


@pytest.mark.parametrize(
    "name",
    ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"],
)
def test_damaged_saved_models(tmp_path, name):
    with quiet_tensorflow():
        convolutional().export(tmp_path / "saved", verbose=False)
    file = tmp_path / "saved" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(BadModel):
        read_saved_model(tmp_path / "saved")


def test_no_saved_model(tmp_path):
    with pytest.raises(BadInput, match=r"no saved_model.pb"):
        read_saved_model(tmp_path)


def test_an_open_dimension_needs_a_shape():
    with quiet_tensorflow():
        x = keras.Input((None, 4), name="x")
        model = keras.Model(x, layers.Conv1D(2, 3)(x))
    with pytest.raises(BadInput, match="input 'x' has unknown dimensions: number 1"):
        read_keras_model(model)
    assert read_keras_model(model, ReadOptions({"x": (1, 9, 4)})).outputs[0].shape == (1, 7, 2)
    with pytest.raises(BadInput, match="names 'y'"):
        read_keras_model(model, ReadOptions({"y": (1, 9, 4)}))


class Strange(layers.Layer):
    def call(self, x):
        return tf.math.lgamma(x) + tf.math.igamma(tf.abs(x), 1.0)


def test_all_unsupported_operators_are_listed_at_once():
    with quiet_tensorflow():
        model = keras.Sequential([keras.Input((4,)), Strange(name="strange")])
    with pytest.raises(Unsupported) as caught:
        read_keras_model(model)
    assert {(f.op, f.node.split("/")[0]) for f in caught.value.findings} == {
        ("Lgamma", "strange"), ("Igamma", "strange"),
    }  # fmt: skip


def test_files_are_never_touched_by_a_model(tmp_path):
    class Writing(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 2), tf.float32)])
        def __call__(self, x):
            with tf.control_dependencies([tf.io.write_file(str(tmp_path / "mark"), "x")]):
                text = tf.io.read_file(str(tmp_path / "secret"))
                return {"y": x + tf.cast(tf.strings.length(text), tf.float32)}

    (tmp_path / "secret").write_text("secret")
    with quiet_tensorflow():
        tf.saved_model.save(Writing(), str(tmp_path / "saved"))
    with pytest.raises(Unsupported):
        read_saved_model(tmp_path / "saved")
    assert not (tmp_path / "mark").exists()


def test_nothing_reaches_the_terminal(tmp_path):
    with quiet_tensorflow():
        convolutional().save(tmp_path / "net.keras")
    code = (
        "from edgepack.readers.tensorflow import read_keras\n"
        f"read_keras({str(tmp_path / 'net.keras')!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_without_tensorflow(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingDependency, match=r"edgepack\[tensorflow\]"):
        read_keras("model.keras")
