"""Files that a searching process keeps open: opening one costs as much as reading ten rows of it.

A sealed file never changes, so one that is open can be read until its segment is let go; when a segment is
erased or merged away, that is when the process next looks at the catalogue, at the latest for its next
search. Owns how many files are open at most; knows no format.
"""

from __future__ import annotations

import os
import resource
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

_OTHERS = 256  # files that the rest of the process may need
_ENOUGH = 1 << 16


class Handles:
    """Room for open files, as much as the process may have; who finds none opens and closes for each use."""

    def __init__(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        self._room = max(0, wanted - _OTHERS)
        self._lock = threading.Lock()
        self._users: weakref.WeakSet[KeptOpen] = weakref.WeakSet()

    def take(self) -> bool:
        """Room for one more file?"""
        with self._lock:
            found = self._room > 0
            self._room -= found
            return found

    def join(self, user: KeptOpen) -> None:
        """Remember whose files are open."""
        with self._lock:
            self._users.add(user)

    def close(self) -> None:
        """Close every file; afterwards each is opened for each use. Nobody may be reading."""
        with self._lock:
            self._room, users = 0, list(self._users)
        for user in users:
            user.close()

    def give(self, count: int) -> None:
        """So many files were closed."""
        with self._lock:
            self._room += count


class KeptOpen:
    """The files of one segment, kept open while there is room and anybody holds this. For many threads.

    Args:
        paths: by name. handles: None: every file is opened and closed for each use.
    """

    def __init__(self, paths: dict[str, str], handles: Handles | None) -> None:
        self._paths = paths
        self._handles = handles
        self._kept: dict[str, int] = {}
        if handles:
            handles.join(self)
            weakref.finalize(self, _close, self._kept, handles)

    def take(self, name: str) -> int:
        """The file's descriptor, to be read at positions only; `done` with it afterwards.

        Raises:
            OSError: it cannot be opened.
        """
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        descriptor = os.open(self._paths[name], os.O_RDONLY)
        if self._handles and self._handles.take() and self._kept.setdefault(name, descriptor) != descriptor:
            self._handles.give(1)  # another thread was faster
        return descriptor

    def done(self, name: str, descriptor: int) -> None:
        """Close what `take` gave, unless it stays open."""
        if self._kept.get(name) != descriptor:
            os.close(descriptor)

    def close(self) -> None:
        """Close what is open."""
        while self._kept:
            os.close(self._kept.popitem()[1])

    @contextmanager
    def opened(self, name: str) -> Iterator[int]:
        """`take` and `done`."""
        descriptor = self.take(name)
        try:
            yield descriptor
        finally:
            self.done(name, descriptor)


def _close(kept: dict[str, int], handles: Handles) -> None:
    for descriptor in kept.values():
        os.close(descriptor)
    handles.give(len(kept))
