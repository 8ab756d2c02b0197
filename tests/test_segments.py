"""A sealed segment: what goes in comes out, lies where the layout says, and fits its checksums."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from indexer.keyvalue import packed
from indexer.shard import columns, writer
from indexer.shard.files import ArchiveFiles, SegmentFiles
from indexer.shard.reader import Segment
from indexer.shard.records import Stored, read_record
from indexer.shard.writer import Coding, SegmentOrigin, seal_segment
from reid.errors import DamagedError, FormatError
from tests.crowd import DAY, HOUR, embedder, make_tracklets, midnight

ORIGIN = SegmentOrigin("songpa", DAY.isoformat(), embedder().sha256, ("d" * 64,), 32, ("test",))
CLIPS = {"C-10": ("f" * 64, "0" * 64), "A-2": ("7" * 64,), "B 송파": ("3" * 64,)}


@pytest.fixture(scope="module")
def people() -> list[Stored]:
    """Of three cameras and four clips, whose names sort otherwise than they come."""
    random = np.random.default_rng(5)
    made = [
        tracklet
        for camera, clips in CLIPS.items()
        for clip in clips
        for tracklet in make_tracklets(random, 30, camera, midnight(DAY) + 9 * HOUR, clip)
    ]
    return sorted(map(Stored.of, made), key=lambda one: (one.start_ms, one.id))


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory, people: list[Stored]) -> Segment:
    archive = ArchiveFiles(tmp_path_factory.mktemp("segments"))
    coding = Coding("b" * 16, lambda rows, cameras: rows[:, 0].tobytes() + "/".join(cameras).encode())
    manifest = seal_segment(archive, ORIGIN, iter(people), coding)
    return Segment.open(archive.segment("songpa", DAY.isoformat(), manifest.segment).folder)


def plain(one: Stored) -> tuple[object, ...]:
    return (
        one.id, one.clip, one.camera, one.start_ms, one.end_ms, np.float32(one.quality), one.upper, one.lower,
        one.vectors.dtype, one.vectors.tobytes(), one.record, one.thumbnail, one.attributes.tobytes(),
    )  # fmt: skip


def test_what_goes_in_comes_out_in_the_same_order(segment: Segment, people: list[Stored]) -> None:
    assert list(map(plain, segment.stored())) == list(map(plain, people))
    assert len({one.camera for one in people}) == 3
    assert {len(one.vectors) for one in people} == {1, 2, 3}


def test_sealing_what_a_segment_holds_makes_the_same_files(
    tmp_path: Path, segment: Segment, people: list[Stored]
) -> None:
    archive = ArchiveFiles(tmp_path)
    again = seal_segment(archive, ORIGIN, segment.stored())
    sealed = segment.manifest.files
    assert again.files == {name: sealed[name] for name in again.files}
    assert set(again.files) == {"vectors.f16", "columns.bin", "records.bin"}
    assert not list(archive.staging.iterdir())


def test_the_manifest_tells_what_there_is(segment: Segment, people: list[Stored]) -> None:
    manifest = segment.manifest
    assert manifest.cameras == tuple(sorted(CLIPS))
    assert manifest.clips == tuple(sorted(chain(*CLIPS.values())))
    rows = {camera: sum(len(one.vectors) for one in people if one.camera == camera) for camera in CLIPS}
    assert manifest.rows_by_camera == tuple(rows[camera] for camera in manifest.cameras)
    assert (manifest.tracklets, manifest.vectors) == (len(people), sum(rows.values()))
    assert manifest.start_ms == min(one.start_ms for one in people)
    assert manifest.end_ms == max(one.end_ms for one in people)
    assert manifest.codebook == "b" * 16
    for name, seal in manifest.files.items():
        data = (segment.files.folder / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (seal.bytes, seal.sha256)


def test_columns_lie_where_the_layout_says(segment: Segment, people: list[Stored]) -> None:
    """Read by the documented layout alone: heads of rows, heads of tracklets, one array after another."""
    data = segment.files.columns.read_bytes()
    records = segment.files.records.read_bytes()
    count, offset = segment.manifest.vectors, 0
    expected = [(row, one) for one in people for row in one.vectors]
    number = {one.id: place for place, one in enumerate(people)}
    for row, one in expected:
        head = data[offset : offset + 24]
        camera = segment.manifest.cameras.index(one.camera)
        assert head[:12] == one.start_ms.to_bytes(8, "little") + number[one.id].to_bytes(4, "little")
        assert head[16:20] == np.float32(one.quality).tobytes()
        assert head[20:24] == camera.to_bytes(2, "little") + bytes(2)
        summed = zlib.crc32(head[:12] + bytes(4) + head[16:], zlib.crc32(row.tobytes()))
        assert int.from_bytes(head[12:16], "little") == summed
        offset += 24
    at = first = 0
    for one in people:
        fields = np.frombuffer(data[offset : offset + 16], "<u8").tolist()
        record, thumbnail, row, rows, clip, summed = np.frombuffer(
            data[offset + 16 : offset + 40], "<u4"
        ).tolist()
        assert fields == [int(one.id, 16), at]
        assert (row, rows, clip) == (first, len(one.vectors), segment.manifest.clips.index(one.clip))
        assert records[at : at + record] == one.record
        assert records[at + record : at + record + thumbnail] == one.thumbnail
        assert summed == zlib.crc32(records[at : at + record + thumbnail] + one.attributes.tobytes())
        at, first, offset = at + record + thumbnail, first + rows, offset + 40
    for kind, value in (
        ("<i8", lambda one: one.start_ms), ("<i8", lambda one: one.end_ms),
        ("<u2", lambda one: segment.manifest.cameras.index(one.camera)),
        ("<u2", lambda one: one.upper), ("<u2", lambda one: one.lower),
    ):  # fmt: skip
        array = np.frombuffer(data, kind, count, offset)
        assert array.tolist() == [value(one) for _, one in expected]
        offset += array.nbytes
    for one in people:
        assert np.frombuffer(data, np.int8, 50, offset).tolist() == one.attributes.tolist()
        offset += 50
    assert (offset, at) == (len(data), len(records))


def test_places_follow_each_other_without_gaps() -> None:
    found = columns.places(7, 3)
    ends = 0
    for place in found.values():
        assert place.offset == ends
        ends += place.bytes
    assert [place.count for place in found.values()] == [7, 3, 7, 7, 7, 7, 7, 3]


def test_rows_and_heads_of_any_positions(segment: Segment, people: list[Stored]) -> None:
    every = np.concatenate([one.vectors for one in people])
    owner = np.repeat(np.arange(len(people)), [len(one.vectors) for one in people])
    last = segment.manifest.vectors - 1
    for positions in ([], [0], [last], [5, 3, 5], list(range(last + 1))):
        vectors, heads = segment.rows(positions)
        np.testing.assert_array_equal(vectors, every[positions])
        assert heads["tracklet"].tolist() == owner[positions].tolist()
        assert heads["start"].tolist() == [people[k].start_ms for k in owner[positions]]
        assert segment.heads(positions).tobytes() == heads.tobytes()
    for wrong in (last + 1, 1 << 40):
        with pytest.raises(DamagedError):
            segment.rows([wrong])


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_blocks_and_halves_give_every_row_once(segment: Segment, people: list[Stored], size: int) -> None:
    every = np.concatenate([one.vectors for one in people])
    found = [(first, block.copy()) for first, block in segment.blocks(size)]
    assert [first for first, _ in found] == list(range(0, len(every), size))
    np.testing.assert_array_equal(np.concatenate([block for _, block in found]), every)
    np.testing.assert_array_equal(segment.halves(), every)
    np.testing.assert_array_equal(segment.halves(3, 3 + min(size, 50)), every[3 : 3 + min(size, 50)])


def test_records_and_thumbnails_by_position(segment: Segment, people: list[Stored]) -> None:
    for positions in ([], [0, len(people) - 1], [7, 2, 7]):
        expected = [(read_record(people[k].record), people[k].thumbnail) for k in positions]
        assert segment.read(positions) == expected
        told = [attributes.tolist() for _, _, attributes in segment.contents(positions)]
        assert told == [people[k].attributes.tolist() for k in positions]
    assert segment.column("attributes").tolist() == [one.attributes.tolist() for one in people]
    assert len({tuple(one.attributes.tolist()) for one in people}) > 100


def test_a_tracklet_is_found_by_its_id(segment: Segment, people: list[Stored]) -> None:
    for one in people[::17]:
        found = segment.find(one.id)
        assert found is not None
        assert plain(found) == plain(one)
    for absent in ("", "nobody", "-1", "f" * 16, "1" + "0" * 16, "f" * 40):
        assert segment.find(absent) is None


def test_the_codes_get_every_row_with_its_camera(segment: Segment, people: list[Stored]) -> None:
    rows = np.concatenate([one.vectors for one in people])
    cameras = [one.camera for one in people for _ in one.vectors]
    assert segment.codes() == rows[:, 0].tobytes() + "/".join(cameras).encode()


def test_ids_and_counts_at_their_limits(tmp_path: Path, people: list[Stored]) -> None:
    record = read_record(people[0].record)
    ids = ["0" * 16, "f" * 16]
    edge = [
        replace(people[0], id=name, record=packed(replace(record, id=name).pack()), thumbnail=b"")
        for name in ids
    ]
    archive = ArchiveFiles(tmp_path)
    seal_segment(archive, ORIGIN, edge)
    opened = Segment.open(archive.segment("songpa", ORIGIN.day, ORIGIN.segment).folder)
    assert [plain(one) for one in opened.stored()] == [plain(one) for one in edge]
    assert all(opened.find(name) is not None for name in ids)


def _unsorted(people: list[Stored]) -> list[Stored]:
    return [*people[1:], people[0]]


def _twice(people: list[Stored]) -> list[Stored]:
    return [people[0], people[0]]


def _another_dimension(people: list[Stored]) -> list[Stored]:
    return [replace(people[0], vectors=people[0].vectors[:, :31].copy()), *people[1:]]


def _many_rows(people: list[Stored]) -> list[Stored]:
    return [replace(people[0], vectors=np.repeat(people[0].vectors[:1], 5, axis=0)), *people[1:]]


def _few_attributes(people: list[Stored]) -> list[Stored]:
    return [replace(people[0], attributes=people[0].attributes[:49]), *people[1:]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (_few_attributes, "50.* attributes of a tracklet, got .49"),
        (_many_rows, "1 to 4 vectors of a tracklet, got 5"),
        (_unsorted, "by start and id"),
        (_twice, "by start and id"),
        (_another_dimension, "dimension 32, got 31"),
        (lambda people: people, "at most 2 cameras"),
        (lambda people: [], "at least one tracklet"),
    ],
)
def test_what_cannot_be_a_segment_is_refused(
    tmp_path: Path, people: list[Stored], wrong: Callable[[list[Stored]], list[Stored]], message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if "cameras" in message:
        monkeypatch.setattr(writer, "MOST_CAMERAS", 2)
    archive = ArchiveFiles(tmp_path)
    with pytest.raises(ValueError, match=message):
        seal_segment(archive, ORIGIN, wrong(people))
    assert not list(archive.segment_folders())


def test_another_format_and_an_altered_manifest_are_told(tmp_path: Path, people: list[Stored]) -> None:
    archive = ArchiveFiles(tmp_path)
    manifest = seal_segment(archive, ORIGIN, people)
    files = SegmentFiles(archive.segment("songpa", ORIGIN.day, manifest.segment).folder)
    seal = hashlib.sha256(manifest.to_bytes()).hexdigest()
    assert Segment.open(files.folder, seal).manifest == manifest
    later = json.loads(manifest.to_bytes()) | {"format_version": 4}
    files.manifest.write_text(json.dumps(later))
    with pytest.raises(FormatError, match="format version 4"):
        Segment.open(files.folder)
    with pytest.raises(DamagedError, match="altered since"):
        Segment.open(files.folder, seal)  # not what was sealed, whatever it says of its format


def test_a_length_gone_wrong_reads_no_more_than_there_is(
    tmp_path: Path, people: list[Stored], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flipped bit in a head must not ask the machine for gigabytes."""
    archive = ArchiveFiles(tmp_path)
    seal_segment(archive, ORIGIN, people)
    files = archive.segment("songpa", ORIGIN.day, ORIGIN.segment)
    opened = Segment.open(files.folder)
    offset = columns.places(opened.manifest.vectors, len(people))["tracklets"].offset
    data = bytearray(files.columns.read_bytes())
    data[offset + 19] ^= 0x40  # the highest byte of the record's length
    files.columns.write_bytes(data)
    asked: list[int] = []
    pread = os.pread

    def counted(descriptor: int, size: int, at: int) -> bytes:
        asked.append(size)
        return pread(descriptor, size, at)

    monkeypatch.setattr(os, "pread", counted)
    with pytest.raises(DamagedError):
        opened.read([0])
    assert max(asked) < 1 << 20
    assert len(opened.read([1])) == 1


def test_altered_attributes_are_told(tmp_path: Path, people: list[Stored]) -> None:
    archive = ArchiveFiles(tmp_path)
    seal_segment(archive, ORIGIN, people)
    opened = Segment.open(archive.segment("songpa", ORIGIN.day, ORIGIN.segment).folder)
    data = bytearray(opened.files.columns.read_bytes())
    data[-1] ^= 1  # of the last tracklet
    opened.files.columns.write_bytes(data)
    assert len(opened.contents([0])) == 1
    with pytest.raises(DamagedError, match="altered"):
        opened.contents([len(people) - 1])
    with pytest.raises(DamagedError, match="sha256"):
        opened.column("attributes")
