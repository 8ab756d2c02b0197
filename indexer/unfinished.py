"""Clips that the archive knows and has not indexed: which of them concern a window. Knows no reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.camera_time import Bools
from indexer.ledger import ClipFailed, ClipWaiting

_NEVER = 1 << 62

Key = tuple[str, str]
"""District and camera id."""


@dataclass(frozen=True)
class Found:
    """Clips inside a window: paths of those with a length, with their camera's number, and of the others."""

    measured: tuple[tuple[str, int], ...] = ()
    unmeasured: tuple[str, ...] = ()


NONE = Found()


class Unfinished:
    """Clips that are known and not indexed.

    Args:
        clips: failed or waiting.
        number: of each camera that is told by its number.
    """

    def __init__(
        self, clips: Sequence[ClipFailed] | Sequence[ClipWaiting], number: Mapping[Key, int]
    ) -> None:
        self._clips = clips
        places = [number.get((clip.district or "", clip.camera or ""), -1) for clip in clips]
        self._camera = np.array(places, np.int64)
        self._start = np.array([-1 if each.start_ms is None else each.start_ms for each in clips], np.int64)
        self._end = np.array([each.end_ms if each.is_measured else _NEVER for each in clips], np.int64)

    def within(
        self, asked: Bools, districts: Collection[str], cameras: Collection[str], since: int, until: int,
        until_ms: int | None,
    ) -> Found:  # fmt: skip
        """Those of the asked cameras and this window, and those of which nobody knows that they are not.

        Args:
            asked: (C,) which cameras, by number.
            districts, cameras: asked, for clips of cameras without a number; empty cameras: all.
            since, until: milliseconds since 1970 UTC, half-open.
            until_ms: its end as it was asked; None: clips without a length count whenever they begin.
        """
        late = _NEVER if until_ms is None else until_ms
        maybe = np.where(self._end < _NEVER, (self._end > since) & (self._start < until), self._start < late)
        maybe &= np.where(self._camera >= 0, asked[self._camera] if len(asked) else False, True)
        measured: list[tuple[str, int]] = []
        unmeasured: list[str] = []
        for place in np.flatnonzero(maybe).tolist():
            clip, camera = self._clips[place], int(self._camera[place])
            if clip.is_measured:
                measured.append((clip.path, camera))
            elif camera >= 0 or (
                (clip.district is None or clip.district in districts)
                and (clip.camera is None or not cameras or clip.camera in cameras)
            ):
                unmeasured.append(clip.path)
        return Found(tuple(measured), tuple(unmeasured))
