"""Killed between any two writes, or by a power cut there, an archive is as before or as after.

Every change of the disk is intercepted: opening a file for writing, fsync, rename, delete, make and delete of
a folder, and the commit of a catalogue's transaction. Just before each, what lies on the disk is copied: that
is what a process killed there leaves, for what it had not yet handed to the system is lost with it, and what
it had is not. A second copy is what a power cut leaves: files that were never fsynced are empty.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import compaction
from indexer.catalogue import Catalogue, writer_lock
from indexer.codebooks import train_codebook
from indexer.codes import Codebook
from indexer.compaction import compact
from indexer.erasure import erase_time, erase_tracklet
from indexer.keyvalue import KeyValueFile
from indexer.purge import Days, Order
from indexer.retention import purge
from indexer.rewriting import remove_leftovers
from indexer.shard.files import ArchiveFiles
from indexer.times import from_milliseconds
from indexer.verification import verify
from tests.canned import NOW, at, clip, holding, index, litter, snapshot, traces, use
from tests.crowd import embedder, people

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink")
_UNKILLED = ("catalogue.lmdb-lock", "writer.lock")  # held by processes, not by what is on the disk

Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Work:
    """An operation on an archive."""

    archive: ArchiveFiles
    footage: Path


class Camera:
    """Takes a picture of the disk before each of its changes."""

    def __init__(self, archive: ArchiveFiles, album: Path) -> None:
        self.events: list[str] = []
        self.pictures: dict[str, Path] = {}
        self.loose: list[str] = []
        self._archive, self._album = archive, album
        self._busy = False
        self._safe = {_stamp(path) for path in archive.home.rglob("*") if path.is_file()}
        self._named = {path: _names(path) for path in archive.home.rglob("*") if path.is_dir()}

    def before(self, event: str) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            self.events.append(event)
            if event == "commit":
                self.loose += self._unsafe_names()
            self._keep(f"{len(self.events):03d} {event}", set())
            self._keep(f"{len(self.events):03d} {event} power cut", self._unsafe())
        finally:
            self._busy = False

    def synced(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        if path.is_dir():
            self._named[path] = _names(path)
        else:
            self._safe.add(_stamp(path))

    def renamed(self, source: Path, target: Path) -> None:
        """A folder takes along what is known of the names in it."""
        if source in self._named:
            self._named[target] = self._named.pop(source)

    def returning(self) -> list[str]:
        """Names that were deleted and would be back after a power cut."""
        return [
            str(path / name)
            for path, names in self._named.items()
            if path.is_dir() and self._archive.staging not in (path, *path.parents)
            for name in names - _names(path)
        ]

    def _unsafe_names(self) -> list[str]:
        """Names of segments that the catalogue is about to know and a power cut would take away."""
        folders = [self._archive.home / "shards", *(self._archive.home / "shards").rglob("*")]
        return [
            str(path / name)
            for path in folders
            if path.is_dir()
            for name in _names(path) - self._named.get(path, set())
        ]

    def _unsafe(self) -> set[Path]:
        """Files that lose their content in a power cut; LMDB sees to its own."""
        files = (path for path in self._archive.home.rglob("*") if path.is_file())
        return {path for path in files if "lmdb" not in path.name and _stamp(path) not in self._safe}

    def _keep(self, title: str, empty: set[Path]) -> None:
        home = self._archive.home
        shown = _digest(home, empty)
        if shown not in self.pictures:
            copy = self.pictures[shown] = self._album / title
            shutil.copytree(home, copy, ignore=shutil.ignore_patterns(*_UNKILLED))
            for path in empty:
                if path.name not in _UNKILLED:
                    (copy / path.relative_to(home)).write_bytes(b"")


def _digest(home: Path, empty: set[Path]) -> str:
    """Of names and bytes of everything there, `empty` files without theirs."""
    total = hashlib.sha256()
    for path in sorted(home.rglob("*")):
        if path.name not in _UNKILLED:
            content = path.read_bytes() if path.is_file() and path not in empty else b""
            total.update(repr((str(path), path.is_dir(), len(content))).encode() + content)
    return total.hexdigest()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


_watching: Camera | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching is None:
        return
    writes = event == "open" and isinstance(arguments[0], str) and arguments[2] & _WRITES
    if event in _CHANGES or writes:
        _watching.before(f"{event} {Path(str(arguments[0])).name}")
    if event == "os.rename":
        _watching.renamed(Path(str(arguments[0])), Path(str(arguments[1])))


@contextmanager
def watched(archive: ArchiveFiles, album: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Camera]:
    """Pictures of every moment of what is done inside."""
    global _watching
    camera = Camera(archive, album)
    write = KeyValueFile.write

    def fsync(descriptor: int) -> None:
        camera.before("fsync")
        camera.synced(descriptor)

    @contextmanager
    def committing(self: KeyValueFile) -> Iterator[Any]:
        with write(self) as tables:
            yield tables
            camera.before("commit")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        patch.setattr(KeyValueFile, "write", committing)
        _watching = camera
        try:
            yield camera
        finally:
            _watching = None
        camera.before("end")


@pytest.fixture(scope="module", autouse=True)
def hook() -> None:
    sys.addaudithook(_hook)  # does nothing while nobody watches; Python cannot take one away


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small segments are coded too; nothing here waits for the disk."""
    monkeypatch.setattr(compaction, "CODED_ROWS", 1)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def codebook() -> Codebook:
    return Codebook.train(people(np.random.default_rng(3), 1500, 32), embedder().sha256)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, codebook: Codebook) -> Work:
    """Three clips of one day before two cameras, the last of which ends on the next."""
    folder = tmp_path_factory.mktemp("small")
    work = Work(ArchiveFiles(folder / "archive"), folder)
    index(
        work.archive, clip(folder, "a", "S-1", at(9)), clip(folder, "b", "S-2", at(9)),
        clip(folder, "n", "S-1", at(24) - 15_000),
    )  # fmt: skip
    use(work.archive, codebook)
    return work


@pytest.fixture(scope="module")
def merged(small: Work) -> Work:
    """The same, a segment a day, with codes."""
    work = replace(small, archive=ArchiveFiles(small.footage / "merged"))
    shutil.copytree(small.archive.home, work.archive.home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "CODED_ROWS", 1)
        assert len(compact(work.archive).days) == 2
    return work


def _index(work: Work) -> None:
    index(work.archive, clip(work.footage, "new", "N-1", at(12), "nowon"))


def _replace(work: Work) -> None:
    index(work.archive, clip(work.footage, "a", "S-9", at(9)), replace=True)


def _mend(work: Work) -> None:
    index(work.archive, clip(work.footage, "n", "S-1", at(24) - 15_000))


def _compact(work: Work) -> None:
    compact(work.archive)


def _erase_time(work: Work) -> None:
    """The second half of the clip before midnight and all of the next day."""
    erase_time(work.archive, "songpa", at(24) - 10_000, at(48), ("S-1",), now=lambda: NOW)


def _erase_one(work: Work) -> None:
    erase_tracklet(work.archive, sorted(holding(work.archive).tracklets)[0], now=lambda: NOW)


def _erase_clip(work: Work) -> None:
    """One of the people of a segment that nobody can read."""
    erase_time(work.archive, "songpa", at(9), at(9) + 5_000, ("S-1",), now=lambda: NOW)


def _purge(work: Work) -> None:
    """The first day goes, and of the clip over midnight what ends on the next day's first seconds stays."""
    purge(work.archive, Days(1), Order("night", before=date(2025, 2, 19)), now=lambda: at_purge)


at_purge = from_milliseconds(at(25))


def _lose_a_day(work: Work) -> None:
    """One of the two segments of the clip over midnight."""
    [first, _] = [entry for entry in snapshot(work.archive).segments if entry.start_ms > at(20)]
    shutil.rmtree(work.archive.segment(first.district, first.day, first.segment).folder)


def _cut_a_day(work: Work) -> None:
    [first, _] = snapshot(work.archive).segments
    path = work.archive.segment(first.district, first.day, first.segment).vectors
    os.truncate(path, path.stat().st_size - 1)


def _nothing(work: Work) -> None:
    pass


Step = Callable[[Work], None]
WALKS: list[tuple[str, str, Step, Step]] = [
    ("indexing into a new district", "small", _nothing, _index),
    ("compaction with codes", "small", _nothing, _compact),
    ("replacing a clip of a merged day", "merged", _nothing, _replace),
    ("mending one of two segments", "small", _lose_a_day, _mend),
    ("erasing a time", "merged", _nothing, _erase_time),
    ("erasing a tracklet", "merged", _nothing, _erase_one),
    ("erasing what cannot be read", "merged", _cut_a_day, _erase_clip),
    ("purging a day", "merged", _nothing, _purge),
    ("purging a day of many segments", "small", _nothing, _purge),
]


@pytest.mark.parametrize(("name", "base", "prepare", "act"), WALKS, ids=[walk[0] for walk in WALKS])
def test_killed_anywhere_the_archive_is_as_before_or_as_after(
    name: str, base: str, prepare: Step, act: Step, tmp_path: Path, request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made: Work = request.getfixturevalue(base)
    work = replace(made, archive=ArchiveFiles(tmp_path / "work"))
    shutil.copytree(made.archive.home, work.archive.home)
    prepare(work)
    before = holding(work.archive)
    with watched(work.archive, tmp_path, monkeypatch) as camera:
        act(work)
    after = holding(work.archive)
    erases = act in (_erase_time, _erase_one, _erase_clip, _purge)
    gone = {key: one for key, one in before.tracklets.items() if key not in after.tracklets} if erases else {}
    if act is _erase_clip:
        whole = holding(made.archive).tracklets
        gone = {key: one for key, one in whole.items() if key not in after.tracklets}
    assert bool(gone) == erases
    assert camera.loose == []
    assert camera.returning() == [] or not erases
    seen = {event.split()[0] for event in camera.events}
    assert seen >= ({"commit", "end", "os.remove"} if act is _erase_clip else {"fsync", "os.rename", "open"})
    ends, waits = [], []
    for picture in camera.pictures.values():
        left = replace(work, archive=ArchiveFiles(picture))
        found = holding(left.archive)
        assert found in (before, after), picture.name
        ends.append(found == after)
        waits.append(len(snapshot(left.archive).waiting))
        told = verify(left.archive, deep=True).damaged
        assert {shard for _, shard, _ in told} == found.damaged, picture.name
        if found == before:
            act(left)
            assert snapshot(left.archive).waiting == (), picture.name
        else:
            with Catalogue(left.archive, "write") as catalogue, writer_lock(left.archive):
                remove_leftovers(left.archive, catalogue.snapshot())
        assert holding(left.archive) == after, picture.name
        assert litter(left.archive) == [], picture.name
        assert traces(left.archive, gone) == [], picture.name
        shutil.rmtree(picture)
    if before != after:  # first all as before, then all as after
        assert sorted(ends) == ends
        assert set(ends) == {False, True}
    # a file that is new to the archive is told as not yet indexed until the transaction that indexes it
    changes = [waits[0], *(after for before, after in pairwise(waits) if before != after)]
    assert changes == ([0, 1, 0] if act in (_index, _replace, _mend) else [0])


def test_killed_while_a_codebook_is_kept(
    small: Work, codebook: Codebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = Codebook.train(people(np.random.default_rng(4), 1500, 32), embedder().sha256)
    monkeypatch.setattr(Codebook, "train", lambda *given: another)
    archive = ArchiveFiles(tmp_path / "work")
    shutil.copytree(small.archive.home, archive.home)
    with watched(archive, tmp_path, monkeypatch) as camera:
        train_codebook(archive)
    names = []
    for picture in camera.pictures.values():
        left = ArchiveFiles(picture)
        names.append(snapshot(left).codebook)
        assert verify(left).codebook is None, picture.name  # the one in use can be used
        assert holding(left) == holding(small.archive)
        compact(left)
        assert litter(left) == [], picture.name
    assert list(dict.fromkeys(names)) == [codebook.name, another.name]
