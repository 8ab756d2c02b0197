"""Evidence joined: against Bayes' rule worked out by brute force, and what it must never say."""

import numpy as np
import pytest

from search.evidence import Evidence, probabilities, total

RNG = np.random.default_rng(5)


def test_evidence_adds() -> None:
    parts = [Evidence("a", np.array([1.0, -2.0])), Evidence("b", np.array([0.5, 2.0]))]
    assert total(parts).tolist() == [1.5, 0.0]


def test_one_strong_sighting_among_many() -> None:
    ratios = np.array([14.0, *RNG.normal(-3, 1, 199)])
    chances = probabilities(ratios, 100_000)
    assert chances[0] > 0.8 > 0.01 > chances[1:].max()
    assert np.argsort(-chances, kind="stable").tolist() == np.argsort(-ratios, kind="stable").tolist()


def test_nothing_seen_is_nothing_found() -> None:
    """The best of a hundred thousand strangers is no sighting only because it is the best."""
    strangers = RNG.normal(-4, 2, 100_000)
    best = np.sort(strangers)[::-1][:200]
    assert probabilities(best, 100_000).max() < 0.05


@pytest.mark.parametrize("right", [1, 5, 30])
def test_the_sum_is_how_many_there_are(right: int) -> None:
    """Scores of a known likelihood ratio: normal about +d/2 for right ones, -d/2 for others, variance d."""
    d, strangers = 36.0, 20_000
    told, true, best = [], [], []
    for _ in range(60):
        ratios = np.concatenate([RNG.normal(d / 2, d**0.5, right), RNG.normal(-d / 2, d**0.5, strangers)])
        order = np.argsort(-ratios)[:200]
        told.append(probabilities(ratios[order], len(ratios)).sum())
        true.append((order < right).sum())
        best.append(probabilities(ratios[order], len(ratios))[:3].mean())
    assert np.mean(told) == pytest.approx(np.mean(true), rel=0.15, abs=0.35)


def test_infinite_certainty_and_a_tiny_archive() -> None:
    assert probabilities(np.array([1e9, -1e9]), 2).tolist() == pytest.approx([1, 0], abs=1e-6)
    assert 0 < probabilities(np.array([0.0]), 1)[0] < 0.6
    assert np.isfinite(probabilities(np.full(200, 800.0), 200)).all()
