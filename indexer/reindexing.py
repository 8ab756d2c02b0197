"""Indexes an archive's footage once more with another embedder, beside the archive in use, and switches.

Owns what is indexed again, in which order, and when the switch may be made. Searches go on in the old archive
until then, and others may index, erase and purge it: what they do is caught up with. Knows no queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexer.catalogue import Catalogue, writer_lock
from indexer.clips import ClipRequest
from indexer.decisions import RunOptions
from indexer.executors import Executor
from indexer.generations import Generation, finish, follow, id_salt, take_over
from indexer.index_report import IndexReport, Progress
from indexer.indexing import index_with
from indexer.ledger import ClipDone, ClipFailed
from indexer.rewriting import open_entry
from indexer.settings import set_setting
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import SegmentEntry, Snapshot
from indexer.times import from_milliseconds
from reid.errors import DamagedError, FormatError, InputError
from reid.registry import ModelSpec

_State = tuple[str, str, str, int]

_AT_ONCE = 100
"""Clips between two looks at what has left the archive meanwhile."""


@dataclass(frozen=True)
class Missing:
    """A clip of the ledger that cannot be indexed again.

    Attributes:
        path: where it lay last. reason: for people. hours: of footage that would be lost.
    """

    path: str
    reason: str
    hours: float


@dataclass(frozen=True)
class Reindexed:
    """How far it is.

    Attributes:
        model: name of the new embedder.
        clips: in the ledger. done: indexed with the new embedder, of these; `now` of them in this run.
        missing: clips that cannot be.
        switched: the archive is that of the new embedder now, without the missing ones.
    """

    model: str
    clips: int
    done: int
    now: int
    missing: tuple[Missing, ...]
    switched: bool

    def to_json(self) -> dict[str, Any]:
        """See docs/contracts.md."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        told = [f"cannot be indexed again: {each.path}: {each.reason}" for each in self.missing]
        hours = sum(each.hours for each in self.missing)
        told.append(
            f"{self.done} of {self.clips} clips are indexed with {self.model}, {self.now} of them now;"
            f" {len(self.missing)} cannot be ({hours:.1f} h)"
        )
        if self.switched:
            told.append(f"the archive uses {self.model} now; train its codes with: reid codebook train")
        elif self.missing and self.done + len(self.missing) >= self.clips:
            told.append(
                "not switched: bring that footage back where it lay, or give --drop-missing to go on without"
            )
        else:
            told.append("not switched yet: run the same command again to go on")
        return told


def look_ahead(archive: ArchiveFiles, model: str, embedder: str) -> Reindexed:
    """How far it is, and what cannot be indexed again since its footage is gone; changes nothing.

    Args:
        model: name of the new embedder. embedder: its sha256.

    Raises:
        InputError: nothing is indexed, or another model is under way.
        ArchiveError: the archive cannot be read.
    """
    with Catalogue(archive) as catalogue:
        source = catalogue.snapshot()
    clips = len(source.clips)
    if source.embedder == embedder:
        return Reindexed(model, clips, clips, 0, (), True)
    if not clips:
        raise InputError(f'nothing is indexed: set in {archive.settings}: embedder = "{model}"')
    left = list(source.clips)
    if archive.next.catalogue.exists():
        with Catalogue(archive.next) as catalogue:
            held = catalogue.snapshot()
        if held.id_salt not in ("", id_salt(embedder)):
            raise InputError(
                f"{archive.next.home}: begun with another model; go on with that one, or delete the folder"
            )
        left = _left(source, held, archive.next, set())
    return Reindexed(model, clips, clips - len(left), 0, tuple(_missing(left, {})), False)


def reindex(
    archive: ArchiveFiles, executor: Executor, options: RunOptions | None = None,
    progress: Progress | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC), *,
    drop_missing: bool = False,
) -> Reindexed:  # fmt: skip
    """Index all footage of the archive with the executor's embedder, newest first, and switch at the end.

    Safe to kill at any moment; the same call goes on. Searches find what they found until the switch.

    Args:
        executor, options, progress, now: as of `index_with`.
        drop_missing: switch even if some clips cannot be indexed again; the archive loses them.

    Raises:
        InputError: as `look_ahead`.
        StorageError: another process writes, or the disk refuses; what was done is kept.
    """
    model = executor.kit.embedder
    begun = look_ahead(archive, model.name, model.sha256)
    if begun.switched:
        with Generation(archive, "write") as catalogue, writer_lock(archive):
            finish(archive, catalogue)
        set_setting(archive, "embedder", model.name)
        return begun
    with Generation(archive.next, "create") as target:
        target.begin(id_salt(model.sha256))
    total = begun.clips - begun.done - len(begun.missing)
    run = _Run(archive, model, total, progress or Progress())
    asked = replace(options or RunOptions(), replace=True)
    while True:
        run.look()
        batch = [clip for clip in run.left if run.is_open(clip)][:_AT_ONCE]
        if batch:
            requests = list(map(_request, batch))
            run.add(batch, index_with(executor, archive.next, requests, run, now, options=asked))
        elif run.left and not drop_missing:
            return run.result(switched=False)
        elif run.switch(drop_missing):
            set_setting(archive, "embedder", model.name)
            return run.result(switched=True)


class _Run(Progress):
    """The state of one run; passes on how far it is over all batches.

    `left` are the clips of the archive in use, as last seen, that are not in the one beside it, newest first;
    `tried` says of those that this run has tried why they are left, if they are.
    """

    def __init__(self, archive: ArchiveFiles, model: ModelSpec, total: int, shown: Progress) -> None:
        self.archive, self.model, self.total, self.shown = archive, model, total, shown
        self.left: list[ClipDone] = []
        self.tried: dict[_State, str] = {}
        self.sound: set[str] = set()
        self.before = self.done = self.clips = 0

    def look(self, source: Snapshot | None = None) -> None:
        """Take the archives as they are now, and let what has left the one leave the other."""
        if source is None:
            with Catalogue(self.archive) as catalogue:
                source = catalogue.snapshot()
        follow(source, self.archive.next)
        with Catalogue(self.archive.next) as catalogue:
            held = catalogue.snapshot()
        self.left = _left(source, held, self.archive.next, self.sound)
        self.clips = len(source.clips)

    def is_open(self, clip: ClipDone) -> bool:
        """Can it be tried?"""
        return _state(clip) not in self.tried and Path(clip.path).is_file()

    def add(self, batch: Iterable[ClipDone], report: IndexReport) -> None:
        """Take in what became of a batch."""
        why = {clip.path: clip.message for clip in report.failed} | dict(report.skipped)
        for clip in batch:
            self.tried[_state(clip)] = why.get(clip.path, "the file there is not the one that was indexed")
            self.before += 1
        self.done += len(report.done)

    def switch(self, drop_missing: bool) -> bool:
        """Put the one in the place of the other; False when what is left has changed meanwhile."""
        with Generation(self.archive, "write") as catalogue, writer_lock(self.archive):
            self.look(catalogue.snapshot())
            if any(map(self.is_open, self.left)) or (self.left and not drop_missing):
                return False
            take_over(self.archive, catalogue, self.archive.next)
        return True

    def result(self, *, switched: bool) -> Reindexed:
        """How far it is."""
        missing = tuple(_missing(self.left, self.tried))
        return Reindexed(
            self.model.name, self.clips, self.clips - len(self.left), self.done, missing, switched
        )

    def clip_started(self, path: Path, number: int, total: int) -> None:
        self.shown.clip_started(path, self.before + number, self.total)

    def clip_advanced(self, path: Path, seconds: float) -> None:
        self.shown.clip_advanced(path, seconds)

    def clip_done(self, clip: ClipDone) -> None:
        self.shown.clip_done(clip)

    def clip_failed(self, clip: ClipFailed) -> None:
        self.shown.clip_failed(clip)

    def clip_ended(self, path: Path, ended: int, total: int) -> None:
        self.shown.clip_ended(path, self.before + ended, self.total)


def _request(clip: ClipDone) -> ClipRequest:
    return ClipRequest(Path(clip.path), clip.district, clip.camera, from_milliseconds(clip.shown_ms))


def _state(clip: ClipDone) -> _State:
    """As what a clip is indexed."""
    return clip.sha256, clip.district, clip.camera, clip.shown_ms


def _missing(left: Iterable[ClipDone], tried: Mapping[_State, str]) -> Iterator[Missing]:
    """Clips that are gone, or were tried in vain."""
    for clip in left:
        if not Path(clip.path).is_file():
            yield Missing(clip.path, "the footage is gone", clip.footage_s / 3600)
        elif _state(clip) in tried:
            yield Missing(clip.path, tried[_state(clip)], clip.footage_s / 3600)


def _left(source: Snapshot, held: Snapshot, target: ArchiveFiles, sound: set[str]) -> list[ClipDone]:
    """Clips of the archive in use that the one beside does not hold as they are, newest first.

    Args:
        sound: seals of segments of the target that can be read; grows.
    """
    sound |= {entry.seal for entry in held.segments if entry.seal not in sound and _is_sound(target, entry)}
    bad = {clip for entry in held.segments if entry.seal not in sound for clip in entry.clips}
    there = {clip.sha256: clip for clip in held.clips if clip.sha256 not in bad}
    return [clip for clip in reversed(source.clips) if not _is_same(there.get(clip.sha256), clip)]


def _is_same(held: ClipDone | None, clip: ClipDone) -> bool:
    if held is None or (held.district, held.camera) != (clip.district, clip.camera):
        return False
    return held.shows_start_of(clip)


def _is_sound(target: ArchiveFiles, entry: SegmentEntry) -> bool:
    try:
        open_entry(target, entry).verify(deep=False)
    except (DamagedError, FormatError):
        return False
    return True
