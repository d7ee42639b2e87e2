"""Layer after layer: weights that give what the layer gave before, from the inputs it gets now.

The graph as it was and the compressed one run side by side, node by node. Each layer's weights are
fitted by least squares to the outputs of the original layer (He et al. 2017, arXiv:1707.06168):
so they make good for what is gone from their inputs, and for what the layers before got wrong. The
last layer of a branch that is added to others also makes good for what those got wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.calibrate.patches import PATCHED_OPS, Places, grouped_weights, patches
from edgepack.calibrate.pruning_moments import bias_of, set_layer
from edgepack.calibrate.stepper import Stepper
from edgepack.compress.coupling import Keep
from edgepack.compress.removal import Channels
from edgepack.compress.selection import Float
from edgepack.ir import Array, Graph, Node, Value
from edgepack.progress import advance

# How hard weights are held to what they were, in mean variances: each half of the samples says it
# of the other.
_HOLDS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 100.0)
_HOLD: Final = 0.1  # where there is one sample only
_Rows = npt.NDArray[np.float32]


def refit(
    graph: Graph,
    original: Channels,
    keep: Keep,
    samples: Sequence[Sequence[Array]],
    *,
    seed: int = 0,
    threads: int = 2,
) -> int:
    """Fit the layers of `graph`, in place; return how many.

    `original` has the graph before the removal, with the same names in the same order, and `keep`
    says which of its channels are left. `samples` are inputs of both.
    """
    walk = _Walk(graph, original, keep, samples, seed, threads)
    total = len(graph.nodes)
    for done in range(total):
        walk.step()
        advance(done + 1, total, "fitting layers")
    return walk.fitted


class _Walk:
    """Both graphs at the same place."""

    def __init__(
        self,
        graph: Graph,
        original: Channels,
        keep: Keep,
        samples: Sequence[Sequence[Array]],
        seed: int,
        threads: int,
    ) -> None:
        self.fitted = 0
        self._graph, self._keep = graph, keep
        self._one = Stepper(original.graph, samples, threads=threads, canonical=True)
        self._two = Stepper(graph, samples, threads=threads, canonical=True)
        self._rng = np.random.default_rng(seed)

    def step(self) -> None:
        """Take the next node of both graphs, fitted if it is a layer whose inputs changed."""
        before, after = self._one.node, self._two.node
        assert before is not None
        assert after is not None
        if _is_layer(after) and self._differs(before, after):
            self._fit(before, after)
            self.fitted += 1
        self._one.step()
        self._two.step()

    def _differs(self, before: Node, after: Node) -> bool:
        """Whether a layer reads something else than it did, or what it is added to is different."""
        pairs = [(before.input(0), after.input(0)), *self._beside(before, after)]
        return any(
            not np.array_equal(self._one.arrays(a)[0], self._two.arrays(b)[0]) for a, b in pairs
        )

    def _fit(self, before: Node, after: Node) -> None:
        halves = (_Sums(), _Sums())
        whole = grouped_weights(before, before.input(1).const).astype(np.float32)
        bias = bias_of(before).astype(np.float32).reshape(len(whole), 1, -1)
        rows = self._keep.mask(before.output)
        xs, qs = self._one.arrays(before.input(0)), self._two.arrays(after.input(0))
        beside = self._beside(before, after)
        for index, (x, q) in enumerate(zip(xs, qs, strict=True)):
            places = Places.drawn(before, self._rng)
            target = np.matmul(patches(before, x, places), whole.transpose(0, 2, 1)) + bias
            wanted = _by_group(_flat(target)[:, rows], after)
            for a, b in beside:
                was, now = self._one.arrays(a)[index], self._two.arrays(b)[index]
                wanted = wanted + _by_group(
                    _at(was, places, before)[:, self._keep.mask(a)] - _at(now, places, after), after
                )
            halves[index % 2].add(patches(after, q, places), wanted)
        held = grouped_weights(after, after.input(1).const)
        weights, new_bias = fitted(*halves, held)
        set_layer(self._graph, after, weights, new_bias)

    def _beside(self, before: Node, after: Node) -> list[tuple[Value, Value]]:
        """What a layer's output alone is added to, in both graphs, as far as it is known yet."""
        user, twin = self._one.only_user(before), self._two.only_user(after)
        if user is None or twin is None or user.op != "Add" or after.attrs["activation"] != "none":
            return []
        pairs = [
            (a, b)
            for a, b in zip(user.present_inputs, twin.present_inputs, strict=True)
            if a is not before.output
        ]
        shaped = all(a.shape == before.output.shape and self._one.knows(a) for a, _ in pairs)
        return pairs if shaped and len(pairs) == 1 else []


def _is_layer(node: Node) -> bool:
    return node.op in PATCHED_OPS and node.input(1).is_const and node.attrs["activation"] != "tanh"


def _flat(grouped: _Rows) -> _Rows:
    """[groups, rows, outputs] as [rows, groups * outputs]."""
    return grouped.transpose(1, 0, 2).reshape(grouped.shape[1], -1)


def _by_group(rows: _Rows, node: Node) -> _Rows:
    """The way back for the groups that `node` has."""
    groups = rows.shape[1] if node.op == "DepthwiseConv2d" else node.attrs.get("groups", 1)
    return rows.reshape(len(rows), groups, -1).transpose(1, 0, 2)


def _at(array: Array, places: Places, node: Node) -> _Rows:
    """An array like the output of `node` at these places, [rows, channels]."""
    if node.op == "FullyConnected":
        return array.reshape(-1, array.shape[-1])
    taken = array[:, places.top :: places.step, places.left :: places.step]
    return taken.reshape(-1, array.shape[-1])


class _Sums:
    """Moments of inputs q and of wanted outputs t with them, as samples come in."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: list[Float] = []

    def add(self, q: _Rows, t: _Rows) -> None:
        """Take rows q [groups, rows, n] and t [groups, rows, outputs]."""
        self._count += q.shape[1]
        new = [
            q.sum(axis=1, dtype=np.float64),
            t.sum(axis=1, dtype=np.float64),
            np.matmul(q.transpose(0, 2, 1), q).astype(np.float64),
            np.matmul(t.transpose(0, 2, 1), q).astype(np.float64),
        ]
        self._sums = [a + b for a, b in zip(self._sums, new, strict=True)] if self._sums else new

    def __add__(self, other: _Sums) -> _Sums:
        both = _Sums()
        both._count = self._count + other._count
        both._sums = [a + b for a, b in zip(self._sums, other._sums, strict=True)]
        return both

    @property
    def count(self) -> int:
        """How many rows were taken."""
        return self._count

    def _moments(self) -> tuple[Float, Float, Float, Float]:
        """Means of q and t, covariances of q and of t with q."""
        q, t, qq, tq = (s / self._count for s in self._sums)
        return q, t, qq - q[:, :, None] * q[:, None, :], tq - t[:, :, None] * q[:, None, :]

    def solve(self, held: Float, hold: float) -> tuple[Float, Float]:
        """Weights [groups, outputs, n] near `held`, and the bias [groups * outputs]."""
        q, t, gram, cross = self._moments()
        n = gram.shape[-1]
        level = np.trace(gram, axis1=1, axis2=2)[:, None, None] / n * hold
        level = np.where(level > 0, level, 1.0)
        right = np.swapaxes(cross + level * held, 1, 2)
        weights = np.swapaxes(np.linalg.solve(gram + level * np.eye(n), right), 1, 2)
        bias: Float = t - np.einsum("gon,gn->go", weights, q)
        return weights, bias.reshape(-1)

    def error(self, weights: Float) -> float:
        """The power of the error, less that of t, which is the same for all weights."""
        _, _, gram, cross = self._moments()
        return float(np.sum((weights @ gram - 2 * cross) * weights))


def fitted(one: _Sums, two: _Sums, held: Float) -> tuple[Float, Float]:
    """Weights near `held` by both halves of the samples, and the bias.

    They are held as hard as serves each half best when it was not what they were fitted to.
    """
    if not two.count:
        return one.solve(held, _HOLD)

    def error(hold: float) -> float:
        return two.error(one.solve(held, hold)[0]) + one.error(two.solve(held, hold)[0])

    return (one + two).solve(held, min(_HOLDS, key=error))
