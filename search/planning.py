"""`reid plan`: the rates of this machine, what a passage leaves in this archive, and what a load needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from indexer.catalogue import Catalogue
from indexer.rewriting import open_entry
from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import SegmentEntry, Snapshot
from reid.errors import DamagedError, FormatError
from reid.models import find_model
from search.capacity import LEAST_TRACKLETS, SECONDS_IN_VIEW, Capacity, Density, Load, capacity
from search.demo import FOOTAGE
from search.trial import Rates, rates_of

_EVERY = 3  # of the demo's clips one is measured on
_LOOKED_AT = 50  # segments, of which lengths are read


def plan(
    archive: ArchiveFiles, settings: Settings, load: Load, clips: Sequence[Path] = (),
    seconds_in_view: float | None = None, *, again: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Capacity:  # fmt: skip
    """What a load needs, by what is measured on this machine and in this archive.

    Args:
        archive: need not exist; a passage is measured in it when it holds enough of this embedder.
        clips: to measure on; none: some of the demo's.
        seconds_in_view: how long a passage lasts, if the caller knows better.
        again: measure the machine even if it was. tell: what is being done, if it takes long.

    Raises:
        InputError: the clips cannot be used.
        ArchiveError: there is an archive that cannot be read.
        ModelError: the models cannot be loaded.
    """
    snapshot = None
    if archive.catalogue.exists():  # one that cannot be read is told before anything is measured
        with Catalogue(archive) as catalogue:
            snapshot = catalogue.snapshot()
        if snapshot.embedder != find_model(settings.embedder, "embed", archive.models).sha256:
            snapshot = None
    shown = clips or sorted(FOOTAGE.rglob("*.mp4"))[::_EVERY]
    rates = rates_of(archive, settings, shown, again=again, tell=tell)
    return capacity(load, rates, density_of(archive, snapshot, rates, seconds_in_view))


def density_of(
    archive: ArchiveFiles, snapshot: Snapshot | None, rates: Rates, seconds_in_view: float | None = None
) -> Density:
    """What a passage leaves.

    Args:
        snapshot: of the archive; None without one of this model.
        seconds_in_view: what the caller knows better.
    """
    entries = (
        [entry for entry in snapshot.segments if entry.seal and not entry.quarantined] if snapshot else []
    )
    tracklets = sum(entry.tracklets for entry in entries)
    if tracklets < LEAST_TRACKLETS:
        why = f"the trial's {rates.people} passages; fewer than {LEAST_TRACKLETS} are in the archive"
        said = "asked for" if seconds_in_view is not None else "assumed"
        return Density(
            rates.bytes_per_tracklet, rates.vectors_per_tracklet, seconds_in_view or SECONDS_IN_VIEW,
            f"{why}; seconds in view {said}",
        )  # fmt: skip
    seconds = _seconds(archive, entries) if seconds_in_view is None else seconds_in_view
    coded = sum(entry.vectors for entry in entries if entry.codebook) * rates.dimension / 8
    return Density(
        (sum(entry.bytes for entry in entries) - coded) / tracklets,
        sum(entry.vectors for entry in entries) / tracklets, seconds,
        f"the archive's {tracklets:,} tracklets" + ("" if seconds_in_view is None else "; seconds asked for"),
    )  # fmt: skip


def _seconds(archive: ArchiveFiles, entries: list[SegmentEntry]) -> float:
    """Mean length of the tracklets of the newest segments."""
    total = count = 0.0
    for entry in entries[-_LOOKED_AT:]:
        with suppress(DamagedError, FormatError):
            segment = open_entry(archive, entry)
            first = np.unique(segment.column("rows")["tracklet"], return_index=True)[1]
            lengths = (segment.column("end") - segment.column("start"))[first]
            total, count = total + float(lengths.sum()) / 1000, count + len(lengths)
    return total / count if count else SECONDS_IN_VIEW
