"""Figures of the stages against counts by hand, and the report made from the truth."""

import numpy as np
import pytest

from benchmarks.stages import Ranking, figures, says
from search.demo.truth import PersonTruth


def ranking(right: tuple[bool, ...], told: tuple[float, ...], changed: bool = False) -> Ranking:
    return Ranking(1, changed, right, told, 0.5, 10.0)


def test_figures_by_hand() -> None:
    late = (False,) * 5 + (True, True)
    rows = figures(
        {
            "a": [ranking((True, False), (0.9, 0.1)), ranking(late, (0.1,) * 7, changed=True)],
            "b": [ranking((False,) * 30, ()), ranking((False,) * 20 + (True,), (), changed=True)],
        }
    )
    assert rows[0]["found_at"] == {"1": 1, "5": 1, "10": 2, "20": 2}
    assert rows[0]["found_at_other_clothes"] == {"1": 0, "5": 0, "10": 1, "20": 1}
    assert (rows[0]["people"], rows[0]["other_clothes"]) == (2, 1)
    assert rows[0]["right_in_first_20"] == pytest.approx(1.5)
    assert rows[0]["expected_in_first_20"] == pytest.approx((1.0 + 0.7) / 2)
    # One bin tells .8 in all of 8 sightings, of which 2 are right; the other .9 of one that is.
    assert rows[0]["calibration_error"] == pytest.approx((1.2 + 0.1) / 9)
    assert rows[1]["found_at"] == {"1": 0, "5": 0, "10": 0, "20": 0}
    assert rows[1]["expected_in_first_20"] is None
    assert rows[1]["calibration_error"] is None
    assert np.isclose(rows[1]["covered"], 0.5)


def test_a_caller_says_what_the_truth_says() -> None:
    labels = {"upper_colours": ["red", "white"], "lower_colours": ["black"], "aid": "cane"}
    said = says(PersonTruth(1, "missing", "elder", "", labels))
    assert said is not None
    assert {each.word for each in said.asked} == {"upper red or white", "lower black", "elder", "cane"}
    unknown = says(PersonTruth(1, "missing", "child", "", {"upper_colours": ["iridescent"]}))
    assert unknown is not None
    assert [each.word for each in unknown.asked] == ["child"]
