"""What is read and how: opsets, constants, functions, branches, names, shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_models import assert_like_ort, feeds, model, read, save

from edgepack.errors import BadInput, BadModel, Unsupported
from edgepack.ir import DType
from edgepack.ir.check import check
from edgepack.readers.onnx import read_onnx
from edgepack.readers.options import ReadOptions
from edgepack.run.reference import ReferenceRuntime

RNG = np.random.default_rng(1)


def weights(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


# Models whose meaning changed between opsets, or which take a path of their own: all against
# ONNX Runtime.
CASES: dict[str, Any] = {
    "conv/grouped": model("y = Conv<group=3>(x, w, b)", w=weights(6, 1, 3, 3), b=weights(6)),
    "conv/groups_of_two": model(
        "y = Conv<group=2, pads=[1,0,2,1]>(x, w)", "float[1,4,8,8] x", w=weights(6, 2, 3, 3)
    ),
    "conv/lines": model(
        "y = Conv<dilations=[2], strides=[2], pads=[1,2]>(x, w)", "float[2,4,11] x",
        w=weights(6, 4, 3),
    ),
    "conv/volumes": model(
        "y = Conv<strides=[2,1,1], pads=[1,1,1,1,1,1]>(x, w, b)", "float[2,3,5,6,7] x",
        w=weights(4, 3, 3, 3, 3), b=weights(4),
    ),
    "conv/same_lower": model(
        'y = Conv<auto_pad="SAME_LOWER", strides=[2,2]>(x, w)', w=weights(2, 3, 4, 4)
    ),
    "conv_transpose/output_padding": model(
        "y = ConvTranspose<strides=[2,3], output_padding=[1,2], pads=[1,0,0,1], group=2>(x, w, b)",
        "float[1,4,5,5] x", w=weights(4, 3, 3, 3), b=weights(6),
    ),
    "conv_transpose/lines": model(
        "y = ConvTranspose<strides=[2], dilations=[2]>(x, w)", "float[1,2,7] x", w=weights(2, 3, 3)
    ),
    "conv_transpose/volumes": model(
        "y = ConvTranspose<strides=[2,2,1], pads=[1,0,0,0,1,1]>(x, w, b)", "float[1,2,3,4,5] x",
        w=weights(2, 3, 3, 2, 2), b=weights(3),
    ),
    "pool/max_volumes": model(
        "y = MaxPool<kernel_shape=[2,3,2], strides=[1,2,2], pads=[0,1,0,1,1,1]>(x)",
        "float[1,2,5,6,7] x",
    ),
    "pool/max_dilated": model("y = MaxPool<kernel_shape=[2,2], dilations=[2,3]>(x)"),
    "pool/average_ceil_counting": model(
        "y = AveragePool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1, count_include_pad=1,"
        " pads=[1,0,0,1]>(x)",
    ),
    "pool/average_opset_7": model(
        "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)", opset=7
    ),
    "batch_norm/opset_7": model(
        "y = BatchNormalization<epsilon=0.01>(x, g, b, m, v)", opset=7,
        g=weights(3), b=weights(3), m=weights(3), v=np.abs(weights(3)),
    ),
    "lrn": model("y = LRN<size=3, alpha=0.1, bias=2.0>(x)"),
    "softmax/opset_11_flattens": model("y = Softmax<axis=1>(x)", opset=11),
    "softmax/opset_13": model("y = Softmax<axis=1>(x)", opset=13),
    "clip/opset_7": model("y = Clip<min=-0.5, max=0.25>(x)", opset=7),
    "clip/max_below_min": model("y = Clip(x, lo, hi)", lo=np.float32(1), hi=np.float32(-1)),
    "clip/whole_numbers": model(
        "y = Clip(x, lo, hi)", "int32[4,4] x", "int32[] y", lo=np.int32(-2), hi=np.int32(3)
    ),
    "dropout/opset_10": model("y, mask = Dropout(x) z = Relu(y)", outputs="float[] z", opset=10),
    "elu/alpha": model("y = Elu<alpha=0.3>(x)"),
    "selu": model("y = Selu(x)"),
    "celu": model("y = Celu<alpha=2.0>(x)"),
    "pad/opset_9": model('y = Pad<mode="edge", pads=[0,0,1,2,0,0,1,0]>(x)', opset=9),
    "pad/negative": model("y = Pad(x, p)", p=ints(0, 0, -1, 2, 0, 0, 1, -3)),
    "pad/reflect": model('y = Pad<mode="reflect">(x, p)', p=ints(0, 1, 2, 3, 0, 0, 1, 2)),
    "slice/opset_9": model("y = Slice<axes=[2,3], starts=[1,-5], ends=[100,-1]>(x)", opset=9),
    "slice/backwards": model(
        "y = Slice(x, s, e, a, st)", s=ints(-1, 6), e=ints(-100, 1), a=ints(3, 2), st=ints(-2, -1)
    ),
    "squeeze/opset_11": model("y = Squeeze<axes=[0]>(x)", opset=11),
    "unsqueeze/opset_11": model("y = Unsqueeze<axes=[0,5]>(x)", opset=11),
    "split/opset_11": model(
        "y, z = Split<axis=3, split=[3,5]>(x)", outputs="float[] y, float[] z", opset=11
    ),
    "split/uneven": model(
        "y, z, w = Split<axis=3, num_outputs=3>(x)", outputs="float[] y, float[] z, float[] w",
        opset=18,
    ),
    "reduce/opset_11_axes": model("y = ReduceSum<axes=[1,-1], keepdims=0>(x)", opset=11),
    "reduce/log_sum_exp": model("y = ReduceLogSumExp<axes=[1]>(x)"),
    "reduce/opset_18_axes": model("y = ReduceMean<keepdims=0>(x, a)", opset=18, a=ints(2, 3)),
    "top_k/smallest_of_columns": model(
        "v, i = TopK<axis=2, largest=0>(x, k)", outputs="float[] v, int64[] i", k=ints(3)
    ),
    "top_k/opset_9": model(
        "v, i = TopK<axis=3, k=2>(x)", outputs="float[] v, int64[] i", opset=9
    ),
    "arg_max/last": model(
        "y = ArgMax<axis=3, keepdims=0, select_last_index=1>(x)", outputs="int64[] y"
    ),
    "upsample/opset_9": model(
        'y = Upsample<mode="linear">(x, s)', opset=9, s=np.array([1, 1, 2, 2], np.float32)
    ),
    "resize/opset_10": model("y = Resize(x, s)", opset=10, s=np.array([1, 1, 2, 0.5], np.float32)),
    "resize/cubic": model(
        'y = Resize<mode="cubic", cubic_coeff_a=-0.5>(x, "", "", n)', opset=13,
        n=ints(1, 3, 11, 5),
    ),
    "resize/antialias": model(
        'y = Resize<mode="linear", antialias=1>(x, "", "", n)', opset=18, n=ints(1, 3, 5, 3)
    ),
    "resize/linear_half_pixel": model(
        'y = Resize<mode="linear">(x, "", s)', opset=13, s=np.array([1, 1, 2, 3], np.float32)
    ),
    "gather/negative": model("y = Gather<axis=2>(x, i)", i=ints(-1, 0, 3)),
    "gather_elements/computed": model(
        "i = ArgMax<axis=2>(x) y = GatherElements<axis=2>(x, i)",
    ),
    "gather_nd/batch": model(
        "y = GatherND<batch_dims=1>(x, i)", "float[2,3,4] x", i=np.array([[[1], [-1]], [[0], [2]]])
    ),
    "scatter_nd/add_twice": model(
        'y = ScatterND<reduction="add">(x, i, u)', "float[4,3] x", opset=18,
        i=np.array([[1], [1], [3]]), u=weights(3, 3),
    ),
    "scatter_elements/computed": model(
        "i = ArgMax<axis=1>(x) y = ScatterElements<axis=1>(x, i, u)", "float[4,3] x",
        u=weights(4, 1),
    ),
    "max_pool/indices": model(
        "y, i = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)",
        outputs="float[] y, int64[] i",
    ),
    "gemm/all": model(
        "y = Gemm<alpha=0.5, beta=2.0, transA=1>(x, w, c)", "float[4,3] x",
        w=weights(4, 5), c=weights(3, 1),
    ),
    "matmul/vector": model("y = MatMul(x, w)", w=weights(8)),
    "matmul/constant_left": model("y = MatMul(w, x)", w=weights(5, 8)),
    "einsum/attention": model(
        'y = Einsum<equation="bhqd,bhkd->bhqk">(x, w)', w=weights(1, 3, 5, 8)
    ),
    "einsum/three": model(
        'y = Einsum<equation="ij,jk,kl->li">(x, w, v)', "float[2,3] x",
        w=weights(3, 4), v=weights(4, 5),
    ),
    "einsum/implicit": model('y = Einsum<equation="...ij,jk">(x, w)', w=weights(8, 2)),
    "layer_norm/all_outputs": model(
        "y, m, d = LayerNormalization<axis=-2>(x, g)", outputs="float[] y, float[] m, float[] d",
        g=weights(8, 8),
    ),
    "group_norm": model(
        "y = GroupNormalization<num_groups=2>(x, g, b)", "float[1,4,3,3] x", opset=21,
        g=weights(4), b=weights(4),
    ),
    "instance_norm": model("y = InstanceNormalization(x, g, b)", g=weights(3), b=weights(3)),
    "function/body_of_the_schema": model("y = MeanVarianceNormalization(x)"),
    "mod/fmod": model("y = Mod<fmod=1>(x, d)", d=np.float32(0.7)),
    "mod/negative": model("y = Mod(x, d)", "int32[4,4] x", "int32[] y", d=np.int32(-3)),
    "trigonometry": model(
        "t = Tanh(x) a = Asin(t) b = Acos(t) c = Atan(x) d = Atanh(t) e = Asinh(x)"
        " ab = Sub(a, b) cd = Mul(c, d) abcd = Add(ab, cd) y = Add(abcd, e)"
    ),
    "bits/and_or": model(
        "a = BitwiseAnd(x, m) o = BitwiseOr(x, m) y = Sub(a, o)", "int32[4,4] x", "int32[] y",
        opset=18, m=np.int32(-1431655766),
    ),
    "shape/arithmetic": model(
        "s = Shape(x) h = Gather(s, two) d = Mul(h, two) o = Unsqueeze(d, zero)"
        " t = Concat<axis=0>(one, o, minus) y = Reshape(x, t)",
        two=np.int64(2), zero=ints(0), one=ints(1), minus=ints(-1),
    ),
    "grid_sample/border": model(
        'y = GridSample<padding_mode="border", align_corners=1>(x, g)', opset=16,
        g=RNG.uniform(-1.4, 1.4, (1, 4, 5, 2)).astype(np.float32),
    ),
    "grid_sample/reflected_cubic": model(
        'y = GridSample<mode="bicubic", padding_mode="reflection">(x, g)', opset=16,
        g=RNG.uniform(-1.4, 1.4, (1, 4, 5, 2)).astype(np.float32),
    ),
    "trilu": model("y = Trilu<upper=0>(x, k)", k=np.int64(-1)),
    "one_hot": model(
        "i = ArgMax<axis=1, keepdims=0>(x) y = OneHot<axis=1>(i, d, v)", d=np.int64(4),
        v=np.array([-1, 2], np.float32),
    ),
    "contrib/gelus": model(
        "a = com.microsoft.BiasGelu(x, b) c = com.microsoft.FastGelu(a)"
        " y = com.microsoft.QuickGelu(c)", b=weights(8),
    ),
    "contrib/fused_matmul": model(
        "y = com.microsoft.FusedMatMul<alpha=0.5, transA=1, transB=1>(x, w)", w=weights(5, 8)
    ),
    "contrib/fused_conv": model(
        'y = com.microsoft.FusedConv<activation="LeakyRelu", activation_params=[0.2]>(x, w, b, z)',
        w=weights(4, 3, 3, 3), b=weights(4), z=weights(1, 4, 6, 6),
    ),
    "contrib/skip_layer_norm": model(
        "y, m, d, s = com.microsoft.SkipLayerNormalization<epsilon=0.001>(x, k, g, b, c)",
        "float[2,3,8] x", "float[] y, float[] s",
        k=weights(2, 3, 8), g=weights(8), b=weights(8), c=weights(8),
    ),
    "compress": model("y = Compress<axis=3>(x, c)", c=np.array([1, 0, 1, 1, 0], np.bool_)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_reads_like_onnx_runtime(name: str) -> None:
    check(assert_like_ort(CASES[name]))


def test_lrn_of_even_size_reaches_further_ahead() -> None:
    graph = read(model("y = LRN<size=2, alpha=0.1>(x)"))  # ONNX Runtime takes odd sizes only
    (x,) = feeds(graph)
    (got,) = ReferenceRuntime(graph).run([x])
    squares = x**2 + np.pad(x[:, 1:] ** 2, ((0, 0), (0, 1), (0, 0), (0, 0)))
    np.testing.assert_allclose(got, x / (1 + 0.1 / 2 * squares) ** 0.75, rtol=1e-5)


# -- quantization ----------------------------------------------------------------------------------


def quantized_conv() -> Any:
    """Quantize, Dequantize around a convolution with per-channel weights."""
    return model(
        "q = QuantizeLinear(x, sx, zx) d = DequantizeLinear(q, sx, zx)"
        " dw = DequantizeLinear<axis=0>(w, sw, zw) db = DequantizeLinear<axis=0>(b, sb, zb)"
        " c = Conv(d, dw, db) p = QuantizeLinear(c, sy, zy) y = DequantizeLinear(p, sy, zy)",
        sx=np.float32(0.02), zx=np.int8(-3), sy=np.float32(0.1), zy=np.int8(5),
        w=RNG.integers(-127, 127, (4, 3, 3, 3)).astype(np.int8),
        sw=np.array([0.01, 0.02, 0.03, 0.04], np.float32), zw=np.zeros(4, np.int8),
        b=np.array([10, -20, 30, 0], np.int32),
        sb=np.array([2e-4, 4e-4, 6e-4, 8e-4], np.float32), zb=np.zeros(4, np.int32),
    )  # fmt: skip


def test_quantized_constants_keep_their_integers_in_the_layout_of_the_graph() -> None:
    graph = assert_like_ort(quantized_conv())
    (conv,) = graph.nodes_of("Conv2d")
    stored = [v.producer.input(0) for v in conv.inputs[1:] if v is not None and v.producer]
    assert [(v.dtype, v.shape, v.quant.axis if v.quant else None) for v in stored] == [
        (DType.INT8, (4, 3, 3, 3), 0),
        (DType.INT32, (4,), 0),
    ]


def test_depthwise_weights_move_their_channel_axis() -> None:
    proto = model(
        "dw = DequantizeLinear<axis=0>(w, sw, zw) y = Conv<group=3>(x, dw)",
        w=RNG.integers(-127, 127, (3, 1, 3, 3)).astype(np.int8),
        sw=np.array([0.01, 0.02, 0.03], np.float32),
        zw=np.zeros(3, np.int8),
    )
    (conv,) = assert_like_ort(proto).nodes_of("DepthwiseConv2d")
    maker = conv.input(1).producer
    assert maker is not None
    assert maker.input(0).quant is not None
    assert maker.input(0).quant.axis == 3


def test_integer_operators_are_read_as_what_they_stand_for() -> None:
    scales = {"sx": np.float32(0.02), "zx": np.uint8(120), "sw": np.float32(0.01)}
    proto = model(
        "y = QLinearConv(x, sx, zx, w, sw, zw, sy, zy, b)", "uint8[1,3,6,6] x", "uint8[] y",
        w=RNG.integers(0, 255, (4, 3, 3, 3)).astype(np.uint8), zw=np.uint8(128),
        sy=np.float32(0.05), zy=np.uint8(100), b=np.array([1, -2, 300, 4], np.int32), **scales,
    )  # fmt: skip
    graph = assert_like_ort(proto)
    assert [node.op for node in graph.nodes] == [
        "Dequantize", "Dequantize", "Dequantize", "Conv2d", "Quantize",
    ]  # fmt: skip
    assert graph.inputs[0].quant is not None


def test_an_integer_input_with_other_readers_takes_no_parameters() -> None:
    proto = model(
        "d = DequantizeLinear(x, s) f = Cast<to=1>(x) y = Add(d, f)", "int8[4] x",
        s=np.float32(0.5),
    )  # fmt: skip
    assert assert_like_ort(proto).inputs[0].quant is None


# -- functions, branches, names --------------------------------------------------------------------


def with_function() -> Any:
    text = """<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
    g (float[2,4] x) => (float[2,4] y) { y = local.scaled <by: float = 3.0> (x) }
    <domain: "local", opset_import: ["" : 17]>
    scaled <by: float = 1.0> (a) => (b) {
        factor = Constant <value_float: float = @by> ()
        b = Mul (a, factor)
    }"""
    return onnx.parser.parse_model(text)


def test_local_functions_are_expanded_with_their_attributes() -> None:
    graph = assert_like_ort(with_function())
    assert [node.op for node in graph.nodes] == ["Mul"]


def test_a_function_that_calls_itself_is_refused() -> None:
    proto = with_function()
    function = proto.functions[0]
    del function.node[:]
    function.node.append(onnx.helper.make_node("scaled", ["a"], ["b"], domain="local"))
    with pytest.raises(BadModel, match="calls itself"):
        read(proto)


def test_a_known_branch_is_taken() -> None:
    proto = model(
        "s = Size(x) c = Greater(s, limit) y = If (c) <"
        " then_branch = t () => (float[] a) { a = Relu(x) },"
        " else_branch = e () => (float[] b) { b = Neg(x) }>",
        "float[4] x", limit=np.int64(2),
    )  # fmt: skip
    assert [node.op for node in read(proto).nodes] == ["Relu"]


def test_values_and_nodes_keep_the_names_of_the_file() -> None:
    proto = model("h = Conv(x, w) y = Relu(h)", w=weights(2, 3, 1, 1))
    proto.graph.node[0].name = "stem"
    graph = read(proto)
    assert [node.name for node in graph.nodes] == ["stem", "y"]
    assert [node.output.name for node in graph.nodes] == ["h", "y"]
    assert [v.name for v in graph.outputs] == ["y"]


def test_two_outputs_are_two_values() -> None:
    graph = assert_like_ort(model("y = Relu(x) z = Identity(y)", outputs="float[] y, float[] z"))
    assert [v.name for v in graph.outputs] == ["y", "z"]
    assert graph.outputs[0] is not graph.outputs[1]


def test_an_initializer_that_is_also_an_input_is_a_constant() -> None:
    proto = model("y = Add(x, w)", "float[4] x, float[4] w", w=weights(4))
    assert [v.name for v in read(proto).inputs] == ["x"]


# -- shapes ----------------------------------------------------------------------------------------


def test_an_unknown_batch_is_one() -> None:
    assert read(model("y = Relu(x)", "float[N,3,4,4] x")).inputs[0].shape == (1, 3, 4, 4)


def test_other_unknown_dimensions_are_named() -> None:
    with pytest.raises(BadInput, match="height, width") as caught:
        read(model("y = Relu(x)", "float[N,3,height,width] x"))
    assert "--input-shape x:1,3,?,?" in str(caught.value)


@pytest.mark.parametrize("name", ["x", ""])
def test_the_asked_shape_replaces_unknown_dimensions(name: str) -> None:
    graph = read(model("y = Relu(x)", "float[N,3,h,w] x"), input_shapes={name: (2, 3, 5, 6)})
    assert graph.outputs[0].shape == (2, 3, 5, 6)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (1,)}, "names 'z'"),
        ({"x": (1, 4, 5, 6)}, "does not suit input 'x'"),
        ({"x": (1, 3, 0, 6)}, "below 1"),
    ],
)
def test_a_wrong_shape_is_refused(shapes: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(model("y = Relu(x)", "float[N,3,h,w] x"), input_shapes=shapes)


# -- files -----------------------------------------------------------------------------------------


def external(folder: Path, location: str) -> Path:
    """A model whose one weight lies in the file `location`."""
    proto = model("y = Add(x, w)", "float[4] x")
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[4])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    proto.graph.initializer.append(tensor)
    return save(folder / "model.onnx", proto)


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    path = external(tmp_path, "weights.bin")
    (tmp_path / "weights.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (add,) = read_onnx(path, ReadOptions()).nodes
    assert add.input(1).const.tolist() == [0, 1, 2, 3]


def test_external_data_outside_needs_trust(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.ones(4, np.float32).tobytes())
    (home / "link.bin").symlink_to(secret)
    for location in ("../secret.bin", str(secret), "link.bin", ""):
        path = external(home, location)
        with pytest.raises(BadModel, match="outside of the model's folder"):
            read_onnx(path, ReadOptions())
    path = external(home, "../secret.bin")
    assert len(read_onnx(path, ReadOptions(trust=True))) == 1


@pytest.mark.parametrize(
    ("content", "message"), [(b"\0" * 8, "too short"), (None, "cannot be read")]
)
def test_damaged_external_data(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = external(tmp_path, "weights.bin")
    if content is not None:
        (tmp_path / "weights.bin").write_bytes(content)
    with pytest.raises(BadModel, match=message):
        read_onnx(path, ReadOptions())


# -- what cannot be read ---------------------------------------------------------------------------


def test_all_unsupported_nodes_are_listed_with_names_and_reasons() -> None:
    proto = model(
        "a = NonZero(x) b = local.Mystery(a) c = local.Riddle(x) d = Relu(x)",
        "float[4] x", "float[] b, float[] c, float[] d",
    )  # fmt: skip
    with pytest.raises(Unsupported) as caught:
        read(proto)
    assert "depends on the values of its input" in str(caught.value)
    assert [(f.op, f.node) for f in caught.value.findings] == [
        ("NonZero", "a"), ("Mystery", "b"), ("Riddle", "c"),
    ]  # fmt: skip


BAD_WEIGHTS = {"NaN": np.nan, "infinite": np.inf}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_weights_must_be_finite(kind: str) -> None:
    values = weights(2, 3, 1, 1)
    values[0, 1] = BAD_WEIGHTS[kind]
    with pytest.raises(BadModel, match=f"tensor kernel has {kind} values"):
        read(model("y = Conv(x, kernel)", kernel=values))


def test_weights_in_constant_nodes_must_be_finite_too() -> None:
    proto = model("k = Constant<value_floats=[1.0, 2.0]>() y = MatMul(x, k)", "float[2] x")
    proto.graph.node[0].attribute[0].floats[1] = np.nan
    with pytest.raises(BadModel, match="tensor k has NaN values"):
        read(proto)


def test_an_infinite_mask_is_fine() -> None:
    mask = np.where(np.eye(8, dtype=bool), 0, -np.inf).astype(np.float32)
    assert len(read(model("y = Add(x, m)", m=mask))) == 1


BAD_MODELS: dict[str, tuple[Any, str]] = {
    "empty": (b"", "holds no ONNX graph"),
    "text": (b"this is no model", "no ONNX graph|not an ONNX model"),
    "dangling": (model("y = Relu(z)"), "reads 'z', which nothing before it makes"),
    "output_missing": (model("z = Relu(x)"), "reads 'y', which nothing before it makes"),
    "old": (model("y = Add(x, w)", opset=6, w=weights(1)), "Add of opset 6, older than 7"),
    "future": (model("y = Relu(x)", opset=17), "newer than the installed"),
    "weights_do_not_suit": (model("y = Conv(x, w)", w=weights(2, 4, 1, 1)), "do not suit"),
    "not_enough_inputs": (model("y = Conv(x)"), "lacks its input 1"),
    "strides": (model("y = Conv<strides=[0,0]>(x, w)", w=weights(2, 3, 1, 1)), "below 1"),
    "axis": (model("y = Concat<axis=9>(x, x)"), "out of range"),
    "reshape": (model("y = Reshape(x, s)", s=ints(7, 7)), "does not reshape"),
    "huge": (
        model("z = ConstantOfShape(s) y = Mul(x, z)", s=ints(1 << 40)), "would not fit in memory"
    ),
    "window": (model("y = MaxPool<kernel_shape=[20,20]>(x)"), "does not fit"),
    "index": (model("y = Gather(x, i)", i=ints(5)), "outside of"),
}  # fmt: skip
BAD_MODELS["future"][0].opset_import[0].version = 999


@pytest.mark.parametrize("name", BAD_MODELS)
def test_bad_models_are_refused_in_one_sentence(name: str) -> None:
    source, message = BAD_MODELS[name]
    with pytest.raises(BadModel, match=message) as caught:
        read_onnx(source, ReadOptions())
    assert "\n" not in caught.value.message


def test_damaged_files_are_refused_or_read_but_never_crash() -> None:
    data = quantized_conv().SerializeToString()
    rng = np.random.default_rng(0)
    damaged = [data[:size] for size in range(0, len(data), 23)]
    for _ in range(300):
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    refused = 0
    for content in damaged:
        try:
            check(read_onnx(content, ReadOptions()))
        except (BadModel, Unsupported):
            refused += 1
    assert refused > 100


def test_reading_is_deterministic() -> None:
    first, second = (read(quantized_conv()) for _ in range(2))
    assert [v.name for v in first.values()] == [v.name for v in second.values()]
    assert len(feeds(first)) == 1
