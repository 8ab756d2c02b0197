"""Joins what speaks for and against each tracklet into one order and one probability.

Each kind of evidence (likeness, description, place and time ...) is the natural log of a likelihood ratio:
how much likelier what is seen would be if the tracklet showed the person than if it showed somebody else;
0 says nothing. Taken as independent, they are added (naive Bayes). Owns the arithmetic; knows no archive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]

_EXPECTED = 1.0  # sightings, before anything is seen
_LEAST, _STEPS = 1e-3, 200  # of what is averaged over
_NEVER = 1e-6  # nothing is quite impossible or certain
_LARGEST = 700.0  # exponents beyond it overflow


@dataclass(frozen=True)
class Evidence:
    """What one kind of evidence says of each tracklet.

    Attributes:
        name: of the kind.
        log_ratios: (N,) natural logs of likelihood ratios.
    """

    name: str
    log_ratios: F64


@dataclass(frozen=True)
class Rest:
    """Tracklets in scope that are not on the shortlist, put together by what is known of them.

    Attributes:
        log_ratios: (B,) natural logs of likelihood ratios. counts: (B,) how many tracklets have each.
    """

    log_ratios: F64
    counts: Ints


def total(evidence: Sequence[Evidence]) -> F64:
    """(N,) all evidence together; at least one kind."""
    return np.asarray(np.sum([each.log_ratios for each in evidence], axis=0), np.float64)


def log_odds(probability: float) -> float:
    """Natural log of the odds, finite also of 0 and 1."""
    bounded = min(max(probability, _NEVER), 1 - _NEVER)
    return float(np.log(bounded / (1 - bounded)))


def probabilities(log_ratios: F64, compared: int, rest: Rest | None = None) -> F64:
    """(N,) the probability that each tracklet shows the person; their sum is how many do.

    How many of the compared tracklets show the person is not known beforehand. An exponential prior with a
    mean of one sighting is corrected by what was seen, and averaged over (the share of a class by the
    likelihood of what is seen: Saerens et al. 2002, here Bayesian), so that nothing is taken for a sighting
    only because something must be one.

    Args:
        log_ratios: (N,) of the shortlist; what is not on it is taken not to show the person, but for `rest`.
        compared: tracklets in the scope of the search.
        rest: of those that are not on it, where they may well show the person too.
    """
    count = max(compared, len(log_ratios) + 1)
    expected = np.geomspace(_LEAST, min(count / 2, len(log_ratios) + 1.0), _STEPS)  # sightings, log-spaced
    share = (expected / count)[:, None]
    ratios = np.exp(np.clip(log_ratios, -_LARGEST, _LARGEST))[None]
    mixed = 1 + share * (ratios - 1)
    others = count - len(log_ratios)
    likelihood = np.log(mixed).sum(axis=1)
    if rest is not None:
        others -= int(rest.counts.sum())
        ratios_of_rest = np.exp(np.clip(rest.log_ratios, -_LARGEST, _LARGEST))[None]
        likelihood += np.log(1 + share * (ratios_of_rest - 1)) @ rest.counts
    likelihood += others * np.log1p(-share[:, 0])
    posterior = likelihood - expected / _EXPECTED + np.log(expected)  # the steps grow with the expectation
    weight = np.exp(posterior - posterior.max())
    return np.asarray(weight @ (share * ratios / mixed) / weight.sum())
