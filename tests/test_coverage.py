"""Coverage against a brute-force oracle that walks the window second by second."""

import numpy as np
import pytest

from indexer.cameras import Camera
from indexer.coverage import DAMAGED_SEGMENT, ERASED, NO_FOOTAGE, Footage
from indexer.ledger import ClipDone, ClipFailed
from indexer.pipeline import spans_between_gaps
from indexer.snapshot import Erasure, SegmentEntry, Snapshot

NOW_MS = 500_000


def clip(camera: str, *spans: tuple[int, int]) -> ClipDone:
    """A clip of songpa with these spans, in seconds."""
    in_ms = tuple((start * 1000, end * 1000) for start, end in spans)
    return ClipDone(
        sha256=f"{camera}{spans}", path="clip.mp4", district="songpa", camera=camera, start_ms=in_ms[0][0],
        end_ms=in_ms[-1][1], spans=in_ms, start_source="given", detector="d", embedder="e",
        frames_per_second=5.0, frames_read=9,
        frames_sampled=9, frames_corrupt=0, tracklets=1, vectors=1, warnings=(), seconds_taken=1.0,
    )  # fmt: skip


def segment(name: str, *clips: ClipDone) -> SegmentEntry:
    held = tuple(c.sha256 for c in clips)
    return SegmentEntry(name, "songpa", "1970-01-01", ("A",), (1,), held, 0, 1, 1, 1, 1, None, "seal")


def archive(
    cameras: str, *clips: ClipDone, failures: tuple[ClipFailed, ...] = (),
    segments: tuple[SegmentEntry, ...] = (), erasures: tuple[Erasure, ...] = (),
) -> Snapshot:  # fmt: skip
    known = {("songpa", name): Camera(name, "", "songpa") for name in cameras}
    ordered = tuple(sorted(clips, key=lambda c: c.start_ms))
    return Snapshot(1, "e", None, known, ordered, failures, segments, {}, erasures)


def erased(since: int, until: int, *cameras: str) -> Erasure:
    """Of songpa, in seconds."""
    return Erasure("songpa", cameras, since * 1000, until * 1000, None, NOW_MS, 1, 1, (), ())


def measured(snapshot: Snapshot, since: int | None, until: int | None, **more: object) -> dict[str, float]:
    """Seconds asked, searched and missing by reason."""
    found = Footage(snapshot, **more).measure(  # type: ignore[arg-type]
        ["songpa"], (), since and since * 1000, until and until * 1000, NOW_MS
    )
    seconds = {gap.reason: gap.camera_hours * 3600 for gap in found.missing if gap.camera_hours is not None}
    return {
        "asked": found.asked_camera_hours * 3600,
        "searched": found.searched_camera_hours * 3600,
        **seconds,
    }


CASES = [
    # (clips, window, searched, no footage)
    ("whole window", [clip("A", (0, 100))], (10, 60), 50, 0),
    ("half of it", [clip("A", (0, 35))], (10, 60), 25, 25),
    ("overlapping clips count once", [clip("A", (0, 40)), clip("A", (20, 60))], (10, 60), 50, 0),
    ("two cameras", [clip("A", (0, 60)), clip("B", (30, 60))], (10, 60), 80, 20),
    ("a gap inside a clip", [clip("A", (0, 20), (50, 100))], (10, 60), 20, 30),
    ("before and after", [clip("A", (0, 10)), clip("A", (60, 90))], (10, 60), 0, 50),
]


@pytest.mark.parametrize(("name", "clips", "window", "searched", "missing"), CASES, ids=[c[0] for c in CASES])
def test_cases(
    name: str, clips: list[ClipDone], window: tuple[int, int], searched: float, missing: float
) -> None:
    cameras = "".join(sorted({c.camera for c in clips}))
    found = measured(archive(cameras, *clips), *window)
    assert found["searched"] == pytest.approx(searched)
    assert found.get(NO_FOOTAGE, 0) == pytest.approx(missing)
    assert found["asked"] == pytest.approx(searched + missing)


def test_without_bounds_the_window_is_that_of_the_footage() -> None:
    found = measured(archive("AB", clip("A", (100, 160)), clip("B", (130, 200))), None, None)
    assert found == {"asked": 200, "searched": 130, NO_FOOTAGE: 70}


def test_since_alone_asks_until_now() -> None:
    found = measured(archive("A", clip("A", (100, 160))), 150, None)
    assert found == {"asked": 350, "searched": 10, NO_FOOTAGE: 340}
    after_all = measured(archive("A", clip("A", (100, 160))), 200, None)
    assert after_all == {"asked": 300, "searched": 0, NO_FOOTAGE: 300}


def test_until_alone_asks_from_where_the_footage_begins() -> None:
    found = measured(archive("A", clip("A", (100, 160))), None, 180)
    assert found == {"asked": 80, "searched": 60, NO_FOOTAGE: 20}


def test_no_footage_at_all() -> None:
    assert measured(archive("A"), None, None) == {"asked": 0, "searched": 0}
    assert measured(archive("A"), 10, 70) == {"asked": 60, "searched": 0, NO_FOOTAGE: 60}


def test_a_damaged_segment_is_not_searched_time() -> None:
    one, other = clip("A", (0, 50)), clip("A", (50, 100))
    snapshot = archive("A", one, other, segments=(segment("s1", one), segment("s2", other)))
    found = measured(snapshot, 10, 100, damaged=["s2"])
    assert found == {"asked": 90, "searched": 40, DAMAGED_SEGMENT: 50}


def test_failed_clips_of_other_places_and_times_are_not_listed() -> None:
    failures = tuple(
        ClipFailed(path, district, camera, start, "empty", "")
        for path, district, camera, start in [
            ("here", "songpa", "A", 20_000), ("unknown start", "songpa", "A", None),
            ("unknown place", None, None, None), ("elsewhere", "nowon", "N", 20_000),
            ("later", "songpa", "A", 90_000),
        ]
    )  # fmt: skip
    snapshot = archive("A", clip("A", (0, 60)), failures=failures)
    coverage = Footage(snapshot).measure(["songpa"], (), 10_000, 60_000, NOW_MS)
    assert [gap.where for gap in coverage.missing] == [("here", "unknown start", "unknown place")]


def test_random_archives_against_a_walk_through_the_seconds() -> None:
    random = np.random.default_rng(5)
    for _ in range(60):
        held: dict[str, list[ClipDone]] = {f"s{number}": [] for number in range(4)}
        for _ in range(int(random.integers(1, 8))):
            edges = sorted(int(edge) for edge in random.choice(300, 4, replace=False))
            spans = ((edges[0], edges[1]), (edges[2], edges[3]))
            held[f"s{random.integers(4)}"].append(clip("AB"[int(random.integers(2))], *spans))
        clips = [c for each in held.values() for c in each]
        bad = {c.sha256 for c in held["s0"]}
        low, high = sorted(int(edge) for edge in random.choice(300, 2, replace=False))
        gone = erased(low, high, *("A", "B")[: int(random.integers(3))])
        since, until = sorted(int(edge) for edge in random.choice(300, 2, replace=False))
        segments = tuple(segment(name, *each) for name, each in held.items())
        found = measured(
            archive("AB", *clips, segments=segments, erasures=(gone,)), since, until, damaged=["s0"]
        )
        counts = dict.fromkeys(("searched", DAMAGED_SEGMENT, ERASED, NO_FOOTAGE), 0)
        for camera in "AB":
            for second in range(since, until):
                covering = [
                    c for c in clips if c.camera == camera and any(a <= second * 1000 < b for a, b in c.spans)
                ]
                if not covering:
                    counts[NO_FOOTAGE] += 1
                elif low <= second < high and (not gone.cameras or camera in gone.cameras):
                    counts[ERASED] += 1
                elif all(c.sha256 in bad for c in covering):
                    counts[DAMAGED_SEGMENT] += 1
                else:
                    counts["searched"] += 1
        assert {name: found.get(name, 0) for name in counts} == pytest.approx(counts)


@pytest.mark.parametrize(
    ("moments", "spans"),
    [
        ([], ()),
        ([3.0], ((3.0, 3.0),)),
        ([0, 0.2, 0.4, 2.4], ((0, 2.4),)),
        ([0, 0.2, 60.0, 60.2], ((0, 0.2), (60.0, 60.2))),
    ],
)
def test_gaps_between_frames(moments: list[float], spans: tuple[tuple[float, float], ...]) -> None:
    assert spans_between_gaps(moments, 2.0) == spans
