"""The audit log: who did what, when and why, appended to one file in which each entry seals the one before.

`audit/log.jsonl` holds an entry a line; `hash` is the sha256 of the entry without it, and the entry holds the
hash of the one before. `audit/head.json` holds the number, hash and length of what was written last, so that
a log cut off at its end is noticed. Nothing is ever taken out of the file: what a killed process left of a
line stays, and the next entry says what it is. Owns the file; knows no policy and no wording.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from indexer.shard.files import ArchiveFiles
from indexer.times import milliseconds
from reid.durable import make_folder, sync_folder
from reid.errors import DamagedError, StorageError, storage_errors
from search.actors import Actor

Event = Literal[
    "archive created", "search", "refused", "alert", "view", "confirm", "reject", "undo", "export", "erase",
    "sign-in", "sign-in failed", "sign-out", "permission", "case opened", "case changed", "case closed",
    "case reopened", "case deleted", "approval asked", "approval given", "approval denied", "log read",
    "repaired",
]  # fmt: skip
EVENTS: tuple[Event, ...] = get_args(Event)

GENESIS = "0" * 64
"""What the first entry has for the hash of the one before."""

_WAIT_S, _PAUSE_S = 10.0, 0.005
_BLOCK = 1 << 16
_TURN = threading.Lock()  # threads of this process take turns without polling


@dataclass(frozen=True)
class Deed:
    """What is to be recorded.

    Attributes:
        event: of `EVENTS`.
        actor: who did it.
        case: whose case it belongs to; empty: none.
        reason: as the person gave it.
        subject: what it was done to: a sighting's id, an account, a folder.
        scope: where and when was asked. counts: how much was shown or done. Both of plain values.
    """

    event: Event
    actor: Actor
    case: str = ""
    reason: str = ""
    subject: str = ""
    scope: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A deed as it stands in the log.

    Attributes:
        number: from 1. at_ms: when, milliseconds since 1970 UTC, by this machine's clock.
        deed: what. previous, hash: see the module.
    """

    number: int
    at_ms: int
    deed: Deed
    previous: str
    hash: str

    def line(self) -> bytes:
        """As it is written, with the line's end."""
        return _canonical({**_content(self.number, self.at_ms, self.deed, self.previous), "hash": self.hash})


@dataclass(frozen=True)
class Head:
    """What was written last: number of the entry, its hash, and the file's length to its end, bytes."""

    entries: int = 0
    hash: str = GENESIS
    bytes: int = 0

    @property
    def note(self) -> str:
        """`17:3f…`, to be noted where nobody can alter it, and given to `reid audit verify --noted`."""
        return f"{self.entries}:{self.hash}"


def record(archive: ArchiveFiles, *deeds: Deed) -> tuple[Entry, ...]:
    """Append deeds; when this returns they are on the disk, and only then may a result be shown.

    Raises:
        StorageError: the disk refuses, or another process holds the log too long.
        DamagedError: the log's end is not what its head says; nothing is appended to such a log.
    """
    if not archive.audit.is_dir():
        make_folder(archive.audit)
    with _TURN, _locked(archive), storage_errors(log_path(archive)):
        descriptor = os.open(log_path(archive), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            head, torn = _end(archive, descriptor)
            entries = _entries(deeds, head, torn)
            data = (b"\n" if torn and not torn.endswith(b"\n") else b"") + b"".join(
                entry.line() for entry in entries
            )
            _write(descriptor, data)
            os.fsync(descriptor)
            length = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if not head.entries:
            sync_folder(archive.audit)
        _write_head(archive, Head(entries[-1].number, entries[-1].hash, length))
    return tuple(entries[1:] if torn else entries)


def read_log(archive: ArchiveFiles) -> Iterator[Entry]:
    """All entries, oldest first, as far as they hold; `search.audit_proof` says whether they do."""
    path = log_path(archive)
    if not path.exists():
        return
    with storage_errors(path), path.open("rb") as stream:
        for line in stream:
            entry = parsed(line)
            if entry is not None:
                yield entry


def recent(archive: ArchiveFiles, since_ms: int, event: Event | None = None) -> Iterator[Entry]:
    """Entries from a moment on, newest first, without reading those before.

    Args:
        since_ms: milliseconds since 1970 UTC. event: only these.
    """
    for line in _backwards(log_path(archive)):
        entry = parsed(line)
        if entry is None:
            continue
        if entry.at_ms < since_ms:
            return
        if event in (None, entry.deed.event):
            yield entry


def read_head(archive: ArchiveFiles) -> Head:
    """What was written last; an empty one where there is none.

    Raises:
        DamagedError: it is no head.
    """
    path = _head(archive)
    with storage_errors(path):
        try:
            kept = json.loads(path.read_bytes())
            return Head(int(kept["entries"]), str(kept["hash"]), int(kept["bytes"]))
        except FileNotFoundError:
            return Head()
        except (ValueError, KeyError, TypeError):
            raise DamagedError(
                f"{path}: expected the head of the audit log; see: reid audit verify, and keep the folder as"
                " it is for whoever looks into it"
            ) from None


def _end(archive: ArchiveFiles, descriptor: int) -> tuple[Head, bytes]:
    """The last entry, and what lies after it that is none.

    Usually the head names the last byte; after a killed process, what follows is read.
    """
    head = read_head(archive)
    length = os.fstat(descriptor).st_size
    if length < head.bytes:
        raise DamagedError(
            f"{log_path(archive)}: {length} bytes, its head says {head.bytes}: the log was cut off."
            " Nothing is recorded in it, and so nothing is shown; see: reid audit verify"
        )
    rest = os.pread(descriptor, length - head.bytes, head.bytes)
    torn = b""
    for line in rest.splitlines(keepends=True):
        entry = parsed(line)
        follows = entry is not None and (entry.previous, entry.number) == (head.hash, head.entries + 1)
        if entry is None or not follows:
            torn += line
        else:
            torn, head = b"", Head(entry.number, entry.hash, 0)
    return head, torn


def _entries(deeds: Sequence[Deed], head: Head, torn: bytes) -> list[Entry]:
    """The entries of these deeds, after one that says what a killed process left."""
    if torn:
        told = {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
        deeds = (Deed("repaired", Actor.system(), scope=told), *deeds)
    made: list[Entry] = []
    number, previous = head.entries, head.hash
    for deed in deeds:
        number += 1
        content = _content(number, milliseconds(datetime.now(UTC)), deed, previous)
        sha256 = hashlib.sha256(_canonical(content)).hexdigest()
        made.append(Entry(number, content["at_ms"], deed, previous, sha256))
        previous = sha256
    return made


def _content(number: int, at_ms: int, deed: Deed, previous: str) -> dict[str, Any]:
    return {"number": number, "at_ms": at_ms, **asdict(deed), "previous": previous}


def _canonical(value: Mapping[str, Any]) -> bytes:
    """One line of JSON, always the same for the same value."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def parsed(line: bytes) -> Entry | None:
    """The entry of a line; None for anything that is not exactly what was written."""
    try:
        value = json.loads(line)
        deed = Deed(
            value["event"], Actor(**value["actor"]), value["case"], value["reason"], value["subject"],
            value["scope"], value["counts"],
        )  # fmt: skip
        entry = Entry(value["number"], value["at_ms"], deed, value["previous"], value["hash"])
        content = _content(entry.number, entry.at_ms, deed, entry.previous)
        intact = hashlib.sha256(_canonical(content)).hexdigest() == entry.hash and entry.line() == line
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return entry if intact else None


def _backwards(path: Path) -> Iterator[bytes]:
    """Lines from the last one, each with its end."""
    if not path.exists():
        return
    with storage_errors(path), path.open("rb") as stream:
        place, rest = stream.seek(0, os.SEEK_END), b""
        while place:
            step = min(_BLOCK, place)
            place -= step
            stream.seek(place)
            lines = (stream.read(step) + rest).splitlines(keepends=True)
            rest = lines.pop(0) if place else b""
            yield from reversed(lines)


@contextmanager
def _locked(archive: ArchiveFiles) -> Iterator[None]:
    """Alone with the log; the system lets go of it when the process ends."""
    path = archive.audit / "lock"
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        until = time.monotonic() + _WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise StorageError(
                        f"{path}: another process holds the audit log; find out which, and stop it"
                    ) from None
                time.sleep(_PAUSE_S)
        yield
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _write_head(archive: ArchiveFiles, head: Head) -> None:
    """Whole or not at all. Should a power cut bring the one before back, the log's end is read again."""
    path = _head(archive)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as stream:
        stream.write(_canonical(asdict(head)))
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def log_path(archive: ArchiveFiles) -> Path:
    """The file of entries."""
    return archive.audit / "log.jsonl"


def _head(archive: ArchiveFiles) -> Path:
    return archive.audit / "head.json"
