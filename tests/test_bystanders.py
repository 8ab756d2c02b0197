"""Whom to hide: who is followed, where that ends, and what is hidden around it."""

from __future__ import annotations

import numpy as np
import pytest

from reid.boxes import Detections
from search.export.bystanders import Masks, masks_of

TIMES = [number / 10 for number in range(30)]
SIZE = np.array([0, 0, 20, 50], np.float32)


def at(x: float, y: float = 50.0) -> list[float]:
    return [x, y, x + 20, y + 50]


def seen(*rows: list[float], scores: tuple[float, ...] = ()) -> Detections:
    boxes = np.array(rows, np.float32).reshape(-1, 4)
    return Detections(boxes, np.array(scores or [0.9] * len(rows), np.float32))


def masks(found: list[Detections], best: int = 0, box: list[float] | None = None) -> Masks:
    return masks_of(TIMES, found, TIMES[best], np.array(box or at(100), np.float32))


def test_the_person_is_followed_both_ways_and_others_are_hidden() -> None:
    walk = [seen(at(100 + 2 * (number - 15)), at(200)) for number in range(30)]
    made = masks(walk, best=15)
    assert list(made.followed_s or ()) == pytest.approx([0.0, 2.9])
    for number, moment in enumerate(TIMES):
        hidden = made.by_time[moment]
        assert hidden.person is not None
        assert hidden.person[0] == 100 + 2 * (number - 15)
        assert hidden.bodies.tolist() == [at(200)]


def test_from_a_crossing_on_nobody_is_spared() -> None:
    """Two walk towards each other: who comes out of it on which side is not told by boxes."""
    walk = [seen(at(100 + 4 * number), at(180 - 4 * number)) for number in range(30)]
    made = masks(walk)
    assert made.followed_s is not None
    assert 0.5 < made.followed_s[1] < 1.0
    after = [made.by_time[moment] for moment in TIMES if moment > made.followed_s[1]]
    assert all(hidden.person is None and len(hidden.bodies) == 2 for hidden in after)


@pytest.mark.parametrize(
    ("missing", "until_s"),
    [(range(10, 13), 2.9), (range(10, 20), 0.9)],  # a moment; too long: somebody else may stand there
)
def test_a_person_lost_for_long_is_not_taken_up_again(missing: range, until_s: float) -> None:
    made = masks([seen() if number in missing else seen(at(100)) for number in range(30)])
    assert list(made.followed_s or ()) == pytest.approx([0.0, until_s])


def test_a_bystander_missed_in_a_frame_is_hidden_there_too() -> None:
    made = masks([seen(at(100), at(200)) if number != 12 else seen(at(100)) for number in range(30)])
    hidden = made.by_time[TIMES[12]]
    assert len(hidden.bodies) == 0
    picture = np.full((120, 300, 3), 250, np.uint8)
    painted = hidden.paint(picture)
    assert (painted[50:100, 200:220] == painted[75, 210]).all()
    assert painted[75, 210, 0] != 250
    assert (painted[50:100, 100:120] == 250).all()


def test_a_weak_box_inside_the_person_is_a_part_of_them_a_sure_one_somebody() -> None:
    inside = [102.0, 52.0, 118.0, 75.0]
    weak = masks([seen(at(100), inside, scores=(0.9, 0.3))] * 30).by_time[0.0]
    sure = masks([seen(at(100), inside, scores=(0.9, 0.8))] * 30).by_time[0.0]
    assert (len(weak.bodies), len(sure.bodies)) == (0, 1)


def test_margins_spare_the_person_bodies_do_not() -> None:
    """A neighbour whose margin touches the person, and one who stands before them."""
    beside, before = [121.0, 50.0, 141.0, 100.0], [112.0, 60.0, 140.0, 110.0]
    picture = np.full((150, 300, 3), 250, np.uint8)
    kept = masks([seen(at(100), beside)] * 30).by_time[0.0].paint(picture)
    assert (kept[50:100, 100:120] == 250).all()
    assert (kept[50:100, 124:140] != 250).all()
    covered = masks([seen(at(100), before)] * 30).by_time[0.0].paint(picture)
    assert (covered[60:100, 112:120] != 250).all()
    assert (covered[60:100, 100:111] == 250).all()


def test_most_of_the_person_hidden_is_counted() -> None:
    before = [104.0, 55.0, 150.0, 140.0]
    made = masks([seen(at(100), before)] * 30)
    assert made.covered == 30
    assert masks([seen(at(100), at(200))] * 30).covered == 0


def test_without_the_person_everybody_is_hidden() -> None:
    made = masks([seen(at(200), at(240))] * 30)
    assert made.followed_s is None
    assert all(len(hidden.bodies) == 2 and hidden.person is None for hidden in made.by_time.values())
    assert masks_of([], [], 0.0, SIZE).followed_s is None
