"""Photos of missing people: sealed in the archive, opened with the key alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from indexer.catalogue import Catalogue
from indexer.keyvalue import KeyValueFile
from indexer.shard.files import ArchiveFiles
from reid.errors import DamagedError, InputError, StorageError
from search.case import CasePhoto, Mandate
from search.cases import Cases
from search.sealing import key_path

PHOTO = CasePhoto("/photos/할머니.jpg", b"\xff\xd8 somebody's face " * 40, (1.0, 2.0, 30.0, 60.5), 5)
CASE = "2026-SP-0142"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArchiveFiles:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made = ArchiveFiles(tmp_path / "archive")
    with Catalogue(made, "create"), Cases(made) as cases:
        cases.record(CASE, 10, [PHOTO])
    return made


def opened(archive: ArchiveFiles) -> tuple[CasePhoto, ...]:
    with Cases(archive) as cases:
        return cases.get(CASE, pictures=True).photos


def test_who_reads_the_archive_without_the_key_sees_no_photo(archive: ArchiveFiles) -> None:
    assert opened(archive) == (PHOTO,)
    for path in archive.home.rglob("*"):
        assert not path.is_file() or b"somebody's face" not in path.read_bytes()
    key = key_path(archive)
    assert not key.is_relative_to(archive.home)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    secret = key.read_text()
    key.unlink()
    with pytest.raises(StorageError, match="key of the case photos is not there"):
        opened(archive)
    with Cases(archive) as cases:
        assert cases.get(CASE).photos[0].sha256 == PHOTO.sha256, "the rest is read without the key"
        with pytest.raises(StorageError, match="not there"):
            cases.record(CASE, 20, [PHOTO])
    key.write_text("ab" * 32)
    key.chmod(0o600)
    with pytest.raises(DamagedError, match="put that one back"):
        opened(archive)
    key.write_text("no key")
    with pytest.raises(DamagedError, match="64 digits"):
        opened(archive)
    key.write_text(secret)
    assert opened(archive) == (PHOTO,)
    key.chmod(0o640)
    with pytest.raises(StorageError, match="chmod 600"):
        opened(archive)


def test_a_key_inside_the_archive_is_refused(
    archive: ArchiveFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").symlink_to(archive.home)
    for place in (archive.home / "photos.key", tmp_path / "elsewhere" / "photos.key"):
        monkeypatch.setenv("REID_PHOTO_KEY", str(place))
        with pytest.raises(InputError, match="inside the archive"):
            opened(archive)


def test_a_sealed_photo_that_is_altered_or_moved_is_refused(archive: ArchiveFiles) -> None:
    place = f"{CASE}/{PHOTO.sha256}"
    with KeyValueFile(archive.cases, ("meta", "cases", "photos")) as file, file.write() as tables:
        value = tables["photos"].get(place)
        assert value is not None
        tables["cases"].put("other", tables["cases"].get(CASE))
        tables["photos"].put(f"other/{PHOTO.sha256}", value)
        tables["photos"].put(place, {**value, "sealed": value["sealed"][:-1] + b"?"})
    with Cases(archive) as cases:
        for case in (CASE, "other"):
            with pytest.raises(DamagedError, match="cannot be opened"):
                cases.get(case, pictures=True)


def test_photos_of_an_earlier_release_are_sealed_when_the_cases_are_opened(archive: ArchiveFiles) -> None:
    value = {"name": PHOTO.name, "data": PHOTO.data, "person_box": list(PHOTO.person_box), "added_ms": 5}
    with KeyValueFile(archive.cases, ("meta", "photos", "cases")) as file, file.write() as tables:
        tables["photos"].put(f"{CASE}/{PHOTO.sha256}", value)
        tables["cases"].put(CASE, {"opened_ms": 10, "closed_ms": None})
        tables["meta"].put("format_version", 1)
    assert b"somebody's face" in archive.cases.read_bytes()
    assert opened(archive) == (PHOTO,)
    assert b"somebody's face" not in archive.cases.read_bytes(), "also not in pages that are no longer used"
    with Cases(archive) as cases:
        assert cases.get(CASE).mandate == Mandate()
