"""One network's files, ours and others', beside its float file on the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import commands, datasets, score
from benchmarks.commands import HOST, Command
from benchmarks.figures import Figure
from benchmarks.measure import Failed, run
from benchmarks.places import Missing

Options = tuple[str | Path, ...]
Makers = Mapping[tuple[str, str], Callable[[], Command]]  # by (what, who)
BOTH: Options = ("--formats", "tflite,onnx")
TFLITE: Options = ("--formats", "tflite")
INT8: Options = ("--quantize", "int8")


@dataclass(frozen=True, slots=True)
class Network:
    """A model, its test data, and what options calibrate it or stand in for data.

    `float_options` make its float file, which all is compared with.
    """

    name: str
    model: str | Path
    data: datasets.Data
    calibrated: Options
    data_free: Options
    target: str = HOST
    float_options: Options = ()

    def export(self, name: str, *options: str | Path) -> Callable[[], Command]:
        """What makes `edgepack export` with these options, into a folder of its own."""
        folder = f"{self.name.split()[0].lower()}_{name}".replace(" ", "_")
        every = (*options, *self.float_options)
        return lambda: commands.edgepack(folder, self.model, *every, target=self.target)


def ours(
    net: Network, what: str, options: Options, efforts: tuple[int, ...], *, free: bool = True
) -> Makers:
    """Calibrated and (`free`) data-free, with each effort; inputs and outputs are real."""
    made: dict[tuple[str, str], Callable[[], Command]] = {}
    for data, given in (("", net.calibrated), (" data-free", net.data_free))[: 1 + free]:
        for effort in efforts:
            name = f"{what}{data}, effort {effort}"
            effort_option: Options = ("--effort", str(effort), "--io", "float")
            made[name, "edgepack"] = net.export(name, *options, *given, *effort_option)
    return made


def compared(net: Network, makers: Makers) -> Iterator[Figure]:
    """The float file, and each file that `makers` leave beside it."""
    plain = net.export("float", "--quantize", "none", *TFLITE)()
    run(plain.argv)
    path = commands.file_of(plain, ".tflite")
    real = Answers.of(path, net.data)
    if net.data.y.size:
        points = score.accuracy(real.given, net.data.y)
        yield Figure(f"{net.name} float", "edgepack .tflite", points, "%")
    for (what, who), make in makers.items():
        name = f"{net.name} {what}"
        try:
            command = make()
            if command.argv:
                run(command.argv)
        except (Missing, Failed) as problem:
            yield Figure(name, who, None, "%", str(problem))
            continue
        for file in commands.files_of(command):
            yield from _figures(
                name, f"{who} {file.suffix}", Answers.of(file, net.data), real, net.data
            )


@dataclass(frozen=True, slots=True)
class Answers:
    """What a file gives, [N, classes], and what goes into the softmax at its end, if known."""

    given: score.Array
    logits: score.Array | None

    @classmethod
    def of(cls, path: Path, data: datasets.Data) -> Answers:
        """Of every test sample."""
        given, cut = score.logits(path, data.x), score.before_softmax(path)
        logits = None if cut is None else given if cut == path else score.logits(cut, data.x)
        return cls(given, logits)


def _figures(
    what: str, who: str, found: Answers, real: Answers, data: datasets.Data
) -> Iterator[Figure]:
    if data.y.size:
        yield Figure(what, who, score.accuracy(found.given, data.y), "%")
    if data.classes:
        yield Figure(f"{what}, as float", who, score.agreement(real.given, found.given), "%")
    if found.logits is not None and real.logits is not None:
        yield Figure(f"{what}, logits", who, score.sqnr_db(real.logits, found.logits), "dB")
