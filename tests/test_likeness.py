"""The shortlist compared exactly: sets of vectors, company, one at a time, and photos that disagree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from reid.calibration import Calibration, load_calibration, packaged_path
from reid.registry import DEFAULT_EMBEDDER
from reid.vectors import unit_rows
from search.likeness import Compared, company, likeness, likenesses, one_at_a_time, pooled
from search.photos import disagreements
from search.query import Query

CALIBRATION: Calibration = load_calibration(packaged_path(DEFAULT_EMBEDDER))
APART = np.zeros((3, 3), bool)


def directions(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return unit_rows(np.array(rows, np.float32))


def compared(
    photo: tuple[float, ...], *rows: tuple[float, ...], apart: NDArray[np.bool_] | None = None
) -> Compared:
    vectors = directions(*rows)
    none = np.zeros((len(rows), len(rows)), bool)
    scores = (vectors @ directions(photo)[0]).astype(np.float64)
    return Compared(scores, vectors, np.full(len(rows), 0.6), 0.6, none if apart is None else apart)


def test_sets_are_compared_by_their_mean() -> None:
    random = np.random.default_rng(1)
    sets = [unit_rows(random.normal(size=(count, 16)).astype(np.float32)) for count in (1, 3, 2)]
    wanted = [each.mean(axis=0) / np.linalg.norm(each.mean(axis=0)) for each in sets]
    np.testing.assert_allclose(pooled(sets), wanted, atol=1e-6)


def test_strangers_gain_nothing_by_having_more_vectors() -> None:
    """The best of three comparisons would be higher for strangers; the mean of three is not."""
    random = np.random.default_rng(2)
    views = unit_rows(random.normal(size=(4000 * 3, 24)).astype(np.float32)).reshape(4000, 3, 24)
    photo = views[0, 0]
    one, three = (pooled(list(views[1:, :count])) @ photo for count in (1, 3))
    assert np.quantile(three, 0.99) == pytest.approx(np.quantile(one, 0.99), abs=0.03)
    assert np.quantile((views[1:] @ photo).max(axis=1), 0.99) > np.quantile(one, 0.99) + 0.05


def test_one_photo_is_a_cosine_and_the_same_photo_twice_says_no_more() -> None:
    vectors, photo = directions((1, 0.5, 0), (0.2, 1, 0)), directions((1, 0, 0.3))
    np.testing.assert_allclose(likenesses(vectors, photo), (vectors @ photo.T)[:, 0], atol=1e-6)
    np.testing.assert_allclose(
        likenesses(vectors, np.repeat(photo, 2, axis=0)), likenesses(vectors, photo), atol=1e-6
    )


def test_further_photos_find_who_differs_from_each_in_another_way() -> None:
    """Noise of its own in each photo: with three of them the person is further from strangers."""
    random = np.random.default_rng(4)
    people = random.normal(size=(300, 24))
    seen, *photos = (
        unit_rows((people + random.normal(size=people.shape)).astype(np.float32)) for _ in range(4)
    )
    right = [
        np.mean([
            likenesses(seen, np.stack([photo[row] for photo in photos[:count]])).argmax() == row
            for row in range(300)
        ])
        for count in (1, 3)
    ]  # fmt: skip
    assert right[1] > right[0] + 0.15


def test_the_order_is_that_of_scores_without_a_calibration() -> None:
    few = compared((1, 0), (0.5, 1), (1, 0.1), (0, 1))
    assert np.argsort(-likeness(few, None).log_ratios).tolist() == [1, 0, 2]


def test_a_lookalike_known_from_elsewhere_is_heard() -> None:
    """The first two are as like the photo; the third shows the first's person, and is not."""
    hits = compared((1, 0, 0), (0.7, 0.7, 0), (0.7, 0, 0.7), (0.25, 1, 0))
    first, second, _ = company(hits, CALIBRATION).log_ratios
    assert hits.scores[0] == pytest.approx(hits.scores[1], abs=1e-6)
    assert first < second - 0.5


def test_company_that_agrees_takes_nothing() -> None:
    together, also, alone = company(
        compared((1, 0, 0), (1, 0.2, 0), (1, 0.22, 0.02), (0, 0.1, 1)), CALIBRATION
    ).log_ratios
    assert together == pytest.approx(alone, abs=0.2)
    assert also == pytest.approx(alone, abs=0.2)


def test_two_people_in_one_clip_are_no_company() -> None:
    apart = APART.copy()
    apart[0, 2] = apart[2, 0] = True
    rows = (0.7, 0.7, 0), (0.7, 0, 0.7), (0.25, 1, 0)
    first, second, _ = company(compared((1, 0, 0), *rows, apart=apart), CALIBRATION).log_ratios
    assert first == pytest.approx(second, abs=0.1)


def test_a_single_hit_has_no_company() -> None:
    assert company(compared((1, 0), (1, 0.5)), CALIBRATION).log_ratios == pytest.approx([0.0])


def test_over_a_shortlist_company_says_nothing_on_average() -> None:
    rows = [tuple(row) for row in np.random.default_rng(3).normal(size=(60, 6))]
    told = company(compared((1, 0, 0, 0, 0, 0), *rows), CALIBRATION).log_ratios
    assert np.ptp(told) > 0.2
    assert np.exp(told).mean() == pytest.approx(1.0)


def test_one_of_those_at_one_time_is_the_person() -> None:
    """Bayes' rule by hand: the odds of each of two who exclude each other, over one and the other's."""
    apart = APART.copy()
    apart[0, 1] = apart[1, 0] = True
    chances = np.array([0.75, 0.5, 0.9])
    odds = chances / (1 - chances)
    told = one_at_a_time(apart, chances).log_ratios
    wanted = [odds[0] / (1 + odds[0] + odds[1]), odds[1] / (1 + odds[0] + odds[1]), 0.9]
    after = odds * np.exp(told)
    np.testing.assert_allclose(after / (1 + after), wanted, atol=1e-9)


def test_photos_of_two_people_are_told(red: Query) -> None:
    one, other, third = red, replace(red, photo="b.jpg"), replace(red, photo="c.jpg")
    vectors = directions((1, 0, 0.1), (0, 1, 0), (1, 0, 0.2))
    told = disagreements((one, other, third), vectors, CALIBRATION)
    assert len(told) == 2
    assert all("b.jpg" in each and "two different people or other clothes" in each for each in told)
    assert disagreements((one, third), vectors[[0, 2]], CALIBRATION) == ()
    assert disagreements((one, other), vectors[:2], None) == ()
    assert disagreements((one,), vectors[:1], CALIBRATION) == ()


@pytest.fixture
def red() -> Query:
    picture = np.zeros((64, 32, 3), np.uint8)
    return Query("a.jpg", picture, (), (0, 0, 32, 64), directions((1, 0)), 0.6, ())
