"""How far people get, against cases worked out by hand and against brute force."""

import numpy as np
import pytest

from search.travel import DOUBT, MEANS, MOST, AgeGroup, density, log_ratio, mean_density, walking_m

AGES: tuple[AgeGroup, ...] = ("child", "adult", "elder")
MINUTE, HOUR = 60.0, 3600.0


def ratio(metres: float, seconds: float, age: AgeGroup = "adult", radius: float = 12_000.0) -> float:
    """Against cameras spread evenly over a disc, searched for six hours from the report on."""
    cameras = radius * np.sqrt((np.arange(2000) + 0.5) / 2000)
    expected = density(np.array([metres]), np.array([seconds]), age, 10 * MINUTE)
    return float(log_ratio(expected, mean_density(cameras, 0, 6 * HOUR, age))[0])


@pytest.mark.parametrize("age", AGES)
def test_ten_kilometres_in_five_minutes_is_implausible_but_bounded(age: AgeGroup) -> None:
    assert np.log(DOUBT) <= ratio(10_000, 5 * MINUTE, age) < -3
    assert ratio(10_000, 5 * MINUTE, age) >= -4


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize("seconds", [-20 * MINUTE, 0.0, 5 * MINUTE, HOUR, 6 * HOUR])
def test_staying_near_is_plausible(age: AgeGroup, seconds: float) -> None:
    assert 2 < ratio(100, seconds, age) <= MOST


def test_the_bus_and_the_subway_are_possible() -> None:
    """8 km in an hour is out of reach on foot: 1.35 m/s for 3,600 s over a detour of 1.3 is 3.7 km."""
    assert walking_m(HOUR, "adult") == pytest.approx(1.35 * 3600 / 1.3)
    assert ratio(8000, HOUR) > ratio(8000, 15 * MINUTE) + 1


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize("seconds", [0.0, 30.0, 5 * MINUTE, 15 * MINUTE, HOUR, 12 * HOUR])
def test_further_away_is_never_likelier(age: AgeGroup, seconds: float) -> None:
    expected = density(np.linspace(0, 40_000, 4001), np.array([seconds]), age)
    assert (np.diff(expected) <= 1e-18).all()
    assert expected[0] > 10 * expected[100]  # a kilometre away


@pytest.mark.parametrize("age", AGES)
def test_everybody_is_somewhere(age: AgeGroup) -> None:
    """Over the whole plane the density adds up to one person, but for the blur."""
    metres = np.geomspace(0.1, 3_000_000, 20_000)
    for seconds in (10 * MINUTE, HOUR, 6 * HOUR):
        expected = density(metres, np.array([seconds]), age)
        assert np.trapezoid(expected * 2 * np.pi * metres, metres) == pytest.approx(1, abs=0.1)
    assert sum(means.share for means in MEANS[age]) < 1


def test_elders_and_children_are_slower() -> None:
    for slow in ("child", "elder"):
        assert walking_m(HOUR, slow) < walking_m(HOUR, "adult")
        assert ratio(2500, HOUR, slow) < ratio(2500, HOUR)


def test_before_the_report_is_less_likely_but_not_impossible() -> None:
    for metres in (300.0, 1500.0, 5000.0):
        before = ratio(metres, -HOUR)
        assert np.log(DOUBT) < before < ratio(metres, HOUR)


def test_the_mean_is_that_of_every_camera_and_moment() -> None:
    random = np.random.default_rng(3)
    cameras = np.hypot(*random.uniform(-9000, 9000, (2, 200)))
    for since, until in ((-2 * HOUR, 20 * HOUR), (HOUR, 2 * HOUR), (-3 * HOUR, -HOUR), (-60.0, 120.0)):
        moments = np.linspace(since, until, 1001)
        every = density(cameras[:, None], moments[None, 1:] - (until - since) / 2000, "adult").mean()
        assert mean_density(cameras, since, until, "adult") == pytest.approx(every, rel=0.06)


def test_it_is_a_likelihood_ratio() -> None:
    """Somebody else, anywhere at any time, has a mean ratio of at most one (less by the bound)."""
    random = np.random.default_rng(4)
    cameras = np.hypot(*random.uniform(-9000, 9000, (2, 4000)))
    moments = random.uniform(-HOUR, 9 * HOUR, 4000)
    anywhere = mean_density(cameras, -HOUR, 9 * HOUR, "elder")
    ratios = np.exp(log_ratio(density(cameras, moments, "elder", 600), anywhere))
    assert 0.4 < ratios.mean() <= 1.05
