"""The store of cases: what was decided is kept, reopened, withdrawn and deleted without a trace."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.erasure import erase_time, erase_tracklet
from indexer.keyvalue import KeyValueFile
from indexer.rewriting import open_entry
from indexer.shard.files import ArchiveFiles
from reid.errors import DamagedError, FormatError, InputError, StorageError, UnknownNameError
from search.case import CasePhoto, Step
from search.cases import Cases, check_case_id
from search.casework import keeping
from search.judged import Feedback, Judged, find_judged, still_there
from tests.crowd import DAY, HOUR, fill, midnight, snapshot

CASE = "2026-SP-0142"
PHOTO = CasePhoto("/photos/할머니.jpg", b"\xff\xd8 a photo of somebody " * 9, (1.0, 2.0, 30.0, 60.5), 5)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> ArchiveFiles:
    archive = ArchiveFiles(tmp_path_factory.mktemp("cases") / "archive")
    fill(archive, ("songpa",), days=1, cameras=2, hours=(9,))
    return archive


@pytest.fixture
def archive(filled: ArchiveFiles, tmp_path: Path) -> ArchiveFiles:
    copy = ArchiveFiles(tmp_path / "archive")
    shutil.copytree(filled.home, copy.home)
    return copy


def ids(archive: ArchiveFiles, count: int = 4) -> list[str]:
    return [one.id for entry in snapshot(archive).segments for one in open_entry(archive, entry).stored()][
        :count
    ]


def judged(archive: ArchiveFiles, *given: str) -> list[Judged]:
    return list(find_judged(archive, snapshot(archive), given).values())


def test_what_was_decided_is_there_again(archive: ArchiveFiles) -> None:
    yes, no, *_ = judged(archive, *ids(archive))
    with Cases(archive) as cases:
        assert cases.ids() == ()
        assert cases.record(CASE, 10, [PHOTO], [yes], [no])
        assert not cases.record(CASE, 20, [PHOTO], [yes])
    with Cases(archive) as cases:
        case = cases.get(CASE, pictures=True)
        assert cases.ids() == (CASE,)
    assert (case.id, case.opened_ms, case.closed_ms, case.photos) == (CASE, 10, None, (PHOTO,))
    [kept] = case.judged("confirmed")
    assert (kept.record, kept.thumbnail, kept.district) == (yes.record, yes.thumbnail, "songpa")
    assert np.array_equal(kept.vectors, yes.vectors)
    assert kept.vectors.dtype == np.float16
    [other] = case.judged("rejected")
    assert other.record.id == no.record.id
    assert other.thumbnail == b"", "a picture of somebody who is not looked for"
    assert {each.history for each in case.sightings} == {(Step("confirmed", 10),), (Step("rejected", 10),)}


def test_a_later_decision_replaces_and_a_withdrawn_one_goes(archive: ArchiveFiles) -> None:
    [one] = judged(archive, *ids(archive, 1))
    with Cases(archive) as cases:
        cases.record(CASE, 10, confirmed=[one])
        cases.record(CASE, 20, rejected=[one])
        assert cases.get(CASE).judged("confirmed") == ()
        cases.record(CASE, 30, confirmed=[one])
        assert cases.get(CASE).judged("confirmed")[0].thumbnail == one.thumbnail
        assert cases.undo(CASE, one.record.id[:7], 40) == "confirmed"
        [left] = cases.get(CASE).sightings
        assert left.verdict is None
        assert left.judged.thumbnail == b""
        assert [step.verdict for step in left.history] == ["confirmed", "rejected", "confirmed", None]
        for nothing in (one.record.id, "ffffff", ""):
            with pytest.raises(InputError, match="reid case show"):
                cases.undo(CASE, nothing, 50)


def test_contradictions_and_names(archive: ArchiveFiles) -> None:
    [one] = judged(archive, *ids(archive, 1))
    with Cases(archive) as cases:
        with pytest.raises(InputError, match="both confirmed and rejected"):
            cases.record(CASE, 10, confirmed=[one], rejected=[one])
        assert cases.ids() == (), "nothing of a command that failed is kept"
        cases.record(CASE, 10)
        with pytest.raises(UnknownNameError, match=CASE):
            cases.get("2026-SP-0143")
        for bad in ("", "a/b", ".hidden", "x" * 65, "a\nb", " a"):
            with pytest.raises(InputError, match="case id"):
                cases.record(bad, 10)
    with pytest.raises(InputError, match="both"):
        Feedback(("a",), ("b", "a"))
    assert check_case_id("사건-1") == "사건-1"


def test_a_closed_case_is_read_and_not_changed(archive: ArchiveFiles) -> None:
    [one] = judged(archive, *ids(archive, 1))
    with Cases(archive) as cases:
        cases.record(CASE, 10, confirmed=[one])
        cases.close_case(CASE, 20)
        assert cases.get(CASE).closed_ms == 20
        for change in (lambda: cases.record(CASE, 30), lambda: cases.undo(CASE, one.record.id, 30)):
            with pytest.raises(InputError, match="was closed at 1970-01-01"):
                change()
        cases.close_case(CASE, None)
        assert not cases.record(CASE, 30)


def test_a_deleted_case_leaves_nothing(archive: ArchiveFiles) -> None:
    yes, no, kept, _ = judged(archive, *ids(archive))
    with Cases(archive) as cases:
        cases.record(CASE, 10, [PHOTO], [yes], [no])
        cases.record("other", 10, confirmed=[kept])
        assert PHOTO.sha256.encode() in archive.cases.read_bytes()
        assert cases.delete(CASE) == (1, 2)
        assert cases.ids() == ("other",)
    left = archive.cases.read_bytes()
    for trace in (
        PHOTO.sha256.encode(),
        yes.vectors.tobytes()[:64],
        no.record.id.encode(),
        yes.thumbnail + b"\xa6",
    ):
        assert trace not in left
    assert kept.record.id.encode() in left
    with Cases(archive) as cases:
        assert len(cases.get("other").sightings) == 1
    assert not archive.cases.with_name("cases.lmdb.tmp").exists()


def test_a_deletion_that_was_stopped_is_finished_by_the_next(
    archive: ArchiveFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, Cases(archive) as cases:
        cases.record(CASE, 10, [PHOTO])
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            cases.delete(CASE)
    assert PHOTO.sha256.encode() in archive.cases.read_bytes()
    with Cases(archive) as cases:
        assert cases.ids() == ()
    assert PHOTO.sha256.encode() not in archive.cases.read_bytes()


WRITER = """
import sys
from pathlib import Path
from indexer.shard.files import ArchiveFiles
from search.case import CasePhoto
from search.cases import Cases
archive = ArchiveFiles(Path(sys.argv[1]))
for number in range(10_000):
    photos = [CasePhoto("", f"{number}-{k}".encode(), (0.0, 0.0, 1.0, 1.0), number) for k in range(3)]
    with Cases(archive) as cases:
        cases.record("killed", number, photos)
    print(number, flush=True)
"""


def test_killed_while_writing_it_holds_whole_commands(archive: ArchiveFiles) -> None:
    command = [sys.executable, "-c", WRITER, str(archive.home)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as writer:
        assert writer.stdout
        told = [int(writer.stdout.readline()) for _ in range(10)][-1]
        os.kill(writer.pid, signal.SIGKILL)
        told = max([told, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    with Cases(archive) as cases:  # the lock of the killed process is free
        photos = cases.get("killed").photos
    numbers = sorted({photo.added_ms for photo in photos})
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > told, "what was told as done is there"
    assert len(photos) == 3 * len(numbers), "a command is there whole or not at all"


def test_one_process_at_a_time(archive: ArchiveFiles) -> None:
    with Cases(archive), pytest.raises(StorageError, match="another process has the cases open"):
        Cases(archive, wait_s=0.05)
    with Cases(archive, wait_s=0):
        pass


def test_damage_is_told(archive: ArchiveFiles) -> None:
    [one] = judged(archive, *ids(archive, 1))
    with Cases(archive) as cases:
        cases.record(CASE, 10, confirmed=[one])
    key = f"{CASE}/{one.record.id}"

    def altered(**change: object) -> None:
        with KeyValueFile(archive.cases, ("sightings",)) as file, file.write() as tables:
            tables["sightings"].put(key, {**good, **change})
        with Cases(archive) as cases, pytest.raises(DamagedError, match="restore it from a backup"):
            cases.get(CASE)

    with KeyValueFile(archive.cases, ("sightings",)) as file, file.read() as tables:
        good = tables["sightings"].get(key) or {}
    altered(thumbnail=b"another picture")
    altered(vectors=b"\0" * len(good["vectors"]))
    altered(district="nowon")
    altered(history=[["perhaps", 10]])
    altered(history=[])
    altered(history=7)
    with KeyValueFile(archive.cases, ("meta",)) as file, file.write() as tables:
        tables["meta"].put("format_version", 99)
    with pytest.raises(FormatError, match="format version 99"):
        Cases(archive)
    archive.cases.write_bytes(b"nothing of LMDB" * 999)
    with pytest.raises(DamagedError, match="cases"):
        Cases(archive)


def test_ids_are_found_by_their_beginning(archive: ArchiveFiles) -> None:
    first, *_ = everybody = ids(archive, 99)
    [one] = judged(archive, first[:6].upper())
    assert one.record.id == first
    assert one.district == "songpa"
    assert still_there(archive, snapshot(archive), one)
    assert [each.record.id for each in judged(archive, *everybody)] == everybody
    for bad, told in [
        ("12345", "6 to 16"),
        ("seven7", "0-9 and a-f"),
        ("0" * 17, "6 to 16"),
        ("f" * 16, "no"),
    ]:
        with pytest.raises(InputError, match=told):
            judged(archive, bad)


def test_an_ambiguous_beginning_is_told(archive: ArchiveFiles) -> None:
    [one, other] = judged(archive, *ids(archive, 2))
    twin = replace(
        other, packed=other.packed.replace(other.record.id.encode(), one.record.id[:8].encode() + b"0" * 8)
    )
    with pytest.raises(InputError, match="more digits"):
        find_judged(archive, snapshot(archive), [one.record.id[:8]], [twin])


def test_the_case_keeps_what_expired(archive: ArchiveFiles) -> None:
    everybody = ids(archive, 99)
    one, gone = judged(archive, everybody[0], everybody[-1])
    erase_tracklet(archive, gone.record.id)
    with pytest.raises(InputError, match="was erased from the archive at"):
        judged(archive, gone.record.id)
    at = midnight(DAY)
    erase_time(archive, "songpa", at, one.record.end_ms + 1)
    seen = snapshot(archive)
    assert not still_there(archive, seen, one)
    with pytest.raises(InputError, match="has expired"):
        judged(archive, one.record.id)
    [copy] = find_judged(archive, seen, [one.record.id], [one]).values()
    assert not copy.in_archive
    assert one.record.start_ms - at < 24 * HOUR
    with Cases(archive) as cases:
        cases.record("holds", 10, confirmed=[one])
        cases.record("holds not", 10, confirmed=[judged(archive, ids(archive, 99)[-1])[0]])
    assert [keeping(archive, erasure) for erasure in seen.erasures] == [(), ("holds",)]


def test_an_id_that_may_be_in_a_damaged_segment_is_not_called_unknown(archive: ArchiveFiles) -> None:
    entry = snapshot(archive).segments[0]
    archive.segment(entry.district, entry.day, entry.segment).columns.write_bytes(b"")
    with pytest.raises(InputError, match="1 segments could not be read"):
        judged(archive, "f" * 16)
