"""Coverage against a brute-force oracle that walks the window second by second."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from indexer.cameras import Camera
from indexer.coverage import (
    CLOCK_UNCERTAIN,
    DAMAGED_SEGMENT,
    ERASED,
    EXPIRED,
    FAILED_CLIP,
    NO_FOOTAGE,
    NOT_INDEXED,
    QUARANTINED,
    REASONS,
    CameraCoverage,
    Coverage,
    Footage,
)
from indexer.ledger import ClipDone, ClipFailed, ClipWaiting
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
    waiting: tuple[ClipWaiting, ...] = (),
) -> Snapshot:  # fmt: skip
    known = {("songpa", name): Camera(name, "", "songpa") for name in cameras}
    ordered = tuple(sorted(clips, key=lambda c: c.start_ms))
    return Snapshot(1, "e", None, known, ordered, failures, segments, {}, erasures, waiting)


def erased(since: int, until: int, *cameras: str) -> Erasure:
    """Of songpa, in seconds."""
    return Erasure("songpa", cameras, since * 1000, until * 1000, None, NOW_MS, 1, 1, (), ())


def measured(snapshot: Snapshot, since: int | None, until: int | None, **more: object) -> dict[str, float]:
    """Seconds asked, searched and missing by reason."""
    found = Footage(snapshot, **more).measure(  # type: ignore[arg-type]
        ["songpa"], (), since and since * 1000, until and until * 1000, NOW_MS
    )
    adds_up(found)
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


def failed(path: str, camera: str | None, start: int | None, end: int | None, **more: Any) -> ClipFailed:
    """Of songpa, in seconds."""
    begin, close = (None if each is None else each * 1000 for each in (start, end))
    return ClipFailed(path, more.get("district", "songpa"), camera, begin, "no_frames", "", end_ms=close)


def waiting(path: str, camera: str | None, start: int | None, end: int | None) -> ClipWaiting:
    """Of songpa, in seconds."""
    begin, close = (None if each is None else each * 1000 for each in (start, end))
    return ClipWaiting(path, "songpa", camera, begin, close)


def test_failed_clips_of_other_places_and_times_are_not_listed() -> None:
    failures = (
        failed("here", "A", 20, None), failed("unknown start", "A", None, None),
        failed("unknown place", None, None, None, district=None), failed("later", "A", 90, None),
        failed("elsewhere", "N", 20, None, district="nowon"),
        failed("here, its length known", "A", 50, 80), failed("later, its length known", "A", 65, 80),
        failed("what a sound clip shows too", "B", 30, 50),
    )  # fmt: skip
    snapshot = archive("AB", clip("A", (0, 55)), clip("B", (0, 60)), failures=failures)
    [gap] = Footage(snapshot).measure(["songpa"], (), 10_000, 60_000, NOW_MS).missing
    assert gap.where == ("here, its length known", "here", "unknown start", "unknown place")
    assert (gap.reason, gap.unmeasured) == (FAILED_CLIP, 3)
    assert gap.camera_hours == pytest.approx(5 / 3600)


def test_a_clip_without_a_length_counts_no_time() -> None:
    snapshot = archive("A", failures=(failed("f", "A", 20, None),), waiting=(waiting("w", "A", 20, None),))
    coverage = Footage(snapshot).measure(["songpa"], (), 10_000, 60_000, NOW_MS)
    told = {gap.reason: (gap.camera_hours, gap.where, gap.unmeasured) for gap in coverage.missing}
    assert told == {
        NO_FOOTAGE: (50 / 3600, ("songpa/A",), 0), FAILED_CLIP: (None, ("f",), 1),
        NOT_INDEXED: (None, ("w",), 1),
    }  # fmt: skip


def test_a_camera_known_only_by_what_waits_is_asked() -> None:
    snapshot = archive("A", clip("A", (0, 60)), waiting=(waiting("w", "B", 30, 60),))
    found = measured(snapshot, None, None)
    assert found == {"asked": 120, "searched": 60, NOT_INDEXED: 30, NO_FOOTAGE: 30}


def test_the_window_of_the_footage_holds_what_waits_and_not_what_expired() -> None:
    old, new = clip("A", (0, 60)), clip("A", (90, 120))
    expiry = Erasure("songpa", (), 0, 80_000, None, NOW_MS, 1, 1, (), ())
    snapshot = archive("A", old, new, erasures=(expiry,), waiting=(waiting("w", "A", 120, 150),))
    assert measured(snapshot, None, None) == {"asked": 60, "searched": 30, NOT_INDEXED: 30}
    assert measured(snapshot, None, 100) == {"asked": 10, "searched": 10}
    # who asks for what has expired is told so
    assert measured(snapshot, None, 70) == {
        "asked": 70, "searched": 0, EXPIRED: 60, NO_FOOTAGE: 10,
    }  # fmt: skip
    assert measured(archive("A", old, erasures=(expiry,)), None, None) == {
        "asked": 60, "searched": 0, EXPIRED: 60,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("erasure", "is_expiry"),
    [
        (Erasure("songpa", (), 0, 80_000, None, 1, 1, 1, (), ()), True),
        (Erasure("songpa", (), 10_000, 80_000, None, 1, 1, 1, (), ()), False),
        (Erasure("songpa", ("A",), 0, 80_000, None, 1, 1, 1, (), ()), False),
        (Erasure("songpa", ("A",), 0, 80_000, "ab12", 1, 1, 1, (), ()), False),
    ],
)
def test_what_is_an_expiry(erasure: Erasure, is_expiry: bool) -> None:
    assert erasure.is_expiry == is_expiry


def test_of_overlapping_reasons_the_first_counts() -> None:
    """All reasons at once, one taken away after the other."""
    one, other = clip("A", (0, 50)), clip("A", (0, 51))
    expiry = Erasure("songpa", (), 0, 50_000, None, NOW_MS, 1, 1, (), ())
    shut = replace(segment("shut", one), quarantined="altered")
    layers: list[tuple[str, dict[str, Any]]] = [
        (EXPIRED, {"erasures": (expiry, erased(10, 50))}),
        (ERASED, {"erasures": (erased(10, 50),)}),
        (QUARANTINED, {}),
        (DAMAGED_SEGMENT, {"clips": (other,)}),
        (FAILED_CLIP, {"clips": ()}),
        (NOT_INDEXED, {"clips": (), "failures": ()}),
        (NO_FOOTAGE, {"clips": (), "failures": (), "waiting": ()}),
    ]
    for reason, less in layers:
        held: dict[str, Any] = {
            "clips": (one, other), "failures": (failed("f", "A", 0, 50),),
            "waiting": (waiting("w", "A", 0, 50),), "segments": (shut, segment("bad", other)), **less,
        }  # fmt: skip
        clips = held.pop("clips")
        found = measured(archive("A", *clips, **held), 10, 40, damaged=["bad"])
        assert found == {"asked": 30, "searched": 0, reason: 30}
    found = measured(archive("A", clip("A", (0, 60)), one, segments=(shut,)), 10, 40)
    assert found == {"asked": 30, "searched": 30}


def test_random_archives_against_a_walk_through_the_seconds() -> None:
    random = np.random.default_rng(5)

    def stretch() -> tuple[int, int]:
        low, high = sorted(int(edge) for edge in random.choice(200, 2, replace=False))
        return low, high

    for _ in range(120):
        held: dict[str, list[ClipDone]] = {f"s{number}": [] for number in range(4)}
        for _ in range(int(random.integers(0, 8))):
            (a, b), (c, d) = sorted((stretch(), stretch()))
            spans = ((a, b), (c, d)) if b < c else ((a, b),)
            held[f"s{random.integers(4)}"].append(clip("AB"[int(random.integers(2))], *spans))
        clips = [c for each in held.values() for c in each]
        low, high = stretch()
        gone = erased(max(low, 1), high + 1, *("A", "B")[: int(random.integers(3))])
        until = int(random.integers(0, 60))
        expiry = Erasure("songpa", (), 0, until * 1000, None, NOW_MS, 1, 1, (), ())
        failures = tuple(failed(f"f{k}", "AB"[k % 2], *stretch()) for k in range(int(random.integers(3))))
        later = tuple(waiting(f"w{k}", "ABC"[k], *stretch()) for k in range(int(random.integers(4))))
        segments = [segment(name, *each) for name, each in held.items()]
        segments[1] = replace(segments[1], quarantined="altered")
        since, end = stretch()
        snapshot = archive(
            "ABC", *clips, segments=tuple(segments), erasures=(gone, expiry)[: int(random.integers(3))],
            failures=failures, waiting=later,
        )  # fmt: skip
        expired_until = max((e.until_ms // 1000 for e in snapshot.erasures if e.is_expiry), default=0)
        damaged = {c.sha256 for c in held["s0"]}
        shut = {c.sha256 for c in held["s1"]}
        expected: dict[str, Counter[str]] = {}
        for camera in "ABC":
            counts = expected[f"songpa/{camera}"] = Counter()
            for second in range(since, end):
                at = second * 1000
                covering = {
                    c.sha256 for c in clips if c.camera == camera and any(a <= at < b for a, b in c.spans)
                }
                has_failed, waits = (
                    any(e.camera == camera and e.start_ms <= at < e.end_ms for e in each)  # type: ignore[operator]
                    for each in (failures, later)
                )
                is_erased = (
                    gone in snapshot.erasures
                    and gone.since_ms <= at < gone.until_ms
                    and (not gone.cameras or camera in gone.cameras)
                )
                if not (covering or has_failed or waits):
                    counts[NO_FOOTAGE] += 1
                elif second < expired_until:
                    counts[EXPIRED] += 1
                elif is_erased:
                    counts[ERASED] += 1
                elif covering - damaged - shut:
                    counts["searched"] += 1
                elif covering & shut:
                    counts[QUARANTINED] += 1
                elif covering:
                    counts[DAMAGED_SEGMENT] += 1
                else:
                    counts[FAILED_CLIP if has_failed else NOT_INDEXED] += 1
        coverage = Footage(snapshot, ["s0"]).measure(["songpa"], (), since * 1000, end * 1000, NOW_MS)
        told = {f"{each.district}/{each.camera}": seconds_of(each) for each in coverage.by_camera}
        assert told == expected
        adds_up(coverage)


def seconds_of(each: CameraCoverage) -> Counter[str]:
    hours = {"searched": each.searched_camera_hours, **dict(each.missing)}
    return Counter({reason: round(amount * 3600) for reason, amount in hours.items() if amount})


def adds_up(coverage: Coverage) -> None:
    """Cameras add up to the totals, and reasons to what was asked, to the millisecond."""
    times = coverage.by_camera
    assert (times.searched_ms >= 0).all()
    assert (times.missing_ms >= 0).all()
    assert (times.searched_ms + times.missing_ms.sum(axis=1) == times.window_ms).all()
    assert len(times.keys) == coverage.cameras
    assert round(coverage.asked_camera_hours * 3_600_000) == coverage.cameras * times.window_ms
    assert round(coverage.searched_camera_hours * 3_600_000) == times.searched_ms.sum()
    told = {gap.reason: round((gap.camera_hours or 0) * 3_600_000) for gap in coverage.missing}
    amounts = times.missing_ms.sum(axis=0).tolist()
    assert {reason: told.pop(reason, 0) for reason in REASONS} == dict(zip(REASONS, amounts, strict=True))
    assert not any(told.values())


CLOCKS = [
    # (footage, window, searched for sure, clock uncertain), of a clock that may be 20 s off
    ([(0, 100)], (30, 70), 40, 0),
    ([(0, 100)], (10, 60), 40, 10),
    ([(0, 100)], (90, 130), 0, 10),
    ([(0, 40), (60, 200)], (40, 60), 0, 0),
    ([(0, 40), (60, 200)], (40, 70), 10, 0),
    ([(0, 40), (60, 200)], (60, 90), 10, 20),
    ([(0, 40), (60, 200)], (None, 90), 50, 20),
    ([(0, 40), (60, 200)], (None, None), 180, 0),
]


@pytest.mark.parametrize(("spans", "window", "sure", "unsure"), CLOCKS)
def test_a_clock_that_may_be_off_leaves_open_what_was_searched(
    spans: list[tuple[int, int]], window: tuple[int | None, int | None], sure: int, unsure: int
) -> None:
    snapshot = archive("AB", clip("A", *spans), clip("B", *spans))
    seen = {key: replace(each, clock_uncertainty_s=20.0) for key, each in snapshot.cameras.items()}
    seen["songpa", "B"] = snapshot.cameras["songpa", "B"]
    since, until = window
    coverage = Footage(replace(snapshot, cameras=seen)).measure(
        ["songpa"], (), None if since is None else since * 1000, until and until * 1000, NOW_MS
    )
    first, second = coverage.by_camera
    assert round(first.searched_camera_hours * 3600) == sure
    assert round(dict(first.missing).get(CLOCK_UNCERTAIN, 0) * 3600) == unsure
    assert CLOCK_UNCERTAIN not in dict(second.missing)
    adds_up(coverage)


def test_the_worst_cameras_come_first() -> None:
    snapshot = archive("ABC", clip("A", (0, 60)), clip("C", (0, 30)))
    coverage = Footage(snapshot).measure(["songpa"], (), 0, 60_000, NOW_MS)
    assert [each.camera for each in coverage.by_camera.worst_first()] == ["B", "C", "A"]
    assert [each.camera for each in coverage.by_camera] == ["A", "B", "C"]
    assert [gap.where for gap in coverage.missing] == [("songpa/B", "songpa/C")]


def test_moments_far_apart_and_many_cameras_stay_apart() -> None:
    """The end of one camera's time is not the beginning of the next one's."""
    late = (1 << 42) // 1000 - 1
    snapshot = archive("ABC", clip("A", (late - 10, late)), clip("B", (0, 10)))
    found = Footage(snapshot).measure(["songpa"], (), 0, late * 1000, NOW_MS)
    assert found.by_camera.searched_ms.tolist() == [10_000, 10_000, 0]
    adds_up(found)


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
