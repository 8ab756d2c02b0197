"""Coverage against a brute-force oracle that walks the window second by second."""

import numpy as np
import pytest

from indexer.cameras import Camera
from indexer.catalogue import Snapshot
from indexer.coverage import DAMAGED_SEGMENT, NO_FOOTAGE, measure_coverage
from indexer.ledger import ClipDone, ClipFailed
from indexer.pipeline import spans_between_gaps

NOW_MS = 500_000


def clip(camera: str, *spans: tuple[int, int], segment: str = "") -> ClipDone:
    """A clip of songpa with these spans, in seconds."""
    in_ms = tuple((start * 1000, end * 1000) for start, end in spans)
    return ClipDone(
        sha256=f"{camera}{spans}", path="clip.mp4", district="songpa", camera=camera, start_ms=in_ms[0][0],
        end_ms=in_ms[-1][1], spans=in_ms, start_source="given", detector="d", embedder="e",
        frames_per_second=5.0, frames_read=9,
        frames_sampled=9, frames_corrupt=0, tracklets=1, vectors=1, segments=(segment,) if segment else (),
        warnings=(), seconds_taken=1.0,
    )  # fmt: skip


def archive(cameras: str, *clips: ClipDone, failures: tuple[ClipFailed, ...] = ()) -> Snapshot:
    known = {("songpa", name): Camera(name, "", "songpa") for name in cameras}
    return Snapshot("e", known, tuple(sorted(clips, key=lambda c: c.start_ms)), failures, (), {})


def measured(snapshot: Snapshot, since: int | None, until: int | None, **more: object) -> dict[str, float]:
    """Seconds asked, searched and missing by reason."""
    found = measure_coverage(
        snapshot, ["songpa"], (), since and since * 1000, until and until * 1000, NOW_MS, **more  # type: ignore[arg-type]
    )  # fmt: skip
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
    snapshot = archive("A", clip("A", (0, 50), segment="s1"), clip("A", (50, 100), segment="s2"))
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
    coverage = measure_coverage(snapshot, ["songpa"], (), 10_000, 60_000, NOW_MS)
    assert [gap.where for gap in coverage.missing] == [("here", "unknown start", "unknown place")]


def test_random_archives_against_a_walk_through_the_seconds() -> None:
    random = np.random.default_rng(5)
    for _ in range(50):
        clips = []
        for _ in range(int(random.integers(1, 8))):
            edges = sorted(int(edge) for edge in random.choice(300, 4, replace=False))
            segment = f"s{random.integers(4)}"
            spans = ((edges[0], edges[1]), (edges[2], edges[3]))
            clips.append(clip("AB"[int(random.integers(2))], *spans, segment=segment))
        since, until = sorted(int(edge) for edge in random.choice(300, 2, replace=False))
        found = measured(archive("AB", *clips), since, until, damaged=["s0"])
        searched = damaged = 0
        for camera in "AB":
            for second in range(since, until):
                covering = [
                    c for c in clips if c.camera == camera and any(a <= second * 1000 < b for a, b in c.spans)
                ]
                searched += any("s0" not in c.segments for c in covering)
                damaged += bool(covering) and all("s0" in c.segments for c in covering)
        assert found["searched"] == pytest.approx(searched)
        assert found.get(DAMAGED_SEGMENT, 0) == pytest.approx(damaged)
        assert found.get(NO_FOOTAGE, 0) == pytest.approx(2 * (until - since) - searched - damaged)


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
