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
        self._cameras = cameras
        self._batch = batch
        self._seed = seed
        order = np.argsort(identities, kind="stable")
        self._rows = np.split(order, np.flatnonzero(np.diff(identities[order])) + 1)
        self._run = min(batch.run, batch.people)
        if len(self._rows) < batch.people:
            raise InputError(
                f"batch.people: expected at most {len(self._rows)}, the people there are, got {batch.people}"
            )
        self.steps_per_epoch = len(self._rows) // batch.people

    def batch(self, step: int) -> Ints:
        """(people * crops,) rows of batch `step`, the crops of a person one after the other."""
        epoch, place = divmod(step, self.steps_per_epoch)
        people = self._order(epoch)[place * self._batch.people : (place + 1) * self._batch.people]
        rng = np.random.default_rng([self._seed, step, 2])
        return np.concatenate([self._choose(self._rows[person], rng) for person in people])

    def _order(self, epoch: int) -> Ints:
        """All identities; runs of neighbours stay together, their borders move from epoch to epoch."""
        rng = np.random.default_rng([self._seed, epoch, 1])
        count = len(self._rows)
        turned = np.roll(np.arange(count), -int(rng.integers(self._run)))
        runs = [turned[start : start + self._run] for start in range(0, count, self._run)]
        return np.concatenate([runs[number] for number in rng.permutation(len(runs))])

    def _choose(self, rows: Ints, rng: np.random.Generator) -> Ints:
        """`crops` of `rows`: each camera once before any twice, each crop once before any twice."""
        wanted = self._batch.crops
        shuffled = rng.permutation(rows)
        seen: dict[int, int] = {}
        turns = np.empty(len(shuffled), np.int64)
        for place, row in enumerate(shuffled):
            camera = int(self._cameras[row])
            turns[place] = seen[camera] = seen.get(camera, -1) + 1
        ordered = shuffled[np.argsort(turns, kind="stable")]
        return np.resize(ordered, wanted)
