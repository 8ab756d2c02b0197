"""Tells what was damaged from what the machine refuses, whatever reading altered bytes ran into."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reid.errors import ArchiveError, DamagedError, ReidError, StorageError


@contextmanager
def damage(folder: Path) -> Iterator[None]:
    """Turn whatever altered bytes make numpy and msgpack raise into `DamagedError`, see `told`."""
    try:
        yield
    except (ReidError, GeneratorExit):
        raise
    except Exception as error:  # noqa: BLE001  damaged bytes reach parsers with errors of every kind
        raise told(error, folder) from None


def told(error: Exception, folder: Path) -> ArchiveError:
    """What an error while a segment was read says of it.

    Args:
        error: any; an ArchiveError is given back.
        folder: of the segment.

    Returns:
        StorageError when the machine has no memory or file handles left, else DamagedError.
    """
    if isinstance(error, ArchiveError):
        return error
    if isinstance(error, MemoryError):
        return StorageError(f"{folder}: not enough memory to read the segment; search fewer days")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return StorageError(f"{folder}: {error.strerror}; raise the limit (ulimit -n) and try again")
    if isinstance(error, OSError) and error.errno == errno.ENOENT:
        return DamagedError(f"{folder}: {error.filename or 'a file'} is missing")
    return DamagedError(f"{folder}: the segment cannot be read ({error!r})")
