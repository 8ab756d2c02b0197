"""The lock of the night: one at a time, and whoever comes second is told who holds it and since when.

The system's lock on the file decides, not what is written in it: it ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime

from indexer.shard.files import ArchiveFiles
from indexer.times import to_local_iso
from reid.errors import BusyError, storage_errors

_BYTES = 1024


@dataclass(frozen=True)
class Holder:
    """Who runs a night: process, machine, user, and since when (ISO 8601)."""

    pid: int
    host: str
    user: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} on {self.host}, since {self.since}"


@contextmanager
def night_lock(archive: ArchiveFiles, now: datetime) -> Iterator[tuple[Holder, Holder | None]]:
    """Hold the night; yields who holds it now, and who held it and was stopped before the end.

    Raises:
        BusyError: another process holds it.
        StorageError: the disk refuses.
    """
    with storage_errors(archive.nightly_lock):
        descriptor = os.open(archive.nightly_lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _read(descriptor) or "a process that has not yet said who it is"
            raise BusyError(
                f"{archive.home}: another night is under way: {who}; wait for it to end, or stop it"
            ) from None
        earlier = _read(descriptor)
        holder = Holder(os.getpid(), socket.gethostname(), _user(), to_local_iso(now))
        _write(descriptor, json.dumps(asdict(holder)))
        yield holder, earlier
        _write(descriptor, "")  # only a night that came to its end leaves nothing
    finally:
        os.close(descriptor)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def _read(descriptor: int) -> Holder | None:
    try:
        value = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(int(value["pid"]), str(value["host"]), str(value["user"]), str(value["since"]))
    except (ValueError, KeyError, TypeError):  # nobody, or killed while writing it
        return None


def _write(descriptor: int, text: str) -> None:
    """Always over the same bytes: on a full disk the lock can still say who holds it."""
    with suppress(OSError):  # one that never could holds all the same
        os.pwrite(descriptor, text.encode(errors="backslashreplace").ljust(_BYTES), 0)
        os.fsync(descriptor)
