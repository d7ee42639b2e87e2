"""Preprocessing specs: what they compute, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import BadData
from edgepack.preprocess import Preprocess, parse_preprocess, preprocess_names

SPECS = {
    "nothing": (None, 200.0, 200.0),
    "empty": ("", 200.0, 200.0),
    "mean and std": ("mean=127,std=128", 255.0, 1.0),
    "spaces": (" mean = 127 , std = 128 ", 255.0, 1.0),
    "fraction": ("scale=1/255", 51.0, 0.2),
    "scale before mean": ("scale=1/255,mean=0.5,std=0.5", 255.0, 1.0),
    "zero-one": ("zero-one", 255.0, 1.0),
    "minus-one-one": ("minus-one-one", 0.0, -1.0),
    "imagenet-tf": ("imagenet-tf", 255.0, 1.0),
    "efficientnet-lite": ("efficientnet-lite", 255.0, 1.0),
}


@pytest.mark.parametrize(("spec", "value", "expected"), SPECS.values(), ids=SPECS)
def test_values(spec: str | None, value: float, expected: float) -> None:
    image = np.full((2, 2, 3), value, np.float32)
    result = parse_preprocess(spec)(image)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.full((2, 2, 3), expected), rtol=1e-6)


@pytest.mark.parametrize("spec", ["mean=0.485/0.456/0.406,std=0.229/0.224/0.225", "imagenet-torch"])
def test_per_channel_on_either_axis(spec: str) -> None:
    preprocess = parse_preprocess(spec)
    image = np.random.default_rng(0).random((4, 5, 3), np.float32)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (image * preprocess.scale - mean) / std
    np.testing.assert_allclose(preprocess(image), expected, rtol=1e-4, atol=1e-6)
    chw = preprocess(np.ascontiguousarray(image.transpose(2, 0, 1)), 0)
    np.testing.assert_array_equal(chw, preprocess(image).transpose(2, 0, 1))


@pytest.mark.parametrize("name", preprocess_names())
def test_every_named_spec_loads(name: str) -> None:
    assert not parse_preprocess(name).is_identity


BAD = {
    "unknown name": "imagenet-torhc",
    "unknown key": "men=127",
    "not a number": "mean=x",
    "zero std": "std=0",
    "zero scale": "scale=0",
    "division by zero": "scale=1/0",
    "twice": "mean=1,mean=2",
    "nan": "mean=nan",
    "no value": "mean=127,std",
    "resize": "resize=squash",
    "missing file": "nowhere.toml",
}


@pytest.mark.parametrize("spec", BAD.values(), ids=BAD)
def test_bad_specs(spec: str) -> None:
    with pytest.raises(BadData):
        parse_preprocess(spec)


def test_unknown_name_names_the_closest() -> None:
    with pytest.raises(BadData) as caught:
        parse_preprocess("imagenet-torhc")
    assert "imagenet-torch" in str(caught.value.hint)


def test_wrong_channel_count_is_refused() -> None:
    preprocess = Preprocess(mean=(1.0, 2.0, 3.0))
    preprocess.check_channels(3)
    with pytest.raises(BadData, match="3 values"):
        preprocess.check_channels(1)


def test_spec_file_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('mean = [1, 2, 3]\nscale = 2\nresize = "crop"\n')
    assert parse_preprocess(str(path)) == Preprocess(2.0, (1.0, 2.0, 3.0), resize="crop")
    path.write_text("meen = 1\n")
    with pytest.raises(BadData, match="meen") as caught:
        parse_preprocess(str(path))
    assert "mean" in str(caught.value.hint)
