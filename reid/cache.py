"""The user's cache folder: what takes long to make, and can be made again whenever it is gone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reid.durable import make_folder
from reid.errors import StorageError, storage_errors


def cache_folder() -> Path:
    """Where it is; it may not exist.

    Raises:
        StorageError: the user has no home.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reid-search"
    except RuntimeError:
        raise StorageError("this user has no home folder; set XDG_CACHE_HOME to a folder it owns") from None


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other process is in here, and keep others out: makes what all of them need only once.

    The system's lock decides, which ends with the process. Not to be entered twice by the same process.

    Raises:
        StorageError: the folder cannot be written.
    """
    folder = cache_folder()
    make_folder(folder)
    path = folder / "lock"
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
