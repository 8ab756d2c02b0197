"""Proves that the audit log is whole: every entry follows the one before, and the end is what the head says.

Finds any change, removal, reordering and shortening made by somebody who does not rewrite all that follows
and the head too. Who can do that (root) is found out by a note of the head kept elsewhere. Alters nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from indexer.shard.files import ArchiveFiles
from reid.durable import write_file
from reid.errors import DamagedError, InputError, storage_errors
from search.actors import Actor
from search.audit import GENESIS, Deed, Entry, Head, log_path, parsed, read_head, record


@dataclass(frozen=True)
class Verification:
    """What a comparison of the log with itself and its head found.

    Attributes:
        head: of the entries that hold.
        faults: what shows that it was altered, shortened or put in another order; none when it is sound.
        remarks: what is odd and explained, such as a line that a killed process did not finish.
    """

    head: Head
    faults: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Does all of it hold?"""
        return not self.faults


def verify(archive: ArchiveFiles, noted: str | None = None) -> Verification:
    """Compare every entry with the one before, and the end with the head.

    Args:
        noted: `Head.note` of an earlier moment, kept elsewhere: the log must still hold it.

    Raises:
        InputError: `noted` is no such note.
    """
    path = log_path(archive)
    wanted = _read_note(noted) if noted is not None else None
    walk = _Walk(wanted)
    if path.exists():
        with storage_errors(path), path.open("rb") as stream:
            for line in stream:
                walk.take(line)
    return walk.compared(archive)


def copy_log(archive: ArchiveFiles, out: Path, actor: Actor) -> tuple[Verification, int]:
    """Copy the log as it is to a new file, and record that; tells whether it is sound, and how many bytes.

    Raises:
        InputError: something of that name is there.
        StorageError: the disk refuses.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; choose another name, nothing is overwritten")
    record(archive, Deed("log read", actor, subject=f"copied to {out}"))
    data = log_path(archive).read_bytes()
    write_file(out.absolute(), data)
    return verify(archive), len(data)


class _Walk:
    """A log, read line by line."""

    def __init__(self, noted: tuple[int, str] | None = None) -> None:
        self.head = Head()
        self.torn = b""
        self.faults: list[str] = []
        self.remarks: list[str] = []
        self._noted = noted
        self._seen: dict[int, int] = {}  # number -> length to its end
        self._length = 0

    def take(self, line: bytes) -> None:
        """The next line."""
        self._length += len(line)
        if self.faults:
            return
        entry = parsed(line)
        if entry is None:
            self.torn += line
            return
        if self.torn:
            self._repaired(entry)
        if entry.previous != self.head.hash or entry.number != self.head.entries + 1:
            self.faults.append(
                f"entry {self.head.entries + 1}: expected the one that follows {self.head.hash[:12]}…, found"
                f" entry {entry.number} that follows {entry.previous[:12]}…: entries were removed, added or"
                " put in another order"
            )
            return
        self.head = Head(entry.number, entry.hash, self._length)
        self._seen[entry.number] = self._length
        if self._noted is not None and self._noted[0] == entry.number and self._noted[1] != entry.hash:
            self.faults.append(f"entry {entry.number}: its hash is not the noted one: the log was rewritten")

    def _repaired(self, entry: Entry) -> None:
        """Is what lies before this entry what it says a killed process left?"""
        told, torn, self.torn = entry.deed.scope, self.torn.removesuffix(b"\n"), b""
        digests = {hashlib.sha256(each).hexdigest() for each in (torn, torn + b"\n")}
        if entry.deed.event == "repaired" and told.get("sha256") in digests:
            self.remarks.append(
                f"before entry {entry.number}: {len(torn)} bytes of a line that a killed process did not"
                " finish, as that entry says"
            )
            return
        self.faults.append(
            f"entry {self.head.entries + 1}: a line there is no entry, or its content is not what its hash"
            " says: it was altered"
        )

    def compared(self, archive: ArchiveFiles) -> Verification:
        """The end of it with the head."""
        try:
            kept = read_head(archive)
        except DamagedError as error:
            self.faults.append(str(error))
            kept = self.head
        if not self.faults:
            self._compare_end(kept)
        if self._noted is not None and self._noted[0] > self.head.entries and not self.faults:
            self.faults.append(f"entry {self._noted[0]} was noted, the log ends with {self.head.entries}")
        if not self.head.entries and not self.faults:
            self.faults.append("there is no entry: none was ever written, or the log was removed")
        return Verification(self.head, tuple(self.faults), tuple(self.remarks))

    def _compare_end(self, kept: Head) -> None:
        if kept.entries > self.head.entries:
            self.faults.append(
                f"the log ends with entry {self.head.entries}, its head says {kept.entries}: it was cut off"
            )
        elif kept.entries and self._seen.get(kept.entries) != kept.bytes:
            self.faults.append(f"entry {kept.entries} does not end at byte {kept.bytes}, as its head says")
        elif kept.entries < self.head.entries:
            more = self.head.entries - kept.entries
            self.remarks.append(
                f"{more} entries are newer than the head, as after a process was killed; the next entry"
                " writes it anew"
            )
        if self.torn:
            self.remarks.append(
                f"{len(self.torn)} bytes at the end are no whole entry, as after a process was killed or a"
                " disk was full; the next entry says so"
            )


def _read_note(noted: str) -> tuple[int, str]:
    number, _, digest = noted.partition(":")
    if not number.isdigit() or len(digest) != len(GENESIS):
        raise InputError(
            f"--noted {noted!r}: expected NUMBER:HASH as an earlier `reid audit verify` printed it"
        )
    return int(number), digest.lower()
