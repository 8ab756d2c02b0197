"""A folder that is there whole or not at all: made beside its place, under a lock, and renamed at the end."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reid.durable import make_folder, rename_folder, sync_folder
from reid.errors import InputError, storage_errors


def check_target(out: Path) -> Path:
    """The absolute path of a folder that can be made.

    Raises:
        InputError: something is there already that is not an empty folder.
    """
    target = out.expanduser().absolute()
    with storage_errors(target):
        if os.path.lexists(target) and not target.is_dir():
            raise InputError(f"{out}: there is something else of that name; choose another")
        if target.is_dir() and any(target.iterdir()):
            raise InputError(f"{out}: the folder is not empty; choose a new one, nothing is overwritten")
        if target.is_symlink():
            raise InputError(f"{out}: a link to a folder; give the folder itself")
    if not target.name:
        raise InputError(f"{out}: expected the name of a new folder")
    return target


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to fill; when the block ends it becomes `out`, when it raises nothing is left.

    What a killed process left of the same folder is deleted first.

    Raises:
        InputError: as `check_target`, or another process is making the same folder.
        StorageError: the disk refuses.
    """
    target = check_target(out)
    staging = target.with_name(f".{target.name}.part")
    make_folder(staging)
    descriptor = os.open(staging, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = _is_same(descriptor, staging)
        except BlockingIOError:
            mine = False
        if not mine:
            raise InputError(f"{out}: another export is being written there; wait for it, or choose another")
        with storage_errors(target):
            try:
                _empty(staging)
                yield staging
                _sync(staging)
                check_target(target)
                rename_folder(staging, target)
            finally:
                if _is_same(descriptor, staging):
                    shutil.rmtree(staging, ignore_errors=True)
    finally:
        os.close(descriptor)


def _is_same(descriptor: int, folder: Path) -> bool:
    """Is it still the folder that was opened? Another process may have renamed it before it was locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except OSError:
        return False


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _sync(folder: Path) -> None:
    for below in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        sync_folder(below)
