"""Durable writes: a file or folder is there whole, or not at all, even after a power cut.

The habit of every serious store: write beside the target, fsync, rename, fsync the folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid.errors import storage_errors


def sync_folder(folder: Path) -> None:
    """Make the names inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the bytes of a file that was written by somebody else durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes) -> None:
    """Put `data` at `path`, replacing a file of that name in one step.

    Raises:
        StorageError: the disk refused; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def unfinished(folder: Path) -> list[Path]:
    """What `write_file` left in `folder` and below when its process was killed.

    Only for whoever alone writes there: of a process that still writes, the file would be taken away.
    """
    return [path for path in folder.rglob(".*.tmp") if path.is_file()]


def link_file(source: Path, target: Path) -> None:
    """The same file under another name, for a file that never changes; a copy where there are no links.

    Raises:
        OSError: there is no such file, or the disk refuses.
    """
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
        sync_file(target)


def write_npz(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Put `arrays` at `path` as an uncompressed .npz, in one step.

    Raises:
        StorageError: the disk refused.
    """
    stream = BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    write_file(path, stream.getvalue())


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents, durably.

    Raises:
        StorageError: the disk refused.
    """
    with storage_errors(folder):
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            sync_folder(path.parent)


def rename_folder(source: Path, target: Path) -> None:
    """Give the finished folder `source` its final name `target`, which must not exist.

    Raises:
        StorageError: the disk refused.
    """
    with storage_errors(target):
        make_folder(target.parent)
        source.rename(target)
        sync_folder(target.parent)
