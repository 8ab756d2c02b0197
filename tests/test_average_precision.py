"""Average precision, against hand-made cases."""

import numpy as np
import pytest

from benchmarks.detection import judge
from reid.boxes import Boxes, Detections

A, B = [0, 0, 10, 20], [50, 0, 60, 20]
NEAR_A = [1, 0, 11, 20]  # IoU with A: 180 / 220 = .82
FAR_A = [5, 0, 15, 20]  # IoU with A: 100 / 300 = .33


def boxes(*rows: list[int]) -> Boxes:
    return np.array(rows, np.float32).reshape(-1, 4)


def found(*pairs: tuple[list[int], float]) -> Detections:
    return Detections(boxes(*(box for box, _ in pairs)), np.array([s for _, s in pairs], np.float32))


@pytest.mark.parametrize(
    ("detections", "truth", "expected"),
    [
        # nothing found, nobody there, or both
        ([found()], [boxes()], 0.0),
        ([found()], [boxes(A)], 0.0),
        ([found((A, 0.9))], [boxes()], 0.0),
        # all found
        ([found((A, 0.9), (B, 0.8))], [boxes(A, B)], 1.0),
        # enough overlap, too little overlap
        ([found((NEAR_A, 0.9))], [boxes(A)], 1.0),
        ([found((FAR_A, 0.9))], [boxes(A)], 0.0),
        # one of two found
        ([found((A, 0.9))], [boxes(A, B)], 0.5),
        # the second box on the same person is wrong, but comes after full recall
        ([found((A, 0.9), (NEAR_A, 0.8))], [boxes(A)], 1.0),
        # ... and before it: recall .5 at precision 1, then .5 more at 2/3
        ([found((A, 0.9), (NEAR_A, 0.8), (B, 0.7))], [boxes(A, B)], 0.5 + 0.5 * 2 / 3),
        # a wrong box first: precision 1/2 at recall 1/2, 2/3 at recall 1; the envelope is 2/3 throughout
        ([found((FAR_A, 0.9), (A, 0.8), (B, 0.7))], [boxes(A, B)], 2 / 3),
        # scores are ranked over all pictures; the same box in another picture is another matter
        ([found((A, 0.9)), found((A, 0.8))], [boxes(A), boxes(B)], 0.5),
        ([found((A, 0.8)), found((A, 0.9))], [boxes(A), boxes(B)], 0.25),
    ],
)
def test_average_precision(detections: list[Detections], truth: list[Boxes], expected: float) -> None:
    assert judge(detections, truth).average_precision() == pytest.approx(expected)


def test_a_box_takes_the_free_person_it_overlaps_most() -> None:
    # Both boxes are nearest to A; the better takes it and the other gets its second choice.
    people = boxes(A, [3, 0, 13, 20])
    outcome = judge([found((A, 0.9), (NEAR_A, 0.8))], [people])
    assert outcome.right.tolist() == [True, True]


def test_precision_and_recall_count_from_the_score_on() -> None:
    outcome = judge([found((A, 0.9), (FAR_A, 0.5), (B, 0.3))], [boxes(A, B)])
    assert outcome.at(0.5) == (0.5, 0.5)
    assert outcome.at(0.3) == pytest.approx((2 / 3, 1.0))
    assert outcome.at(0.95) == (0.0, 0.0)
