from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.tracklets import Sample, TrackCollector, TrackletOptions, pool_views
from reid.boxes import Detections
from reid.quality import crop_quality

OPTIONS = TrackletOptions()
BOX = np.array([0, 0, 10, 20], np.float32)


def unit(*values: float) -> NDArray[np.float32]:
    vector = np.array(values, np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


FRONT, SIDE, BACK, ODD = unit(1, 0, 0, 0), unit(0.2, 1, 0, 0), unit(0.1, 0.1, 1, 0), unit(0, 0, 0, 1)


def sample(time_s: float, quality: float, vector: NDArray[np.float32] = FRONT) -> Sample:
    return Sample(time_s, BOX, quality, vector)


def crop(value: int) -> NDArray[np.uint8]:
    return np.full((4, 2, 3), value, np.uint8)


def add(collector: TrackCollector, taken: Sample, shown: NDArray[np.uint8]) -> None:
    collector.see(taken.time_s)
    collector.add(taken, shown)


@pytest.mark.parametrize(
    ("views", "kept"),
    [
        ([FRONT], 1),
        ([FRONT] * 9, 1),
        ([FRONT] * 5 + [SIDE] * 3, 2),
        ([FRONT] * 5 + [SIDE] * 3 + [BACK] * 2, 3),
        ([FRONT] * 5 + [SIDE] * 3 + [BACK] * 2 + [ODD] * 2, 3),  # never more than three
    ],
)
def test_each_view_gets_a_vector(views: list[NDArray[np.float32]], kept: int) -> None:
    vectors, weights = pool_views(np.stack(views), np.full(len(views), 0.5, np.float32), OPTIONS)
    assert vectors.shape == (kept, 4)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert weights.sum() == pytest.approx(1)
    assert list(weights) == sorted(weights, reverse=True)


def test_pooling_is_the_quality_weighted_mean() -> None:
    rows = np.stack([unit(1, 0.1, 0), unit(1, 0.5, 0)])
    quality = np.array([0.9, 0.1], np.float32)
    [pooled], _ = pool_views(rows, quality, OPTIONS)
    expected = 0.9 * rows[0] + 0.1 * rows[1]
    assert np.allclose(pooled, expected / np.linalg.norm(expected), atol=1e-6)


def test_a_poor_odd_crop_founds_no_view() -> None:
    rows = np.stack([FRONT] * 9 + [ODD])
    quality = np.array([0.8] * 9 + [0.01], np.float32)
    vectors, _ = pool_views(rows, quality, OPTIONS)
    assert len(vectors) == 1
    assert float(vectors[0] @ FRONT) > 0.99


def test_no_quality_at_all_still_gives_a_vector() -> None:
    vectors, weights = pool_views(np.stack([FRONT, FRONT]), np.zeros(2, np.float32), OPTIONS)
    assert np.isfinite(vectors).all()
    assert weights.sum() == pytest.approx(1)


def test_the_best_crop_is_shown() -> None:
    collector = TrackCollector(OPTIONS)
    for second, quality in enumerate([0.2, 0.9, 0.4]):
        add(collector, sample(second, quality), crop(second))
    summary = collector.summary()
    assert summary.best.time_s == 1
    assert summary.crop[0, 0, 0] == 1
    assert (summary.start_s, summary.end_s, summary.detections) == (0, 2, 3)


def test_a_moment_with_somebody_else_in_the_box_is_not_shown() -> None:
    """Two people taken for one make a large, sharp box: high quality, but not typical of the track."""
    collector = TrackCollector(OPTIONS)
    for second in range(10):
        add(collector, sample(second, 0.6), crop(second))
    add(collector, sample(10, 0.9, ODD), crop(10))
    assert summary_time(collector) < 10


def summary_time(collector: TrackCollector) -> float:
    return collector.summary().best.time_s


def test_memory_stays_bounded_and_times_exact() -> None:
    collector = TrackCollector(OPTIONS)
    random = np.random.default_rng(0)
    for number in range(5000):
        add(collector, sample(number / 5, float(random.uniform(0.1, 0.5))), crop(number % 255))
    add(collector, sample(1000.0, 0.99), crop(77))
    assert len(collector._samples) <= OPTIONS.most_samples
    assert len(collector._crops) <= OPTIONS.most_crops
    summary = collector.summary()
    assert (summary.start_s, summary.end_s, summary.detections) == (0.0, 1000.0, 5001)
    assert summary.crop[0, 0, 0] == 77


def test_absorbing_a_later_fragment() -> None:
    first, second = TrackCollector(OPTIONS), TrackCollector(OPTIONS)
    add(first, sample(1, 0.75), crop(1))
    add(second, sample(9, 0.8, SIDE), crop(9))
    add(second, sample(10, 0.7, SIDE), crop(10))
    first.absorb(second)
    summary = first.summary()
    assert (summary.start_s, summary.end_s, summary.detections) == (1, 10, 3)
    assert len(summary.vectors) == 2
    assert summary.best.time_s == 9


def test_detections_that_were_not_embedded_count() -> None:
    collector = TrackCollector(OPTIONS)
    add(collector, sample(1, 0.5), crop(1))
    for time_s in (1.2, 1.4, 1.6):
        collector.see(time_s)
    summary = collector.summary()
    assert (summary.start_s, summary.end_s, summary.detections) == (1, 1.6, 4)


def taken(views: Callable[[float], NDArray[np.float32]], qualities: Callable[[float], float]) -> list[float]:
    """Of ten seconds at ten frames a second the times at which a sample is wanted."""
    collector, times = TrackCollector(OPTIONS), []
    for number in range(100):
        time_s = number / 10
        collector.see(time_s)
        if collector.wants(time_s, qualities(time_s)):
            times.append(time_s)
            collector.add(sample(time_s, qualities(time_s), views(time_s)), crop(number))
    return times


def test_samples_become_rarer_while_they_tell_nothing_new() -> None:
    times = taken(lambda _: FRONT, lambda _: 0.5)
    assert times[:3] == [0.0, 0.5, 1.5]
    assert np.diff(times).max() == pytest.approx(OPTIONS.longest_pause_s, abs=0.11)
    assert len(times) < 10


def test_samples_of_a_long_passage_are_as_rare_although_not_all_are_kept() -> None:
    collector = TrackCollector(OPTIONS)
    for number in range(OPTIONS.most_samples * 3):
        add(collector, sample(2.0 * number, 0.5), crop(0))
        assert number < 3 or not collector.wants(2.0 * number + 1, 0.5)


def test_a_new_side_is_sampled_often() -> None:
    turned = taken(lambda t: SIDE if t > 5 else FRONT, lambda _: 0.5)
    after = [time_s for time_s in turned if time_s > 5]
    assert after[1] - after[0] == pytest.approx(OPTIONS.pause_s, abs=0.11)


def test_a_better_crop_is_taken_at_once() -> None:
    times = taken(lambda _: FRONT, lambda t: 0.9 if t == 4.3 else 0.5)
    assert 4.3 in times


def test_nothing_gathered_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        TrackCollector(OPTIONS).summary()


def quality_of(*boxes: list[float], scores: float = 0.9, sharp: float = 500.0) -> NDArray[np.float32]:
    found = Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), scores, np.float32))
    return crop_quality(found, np.full(len(boxes), sharp, np.float32), 640, 480)


def test_quality_orders_crops_as_a_person_would() -> None:
    tall, small = quality_of([100, 100, 180, 300])[0], quality_of([100, 100, 120, 150])[0]
    cut = quality_of([0, 100, 80, 300])[0]
    blurred = quality_of([100, 100, 180, 300], sharp=5)[0]
    hidden, front = quality_of([100, 100, 180, 300], [120, 110, 200, 330])
    assert 0 < small < tall <= 1
    assert cut == pytest.approx(tall / 2)
    assert blurred < tall / 3
    assert hidden < tall / 2
    assert front == pytest.approx(tall)
    assert quality_of().shape == (0,)
