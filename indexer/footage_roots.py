"""What is new below the footage roots: walks them, reads the names, leaves out what the ledger has.

Every video is accounted for: known, new, still growing, or of a name that tells nothing. Decodes and hashes
nothing, and keeps in memory only what is new. Knows no order of work.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from indexer.cameras import check_camera_id
from indexer.clips import VIDEO_ENDINGS, ClipRequest, Given, listed
from indexer.districts import Districts
from indexer.footage_patterns import Pattern, Told
from indexer.ledger import ClipWaiting, Fingerprint
from indexer.times import from_milliseconds, milliseconds
from reid.errors import InputError

_BATCH = 4096  # files asked of the ledger in one transaction
_ANSWER_S = 30.0  # after which a root that says nothing is taken for a mount whose server is gone

SHOWN = 100
"""So many unread names and failures of a root are kept; all are counted."""

_LONGEST_MS = 86_400_000  # of a clip: what began a day before all had expired lies in that time as a whole

IsKnown = Callable[[Sequence[tuple[str, Fingerprint]]], list[bool]]
ExpiredUntil = Callable[[tuple[str, str]], int]


@dataclass(frozen=True)
class Root:
    """Where footage comes to lie.

    Attributes:
        path: a folder, or a CSV list of clips.
        patterns: of names in it; the first that fits tells.
        district, camera: what the names do not say; None: they do.
    """

    path: Path
    patterns: tuple[Pattern, ...]
    district: str | None = None
    camera: str | None = None

    @property
    def is_list(self) -> bool:
        """A CSV list?"""
        return self.path.suffix.lower() == ".csv"


@dataclass(frozen=True, slots=True)
class NewClip:
    """A clip that is not in the archive.

    Attributes:
        path: absolute. district: slug. camera: id.
        start_ms: on the camera's own clock, milliseconds since 1970 UTC; None when its name does not say.
        fingerprint: when it was found.
    """

    path: str
    district: str | None
    camera: str | None
    start_ms: int | None
    fingerprint: Fingerprint

    def request(self) -> ClipRequest:
        """To index it."""
        start = None if self.start_ms is None else from_milliseconds(self.start_ms)
        return ClipRequest(Path(self.path), self.district, self.camera, start)

    def waiting(self) -> ClipWaiting:
        """Its row in the ledger until its turn comes; how long it is nobody has looked."""
        return ClipWaiting(self.path, self.district, self.camera, self.start_ms, None)


@dataclass
class RootFound:
    """What was met below one root.

    Attributes:
        path: of the root.
        videos: files that may be footage. known: of them in the archive. new, growing: not yet. expired: of a
            time of which the archive keeps nothing any more.
        unread: (path, why) of those whose names tell no place; the first of them.
        unread_count: how many there are.
        others: files that are no videos, such as pictures and indexes of recorders.
        failures: (path, why) of what could not be listed or read; the first of them.
        failure_count: how many there are.
    """

    path: str
    videos: int = 0
    known: int = 0
    new: int = 0
    growing: int = 0
    expired: int = 0
    unread: list[tuple[str, str]] = field(default_factory=list)
    unread_count: int = 0
    others: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    failure_count: int = 0

    def fail(self, path: str, why: str) -> None:
        """Count and keep a failure."""
        self.failure_count += 1
        if len(self.failures) < SHOWN:
            self.failures.append((path, why))

    def leave(self, path: str, why: str) -> None:
        """Count and keep a name that tells nothing."""
        self.unread_count += 1
        if len(self.unread) < SHOWN:
            self.unread.append((path, why))


@dataclass
class Discovery:
    """What is new.

    Attributes:
        clips: to be indexed. growing: written to within the time of settling.
        roots: what was met, root by root.
    """

    clips: list[NewClip] = field(default_factory=list)
    growing: list[NewClip] = field(default_factory=list)
    roots: list[RootFound] = field(default_factory=list)


def discover(
    roots: Sequence[Root], districts: Districts, is_known: IsKnown, settle_s: float, now: datetime,
    expired_until: ExpiredUntil = lambda key: 0,
) -> Discovery:  # fmt: skip
    """Walk all roots; one that cannot be read never stops the others.

    Args:
        is_known: of files with their fingerprints, which are in the archive.
        settle_s: a file that changed less than so many seconds ago may still grow.
        now: the present, aware; a file changed after it may still grow, too.
        expired_until: of (district, camera id), up to which moment all has expired, ms since 1970 UTC.
    """
    settled_ns = (milliseconds(now) - round(settle_s * 1000)) * 1_000_000
    sort_in = partial(_sort_in, is_known=is_known, expired_until=expired_until, settled_ns=settled_ns)
    found, met = Discovery(), set[str]()
    for root in roots:
        here = RootFound(str(root.path))
        found.roots.append(here)
        batch: list[NewClip] = []
        for clip in _clips(root, here, districts):
            if clip.path in met:  # of two roots that overlap, the first tells
                continue
            if len(roots) > 1:
                met.add(clip.path)
            batch.append(clip)
            if len(batch) == _BATCH:
                sort_in(found, here, batch)
                batch = []
        sort_in(found, here, batch)
        if not here.videos and not here.failures:
            here.fail(here.path, "no footage at all is in it; is the network mount gone?")
    return found


def _sort_in(
    found: Discovery, here: RootFound, batch: list[NewClip], *, is_known: IsKnown,
    expired_until: ExpiredUntil, settled_ns: int,
) -> None:  # fmt: skip
    for clip, known in zip(batch, is_known([(clip.path, clip.fingerprint) for clip in batch]), strict=True):
        place = (clip.district or "", clip.camera or "")
        if known:
            here.known += 1
        elif clip.start_ms is not None and clip.start_ms + _LONGEST_MS <= expired_until(place):
            here.expired += 1
        elif clip.fingerprint.modified_ns > settled_ns:
            here.growing += 1
            found.growing.append(clip)
        else:
            here.new += 1
            found.clips.append(clip)


def _clips(root: Root, here: RootFound, districts: Districts) -> Iterator[NewClip]:
    """Every clip of a root whose place is told."""
    problem = _problem(root)
    if problem is not None:
        here.fail(here.path, problem)
    elif root.is_list:
        yield from _from_list(root, here, districts)
    else:
        places = _Places(root, districts)
        for path, fingerprint in _videos(root.path, here):
            told = _told(places, path, here)
            if told is not None:
                start_ms = None if told.start is None else milliseconds(told.start)
                yield NewClip(path, told.district, told.camera, start_ms, fingerprint)


def _problem(root: Root) -> str | None:
    """Why a root cannot be walked. Asked in a thread of its own: a mount whose server is gone may never
    answer.
    """
    answer: list[str | None] = []

    def look() -> None:
        try:
            if root.is_list:
                with root.path.open("rb") as stream:
                    stream.read(1)
            else:
                with os.scandir(root.path) as entries:
                    next(entries, None)
            answer.append(None)
        except OSError as error:
            answer.append(f"cannot be read ({error.strerror}); check the path, the mount and its permissions")

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(_ANSWER_S)
    return answer[0] if answer else f"does not answer within {_ANSWER_S:.0f} s; check the mount's server"


def _videos(folder: Path, here: RootFound) -> Iterator[tuple[str, Fingerprint]]:
    """Videos in the tree; links are followed, hidden files and folders left out as others."""
    waiting, seen = [str(folder)], set[tuple[int, int]]()
    while waiting:
        parent = waiting.pop()
        try:
            status = os.stat(parent)  # noqa: PTH116  a million of them
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(parent) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        here.others += 1
                    elif _is_folder(entry):
                        waiting.append(entry.path)
                    elif os.path.splitext(entry.name)[1].lower() not in VIDEO_ENDINGS:  # noqa: PTH122
                        here.others += 1
                    else:
                        here.videos += 1
                        fingerprint = _fingerprint(entry.path, here)
                        if fingerprint is not None:
                            yield entry.path, fingerprint
        except OSError as error:
            here.fail(parent, f"cannot be listed ({error.strerror}); check its permissions and the disk")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle: told when it is read as a file
        return False


def _fingerprint(path: str, here: RootFound) -> Fingerprint | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError as error:
        here.fail(path, f"cannot be read ({error.strerror}); check its permissions and the disk")
        return None
    if not stat.S_ISREG(status.st_mode):
        here.fail(path, "expected a video file, got a device or pipe")
        return None
    return Fingerprint(status.st_size, status.st_mtime_ns)


class _Places:
    """Districts and cameras by the words of names, each looked up once."""

    def __init__(self, root: Root, districts: Districts) -> None:
        self.root, self._districts = root, districts
        self._slugs: dict[str | None, str | None] = {None: root.district}
        self._ids: dict[str | None, str | None] = {None: root.camera}

    def district(self, word: str | None) -> str | None:
        """Slug; raises UnknownNameError."""
        if word not in self._slugs:
            self._slugs[word] = self._districts.find(word or "").slug
        return self._slugs[word]

    def camera(self, word: str | None) -> str | None:
        """Id; raises InputError."""
        if word not in self._ids:
            self._ids[word] = check_camera_id(word or "")
        return self._ids[word]


def _told(places: _Places, path: str, here: RootFound) -> Told | None:
    """District (slug), camera (id) and start by the first pattern that fits; None: told in `here.unread`."""
    below = path[len(here.path) :].lstrip("/")
    why = "no pattern of the root fits its name"
    for pattern in places.root.patterns:
        try:
            told = pattern.read(below)
            if told is not None:
                return Told(places.district(told.district), places.camera(told.camera), told.start)
        except (InputError, ValueError) as error:
            why = str(error)
            break
    here.leave(path, why)
    return None


def _from_list(root: Root, here: RootFound, districts: Districts) -> Iterator[NewClip]:
    try:
        for _, request in listed(root.path, Given(root.district, root.camera), districts):
            here.videos += 1
            if isinstance(request, InputError):
                here.leave(str(root.path), str(request))
                continue
            fingerprint = _fingerprint(str(request.path), here)
            if fingerprint is not None:
                start_ms = None if request.start is None else milliseconds(request.start)
                place = (request.district, request.camera)
                yield NewClip(str(request.path), *place, start_ms, fingerprint)
    except InputError as error:
        here.fail(str(root.path), str(error))
