"""The tracker, on made-up walks with made-up vectors; no weights."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.footage import TruthFrame
from benchmarks.tracking import Seen, measure
from indexer.tracker import Tracker
from indexer.tracks import Track, TrackerOptions
from reid.boxes import Detections, iou

WIDTH, HEIGHT = 40.0, 100.0
DIMENSION = 32
STEP_S = 0.2


def look(person: int, likeness: float = 0.0) -> NDArray[np.float64]:
    """A person's unit vector; any two people's have the cosine `likeness`."""
    vector = np.zeros(DIMENSION)
    vector[0], vector[1 + person] = np.sqrt(likeness), np.sqrt(1 - likeness)
    return vector


@dataclass(frozen=True)
class Walk:
    """Somebody in the picture: where at which second (None: unseen), how well found, looking how."""

    person: int
    place: Callable[[float], tuple[float, float] | None]
    score: Callable[[float], float] = lambda _: 0.9
    likeness: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """Sure tracks as the walks first show them, their places for each walk, and the unsure tracks."""

    tracks: list[Track]
    given: list[list[int]]
    unsure: list[Track]


def follow(
    walks: Sequence[Walk], times: Iterable[float], options: TrackerOptions | None = None, noise: float = 0.3,
    *, seldom: bool = False,
) -> Outcome:  # fmt: skip
    tracker, random = Tracker(options), np.random.default_rng(0)
    tracks: list[Track] = []
    log: list[list[int]] = [[] for _ in walks]
    for time_s in times:
        shown = [(n, walk, at) for n, walk in enumerate(walks) if (at := walk.place(time_s)) is not None]
        random.shuffle(shown)
        boxes = np.array([[x, y, x + WIDTH, y + HEIGHT] for _, _, (x, y) in shown], np.float32).reshape(-1, 4)
        scores = np.array([walk.score(time_s) for _, walk, _ in shown], np.float32)
        vectors = np.zeros((len(shown), DIMENSION))
        for row, (_, walk, _) in enumerate(shown):
            vectors[row] = look(walk.person, walk.likeness) + random.normal(
                0, noise / DIMENSION**0.5, DIMENSION
            )
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        found = Detections(boxes, scores)
        if seldom:
            vectors[tracker.evident(time_s, found) >= 0] = np.nan
        numbers = tracker.update(time_s, found, vectors.astype(np.float32))
        for (walk_number, _, _), number in zip(shown, numbers.tolist(), strict=True):
            log[walk_number].append(number)
        tracks += tracker.finished()
    tracks += tracker.flush()
    # every number comes back exactly once
    returned = sorted(number for track in tracks for number in track.numbers)
    assert returned == sorted({number for given in log for number in given if number >= 0})
    owner = {number: track for track in tracks if track.is_sure for number in track.numbers}
    sure = list({owner[n].numbers: owner[n] for numbers in log for n in numbers if n in owner}.values())
    given = [list(dict.fromkeys(sure.index(owner[n]) for n in numbers if n in owner)) for numbers in log]
    return Outcome(sure, given, [track for track in tracks if not track.is_sure])


def steps(until_s: float, step_s: float = STEP_S) -> list[float]:
    return [step_s * n for n in range(round(until_s / step_s))]


def right(speed: float, start: float = 100.0, y: float = 100.0) -> Callable[[float], tuple[float, float]]:
    return lambda t: (start + speed * t, y)


def away(
    place: Callable[[float], tuple[float, float]], begin_s: float, end_s: float
) -> Callable[[float], tuple[float, float] | None]:
    return lambda t: None if begin_s <= t < end_s else place(t)


def weak(begin_s: float, end_s: float) -> Callable[[float], float]:
    return lambda t: 0.2 if begin_s <= t < end_s else 0.9


def alternating(low: float, high: float) -> list[float]:
    """Frame times up to 6 s whose steps alternate: a variable frame rate."""
    return [float(time_s) for time_s in np.cumsum(np.tile([low, high], int(6 / (low + high))))]


WALKS = {
    # one person, one track; at 25, 5 and 2 frames per second
    "alone, 25 a second": ([Walk(1, right(60))], steps(4, 0.04), [[0]]),
    "alone, 5 a second": ([Walk(1, right(60))], steps(4), [[0]]),
    "alone, 2 a second": ([Walk(1, right(60))], steps(6, 0.5), [[0]]),
    "variable steps": ([Walk(1, right(60))], alternating(0.04, 0.6), [[0]]),
    # two people meet in the middle and walk on; unlike and alike
    "crossing": ([Walk(1, right(60)), Walk(2, right(-60, 400, 110))], steps(5), [[0], [1]]),
    "crossing, alike": (
        [Walk(1, right(60), likeness=0.7), Walk(2, right(-60, 400, 110), likeness=0.7)],
        steps(5),
        [[0], [1]],
    ),
    # hidden while crossing: the motion alone would do for one of them only
    "crossing, hidden": (
        [Walk(1, right(60)), Walk(2, away(right(-60, 400, 110), 2.2, 3.0))],
        steps(5),
        [[0], [1]],
    ),
    # they meet and turn back: motion says they passed each other, the vectors know better
    "turning back": (
        [
            Walk(1, lambda t: (100 + 60 * min(t, 5 - t), 100)),
            Walk(2, lambda t: (400 - 60 * min(t, 5 - t), 100)),
        ],
        steps(5),
        [[0], [1]],
    ),
    # twins stay apart by place alone, side by side, and by speed, when they pass each other
    "lookalikes": ([Walk(1, right(40)), Walk(1, right(40, 160))], steps(5), [[0], [1]]),
    "lookalikes crossing": ([Walk(1, right(60)), Walk(1, right(-60, 400))], steps(5), [[0], [1]]),
    # standing behind somebody for a while
    "occluded": ([Walk(1, away(right(30), 2.0, 2.8)), Walk(2, right(0, 170, 105))], steps(5), [[0], [1]]),
    # out of sight, and back: within coast_s, within stitch_s, after it
    "back after 0.8 s": ([Walk(1, away(right(30), 2.0, 2.8))], steps(5), [[0]]),
    "back after 3 s": ([Walk(1, away(right(30), 2.0, 5.0))], steps(7), [[0]]),
    "back after 7 s": ([Walk(1, away(right(10), 2.0, 9.0))], steps(11), [[0, 1]]),
    "back after 5.2 s, just before the end": ([Walk(1, away(right(10), 2.0, 7.0))], steps(7.8), [[0, 1]]),
    # somebody else appears where a person was lost
    "taken over": (
        [Walk(1, away(right(10), 2.0, 99)), Walk(2, away(right(10), 0, 3.0))],
        steps(6),
        [[0], [1]],
    ),
    # the camera records nothing for a while: the clip's frames stop for 0.8 s and for 60 s
    "short gap in the frames": ([Walk(1, right(40))], [*steps(2), *(2.8 + t for t in steps(2))], [[0]]),
    "long gap in the frames": ([Walk(1, right(0))], [*steps(2), *(60 + t for t in steps(2))], [[0, 1]]),
    # low scores keep a track going but do not begin one
    "weak for a while": ([Walk(1, right(60), weak(1.5, 4.0))], steps(5), [[0]]),
    "always weak": ([Walk(1, right(60), weak(0, 99))], steps(5), [[]]),
    # nobody; nobody for long, then somebody
    "empty frames": ([Walk(1, away(right(60), 0, 99))], steps(2), [[]]),
    "empty at first": ([Walk(1, away(right(20), 0, 20))], steps(22), [[0]]),
}


@pytest.mark.parametrize("seldom", [False, True], ids=["all embedded", "only where looks have a say"])
@pytest.mark.parametrize("name", WALKS)
def test_walks(name: str, seldom: bool) -> None:
    walks, times, expected = WALKS[name]
    outcome = follow(walks, times, seldom=seldom)
    assert outcome.given == expected
    assert not outcome.unsure


def test_without_stitching_a_return_is_a_new_track() -> None:
    walks = [Walk(1, away(right(30), 2.0, 5.0))]
    assert follow(walks, steps(7), TrackerOptions(stitch_s=0)).given == [[0, 1]]


def test_low_scores_keep_a_track_going() -> None:
    """Without stitching, which would bridge it as well."""
    walks = [Walk(1, right(60), weak(1.5, 4.0))]
    assert follow(walks, steps(5), TrackerOptions(stitch_s=0)).given == [[0]]
    assert follow(walks, steps(5), TrackerOptions(stitch_s=0, low_score=0.25)).given == [[0, 1]]


def test_a_return_between_lookalikes_stays_open() -> None:
    """Two twins leave together and one comes back between their places: better split than fused."""
    walks = [
        Walk(1, away(right(0, 100), 2.0, 99)),
        Walk(1, away(right(0, 160), 2.0, 99)),
        Walk(1, away(right(0, 130), 0, 4.0)),
    ]
    assert follow(walks, steps(6)).given == [[0], [1], [2]]


def test_the_clip_teaches_what_a_cosine_means() -> None:
    """With an embedder that makes everybody alike (.8), strangers are not fused all the same."""
    crowd = [Walk(n, right(0, 150 * n, 400), likeness=0.8) for n in range(2, 6)]
    lost = Walk(0, away(right(10), 4.0, 99), likeness=0.8)
    stranger = Walk(1, away(right(10), 0, 5.5), likeness=0.8)
    returning = Walk(0, away(right(10), 4.0, 5.5), likeness=0.8)
    assert follow([lost, stranger, *crowd], steps(9), noise=0.1).given[:2] == [[0], [1]]
    assert follow([returning, *crowd], steps(9), noise=0.1).given[0] == [0]


@pytest.mark.parametrize(
    ("until_s", "options", "is_sure"),
    [
        # one detection; too few in time; enough
        (0.2, {}, False),
        (0.4, {}, False),
        (0.8, {}, True),
        # enough for its thresholds, but not for raised ones
        (0.8, {"min_hits": 5}, False),
        (0.8, {"min_duration_s": 1.0}, False),
        (0.8, {"min_score": 0.95}, False),
        # lowered: a single detection will do
        (0.2, {"min_hits": 1, "min_duration_s": 0.0}, True),
    ],
)
def test_sureness(until_s: float, options: dict[str, Any], is_sure: bool) -> None:
    outcome = follow([Walk(1, right(20))], steps(until_s), dataclasses.replace(TrackerOptions(), **options))
    assert [track.is_sure for track in outcome.tracks + outcome.unsure] == [is_sure]


def test_a_track_tells_its_interval_hits_and_score() -> None:
    (track,) = follow([Walk(1, away(right(30), 2.0, 5.0), lambda t: 0.6 if t < 1 else 0.8)], steps(7)).tracks
    assert (track.start_s, track.hits) == (0.0, 20)
    assert track.end_s == pytest.approx(6.8)
    assert track.score == pytest.approx((5 * 0.6 + 15 * 0.8) / 20)
    assert track.numbers == (0, 1)


def test_a_second_box_on_a_person_starts_no_track() -> None:
    upper_body = Walk(1, right(60, 102, 102))
    outcome = follow([Walk(1, right(60)), dataclasses.replace(upper_body, score=lambda _: 0.6)], steps(4))
    assert outcome.given == [[0], []]
    assert outcome.unsure == []


@pytest.mark.parametrize(
    ("other", "before", "expected"),
    [
        (None, 5, [0]),  # alone
        ((300.0, 100.0), 5, [0, 1]),  # another one far away
        ((115.0, 100.0), 5, [-1, -1]),  # somebody beside, whom it might be as well
        ((105.0, 125.0), 5, [-1, -1]),  # and somebody behind, half hidden
        (None, 2, [-1]),  # hardly known yet
    ],
)
def test_evident_is_who_has_nobody_near(
    other: tuple[float, float] | None, before: int, expected: list[int]
) -> None:
    places = [(100.0, 100.0), *([other] if other else [])]
    boxes = np.array([[x, y, x + WIDTH, y + HEIGHT] for x, y in places], np.float32)
    found = Detections(boxes, np.full(len(places), 0.9, np.float32))
    vectors = np.stack([look(n) for n in range(len(places))]).astype(np.float32)
    tracker = Tracker(TrackerOptions(start_overlap=1.0))
    for frame in range(before):
        tracker.update(frame / 5, found, vectors)
    assert tracker.evident(before / 5, found).tolist() == expected
    assert tracker.evident(before / 5, Detections.empty()).tolist() == []
    late_s = before / 5 + 10
    assert tracker.evident(late_s, found).tolist() == [-1] * len(places)  # all tracks have ended


def test_tracks_are_finished_as_soon_as_they_cannot_go_on_and_no_sooner() -> None:
    options = TrackerOptions()
    tracker = Tracker(options)
    box = Detections(np.array([[0, 0, WIDTH, HEIGHT]], np.float32), np.array([0.9], np.float32))
    vector = look(1).astype(np.float32)[None]
    for time_s in steps(2):
        tracker.update(time_s, box, vector)
        assert tracker.finished() == []
    last_s = steps(2)[-1]
    nobody = np.zeros((0, DIMENSION), np.float32)
    tracker.update(last_s + options.coast_s + options.stitch_s - 0.01, Detections.empty(), nobody)
    assert tracker.finished() == []
    tracker.update(last_s + options.coast_s + options.stitch_s + 0.01, Detections.empty(), nobody)
    assert [track.numbers for track in tracker.finished()] == [(0,)]
    assert tracker.finished() == []
    assert tracker.flush() == []


def test_hours_of_passers_by_need_no_more_memory() -> None:
    """Somebody else every four seconds: only those of the last seconds are still held."""
    tracker = Tracker()
    released, held = 0, []
    for time_s in steps(400):
        person, seconds = divmod(time_s, 4.0)
        box = np.array([[60 * seconds, 0, 60 * seconds + WIDTH, HEIGHT]], np.float32)
        vector = look(int(person) % (DIMENSION - 1)).astype(np.float32)[None]
        numbers = tracker.update(time_s, Detections(box, np.array([0.9], np.float32)), vector)
        released += sum(len(track.numbers) for track in tracker.finished())
        held.append(int(numbers.max()) + 1 - released)
    assert released >= 95
    assert max(held) <= 4


def test_trackers_are_independent_and_repeatable() -> None:
    walks = [Walk(1, right(60)), Walk(2, right(-60, 400, 110))]
    first, second = follow(walks, steps(5)), follow(walks, steps(5))
    assert first == second
    assert sorted(track.numbers for track in first.tracks) == [(0,), (1,)]


@pytest.mark.parametrize("time_s", [1.0, 0.9, float("nan")])
def test_time_must_advance(time_s: float) -> None:
    tracker = Tracker()
    tracker.update(1.0, Detections.empty(), np.zeros((0, DIMENSION), np.float32))
    with pytest.raises(ValueError, match=r"after 1\.0 s"):
        tracker.update(time_s, Detections.empty(), np.zeros((0, DIMENSION), np.float32))


@pytest.mark.parametrize("shape", [(0, DIMENSION), (2, DIMENSION), (1,)])
def test_one_vector_per_detection(shape: tuple[int, ...]) -> None:
    box = Detections(np.array([[0, 0, 1, 1]], np.float32), np.array([0.9], np.float32))
    with pytest.raises(ValueError, match="one vector per detection"):
        Tracker().update(0.0, box, np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    "options",
    [
        {"low_score": 0.4},  # above high_score
        {"high_score": 0.6},  # above start_score
        {"start_score": 1.2},
        {"coast_s": 0.0},
        {"memory_s": 0.0},
        {"stitch_s": -1.0},
        {"min_hits": 0},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        dataclasses.replace(TrackerOptions(), **options)


A, B = [0, 0, 10, 20], [50, 0, 60, 20]


@pytest.mark.parametrize(
    ("numbers", "idtp", "switches", "mota"),
    [
        # two people, four frames, eight boxes; each kept as one
        ([[0, 1]] * 4, 8, 0, 1.0),
        # the second person is never tracked
        ([[0, -1]] * 4, 4, 0, 0.5),
        # the second person gets a new number after one frame: 4 + 3 boxes are right, one switch
        ([[0, 1], [0, 2], [0, 2], [0, 2]], 7, 1, 1 - 1 / 8),
        # both swap half way: 2 + 2 boxes are right, two switches
        ([[0, 1], [0, 1], [1, 0], [1, 0]], 4, 2, 1 - 2 / 8),
    ],
)
def test_measured_as_by_hand(numbers: list[list[int]], idtp: int, switches: int, mota: float) -> None:
    boxes = np.array([A, B], np.float32)
    assert iou(boxes, boxes).tolist() == [[1, 0], [0, 1]]
    found = Detections(boxes, np.ones(2, np.float32))
    truth = TruthFrame(np.array([7, 9]), boxes)
    seen = [Seen(n, n / 5, found, np.zeros((2, 0), np.float32), truth) for n in range(4)]
    figures = measure(seen, [np.array(given) for given in numbers])
    tracked = sum(number >= 0 for given in numbers for number in given)
    assert figures["IDP"] == pytest.approx(idtp / tracked)
    assert figures["IDR"] == pytest.approx(idtp / 8)
    assert figures["IDF1"] == pytest.approx(2 * idtp / (tracked + 8))
    assert figures["IDSW"] == switches
    assert figures["MOTA"] == pytest.approx(mota)
