"""Crops that are learned from while others are still being rendered, kept where the network is.

A processor renders a few hundred crops a second and a GPU learns from ten thousand: waiting for the last
person before the first step would waste most of an hour. `Stream` reads a cache's shards as they are
finished; `Rendering` makes them beside the training. A streamed run does not repeat exactly: which crops are
there at which step is up to the machine.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import threading
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reid.attributes import COLUMNS
from reid.errors import InputError, ReidError
from reid.training.cropset import Ints, Labels, finished_shards, read_shard
from reid.training.recipe import Data
from reid.training.rendering import render


class Stream:
    """The finished shards of a cache, on a device; more of them after each `grow`.

    Args:
        folder: of the cache, begun by `render`. data: what is rendered into it. device: where crops are kept.

    Attributes:
        labels: of the N crops there are now; identities are numbered as in `data`, with gaps where a
            person was seen by no camera.
        people: how many identities there will be.

    Raises:
        InputError: the device has no room for all crops.
    """

    def __init__(self, folder: Path, data: Data, device: torch.device) -> None:
        self.people = data.people * data.outfits
        self.labels = _joined([])
        self._folder, self._device = folder, device
        self._size = (data.height, data.width)
        self._parts: list[Labels] = []
        self._shards: set[int] = set()
        shape = (self.people * data.cameras * data.crops, *self._size, 4)
        try:  # BGR and how much is the person
            self._pixels = torch.empty(shape, dtype=torch.uint8, device=device)
        except RuntimeError:
            size = math.prod(shape) / 1e9
            raise InputError(
                f"{device}: no room for {shape[0]:,} crops, {size:.1f} GB; fewer data.people, or render first"
                " (--render-only) and train without --stream"
            ) from None

    def __len__(self) -> int:
        return len(self.labels.identities)

    def grow(self) -> bool:
        """Read what has been finished since the last time; whether there was anything.

        Raises:
            DamagedError: a shard that is not what it should be; names it.
        """
        new = [shard for shard in finished_shards(self._folder) if shard not in self._shards]
        first = len(self)
        for shard in new:
            pictures, masks, labels = read_shard(self._folder, shard, self._size)
            self._shards.add(shard)
            here = self._pixels[first : first + len(pictures)]
            here[..., :3].copy_(torch.from_numpy(np.array(pictures)))
            here[..., 3].copy_(torch.from_numpy(np.array(masks)))
            self._parts.append(labels)
            first += len(pictures)
        if new:
            self.labels = _joined(self._parts)
        return bool(new)

    def gather(self, rows: Ints) -> Tensor:
        """(B, H, W, 3) uint8 BGR crops `rows` (B,), in that order, on the device."""
        return self._pixels[torch.from_numpy(rows).to(self._device)][..., :3]

    def gather_masks(self, rows: Ints) -> Tensor:
        """(B, H, W) uint8 masks of `rows`."""
        return self._pixels[torch.from_numpy(rows).to(self._device)][..., 3]


def _joined(parts: list[Labels]) -> Labels:
    none: NDArray[np.int64] = np.empty(0, np.int64)
    empty = Labels(none, none, none, np.empty((0, COLUMNS), np.int8))
    names = ("identities", "cameras", "conditions", "targets")
    return Labels(
        **{name: np.concatenate([getattr(each, name) for each in [empty, *parts]]) for name in names}
    )


class Rendering:
    """Renders the crops of `data` into its cache beside whatever else is done, until closed.

    Args:
        data, folder, workers: see `rendering.render`.

    Raises:
        InputError: fewer than one worker.
    """

    def __init__(self, data: Data, folder: Path, workers: int | None) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"workers: expected 1 or more, got {workers}")
        self._process = multiprocessing.get_context("spawn").Process(
            target=_render_apart, args=(data, folder, workers)
        )
        self._process.start()

    @property
    def running(self) -> bool:
        """Whether there may be more."""
        return bool(self._process.is_alive())

    def check(self) -> None:
        """Go on unless it failed.

        Raises:
            ReidError: it ended before everything was made; its own message is above.
        """
        if self._process.exitcode:
            raise ReidError("rendering stopped; what it said is above")

    def close(self) -> None:
        """Stop; shards that are half made are made anew another time."""
        self._process.terminate()
        with contextlib.suppress(ProcessLookupError):  # its workers, once it has any
            os.killpg(self._process.pid or 0, signal.SIGTERM)
        self._process.join()


def _render_apart(data: Data, folder: Path, workers: int | None) -> None:
    os.setpgid(0, 0)  # its own workers end with it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    render(data, folder, workers)


def _end_with_parent() -> None:
    """A run that is killed cannot close what renders for it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGTERM)
