"""Decides how a search compares: every row exactly, or every code and then the best rows exactly.

By the cost of each on this machine, measured once. Exact wherever that is affordable, for it cannot miss.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from indexer.codes import Codebook, CodePool
from indexer.shard.reader import Segment
from indexer.shard.rows import pick
from search.scan import highest, scan

AFFORDABLE_MS = 8.0
"""An exact search that costs less is always made."""
WANTED_RECALL = 0.998
"""Of ten nearest, what a search by codes is expected to find before `_MARGIN`."""
_MARGIN = 1.4
"""By how much deeper is refined than the expectation asks for, which is some thousandths too high: over ten
million vectors .9967 of the ten nearest were found without it, and all with it, in a tenth more time."""

_DEPTHS = (200, 300, 400, 500, 600, 700, 850, 1000, 1200, 1500, 2000, 3000, 4000)
_TRIAL_CODES = 16_384
_CACHE = 64 << 20  # bytes; more than a processor keeps
_TRIAL_READS = 64
_TRIALS = 3
_KEPT = 30  # rows


@dataclass(frozen=True)
class Costs:
    """What comparing costs on this machine.

    Attributes:
        exact_us: microseconds a row. segment_us: a segment whose rows are read.
        code_us: a code. refined_us: a row that is refined.
    """

    exact_us: float
    segment_us: float
    code_us: float
    refined_us: float


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


def choose(
    costs: Costs, codebook: Codebook | None, coded: int, uncoded: int, segments: int, top: int,
    read: int | None = None,
) -> Plan:  # fmt: skip
    """The plan for so many rows in scope.

    Args:
        costs: see there.
        codebook: in use; None without one.
        coded, uncoded: rows in scope in segments with codes of it, and in others.
        segments: that the rows lie in.
        top: tracklets wanted.
        read: rows that an exact search would read, with those between the rows in scope; None: those alone.
    """
    read = coded + uncoded if read is None else read
    exact_ms = (read * costs.exact_us + segments * costs.segment_us) / 1000
    if codebook is None or not coded or exact_ms <= AFFORDABLE_MS:
        return EXACT
    plan = by_codes(codebook, coded, top)
    codes_ms = (uncoded * costs.exact_us + coded * costs.code_us + plan.refine * costs.refined_us) / 1000
    return EXACT if exact_ms <= codes_ms else plan


def by_codes(codebook: Codebook, rows: int, top: int) -> Plan:
    """The plan to scan the codes of so many rows, as deep as it takes to find `top` tracklets."""
    depths = [max(depth, 3 * top) for depth in _DEPTHS]
    enough = (depth for depth in depths if codebook.expected_recall(rows, depth) >= WANTED_RECALL)
    refine = round(_MARGIN * next(enough, depths[-1]))
    return Plan("codes", refine, codebook.expected_recall(rows, refine))


def measure_costs(segment: Segment, pool: CodePool | None) -> Costs:
    """Time each way of comparing, some milliseconds in all.

    Args:
        segment: of the archive, the larger the better.
        pool: codes in memory, if there is a codebook.

    Raises:
        DamagedError: the segment is altered.
    """
    dimension, count = segment.manifest.dimension, segment.manifest.vectors
    random = np.random.default_rng(0)
    query = random.standard_normal((1, dimension)).astype(np.float32)
    other = np.zeros(_CACHE // 8)  # that a processor's cache may hold instead of the rows
    off, camera, scale = np.zeros((1, 1), np.float32), np.zeros(count, np.uint16), np.ones(count, np.float32)

    def compare() -> None:
        highest(scan(segment, query, off, camera, scale), _KEPT)

    exact = min(_timed(compare, other.sum) for _ in range(_TRIALS)) / count
    singly = [(segment, [place]) for place in random.integers(count, size=_TRIAL_READS).tolist()]
    # The first time, checksums are compared.
    refined = min(_timed(lambda: pick(singly, dimension)) for _ in range(_TRIALS)) / _TRIAL_READS
    opened = 3 * refined  # a file more, its state, and what is cut out of the results
    if pool is None:
        return Costs(exact, opened, exact, refined)
    codebook = pool.codebook
    rows = random.standard_normal((_TRIAL_CODES, dimension)).astype(np.float32)
    trial = CodePool(codebook, pool.bytes_for(_TRIAL_CODES))
    slot = trial.load(codebook.encode(rows), _TRIAL_CODES, "trial")
    coded = min(_timed(lambda: trial.search([(slot, None)], query, 100, 1)) for _ in range(_TRIALS))
    return Costs(exact, opened, coded / _TRIAL_CODES, refined)


def _timed(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    before()
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e6
