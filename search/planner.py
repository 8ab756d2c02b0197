"""Decides how a search compares: every row exactly, or every code and then the best rows exactly.

By the cost of each on this machine, measured once. Exact wherever that is affordable, for it cannot miss.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from indexer.codes import Codebook, CodePool, inner_products

AFFORDABLE_MS = 8.0
"""An exact search that costs less is always made."""
WANTED_RECALL = 0.995
"""Of ten nearest, what a search by codes has to find."""

_DEPTHS = (200, 400, 700, 1000, 2000, 4000)
_TRIAL_ROWS = 16_384
_TRIALS = 5


@dataclass(frozen=True)
class Costs:
    """What comparing costs on this machine.

    Attributes:
        exact_us: microseconds a row. code_us: a code. refined_us: a row that is refined.
    """

    exact_us: float
    code_us: float
    refined_us: float = 12.0


@dataclass(frozen=True)
class Plan:
    """How a search goes.

    Attributes:
        kind: "exact" or "codes".
        refine: rows compared exactly after a scan of codes; 0 for an exact search.
        expected_recall: of the ten nearest, how many are expected to be found, 0..1; 1 for an exact search.
    """

    kind: str
    refine: int = 0
    expected_recall: float = 1.0


EXACT = Plan("exact")


def choose(costs: Costs, codebook: Codebook | None, coded: int, uncoded: int, top: int) -> Plan:
    """The plan for so many rows in scope.

    Args:
        costs: see there.
        codebook: in use; None without one.
        coded, uncoded: rows in scope in segments with codes of it, and in others.
        top: tracklets wanted.
    """
    exact_ms = (coded + uncoded) * costs.exact_us / 1000
    if codebook is None or not coded or exact_ms <= AFFORDABLE_MS:
        return EXACT
    depths = [max(depth, 10 * top) for depth in _DEPTHS]
    enough = [depth for depth in depths if codebook.expected_recall(coded, depth) >= WANTED_RECALL]
    refine = enough[0] if enough else depths[-1]
    codes_ms = (uncoded * costs.exact_us + coded * costs.code_us + refine * costs.refined_us) / 1000
    if exact_ms <= codes_ms:
        return EXACT
    return Plan("codes", refine, codebook.expected_recall(coded, refine))


def measure_costs(dimension: int, codebook: Codebook | None) -> Costs:
    """Time both ways of comparing on made-up rows: some 30 milliseconds."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((_TRIAL_ROWS, dimension)).astype(np.float16)
    query = random.standard_normal((1, dimension)).astype(np.float32)
    exact = min(_timed(lambda: inner_products(rows, query)) for _ in range(_TRIALS))
    if codebook is None:
        return Costs(exact / _TRIAL_ROWS, exact / _TRIAL_ROWS)
    pool = CodePool(codebook, 1 << 30)
    slot = pool.load(codebook.encode(rows.astype(np.float32)), _TRIAL_ROWS, "trial")
    coded = min(_timed(lambda: pool.search([(slot, None)], query, 100, 1)) for _ in range(_TRIALS))
    return Costs(exact / _TRIAL_ROWS, coded / _TRIAL_ROWS)


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e6
