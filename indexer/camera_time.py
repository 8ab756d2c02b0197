"""Camera-time cut into pieces, each in one state: what covers it, by an order of precedence.

Arithmetic on stretches of many cameras at once. Knows no reason and no archive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SPAN = 1 << 42
"""Milliseconds: every stored moment is earlier (`indexer.ledger.checked_ms`), so that a camera's number times
this and a moment are one number, and all cameras one line of time."""


class Stretch(NamedTuple):
    """Of one camera's time.

    Attributes:
        camera: its number.
        start_ms, end_ms: milliseconds since 1970 UTC, half-open.
        layer: what covers it, from 0.
    """

    camera: int
    start_ms: int
    end_ms: int
    layer: int


class Pieces:
    """The disjoint pieces of many cameras' time.

    Args:
        stretches: of any number, overlapping as they like.
        layers: how many there are.
        states: from (L, N) bool, which layers cover each of N pieces, a state each, (N,) from 0; -1 for none.
    """

    def __init__(
        self, stretches: Sequence[Stretch], layers: int, states: Callable[[Bools], NDArray[np.int64]]
    ) -> None:
        camera, start, end, layer = np.array(stretches, np.int64).reshape(-1, 4).T
        low, high = camera * _SPAN + start, camera * _SPAN + end
        edges = np.unique(np.concatenate([low, high]))
        depth = np.zeros((layers, len(edges)), np.int32)
        np.add.at(depth, (layer, np.searchsorted(edges, low)), 1)
        np.add.at(depth, (layer, np.searchsorted(edges, high)), -1)
        found = states(depth.cumsum(axis=1)[:, :-1] > 0) if len(edges) else np.zeros(0, np.int64)
        kept = found >= 0
        low, high, state = edges[:-1][kept], edges[1:][kept], found[kept]
        first = np.ones(len(low), bool)  # of a run of pieces that touch and are in one state
        first[1:] = (low[1:] != high[:-1]) | (state[1:] != state[:-1])
        last = np.append(first[1:], True)[: len(first)]
        self._camera, self._state = low[first] // _SPAN, state[first]
        self._start, self._end = low[first] % _SPAN, high[last] - self._camera * _SPAN

    def inside(self, since_ms: int | Ints, until_ms: int | Ints, cameras: int, states: int) -> Ints:
        """(cameras, states) milliseconds of each camera in each state inside a window, or one of its own."""
        if not isinstance(since_ms, int):
            since_ms = since_ms[self._camera]
        if not isinstance(until_ms, int):
            until_ms = until_ms[self._camera]
        lengths = np.minimum(self._end, until_ms) - np.maximum(self._start, since_ms)
        which = self._camera * states + self._state
        sums = np.bincount(which, np.maximum(lengths, 0), cameras * states)  # exact: below 2**53
        return sums.astype(np.int64).reshape(cameras, states)
