"""The one exception tree of the project and the exit code of each branch.

    ReidError                  anything we can explain; never a traceback for the user
    ├── InputError       (2)   a photo, clip, date, option or setting that cannot be used
    │   ├── PhotoError         the query photo
    │   ├── FootageError       a clip or a list of clips
    │   └── UnknownNameError   a district, camera or model nobody knows; suggests the nearest
    ├── BusyError        (2)   somebody else is at it; nothing is wrong
    ├── ModelError       (2)   weights that are missing, altered or do not fit the architecture
    │   └── MissingExtraError  an optional package that is not installed; names the command
    └── ArchiveError     (3)   the archive or the machine is not fit
        ├── FormatError        an unknown format version
        ├── ModelMismatchError vectors of another model than the one in use
        ├── DamagedError       a checksum or a count that does not hold
        ├── ClockError         the machine's clock cannot be right
        └── StorageError       disk full, no permission, read-only
            └── LockedError        another process writes

Every message says what was expected, what came, where, and what to do.
"""

from __future__ import annotations

import difflib
import errno
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_FEW = 30  # names that can be told in one line


class ReidError(Exception):
    """Base of all expected failures; `exit_code` is what the command line returns."""

    exit_code = 2


class InputError(ReidError):
    """Something the caller gave cannot be used."""


class PhotoError(InputError):
    """The query photo cannot be used."""


class FootageError(InputError):
    """A clip cannot be indexed. `reason` is the short, stable word kept in the ledger."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnknownNameError(InputError):
    """A name nobody knows, with the nearest known ones as suggestion."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        # Decomposed, a Korean syllable is two or three letters, so that one wrong letter counts as one.
        spelled = {unicodedata.normalize("NFD", each): each for each in known}
        wanted = unicodedata.normalize("NFD", name.lower())
        near = [spelled[each] for each in difflib.get_close_matches(wanted, spelled, n=3, cutoff=0.5)]
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        if not near and 0 < len(spelled) <= _FEW:
            hint = f"; expected one of {', '.join(spelled.values())}"
        super().__init__(f"unknown {kind} {name!r}{hint}")
        self.suggestions = near


class BusyError(ReidError):
    """Another run of the same work is under way."""


class ModelError(ReidError):
    """Weights that are missing, altered, or do not fit."""


class MissingExtraError(ModelError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; install it with: pip install 'reid-search[{extra}]'"
            f" (in a clone: uv sync --extra {extra})"
        )


class ArchiveError(ReidError):
    """The archive or the machine is not fit for the work."""

    exit_code = 3


class FormatError(ArchiveError):
    """A file was written in a format version this release does not read."""


class ModelMismatchError(ArchiveError):
    """The archive holds vectors of another model."""


class DamagedError(ArchiveError):
    """A file is not what its manifest says."""


class ClockError(ArchiveError):
    """The machine's clock cannot be right, so what goes by it is not done."""


class StorageError(ArchiveError):
    """The disk refused: full, read-only, no permission."""


class LockedError(StorageError):
    """Another process writes into the archive."""


_STORAGE_HINTS = {
    errno.ENOSPC: "the disk is full; free space, then run the same command again: what was done is kept",
    errno.EDQUOT: "the disk quota is used up; free space, then run the same command again",
    errno.EFBIG: "the file may not grow any more; raise the limit of its size and run again",
    errno.EROFS: "the file system is read-only; choose another folder (an archive's with --home)",
    errno.EACCES: "no permission; check who owns the folder, or choose another (an archive's with --home)",
    errno.EPERM: "not permitted; check who owns the folder, or choose another (an archive's with --home)",
    errno.ENOENT: "the folder does not exist; create it, or check the path",
    errno.EISDIR: "there is a folder of that name; choose another",
    errno.EEXIST: "something else of that name is there; choose another",
    errno.ELOOP: "symbolic links lead in a circle; mend them",
    errno.ENOTDIR: "a part of the path is not a folder; check the path",
    errno.ENAMETOOLONG: "the path is too long; choose a shorter one",
    errno.EIO: "the disk reports an input/output error; check it before you go on",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals while working on `path` into `StorageError` with what to do.

    Raises:
        StorageError: for a full disk, missing permission, a read-only or failing file system.
    """
    try:
        yield
    except OSError as error:
        hint = _STORAGE_HINTS.get(error.errno or 0)
        if hint is None:
            raise
        raise StorageError(f"{error.filename or path}: {hint}") from error
