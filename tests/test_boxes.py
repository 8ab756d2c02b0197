"""Overlap and suppression, against pixel counting and an independent suppression."""

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray

from reid.boxes import Detections, area, clip, intersection, iou, pad, suppress


def some_boxes(count: int, seed: int) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    corners = random.integers(0, 40, (count, 2))
    return np.concatenate([corners, corners + random.integers(1, 30, (count, 2))], 1).astype(np.float32)


def painted(box: NDArray[np.float32]) -> NDArray[np.bool_]:
    x1, y1, x2, y2 = box.astype(int)
    picture = np.zeros((80, 80), bool)
    picture[y1:y2, x1:x2] = True
    return picture


def test_overlap_is_what_counting_pixels_gives() -> None:
    a, b = some_boxes(12, 0), some_boxes(9, 1)
    masks_a, masks_b = [painted(box) for box in a], [painted(box) for box in b]
    shared = np.array([[(p & q).sum() for q in masks_b] for p in masks_a])
    union = np.array([[(p | q).sum() for q in masks_b] for p in masks_a])
    np.testing.assert_array_equal(intersection(a, b), shared)
    np.testing.assert_allclose(iou(a, b), shared / union, rtol=1e-6)
    np.testing.assert_array_equal(area(a), [mask.sum() for mask in masks_a])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1.0),  # the same
        ([0, 0, 10, 10], [10, 0, 20, 10], 0.0),  # x2 is exclusive: they touch
        ([0, 0, 10, 10], [5, 5, 5, 5], 0.0),  # empty
        ([5, 5, 5, 5], [5, 5, 5, 5], 0.0),  # both empty: no division by zero
        ([9, 9, 1, 1], [0, 0, 10, 10], 0.0),  # turned inside out counts as empty
        ([0, 0, 10, 10], [0, 0, 5, 10], 0.5),  # nested
    ],
)
def test_overlap_of_odd_boxes(a: list[float], b: list[float], expected: float) -> None:
    assert iou(np.array([a], np.float32), np.array([b], np.float32))[0, 0] == pytest.approx(expected)


def test_nobody() -> None:
    nobody = Detections.empty()
    assert len(suppress(nobody, 0.5)) == 0
    assert iou(nobody.boxes, some_boxes(3, 0)).shape == (0, 3)
    assert len(Detections.concatenate([])) == 0
    assert len(Detections.concatenate([nobody, nobody])) == 0


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(5))
def test_suppression_keeps_what_torchvision_keeps(threshold: float, seed: int) -> None:
    random = np.random.default_rng(seed + 100)
    # Broken numbers: an IoU that is exactly the threshold would be a matter of rounding.
    boxes = some_boxes(60, seed) + random.random((60, 4), np.float32) / np.float32(2)
    scores = random.permutation(60).astype(np.float32)
    kept = suppress(Detections(boxes, scores), threshold)
    expected = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold).numpy()
    np.testing.assert_array_equal(kept.boxes, boxes[expected])
    np.testing.assert_array_equal(kept.scores, scores[expected])


def test_of_equal_scores_the_first_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9]], np.float32)
    kept = suppress(Detections(boxes, np.full(2, 0.5, np.float32)), 0.5)
    np.testing.assert_array_equal(kept.boxes, boxes[:1])


def test_boxes_are_cut_to_the_picture() -> None:
    boxes = np.array([[-5, -5, 5, 5], [90, 40, 110, 60], [200, 200, 210, 210]], np.float32)
    expected = [[0, 0, 5, 5], [90, 40, 100, 50], [100, 50, 100, 50]]
    np.testing.assert_array_equal(clip(boxes, 100, 50), expected)


@pytest.mark.parametrize(
    ("boxes", "scores"),
    [
        (np.zeros((2, 4), np.float32), np.zeros(3, np.float32)),  # counts differ
        (np.zeros((2, 5), np.float32), np.zeros(2, np.float32)),  # five numbers a box
        (np.zeros((2, 4)), np.zeros(2)),  # float64
        (np.zeros((2, 4), np.float32), np.zeros((2, 1), np.float32)),  # scores in a column
    ],
)
def test_detections_refuse_what_does_not_fit(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Detections(boxes, scores)


def test_padding_grows_by_a_share_of_the_height() -> None:
    padded = pad(np.array([[100, 50, 140, 150]], np.float32), 0.1)
    assert padded.tolist() == [[90, 40, 150, 160]]
    assert pad(np.zeros((0, 4), np.float32), 0.1).shape == (0, 4)
