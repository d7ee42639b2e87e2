"""Where samples come from: arrays in files, folders of images, Python generators.

Each source hands out raw rows one at a time and can be read again from the start, so that memory
does not grow with the number of samples: plain arrays are memory-mapped, compressed ones are
unpacked row by row, images are decoded when their turn comes. Pickles are never loaded.
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from edgepack.errors import BadData, EdgepackError, MissingDependency
from edgepack.preprocess import Preprocess

Array = npt.NDArray[Any]
Row = Mapping[str, Array]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
IMAGE_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GENERATED_LIMIT = 1000
DEFLATE_RATIO = 1032  # the most that its format can pack
ARRAY_HINT = "save it with numpy.savez(path, x=samples, y=class_indices), samples first"
PICKLE_HINT = "it holds Python objects, which are never loaded: save plain numeric arrays"


class Source(Protocol):
    """Raw samples in a fixed order: `rows` may be called any number of times."""

    @property
    def name(self) -> str:
        """What to call it in messages."""

    @property
    def has_labels(self) -> bool:
        """Whether every row comes with a class index."""

    @property
    def are_images(self) -> bool:
        """Whether rows are image files, decoded to height, width, channels."""

    def count(self) -> int:
        """How many rows there are."""

    def rows(self, wanted: Sequence[int]) -> Iterator[tuple[str, Row, int | None]]:
        """(where it is from, raw array by input name, class index) for each index in `wanted`.

        `wanted` rises. Raises BadData for a row that cannot be read.
        """


class Column(Protocol):
    """One array of a file, samples along its first axis."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The whole array's shape."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its element type."""

    def rows(self, wanted: Sequence[int]) -> Iterator[Array]:
        """The rows with those rising indices."""


@dataclass(frozen=True, slots=True)
class ArrayColumn:
    """An array in memory, or mapped to it."""

    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its element type."""
        return self.array.dtype

    def rows(self, wanted: Sequence[int]) -> Iterator[Array]:
        """The rows with those indices."""
        return (np.asarray(self.array[index]) for index in wanted)


@dataclass(frozen=True, slots=True)
class PackedColumn:
    """A compressed array of an .npz file, unpacked row by row."""

    path: Path
    member: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def rows(self, wanted: Sequence[int]) -> Iterator[Array]:
        """The rows with those rising indices; the ones between are unpacked and dropped."""
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        position = 0
        with (
            _Reading(self.path),
            zipfile.ZipFile(self.path) as archive,
            archive.open(self.member) as stream,
        ):
            read_header(stream)
            for index in wanted:
                for _ in range(index - position):
                    _read_exactly(stream, row_bytes)
                data = _read_exactly(stream, row_bytes)
                position = index + 1
                yield np.frombuffer(data, self.dtype).reshape(self.shape[1:])


@dataclass(frozen=True, slots=True)
class ArraySource:
    """Columns by input name, and optionally class indices."""

    name: str
    columns: Mapping[str, Column]
    labels: npt.NDArray[np.int64] | None
    are_images: bool = False

    @property
    def has_labels(self) -> bool:
        """Whether class indices came along."""
        return self.labels is not None

    def count(self) -> int:
        """The length of every column."""
        return next(iter(self.columns.values())).shape[0]

    def rows(self, wanted: Sequence[int]) -> Iterator[tuple[str, Row, int | None]]:
        """See Source."""
        streams = [column.rows(wanted) for column in self.columns.values()]
        for index, *values in zip(wanted, *streams, strict=True):
            label = None if self.labels is None else int(self.labels[index])
            yield (
                f"sample {index} of {self.name}",
                dict(zip(self.columns, values, strict=True)),
                label,
            )


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Image files decoded one at a time, in `size` (height, width) and with `channels`."""

    name: str
    input_name: str
    paths: tuple[Path, ...]
    labels: tuple[int, ...] | None
    size: tuple[int | None, int | None]
    channels: int
    preprocess: Preprocess
    are_images: bool = True

    @property
    def has_labels(self) -> bool:
        """Whether every file or folder name gives a class index."""
        return self.labels is not None

    def count(self) -> int:
        """The number of files."""
        return len(self.paths)

    def rows(self, wanted: Sequence[int]) -> Iterator[tuple[str, Row, int | None]]:
        """See Source. Rows are uint8 [H, W, C]."""
        for index in wanted:
            path = self.paths[index]
            label = None if self.labels is None else self.labels[index]
            yield str(path), {self.input_name: self._decode(path)}, label

    def _decode(self, path: Path) -> Array:
        try:
            from PIL import Image, ImageOps
        except ImportError:
            raise MissingDependency("pillow", "images", "decoding images") from None
        try:
            with Image.open(path) as image:
                pixels = image.convert(IMAGE_MODES[self.channels])
                size = (self.size[1] or pixels.width, self.size[0] or pixels.height)
                if self.preprocess.resize == "crop":
                    pixels = ImageOps.fit(pixels, size, Image.Resampling.BILINEAR)
                elif pixels.size != size:
                    pixels = pixels.resize(size, Image.Resampling.BILINEAR)
                array = np.asarray(pixels, np.uint8)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as failure:
            raise BadData(
                f"cannot decode {path}: {failure}", hint="remove or replace that file"
            ) from None
        array = array.reshape(*array.shape[:2], self.channels)
        return array[..., ::-1] if self.preprocess.channels == "bgr" else array


@dataclass(frozen=True, slots=True)
class GeneratedSource:
    """What a function returns, called anew for every pass; at most `GENERATED_LIMIT` samples."""

    name: str
    make: Callable[[], Iterable[object]]
    input_names: tuple[str, ...]
    has_labels: bool
    length: int
    are_images: bool = False

    def count(self) -> int:
        """How many samples a first pass gave."""
        return self.length

    def rows(self, wanted: Sequence[int]) -> Iterator[tuple[str, Row, int | None]]:
        """See Source."""
        position = iter(wanted)
        index = next(position, None)
        for number, item in enumerate(_items(self.name, self.make)):
            if index is None:
                return
            if number == index:
                row, label = split_item(item, self.input_names, f"sample {number} of {self.name}")
                yield f"sample {number} of {self.name}", row, label
                index = next(position, None)
        if index is not None:
            raise BadData(f"{self.name} gave {self.length} samples first, and fewer this time")


def array_file(path: Path, input_names: tuple[str, ...]) -> ArraySource:
    """The samples of a .npy or .npz file. Raises BadData for anything but numeric arrays."""
    if path.suffix == ".npy":
        with _Reading(path), path.open("rb") as stream:
            column = _map_column(path, stream)
        return array_source(str(path), {input_names[0]: column}, None, input_names)
    with _Reading(path), zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.endswith(".npy")]
        columns = {name[: -len(".npy")]: _member_column(path, archive, name) for name in members}
    return named_arrays(str(path), columns, input_names)


def named_arrays(
    name: str, columns: Mapping[str, Column], input_names: tuple[str, ...]
) -> ArraySource:
    """Columns by the model's input names, or `x` (or an only array) for a single input; `y`."""
    labels = columns.get("y")
    data = {key: column for key, column in columns.items() if key != "y"}
    found = ", ".join(data) or "none"
    if not set(input_names) <= set(data):
        if len(input_names) > 1:
            raise BadData(
                f"{name} has the arrays {found}; the model's inputs are {', '.join(input_names)}",
                hint="name each array after its input",
            )
        only = data.get("x") or (next(iter(data.values())) if len(data) == 1 else None)
        if only is None:
            raise BadData(f"{name} has no array x (found: {found})", hint=ARRAY_HINT)
        data = {input_names[0]: only}
    return array_source(name, {key: data[key] for key in input_names}, labels, input_names)


def array_source(
    name: str, columns: Mapping[str, Column], labels: Column | None, inputs: tuple[str, ...]
) -> ArraySource:
    """Checked columns. Raises BadData for other than numbers, and for lengths that differ."""
    if len(columns) != len(inputs):
        raise BadData(f"{name} has one array, the model {len(inputs)} inputs", hint="use an .npz")
    for key, column in columns.items():
        check_numeric(column.dtype, f"{key} of {name}")
        if not column.shape:
            raise BadData(f"{key} of {name} is a single number", hint=ARRAY_HINT)
    lengths = {key: column.shape[0] for key, column in columns.items()}
    if labels is not None:
        lengths["y"] = labels.shape[0] if labels.shape else 0
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise BadData(f"the arrays of {name} differ in length: {counts}", hint=ARRAY_HINT)
    return ArraySource(name, columns, None if labels is None else class_indices(name, labels))


def class_indices(name: str, labels: Column) -> npt.NDArray[np.int64]:
    """Class index per sample, int64 [N]. Raises BadData for anything else than whole numbers."""
    remedy = "y must hold one class index (0, 1, 2 …) per sample; leave it out if there is none"
    if labels.dtype.kind not in "iuf" or math.prod(labels.shape[1:]) != 1:
        found = f"{labels.dtype} {list(labels.shape)}"
        raise BadData(f"y of {name} is {found}", hint=remedy)
    values = np.array([row.reshape(()) for row in labels.rows(range(labels.shape[0]))], np.float64)
    if not np.all(np.isfinite(values)) or np.any(values != np.floor(values)) or np.any(values < 0):
        raise BadData(f"y of {name} has values that are no class index", hint=remedy)
    return values.astype(np.int64)


def image_folder(
    path: Path, input_name: str, shape: Sequence[int | None], preprocess: Preprocess
) -> ImageSource:
    """The images below a folder, for an input of `shape` (height, width, channels).

    The class index is the digits before the first `_` of the file's name, or the subfolder: its
    number when all subfolders have one, else its rank. Raises BadData when there are no images.
    """
    if len(shape) != 3 or shape[2] not in IMAGE_MODES:
        raise BadData(
            f"{path} holds images, the model's input {input_name} is {list(shape)} per sample",
            hint="images need an input with height, width and 1, 3 or 4 channels",
        )
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and _visible(entry))
    groups = [(folder, _images_in(folder)) for folder in folders]
    groups = [(folder, images) for folder, images in groups if images]
    flat = _images_in(path)
    if not flat and not groups:
        raise BadData(f"{path} has no images", hint=f"expected {' '.join(IMAGE_SUFFIXES)} files")
    if flat:
        paths, labels = flat, [_leading_number(image.name, "_") for image in flat]
    else:
        ranks = _folder_labels([folder for folder, _ in groups])
        paths = [image for _, images in groups for image in images]
        labels = [rank for rank, (_, images) in zip(ranks, groups, strict=True) for _ in images]
    known = tuple(label for label in labels if label is not None)
    return ImageSource(
        name=str(path),
        input_name=input_name,
        paths=tuple(paths),
        labels=known if len(known) == len(labels) else None,
        size=(shape[0], shape[1]),
        channels=shape[2],
        preprocess=preprocess,
    )


def generated(name: str, make: Callable[[], Iterable[object]], inputs: tuple[str, ...]) -> Source:
    """Samples of a function that returns an iterable anew at each call; one pass counts them."""
    count, labelled = 0, True
    for item in _items(name, make):
        _, label = split_item(item, inputs, f"sample {count} of {name}")
        labelled = labelled and label is not None
        count += 1
        if count == GENERATED_LIMIT:
            break
    return GeneratedSource(name, make, inputs, labelled and count > 0, count)


def split_item(item: object, names: tuple[str, ...], where: str) -> tuple[Row, int | None]:
    """A generated item as arrays by input name and a label.

    An item is an array, a mapping by input name (with `y` for the label), or (either, label).
    """
    label: object = None
    if isinstance(item, tuple) and len(item) == 2 and np.ndim(item[1]) == 0:
        item, label = item
    if isinstance(item, Mapping):
        row = {str(key): _numeric_array(value, where) for key, value in item.items()}
        label = row.pop("y") if "y" in row else label
    else:
        row = {names[0]: _numeric_array(item, where)}
    if set(row) != set(names):
        raise BadData(f"{where} has {', '.join(row)}; the model's inputs are {', '.join(names)}")
    try:
        return row, None if label is None else int(np.asarray(label).reshape(()))
    except (TypeError, ValueError):
        raise BadData(f"the label of {where} is {label!r}, not a class index") from None


def check_numeric(dtype: np.dtype[Any], what: str) -> None:
    """Raise BadData for element types that are not real numbers."""
    if dtype.hasobject:
        raise BadData(f"{what} is a pickled array", hint=PICKLE_HINT)
    if dtype.kind not in "biuf":
        raise BadData(f"{what} holds {dtype}, not numbers", hint=ARRAY_HINT)


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype of a .npy stream. Raises ValueError when it is none."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)


def _items(name: str, make: Callable[[], Iterable[object]]) -> Iterator[object]:
    """What the user's function yields; what it raises becomes BadData."""
    try:
        yield from make()
    except EdgepackError:
        raise
    except (Exception, SystemExit) as failure:
        raise BadData(f"{name} raised {type(failure).__name__}: {failure}") from failure


def _numeric_array(value: object, where: str) -> Array:
    try:
        array = np.asarray(value)
    except ValueError as failure:
        raise BadData(f"{where} is no array: {failure}") from None
    check_numeric(array.dtype, where)
    return array


def _map_column(path: Path, stream: IO[bytes]) -> ArrayColumn:
    """The .npy array at the stream's position, mapped instead of read."""
    shape, fortran, dtype = read_header(stream)
    check_numeric(dtype, str(path))
    _check_size(shape, dtype, path.stat().st_size - stream.tell())
    if not math.prod(shape):
        return ArrayColumn(np.empty(shape, dtype))
    order = "F" if fortran else "C"
    return ArrayColumn(np.memmap(path, dtype, "r", stream.tell(), shape, order))  # type: ignore[call-overload]


def _member_column(path: Path, archive: zipfile.ZipFile, member: str) -> Column:
    info = archive.getinfo(member)
    packed = min(info.compress_size, path.stat().st_size)
    if info.file_size > packed * DEFLATE_RATIO:
        raise ValueError(f"{packed} bytes cannot hold the {info.file_size} that {member} claims")
    with archive.open(info) as stream:
        shape, fortran, dtype = read_header(stream)
        check_numeric(dtype, f"{member[: -len('.npy')]} of {path}")
        size = _check_size(shape, dtype, info.file_size - stream.tell())
        if fortran and len(shape) > 1:  # samples are not consecutive: it has to be read whole
            flat = np.frombuffer(_read_exactly(stream, size), dtype)
            return ArrayColumn(flat.reshape(shape, order="F"))
    return PackedColumn(path, member, tuple(shape), dtype)


def _check_size(shape: tuple[int, ...], dtype: np.dtype[Any], available: int) -> int:
    """The bytes of an array. Raises ValueError for a shape that its file cannot hold."""
    size = math.prod(shape) * dtype.itemsize
    if any(dim < 0 for dim in shape):
        raise ValueError(f"its shape is {list(shape)}")
    if size > available:
        raise ValueError(f"its shape {list(shape)} takes {size} bytes, it has {available}")
    if not size and shape and shape[0]:
        raise ValueError(f"its samples are empty: its shape is {list(shape)}")
    return size


def _read_exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise ValueError("the file ends before its last sample")
    return data


class _Reading:
    """Turns what numpy, zipfile and the system raise on a bad file into BadData."""

    # zipfile raises RuntimeError for encrypted entries and for methods it does not know.
    _KINDS = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, RuntimeError)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, _: object, failure: BaseException | None, __: object) -> None:
        if isinstance(failure, self._KINDS):
            message = f"cannot read {self._path}: {failure}"
            raise BadData(message, hint=ARRAY_HINT) from None


def _visible(path: Path) -> bool:
    return not path.name.startswith(".")


def _images_in(folder: Path) -> list[Path]:
    entries = (entry for entry in folder.iterdir() if _visible(entry) and entry.is_file())
    return sorted(entry for entry in entries if entry.suffix.lower() in IMAGE_SUFFIXES)


def _leading_number(name: str, end: str) -> int | None:
    match = re.match(rf"(\d+){end}", name)
    return int(match.group(1)) if match else None


def _folder_labels(folders: Sequence[Path]) -> list[int]:
    """Each folder's number (`3` or `3_cat`) when all have one, else its rank by name."""
    numbers = [_leading_number(f"{folder.name}_", "_") for folder in folders]
    known = [number for number in numbers if number is not None]
    return known if len(known) == len(folders) else list(range(len(folders)))
