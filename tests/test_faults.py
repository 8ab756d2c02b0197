"""What a machine can do to us: no permission, a read-only disk, an interrupt. Faults are real, not mocked."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli
from indexer.clips import ClipRequest
from indexer.indexing import index_clips
from indexer.shard.files import ArchiveFiles
from reid.errors import StorageError
from search import demo
from search.engine import Engine
from search.filters import Filters
from search.request import Request
from search.sightings import find_sightings
from tests.test_search import cameras, query_for
from tests.world import NOW, FakeEmbedder, Walk, fake_pipeline, write_scene

NOBODY = 65534
START = datetime(2025, 2, 18, 3, 34, tzinfo=UTC)
ROOT = Path(__file__).parents[1]

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and changing the user need root")


def make(folder: Path) -> tuple[ArchiveFiles, ClipRequest]:
    archive = ArchiveFiles(folder / "archive")
    request = ClipRequest(write_scene(folder / "a.mp4", [Walk("red", 0, 29)]), "songpa", "S-1", START)
    index_clips(archive, [request], fake_pipeline(), now=lambda: NOW)
    return archive, request


@contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@only_root
def test_an_archive_without_permission(tmp_path: Path) -> None:
    archive, _ = make(tmp_path)
    for folder in (
        tmp_path,
        *(each for each in tmp_path.parents if "pytest" in each.name or "popen" in each.name),
    ):
        folder.chmod(0o755)
    runner = CliRunner()
    for arguments in (["stats"], ["index", str(tmp_path / "a.mp4")]):  # loads what nobody may not read
        runner.invoke(cli.app, [*arguments, "--home", str(archive.home)])
    for mode in (0o000, 0o555):
        archive.home.chmod(mode)
        archive.catalogue.chmod(0o444)
        with as_nobody():
            for arguments in (["stats"], ["index", str(tmp_path / "a.mp4"), "-d", "songpa", "-c", "X"]):
                result = runner.invoke(cli.app, [*arguments, "--home", str(archive.home)])
                assert result.exit_code == 3, (mode, arguments, result.exception, result.stderr)
                assert "permission" in result.stderr
                assert "Traceback" not in result.stderr
    archive.home.chmod(0o755)
    with as_nobody():
        result = runner.invoke(cli.app, ["init", "--home", "/proc/archive"])
    assert result.exit_code == 3, result.stderr


@only_root
def test_a_photo_and_a_clip_without_permission(tmp_path: Path) -> None:
    _, request = make(tmp_path)
    for folder in (
        tmp_path,
        *(each for each in tmp_path.parents if "pytest" in each.name or "popen" in each.name),
    ):
        folder.chmod(0o755)
    request.path.chmod(0o000)
    archive = ArchiveFiles(tmp_path / "mine")
    archive.home.mkdir()
    os.chown(archive.home, NOBODY, NOBODY)
    with as_nobody():
        report = index_clips(archive, [request], fake_pipeline(), now=lambda: NOW)
    assert [failed.reason for failed in report.failed] == ["no_permission"]


@only_root
def test_a_read_only_archive_can_be_searched_and_not_written(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        archive, request = make(disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        query = query_for(tmp_path, [Walk("red", 0, 1)])
        with Engine(archive, FakeEmbedder().spec) as engine:
            result = find_sightings(engine, Request((query,), Filters(("songpa",)), 5))
        assert cameras(result) == ["S-1"]
        with pytest.raises(StorageError, match="read-only"):
            index_clips(archive, [request], fake_pipeline(), now=lambda: NOW)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(("workers", "line_met"), [("1", "[2/26]"), ("2", "[9/26]")])
def test_an_interrupt_keeps_what_was_done_and_says_so(tmp_path: Path, workers: str, line_met: str) -> None:
    """As a terminal sends it: to every process of the group."""
    call = [sys.executable, "-c", "import cli; cli.main()", "index", str(demo.FOOTAGE), "--workers", workers]
    process = subprocess.Popen(
        [*call, "--home", str(tmp_path / "archive")], stderr=subprocess.PIPE, text=True, cwd=ROOT,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(line_met):
            break
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait() == 130
    assert "interrupted; what was done is kept" in rest
    assert "Traceback" not in rest
    result = CliRunner().invoke(cli.app, ["stats", "--json", "--home", str(tmp_path / "archive")])
    done = json.loads(result.stdout)["clips"]
    assert done == 1 if workers == "1" else 1 <= done < 26
