"""Which crops a step looks at: `people` identities, `crops` of each, from different cameras where possible.

A batch follows from the seed and the step's number alone, so that a resumed run goes on exactly. Knows no
pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reid.errors import InputError
from reid.training.recipe import Batch

Ints = NDArray[np.int64]


class Sampler:
    """Batches of a labelled set, without end.

    Args:
        identities: (N,) int64 from 0 without a gap. cameras: (N,) int64.
        batch: sizes. seed: of the order.

    Attributes:
        steps_per_epoch: batches in which everybody is seen about once.

    Raises:
        InputError: fewer identities than a batch needs.
    """

    def __init__(self, identities: Ints, cameras: Ints, batch: Batch, seed: int) -> None:
        self._batch = batch
        self._seed = seed
        self._rows = np.argsort(identities, kind="stable")
        self._cameras = cameras[self._rows]
        self._starts = np.flatnonzero(np.diff(identities[self._rows], prepend=-1))
        self._counts = np.diff(self._starts, append=len(identities))
        self._run = min(batch.run, batch.people)
        self._ordered: tuple[int, Ints] = (-1, self._starts)
        if len(self._starts) < batch.people:
            raise InputError(
                f"batch.people: expected at most {len(self._starts)}, the people there are,"
                f" got {batch.people}"
            )
        self.steps_per_epoch = len(self._starts) // batch.people

    def batch(self, step: int) -> Ints:
        """(people * crops,) rows of batch `step`, the crops of a person one after the other."""
        epoch, place = divmod(step, self.steps_per_epoch)
        people = self._order(epoch)[place * self._batch.people : (place + 1) * self._batch.people]
        return self._choose(people, np.random.default_rng([self._seed, step, 2]))

    def _order(self, epoch: int) -> Ints:
        """All identities; runs of neighbours stay together, their borders move from epoch to epoch."""
        if self._ordered[0] != epoch:
            rng = np.random.default_rng([self._seed, epoch, 1])
            count = len(self._starts)
            turned = np.roll(np.arange(count), -int(rng.integers(self._run)))
            runs = [turned[start : start + self._run] for start in range(0, count, self._run)]
            self._ordered = epoch, np.concatenate([runs[number] for number in rng.permutation(len(runs))])
        return self._ordered[1]

    def _choose(self, people: Ints, rng: np.random.Generator) -> Ints:
        """`crops` rows of each: every camera once before any twice, every crop once before any twice."""
        counts = self._counts[people]
        ends = np.cumsum(counts)
        owner = np.repeat(np.arange(len(people)), counts)
        places = np.arange(ends[-1]) + np.repeat(self._starts[people] - ends + counts, counts)
        luck = rng.random(len(places))
        order = np.lexsort((luck, self._cameras[places], owner))
        owner, places, luck = owner[order], places[order], luck[order]
        cameras = self._cameras[places]
        firsts = np.flatnonzero((np.diff(owner, prepend=-1) != 0) | (np.diff(cameras, prepend=-1) != 0))
        turn = np.arange(len(places)) - np.repeat(firsts, np.diff(firsts, append=len(places)))
        places = places[np.lexsort((luck, turn, owner))]
        chosen = (ends - counts)[:, None] + np.arange(self._batch.crops) % counts[:, None]
        rows: Ints = self._rows[places[chosen].ravel()]
        return rows
