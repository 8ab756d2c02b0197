"""Small durable tables: LMDB with msgpack values.

The only module that imports lmdb and msgpack. Knows transactions, not what is stored.
Keys are text; values are anything msgpack can hold (bytes, str, int, float, lists, maps).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import lmdb
import msgpack

from reid.closing import Closing
from reid.errors import ArchiveError, DamagedError, StorageError, storage_errors

Mode = Literal["write", "read"]

_ODD_NAMES = "surrogateescape"  # file names that are not UTF-8, as Python holds them
_MAP_SIZE = 1 << 36  # address space only: the file grows with its content
_LOCK_BYTES = 1 << 14  # of LMDB's table of readers, and some more


class Table:
    """One named table inside a transaction."""

    def __init__(self, transaction: lmdb.Transaction, handle: Any) -> None:
        self._transaction = transaction
        self._handle = handle

    @property
    def version(self) -> int:
        """Number of the last transaction whose changes it shows."""
        return int(self._transaction.id())

    def get(self, key: str) -> Any | None:
        """The value of `key`, or None."""
        data = self._transaction.get(key.encode(), db=self._handle)
        return None if data is None else unpacked(data)

    def holds(self, key: str) -> bool:
        """Is there a value of `key`? It is not read."""
        return self._transaction.get(key.encode(), db=self._handle) is not None

    def put(self, key: str, value: Any) -> None:
        """Store `value` under `key`, replacing what was there."""
        self._transaction.put(key.encode(), packed(value), db=self._handle)

    def delete(self, key: str) -> bool:
        """Remove `key`; False if it was not there."""
        return bool(self._transaction.delete(key.encode(), db=self._handle))

    def values(self) -> Iterator[Any]:
        """All values in key order."""
        for _, data in self._transaction.cursor(db=self._handle):
            yield unpacked(data)

    def under(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """(key, value) of every key that begins like this, in key order."""
        cursor = self._transaction.cursor(db=self._handle)
        wanted = prefix.encode()
        found = cursor.set_range(wanted)
        while found and (key := bytes(cursor.key())).startswith(wanted):
            yield key.decode(), unpacked(cursor.value())
            found = cursor.next()


class KeyValueFile(Closing):
    """One LMDB file with named tables.

    Args:
        path: the file.
        tables: names of its tables.
        mode: "write" creates the file if need be; "read" reads beside a writer.

    Raises:
        StorageError: missing (unless "write"), no permission, disk full.
        DamagedError: not an LMDB file.
    """

    def __init__(self, path: Path, tables: Sequence[str], mode: Mode = "write") -> None:
        self.path = path
        writes = mode == "write"
        with lmdb_errors(path):
            if writes:
                with storage_errors(path):
                    _reserve(path.with_name(f"{path.name}-lock"))
            self._environment = lmdb.open(
                str(path), map_size=_MAP_SIZE, subdir=False, readonly=not writes, max_dbs=len(tables),
                create=writes,
            )  # fmt: skip
            try:
                self._check_length(path)
                self._handles = {
                    name: self._environment.open_db(name.encode(), create=writes) for name in tables
                }
            except BaseException:
                self._environment.close()
                raise

    def _check_length(self, path: Path) -> None:
        """A file shorter than it says would end the process when the missing part is touched."""
        needed = (self._environment.info()["last_pgno"] + 1) * self._environment.stat()["psize"]
        size = path.stat().st_size
        if size < needed:
            raise DamagedError(f"{path}: cut off, {size} of {needed} bytes; restore it from a backup")

    @property
    def version(self) -> int:
        """Number of the last transaction that changed the file; while that is being written to disk, readers
        may still be given the one before, whose number `Table.version` tells.
        """
        return int(self._environment.info()["last_txnid"])

    @contextmanager
    def read(self) -> Iterator[dict[str, Table]]:
        """The tables by name, in one consistent snapshot."""
        with lmdb_errors(self.path), self._environment.begin() as transaction:
            yield {name: Table(transaction, handle) for name, handle in self._handles.items()}

    @contextmanager
    def write(self) -> Iterator[dict[str, Table]]:
        """The tables by name, in one transaction: all of it on disk at the end, or nothing."""
        with lmdb_errors(self.path), self._environment.begin(write=True) as transaction:
            yield {name: Table(transaction, handle) for name, handle in self._handles.items()}

    def copy_compact(self, path: Path) -> None:
        """Write what is in the tables, and nothing that was deleted from them, to a new file; fsynced."""
        with lmdb_errors(path), storage_errors(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                self._environment.copyfd(descriptor, compact=True)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Unmap the file; use afterwards is an error."""
        self._environment.close()


def packed(value: Any) -> bytes:
    """`value` as msgpack."""
    return bytes(msgpack.packb(value, unicode_errors=_ODD_NAMES))


def unpacked(data: bytes | memoryview) -> Any:
    """The value in msgpack `data`.

    Raises:
        DamagedError: not msgpack.
    """
    try:
        return msgpack.unpackb(data, unicode_errors=_ODD_NAMES)
    except Exception as error:  # noqa: BLE001  altered bytes raise errors of every kind
        raise DamagedError(f"a stored value cannot be read ({error!r}); restore it from a backup") from None


def _reserve(lock: Path) -> None:
    """Give the table of readers its place on the disk: LMDB maps it, and touching what a full disk could
    not hold would end the process.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.fstat(descriptor).st_size < _LOCK_BYTES:
            os.posix_fallocate(descriptor, 0, _LOCK_BYTES)
    finally:
        os.close(descriptor)


@contextmanager
def lmdb_errors(path: Path) -> Iterator[None]:
    """Turn LMDB's errors about `path` into ours.

    Raises:
        StorageError: disk full, no permission, read-only, missing.
        DamagedError: the file's content is not what LMDB wrote.
    """
    try:
        yield
    except (
        lmdb.BadTxnError,  # what follows after a damaged page was met
        lmdb.CorruptedError,
        lmdb.InvalidError,
        lmdb.PageNotFoundError,
        lmdb.VersionMismatchError,
    ) as error:
        raise DamagedError(
            f"{path}: expected an intact LMDB file ({error}); restore it from a backup"
        ) from None
    except (lmdb.DiskError, lmdb.MapFullError) as error:
        raise StorageError(f"{path}: the disk is full ({error}); free space and run again") from None
    except (lmdb.ReadonlyError, lmdb.LockError) as error:
        raise StorageError(f"{path}: cannot be written ({error}); check the folder's permissions") from None
    except FileNotFoundError:
        raise StorageError(f"{path}: no such file; create the archive with: reid init") from None
    except lmdb.Error as error:
        text = str(error)
        if "No space left" in text or "quota" in text or "Input/output" in text:
            # LMDB reports a write cut short by a full disk as an input/output error
            raise StorageError(
                f"{path}: the disk is full or failing ({text}); free space, run again"
            ) from None
        if "Read-only" in text:
            raise StorageError(f"{path}: the disk is read-only; choose another archive with --home") from None
        if "denied" in text or "not permitted" in text:
            raise StorageError(f"{path}: no permission ({text}); check who owns the folder") from None
        if "No such file" in text:
            raise StorageError(f"{path}: no such file; create the archive with: reid init") from None
        if isinstance(error, (lmdb.BadTxnError, lmdb.BadValsizeError, lmdb.KeyExistsError)):
            raise
        raise ArchiveError(f"{path}: LMDB failed ({text}); run reid doctor") from None
