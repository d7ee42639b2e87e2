"""What every compression technique is to those who call it: settings in, a changed graph out.

A technique is entered in `TECHNIQUES` under its name, with how its settings are read and how it is
carried out:

    @technique("cluster", read=read_cluster)
    def cluster(graph: Graph, settings: ClusterSettings, context: Context) -> Outcome: ...

Recipes and the command line name it; `edgepack.api.compress` runs the steps in their order and
measures the graph before and after each. Techniques of stage "real" work on the canonical float
graph: BatchNorm is folded, and what it knew stands in `graph.source.batch_moments`. Those of stage
"stored" work on the graph as it is written, integers and all. Both change `graph` in place and
leave it legal (the checker runs after each), or leave it as it is and say why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from edgepack.devices import Target
from edgepack.errors import InternalError
from edgepack.ir import Array, Graph
from edgepack.strict_toml import Table

Stage = Literal["real", "stored"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A layer (or "" for the whole model) that a technique left alone, and why."""

    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a technique did: one line for each layer that it changed, what it refused, notes."""

    changed: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What a technique may ask for beside its settings.

    `inputs` gives inputs of the graph in its own layout, anew at each call: calibration samples
    where `has_data`, else synthetic ones.
    """

    target: Target
    inputs: Callable[[], Iterator[list[Array]]]
    has_data: bool
    span: tuple[float, float] = (-1.0, 1.0)
    seed: int = 0
    threads: int = 2


Run = Callable[[Graph, Any, Context], Outcome]


@dataclass(frozen=True, slots=True)
class Technique:
    """One entry: `read` makes settings of a recipe's table (and raises BadInput), `run` acts."""

    name: str
    read: Callable[[Table], Any]
    run: Run
    stage: Stage = "real"


TECHNIQUES: Final[dict[str, Technique]] = {}


def technique(
    name: str, *, read: Callable[[Table], Any], stage: Stage = "real"
) -> Callable[[Run], Run]:
    """Decorator: enter a function in `TECHNIQUES`. Raises InternalError when the name is taken."""

    def enter(run: Run) -> Run:
        if name in TECHNIQUES:
            raise InternalError(f"{name} has two compression techniques")
        TECHNIQUES[name] = Technique(name, read, run, stage)
        return run

    return enter


@dataclass(frozen=True, slots=True)
class Step:
    """A technique with its settings, as one run asks for it."""

    technique: Technique
    settings: Any
