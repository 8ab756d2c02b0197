"""A few rows of several segments in one go: all that are sound, and which segments are not, and why."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from indexer.shard.columns import ROW
from indexer.shard.files import ArchiveFiles, SegmentFiles
from indexer.shard.reader import Segment
from indexer.shard.records import Stored
from indexer.shard.rows import pick
from indexer.shard.writer import SegmentOrigin, seal_segment
from reid.errors import StorageError
from tests.crowd import DAY, HOUR, embedder, make_tracklets, midnight

SIZE = 32
SUM_AT = 12  # of a row's head
ASKED = ([0, 5, 6], [3], [2, 2, 40])


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Three segments of about sixty rows."""
    archive = ArchiveFiles(tmp_path_factory.mktemp("rows"))
    random = np.random.default_rng(6)
    found = []
    for name in "abc":
        origin = SegmentOrigin("songpa", DAY.isoformat(), embedder().sha256, ("d" * 64,), SIZE, (name,))
        people = make_tracklets(random, 30, "C-1", midnight(DAY) + 9 * HOUR, name * 64)
        made = sorted(map(Stored.of, people), key=lambda one: (one.start_ms, one.id))
        found.append(archive.segment("songpa", DAY.isoformat(), seal_segment(archive, origin, made).segment))
    return tuple(each.folder for each in found)


def opened(folders: tuple[Path, ...], tmp_path: Path) -> list[Segment]:
    """Copies, to be damaged."""
    return [Segment.open(Path(shutil.copytree(each, tmp_path / each.name))) for each in folders]


def test_rows_come_in_the_order_asked(sealed: tuple[Path, ...], tmp_path: Path) -> None:
    segments = opened(sealed, tmp_path)
    found = pick(list(zip(segments, ASKED, strict=True)), SIZE)
    assert found.owners.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert found.positions.tolist() == [0, 5, 6, 3, 2, 2, 40]
    assert found.damaged == {}
    pairs = [(segments[place], k) for place, asked in enumerate(ASKED) for k in asked]
    np.testing.assert_array_equal(found.vectors, [segment.halves()[k] for segment, k in pairs])
    assert found.heads.tolist() == [segment.column("rows")[k].item() for segment, k in pairs]


@pytest.mark.parametrize("asked", [[], [[], [], []]])
def test_nothing_asked_is_nothing_found(
    asked: list[list[int]], sealed: tuple[Path, ...], tmp_path: Path
) -> None:
    found = pick(list(zip(opened(sealed, tmp_path), asked, strict=False)), SIZE)
    assert (found.vectors.shape, found.heads.shape, found.damaged) == ((0, SIZE), (0,), {})


def flip(path: Path, *places: int) -> None:
    data = bytearray(path.read_bytes())
    for at in places:
        data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda files: flip(files.vectors, 5 * SIZE * 2 + 9), "row 5 is altered"),
        (lambda files: flip(files.vectors, 6 * SIZE * 2, 5 * SIZE * 2), "row 5 is altered"),
        (lambda files: flip(files.columns, 6 * ROW.itemsize + 21), "row 6 is altered"),
        (lambda files: flip(files.columns, SUM_AT), "row 0 is altered"),
        (lambda files: files.vectors.write_bytes(files.vectors.read_bytes()[: 6 * SIZE * 2 + 1]), "bytes"),
        (lambda files: files.columns.write_bytes(b""), "bytes"),
        (lambda files: files.vectors.unlink(), "is missing"),
    ],
    ids=["vector", "two vectors", "head", "sum", "cut", "empty", "gone"],
)
def test_a_damaged_segment_is_named_and_the_others_are_read(
    harm: Callable[[SegmentFiles], object], said: str, sealed: tuple[Path, ...], tmp_path: Path
) -> None:
    segments = opened(sealed, tmp_path)
    harm(segments[0].files)
    found = pick(list(zip(segments, ASKED, strict=True)), SIZE)
    assert list(found.damaged) == [0]
    assert said in str(found.damaged[0])
    assert segments[0].files.folder.name in str(found.damaged[0])
    assert found.owners.tolist() == [1, 2, 2, 2]
    assert found.positions.tolist() == [3, 2, 2, 40]
    np.testing.assert_array_equal(found.vectors[0], segments[1].halves()[3])


def test_a_machine_without_file_handles_is_not_damage(
    sealed: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = opened(sealed, tmp_path)

    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(StorageError, match="ulimit"):
        pick([(segments[0], [1])], SIZE)
