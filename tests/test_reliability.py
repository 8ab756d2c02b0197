"""The plot of the calibration, and what is counted for it."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.reliability import Checked, check, expected_and_right, plot
from benchmarks.reliability_plot import Panel, Series, place, ticks
from reid.calibration import calibrate
from tests.test_calibration import pictures

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def checked() -> list[Checked]:
    fitted = calibrate(pictures(1, 120), "a" * 64)
    return [check(f"set <{seed}>", fitted, pictures(seed, 60)) for seed in (2, 3)]


def test_what_is_expected_is_about_what_is_found(checked: list[Checked]) -> None:
    for each in checked:
        assert each.people == 60
        assert each.expected == pytest.approx(each.right, abs=0.25)
        assert list(each.expected) == sorted(each.expected)
        assert each.right[-1] <= 2  # three cameras: two right pictures elsewhere


def test_right_ones_are_counted_as_by_hand() -> None:
    """Everybody is like nobody else: both right pictures come first, whoever is sought."""
    easy = pictures(4, 40, blur=0.0)
    assert expected_and_right(calibrate(pictures(1, 120), "a" * 64), easy)[1] == (1.0, 2.0, 2.0, 2.0)


def test_the_picture_holds_every_point_and_is_well_formed(checked: list[Checked]) -> None:
    root = ElementTree.fromstring(plot(checked))
    texts = [each.text or "" for each in root.iter(f"{SVG}text")]
    assert {"set <2>", "set <3>", "probability told", "expected"} <= set(texts)
    points = [each for each in root.iter(f"{SVG}circle") if each.find(f"{SVG}title") is not None]
    bins = sum(row.low >= 0.001 for each in checked for row in each.reliability)
    assert len(points) == bins + 4 * len(checked)


def test_axes() -> None:
    panel = Panel("", "", "", (0.001, 1.0), True, [Series("a", [])])
    assert [place(value, panel) for value in (0.0, 0.001, 1.0, 2.0)] == pytest.approx([0, 0, 1, 1])
    assert place(0.1, panel) == pytest.approx(2 / 3)
    assert ticks(panel) == pytest.approx([0.001, 0.01, 0.1, 1.0])
    straight = Panel("", "", "", (0.0, 2.0), False, [])
    assert np.allclose(ticks(straight), [0, 0.5, 1, 1.5, 2])
