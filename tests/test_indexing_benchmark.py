"""The indexing benchmark: which tracklets count as found again."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.footage import TruthFrame
from benchmarks.indexing import Footage, found_again
from indexer.tracklets import Sample, TrackSummary
from tests.clips import write_clip

RATE = 10
BOXES = np.array([[10, 10, 30, 60], [100, 10, 120, 60]], np.float32)  # of persons 1 and 2, who stand still


def footage(folder: Path, *, has_truth: bool = True) -> Footage:
    truth = {number: TruthFrame(np.array([1, 2]), BOXES) for number in range(60)} if has_truth else {}
    return Footage("two", write_clip(folder / "c.mp4", 60, RATE), truth)


def tracklet(begin_s: float, end_s: float, box: NDArray[np.float32], look: int) -> TrackSummary:
    vector = np.eye(4, dtype=np.float32)[look]
    best = Sample((begin_s + end_s) / 2, box, 0.8, vector)
    return TrackSummary(begin_s, end_s, best, (), vector[None], 10)


@pytest.mark.parametrize(
    ("found", "with_truth", "without"),
    [
        (tracklet(0.0, 4.0, BOXES[0], 0), 1.0, 1.0),
        (tracklet(0.0, 4.0, BOXES[0], 3), 1.0, 0.0),  # the same person, who looks otherwise in it
        (tracklet(0.0, 4.0, BOXES[1], 3), 0.0, 0.0),  # somebody else
        (tracklet(4.0, 5.0, BOXES[0], 0), 0.0, 0.0),  # the same person at another time
    ],
)
def test_a_tracklet_is_found_again_as_one_person_at_one_time(
    found: TrackSummary, with_truth: float, without: float, tmp_path: Path
) -> None:
    wanted = [tracklet(1.0, 2.0, BOXES[0], 0)]
    assert found_again(footage(tmp_path), wanted, [found]) == with_truth
    assert found_again(footage(tmp_path, has_truth=False), wanted, [found]) == without


def test_it_is_a_share_and_nobody_found_is_none(tmp_path: Path) -> None:
    wanted = [tracklet(1.0, 2.0, BOXES[0], 0), tracklet(1.0, 2.0, BOXES[1], 1)]
    assert found_again(footage(tmp_path), wanted, wanted[:1]) == 0.5
    assert found_again(footage(tmp_path), wanted, []) == 0.0
