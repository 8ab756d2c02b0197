"""The audit log: what was written is there; whatever is altered, removed, reordered or cut off is found."""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from indexer.shard.files import ArchiveFiles
from reid.errors import DamagedError, InputError, StorageError
from search.actors import Actor
from search.audit import Deed, log_path, read_head, read_log, recent, record
from search.audit_proof import verify

KIM = Actor("kim", "console", "10.0.0.7")
ROOT = Path(__file__).parents[1]


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveFiles:
    return ArchiveFiles(tmp_path / "archive")


def filled(archive: ArchiveFiles, count: int = 6) -> ArchiveFiles:
    for number in range(count):
        record(archive, deed(number))
    return archive


def deed(number: int) -> Deed:
    return Deed(
        "search", KIM, f"2026-SP-{number:04d}", "실종 아동", scope={"districts": ["songpa"]},
        counts={"sightings": number},
    )  # fmt: skip


def test_what_was_recorded_is_read_again_and_holds(archive: ArchiveFiles) -> None:
    first, second = record(archive, deed(1), Deed("view", KIM, "c", subject="00ab"))
    [third] = record(archive, deed(3))
    assert [entry.number for entry in (first, second, third)] == [1, 2, 3]
    assert list(read_log(archive)) == [first, second, third]
    assert (second.previous, third.previous) == (first.hash, second.hash)
    assert next(recent(archive, third.at_ms, "search")) == third
    assert [entry.number for entry in recent(archive, 0, "view")] == [2]
    found = verify(archive)
    assert (found.sound, found.remarks, found.head) == (True, (), read_head(archive))
    assert found.head.bytes == log_path(archive).stat().st_size
    assert verify(archive, f"2:{second.hash}").sound
    assert log_path(archive).stat().st_mode & 0o007 == 0, "not for everybody to read"


def swapped(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


def altered(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b"kim", b"lee"), *lines[3:]]


def rehashed(lines: list[bytes]) -> list[bytes]:
    """Somebody who computes the hash of the altered entry too, and not of those that follow."""
    value = json.loads(lines[2])
    value["actor"]["name"] = "lee"
    del value["hash"]
    text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    value["hash"] = hashlib.sha256(text).hexdigest()
    changed = json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    return [*lines[:2], changed, *lines[3:]]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (altered, "altered"),
        (rehashed, "removed, added or"),
        (swapped, "another order"),
        (lambda lines: lines[:2] + lines[3:], "removed"),
        (lambda lines: lines[1:], "removed"),
        (lambda lines: lines[:-1], "cut off"),
        (lambda lines: [*lines[:-1], lines[-1][:40]], "cut off"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "added"),
        (lambda lines: [*lines[:3], b"noise\n", *lines[3:]], "altered"),
        (lambda lines: [*lines[:-1], lines[-1].replace(b"}", b" }")], "cut off"),
        (lambda lines: [], "cut off"),
    ],
)
def test_every_tampering_is_found(
    archive: ArchiveFiles, fault: Callable[[list[bytes]], list[bytes]], told: str
) -> None:
    filled(archive)
    path = log_path(archive)
    path.write_bytes(b"".join(fault(path.read_bytes().splitlines(keepends=True))))
    found = verify(archive)
    assert not found.sound
    assert told in found.faults[0]


def test_any_altered_byte_is_found(archive: ArchiveFiles) -> None:
    filled(archive, 3)
    path = log_path(archive)
    whole = path.read_bytes()
    for place in np.random.default_rng(1).choice(len(whole), 200, replace=False).tolist():
        data = bytearray(whole)
        data[place] ^= 1 << (place % 7)
        path.write_bytes(data)
        assert not verify(archive).sound, place


def test_a_log_rewritten_with_its_head_is_found_by_a_note_kept_elsewhere(archive: ArchiveFiles) -> None:
    noted = verify(filled(archive)).head.note
    (archive.audit / "head.json").unlink()
    log_path(archive).unlink()
    assert "removed" in verify(archive).faults[0]
    filled(archive, 8)
    assert verify(archive).sound, "whoever may write everything can write another history"
    assert "rewritten" in verify(archive, noted).faults[0]
    assert "ends with 8" in verify(archive, "9:" + "0" * 64).faults[0]
    for wrong in ("", "x:y", "3", "3:abc"):
        with pytest.raises(InputError, match="NUMBER:HASH"):
            verify(archive, wrong)


def test_nothing_is_recorded_in_a_log_that_was_cut_off(archive: ArchiveFiles) -> None:
    filled(archive)
    path = log_path(archive)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DamagedError, match="cut off"):
        record(archive, deed(9))


@pytest.mark.parametrize("torn", [b"{", b'{"actor":{"addr', b"half\nof two lines", b"\n", b"\xff\xfe"])
def test_what_a_killed_process_left_of_a_line_stays_and_is_told(archive: ArchiveFiles, torn: bytes) -> None:
    filled(archive, 3)
    path = log_path(archive)
    with path.open("ab") as stream:
        stream.write(torn)
    found = verify(archive)
    assert (found.sound, found.head.entries) == (True, 3)
    assert "no whole entry" in found.remarks[0]
    [added] = record(archive, deed(3))
    assert added.number == 5
    assert torn in path.read_bytes()
    repaired = next(recent(archive, 0, "repaired"))
    assert repaired.deed.scope["bytes"] == len(torn)
    found = verify(archive)
    assert (found.sound, found.head.entries) == (True, 5)
    assert "did not finish" in found.remarks[0]
    data = path.read_bytes()
    path.write_bytes(data.replace(torn + (b"" if torn.endswith(b"\n") else b"\n"), b"other\n", 1))
    assert not verify(archive).sound, "also what is no entry is sealed"


def test_an_entry_whose_head_was_not_written_counts(archive: ArchiveFiles) -> None:
    filled(archive, 3)
    head = archive.audit / "head.json"
    before = head.read_bytes()
    record(archive, deed(4))
    head.write_bytes(before)
    assert "newer than the head" in verify(archive).remarks[0]
    [added] = record(archive, deed(5))
    assert added.number == 5
    assert verify(archive).sound
    head.write_bytes(b"{}")
    assert "head of the audit log" in verify(archive).faults[0]
    with pytest.raises(DamagedError):
        record(archive, deed(6))


_APPEND = """
import sys
from pathlib import Path
from indexer.shard.files import ArchiveFiles
from search.actors import Actor
from search.audit import Deed, record
archive = ArchiveFiles(Path(sys.argv[1]))
while True:
    record(archive, Deed("view", Actor(sys.argv[2], "console"), reason="x" * 3000))
    print(".", flush=True)
"""


def test_killed_anywhere_with_others_writing_nothing_acknowledged_is_lost(archive: ArchiveFiles) -> None:
    shown = 0
    for round_ in range(3):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", _APPEND, str(archive.home), f"w{k}"], stdout=subprocess.PIPE, cwd=ROOT
            )
            for k in range(3)
        ]
        for writer in writers:  # all are at work
            assert writer.stdout is not None
            shown += sum(writer.stdout.readline() == b".\n" for _ in range(3))
        time.sleep(0.013 * round_)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            shown += writer.communicate()[0].count(b".")
    record(archive, deed(1))
    found = verify(archive)
    assert found.sound, found.faults
    written = sum(entry.deed.event == "view" for entry in read_log(archive))
    assert shown > 20
    assert shown <= written <= shown + 12


def test_a_full_disk_means_nothing_is_shown(archive: ArchiveFiles) -> None:
    filled(archive, 3)
    size = log_path(archive).stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, before[1]))
        with pytest.raises((StorageError, OSError)) as refused:
            record(archive, deed(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert isinstance(refused.value, StorageError)
    assert refused.value.exit_code == 3
    assert log_path(archive).stat().st_size == size + 50
    record(archive, deed(5))
    assert verify(archive).sound
