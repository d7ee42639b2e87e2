"""Samples: every kind of source gives the same arrays; what does not suit the model is refused."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgepack.data import Audit, InputSpec, Layout, Samples, load_samples, spread
from edgepack.data_sources import GENERATED_LIMIT
from edgepack.errors import BadData
from tests.shared import shared

Array = npt.NDArray[Any]

IMAGE = InputSpec("image", (1, 4, 6, 3), "nhwc")


def pixels(count: int = 5, shape: tuple[int, ...] = (4, 6, 3)) -> Array:
    return np.random.default_rng(1).integers(0, 256, (count, *shape), dtype=np.uint8)


def stacked(samples: Samples, name: str = "image") -> Array:
    return np.concatenate([sample.inputs[name] for sample in samples])


def labels(samples: Samples) -> list[int | None]:
    return [sample.label for sample in samples]


def saved(folder: Path, **arrays: Array) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


def by_npz(folder: Path) -> Any:
    return saved(folder, x=pixels(), y=np.arange(5))


def by_compressed_npz(folder: Path) -> Any:
    np.savez_compressed(folder / "data.npz", x=pixels(), y=np.arange(5))
    return folder / "data.npz"


def by_fortran_npz(folder: Path) -> Any:
    return saved(folder, x=np.asfortranarray(pixels()))


def by_npy(folder: Path) -> Any:
    np.save(folder / "data.npy", pixels())
    return str(folder / "data.npy")


def by_fortran_npy(folder: Path) -> Any:
    np.save(folder / "data.npy", np.asfortranarray(pixels()))
    return folder / "data.npy"


def by_input_name(folder: Path) -> Any:
    return saved(folder, image=pixels())


def by_only_array(folder: Path) -> Any:
    return saved(folder, anything=pixels())


def by_array(folder: Path) -> Any:
    return pixels()


def by_mapping(folder: Path) -> Any:
    return {"x": pixels(), "y": np.arange(5)}


def by_list(folder: Path) -> Any:
    return list(pixels())


def by_iterator(folder: Path) -> Any:
    return iter(pixels())


def by_function(folder: Path) -> Any:
    return lambda: ((row, index) for index, row in enumerate(pixels()))


def by_module(folder: Path) -> Any:
    np.save(folder / "rows.npy", pixels())
    script = folder / "feed.py"
    load = f"np.load({str(folder / 'rows.npy')!r})"
    script.write_text(f"import numpy as np\n\ndef samples():\n    yield from {load}\n")
    return f"{script}:samples"


def by_image_folder(folder: Path) -> Any:
    image = pytest.importorskip("PIL.Image")
    for index, row in enumerate(pixels()):
        image.fromarray(row).save(folder / f"{index}_name.png")
    return folder


SOURCES = {
    function.__name__: function
    for function in (
        *(by_npz, by_compressed_npz, by_fortran_npz, by_npy, by_fortran_npy, by_input_name),
        *(by_only_array, by_array, by_mapping, by_list, by_iterator, by_function, by_module),
        by_image_folder,
    )
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_every_source_gives_the_same_samples_again_and_again(make: Any, tmp_path: Path) -> None:
    samples = load_samples(make(tmp_path), [IMAGE])
    assert len(samples) == 5
    for _ in range(2):
        result = stacked(samples)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, pixels())
    assert samples.check() == ()


@pytest.mark.parametrize("make", [by_npz, by_compressed_npz, by_mapping, by_function])
def test_labels(make: Any, tmp_path: Path) -> None:
    samples = load_samples(make(tmp_path), [IMAGE])
    assert samples.has_labels
    assert labels(samples) == [0, 1, 2, 3, 4]


def test_no_labels(tmp_path: Path) -> None:
    samples = load_samples(by_npy(tmp_path), [IMAGE])
    assert not samples.has_labels
    assert labels(samples) == [None] * 5


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_limit(make: Any, tmp_path: Path) -> None:
    samples = load_samples(make(tmp_path), [IMAGE], limit=2)
    result = stacked(samples)
    assert len(samples) == len(result) == 2
    np.testing.assert_array_equal(result[0], pixels()[0])


def test_limit_spreads_over_data_sorted_by_class(tmp_path: Path) -> None:
    path = saved(tmp_path, x=pixels(100), y=np.arange(100) // 10)
    assert labels(load_samples(path, [IMAGE], limit=10)) == list(range(10))
    assert spread(3, 10) == (0, 1, 2)


SHAPES: dict[str, tuple[tuple[int, ...], InputSpec, str | None]] = {
    "own layout": ((4, 6, 3), InputSpec("x", (1, 4, 6, 3), "nhwc"), "keep"),
    "NHWC for an NCHW model": ((4, 6, 3), InputSpec("x", (1, 3, 4, 6), "nchw"), "to_nchw"),
    "NCHW for an NCHW model": ((3, 4, 6), InputSpec("x", (1, 3, 4, 6), "nchw"), "keep"),
    "NCHW for an NHWC model": ((3, 4, 6), InputSpec("x", (1, 4, 6, 3), "nhwc"), "to_nhwc"),
    "no channel dimension": ((4, 6), InputSpec("x", (1, 4, 6, 1), "nhwc"), "reshape"),
    "a batch of one each": ((1, 4, 6, 3), InputSpec("x", (1, 4, 6, 3), "nhwc"), "reshape"),
    "free batch": ((7,), InputSpec("x", (None, 7)), "keep"),
    "free dimensions": ((9, 7), InputSpec("x", (-1, None, 7)), "keep"),
    "no batch dimension": ((7,), InputSpec("x", (7,), batched=False), "unbatched"),
    "no layout, no turning": ((4, 6, 3), InputSpec("x", (1, 3, 4, 6)), None),
    "wrong size": ((4, 5, 3), InputSpec("x", (1, 4, 6, 3), "nhwc"), None),
    "flattened": ((72,), InputSpec("x", (1, 4, 6, 3), "nhwc"), None),
    "too few": ((6,), InputSpec("x", (1, 7)), None),
}


@pytest.mark.parametrize(("shape", "spec", "what"), SHAPES.values(), ids=SHAPES)
def test_shapes(shape: tuple[int, ...], spec: InputSpec, what: str | None) -> None:
    data = np.random.default_rng(2).random((2, *shape), np.float32)
    if what is None:
        with pytest.raises(BadData, match="shape") as caught:
            load_samples(data, [spec])
        assert str(list(shape)) in caught.value.message
        assert spec.name in caught.value.message
        return
    sample = next(iter(load_samples(data, [spec]))).inputs["x"]
    expected = {
        "keep": data[:1],
        "to_nchw": data[:1].transpose(0, 3, 1, 2) if len(shape) == 3 else data,
        "to_nhwc": data[:1].transpose(0, 2, 3, 1) if len(shape) == 3 else data,
        "reshape": data[0].reshape([dim or 1 for dim in spec.shape]),
        "unbatched": data[0],
    }[what]
    np.testing.assert_array_equal(sample, expected)


def test_transposed_data_gets_that_hint() -> None:
    with pytest.raises(BadData) as caught:
        load_samples(pixels(2, (6, 4, 3)), [IMAGE])
    assert "transpose" in str(caught.value.hint)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_preprocess_is_per_channel_in_either_layout(layout: Layout) -> None:
    shape = (1, 4, 6, 3) if layout == "nhwc" else (1, 3, 4, 6)
    spec = InputSpec("image", shape, layout)
    result = stacked(load_samples(pixels(), [spec], preprocess="mean=1/2/3,std=2"))
    expected = (pixels().astype(np.float32) - np.array([1, 2, 3])) / 2
    if layout == "nchw":
        expected = expected.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_preprocess_for_other_channels_is_refused() -> None:
    with pytest.raises(BadData, match="3 values"):
        load_samples(
            pixels(2, (4, 6, 1)), [InputSpec("g", (1, 4, 6, 1), "nhwc")], preprocess="cifar10"
        )


def test_several_inputs_by_name(tmp_path: Path) -> None:
    specs = [InputSpec("a", (1, 3)), InputSpec("b", (1, 2))]
    path = saved(tmp_path, b=np.arange(8.0).reshape(4, 2), a=np.arange(12.0).reshape(4, 3))
    samples = load_samples(path, specs)
    np.testing.assert_array_equal(stacked(samples, "a"), np.arange(12.0).reshape(4, 3))
    np.testing.assert_array_equal(stacked(samples, "b"), np.arange(8.0).reshape(4, 2))
    with pytest.raises(BadData, match="inputs are a, c"):
        load_samples(path, [specs[0], InputSpec("c", (1, 2))])


def test_integer_inputs_keep_their_type(tmp_path: Path) -> None:
    spec = InputSpec("ids", (1, 4), dtype="int32")
    sample = next(iter(load_samples(np.arange(8).reshape(2, 4), [spec], preprocess="mean=1")))
    assert sample.inputs["ids"].dtype == np.int32
    np.testing.assert_array_equal(sample.inputs["ids"], [[0, 1, 2, 3]])
    with pytest.raises(BadData, match="int32"):
        load_samples(np.full((2, 4), 0.5), [spec])


def with_value(value: float) -> Array:
    data = np.random.default_rng(3).random((4, 7), np.float32)
    data[2, 3] = value
    return data


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_with_their_place(value: float) -> None:
    samples = load_samples(with_value(value), [InputSpec("x", (1, 7))])
    with pytest.raises(BadData, match="sample 2 of .* 1 values that are NaN or infinite"):
        samples.check()


def test_constant_data_is_refused() -> None:
    samples = load_samples(np.ones((4, 7)), [InputSpec("x", (1, 7))])
    with pytest.raises(BadData, match="constant"):
        samples.check()


def test_a_blank_sample_is_a_warning_of_every_audit() -> None:
    data = with_value(1.0)
    data[1] = 0
    samples = load_samples(data, [InputSpec("x", (1, 7))])
    for _ in range(2):
        (warning,) = samples.check()
        assert "sample 1" in warning
    assert samples.warnings == ()
    audit = Audit(samples)
    assert len(list(audit)) == 4
    assert audit.warnings == (warning,)


def test_an_input_of_zeros_beside_real_ones_is_a_warning(tmp_path: Path) -> None:
    path = saved(tmp_path, x=with_value(1.0), state=np.zeros((4, 2)))
    samples = load_samples(path, [InputSpec("x", (1, 7)), InputSpec("state", (1, 2))])
    assert any("input 'state'" in warning for warning in samples.check())


def test_somewhat_out_of_the_declared_range_is_a_warning() -> None:
    samples = load_samples(with_value(1.5), [InputSpec("x", (1, 7), value_range=(0.0, 1.0))])
    assert any("1.5" in warning and "0..1" in warning for warning in samples.check())


def test_data_of_another_scale_is_refused() -> None:
    spec = InputSpec("image", (1, 4, 6, 3), "nhwc", value_range=(0.0, 1.0))
    with pytest.raises(BadData, match="far outside") as caught:
        load_samples(pixels(), [spec])
    assert "--preprocess" in str(caught.value.hint)
    load_samples(pixels(), [spec], preprocess="zero-one").check()


def empty_folder(folder: Path) -> Any:
    return folder


def missing(folder: Path) -> Any:
    return folder / "nowhere.npz"


def no_samples(folder: Path) -> Any:
    return saved(folder, x=np.empty((0, 4, 6, 3), np.float32))


def no_samples_npy(folder: Path) -> Any:
    np.save(folder / "e.npy", np.empty((0, 4, 6, 3), np.float32))
    return folder / "e.npy"


def empty_generator(folder: Path) -> Any:
    return lambda: iter(())


def pickled_npz(folder: Path) -> Any:
    return saved(folder, x=np.array([{"a": 1}, None], dtype=object))


def pickled_npy(folder: Path) -> Any:
    np.save(folder / "p.npy", np.array([{"a": 1}], dtype=object))
    return folder / "p.npy"


def strings(folder: Path) -> Any:
    return saved(folder, x=np.array(["a", "b"]))


def complex_numbers(folder: Path) -> Any:
    return pixels().astype(np.complex64)


def truncated_npz(folder: Path) -> Any:
    path = by_npz(folder)
    path.write_bytes(path.read_bytes()[:300])
    return path


def truncated_npy(folder: Path) -> Any:
    path = Path(by_npy(folder))
    path.write_bytes(path.read_bytes()[:-50])
    return path


def text_as_npy(folder: Path) -> Any:
    path = folder / "t.npy"
    path.write_text("1, 2, 3")
    return path


def other_file(folder: Path) -> Any:
    path = folder / "t.csv"
    path.write_text("1, 2, 3")
    return path


def ambiguous_npz(folder: Path) -> Any:
    return saved(folder, a=pixels(), b=pixels())


def lengths_differ(folder: Path) -> Any:
    return saved(folder, x=pixels(), y=np.arange(4))


def one_hot_labels(folder: Path) -> Any:
    return saved(folder, x=pixels(), y=np.eye(5))


def fractional_labels(folder: Path) -> Any:
    return saved(folder, x=pixels(), y=np.arange(5) / 2)


def negative_labels(folder: Path) -> Any:
    return saved(folder, x=pixels(), y=np.arange(5) - 1)


def scalar(folder: Path) -> Any:
    return saved(folder, x=np.float32(3))


def broken_image(folder: Path) -> Any:
    pytest.importorskip("PIL.Image")
    (folder / "0_x.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    return folder


def no_such_module(folder: Path) -> Any:
    return "no_such_module_anywhere:samples"


def no_such_function(folder: Path) -> Any:
    return "json:samples"


def raising_generator(folder: Path) -> Any:
    def samples() -> Iterator[Array]:
        yield pixels()[0]
        raise RuntimeError("the sensor is gone")

    return samples


def generator_of_words(folder: Path) -> Any:
    return ["a", "b"]


REFUSED = {
    function.__name__: function
    for function in (
        *(empty_folder, missing, no_samples, no_samples_npy, empty_generator, pickled_npz),
        *(pickled_npy, strings, complex_numbers, truncated_npz, truncated_npy, text_as_npy),
        *(other_file, ambiguous_npz, lengths_differ, one_hot_labels, fractional_labels),
        *(negative_labels, scalar, broken_image, no_such_module, no_such_function),
        *(raising_generator, generator_of_words),
    )
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_bad_data_is_refused_in_one_clear_message(make: Any, tmp_path: Path) -> None:
    with pytest.raises(BadData) as caught:
        load_samples(make(tmp_path), [IMAGE]).check()
    assert caught.value.message


def declared(shape: tuple[int, ...], *, fortran: bool = False, data: bytes = bytes(360)) -> bytes:
    """A .npy file whose header says `shape`, uint8."""
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


MALFORMED = {
    "a negative dimension": ((-1, 4, 6, 3), "its shape is"),
    "two negative dimensions": ((-5, -4, 6, 3), "its shape is"),
    "more rows than data": ((10**12, 4, 6, 3), "takes 72000000000000 bytes, it has 360"),
    "one row more than data": ((6, 4, 6, 3), "takes 432 bytes, it has 360"),
    "rows of nothing": ((10**12, 0), "samples are empty"),
}


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("name", MALFORMED)
def test_shapes_that_the_file_cannot_hold(
    name: str, fortran: bool, suffix: str, tmp_path: Path
) -> None:
    shape, words = MALFORMED[name]
    path, data = tmp_path / f"data{suffix}", declared(shape, fortran=fortran)
    if suffix == ".npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", data)
    else:
        path.write_bytes(data)
    with pytest.raises(BadData, match=words):
        load_samples(path, [IMAGE])


@pytest.mark.parametrize("fortran", [False, True])
def test_sizes_that_no_compression_reaches(fortran: bool, tmp_path: Path) -> None:
    path, data = tmp_path / "data.npz", declared((10**6, 4, 6, 3), fortran=fortran)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", data)
    claimed = struct.pack("<I", 128 + 72 * 10**6)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", len(data)), claimed))
    with pytest.raises(BadData, match="cannot hold the 72000128"):
        load_samples(path, [IMAGE])


def test_encrypted_archives(tmp_path: Path) -> None:
    path = by_npz(tmp_path)
    with zipfile.ZipFile(path) as archive:
        place = archive.start_dir
    data = bytearray(path.read_bytes())
    data[place + 8] |= 1  # the first entry's flag in the directory
    path.write_bytes(bytes(data))
    with pytest.raises(BadData, match="encrypted"):
        load_samples(path, [IMAGE])


def test_damage_past_the_first_sample_is_found_when_it_is_reached(tmp_path: Path) -> None:
    path = by_compressed_npz(tmp_path)
    data = bytearray(path.read_bytes())
    data[250] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(BadData, match="cannot read"):
        load_samples(path, [IMAGE]).check()


@pytest.mark.parametrize("limit", [0, -1])
def test_bad_limit(limit: int) -> None:
    with pytest.raises(BadData, match="at least 1"):
        load_samples(pixels(), [IMAGE], limit=limit)


def test_folder_for_a_model_without_images(tmp_path: Path) -> None:
    by_image_folder(tmp_path)
    with pytest.raises(BadData, match="holds images"):
        load_samples(tmp_path, [InputSpec("x", (1, 640))])


def test_images_are_resized_and_their_colours_follow_the_model(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    flat = np.zeros((20, 10, 3), np.uint8)
    flat[..., 0] = np.arange(20)[:, None] * 10
    image.fromarray(flat).save(tmp_path / "7_a.png")
    colour = stacked(load_samples(tmp_path, [InputSpec("image", (1, 3, 8, 8), "nchw")]))
    assert colour.shape == (1, 3, 8, 8)
    assert colour[0, 0].max() > 0 == colour[0, 2].max()
    bgr = load_samples(
        tmp_path, [InputSpec("image", (1, 8, 8, 3), "nhwc")], preprocess="channels=bgr"
    )
    assert stacked(bgr)[..., 2].max() > 0 == stacked(bgr)[..., 0].max()
    grey = load_samples(tmp_path, [InputSpec("image", (1, 8, 8, 1), "nhwc")])
    assert stacked(grey).shape == (1, 8, 8, 1)
    cropped = load_samples(
        tmp_path, [InputSpec("image", (1, 10, 10, 3), "nhwc")], preprocess="resize=crop"
    )
    np.testing.assert_array_equal(stacked(cropped)[0, :, 0, 0], np.arange(5, 15) * 10)


FOLDERS: dict[str, tuple[tuple[str, ...], list[int | None]]] = {
    "digits before the underscore": (("003_cat.png", "012_dog_7.png"), [3, 12]),
    "one without digits": (("003_cat.png", "dog.png"), [None, None]),
    "numbered subfolders": (("10_cat/a.png", "2/b.png", "2/c.png"), [10, 2, 2]),
    "named subfolders": (("cat/a.png", "dog/b.png", "eel/c.png"), [0, 1, 2]),
    "hidden files": ((".0_x.png", "1_y.png"), [1]),
}


@pytest.mark.parametrize(("names", "expected"), FOLDERS.values(), ids=FOLDERS)
def test_class_of_an_image(
    names: tuple[str, ...], expected: list[int | None], tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image.fromarray(pixels(1)[0]).save(tmp_path / name)
    samples = load_samples(tmp_path, [IMAGE])
    assert labels(samples) == expected
    assert bool(samples.warnings) == (None in expected)


def test_endless_generators_are_cut_off() -> None:
    def endless() -> Iterator[Array]:
        while True:
            yield np.arange(3.0)

    assert len(load_samples(endless, [InputSpec("x", (1, 3))], limit=7)) == 7
    assert len(load_samples(endless, [InputSpec("x", (1, 3))])) == GENERATED_LIMIT


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_memory_does_not_grow_with_the_number_of_samples(save: Any, tmp_path: Path) -> None:
    spec = InputSpec("x", (1, 64, 64, 3), "nhwc")

    def peak_bytes(count: int) -> int:
        path = tmp_path / f"{count}.npz"
        save(path, x=pixels(count, (64, 64, 3)))
        tracemalloc.start()
        load_samples(path, [spec]).check()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(4)  # imports and caches
    assert peak_bytes(512) < peak_bytes(16) + 256 * 1024  # the samples themselves are 6 MB


def test_real_data() -> None:
    kws = load_samples(shared("data/kws/calibration.npz"), [InputSpec("x", (1, 49, 10, 1))])
    pictures = [InputSpec("x", (1, 3, 32, 32), "nchw")]
    cifar = load_samples(shared("data/cifar10/test.npz"), pictures, limit=10)
    assert (len(kws), len(cifar)) == (100, 10)
    assert kws.has_labels
    assert cifar.has_labels
    kws.check()
    pytest.importorskip("PIL.Image")
    images = load_samples(
        shared("data/imagenet/calibration"),
        [InputSpec("x", (1, 3, 224, 224), "nchw")],
        preprocess="efficientnet-lite",
        limit=3,
    )
    values = stacked(images, "x")
    assert values.shape == (3, 3, 224, 224)
    assert -1 <= values.min() < values.max() <= 1.01
    assert all(label is not None for label in labels(images))
