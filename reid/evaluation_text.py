"""An evaluation as rows of tables and lines of text, for a terminal. Owns wording; measures nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reid.calibration import Calibration
from reid.evaluation import BINS, Evaluation, Figures, Histogram
from reid.labelled import Skipped

FIGURES_HEADER = ["", "rank-1", "rank-5", "rank-10", "mAP", "mINP", "queries"]
RELIABILITY_HEADER = ["probability told", "pairs", "told, mean", "were right"]
SCORES_HEADER = ["score", "same person", "share", "another", "share", ""]
_MERGED = 2  # bins a line
_BAR = 30
_SHOWN_SKIPPED = 10


def figures_rows(evaluation: Evaluation) -> list[list[str]]:
    """One row for all queries and one for each condition, plain and with camera means subtracted."""
    rows = []
    ways = {"": evaluation.plain, ", camera means subtracted": evaluation.camera_means}
    for way, outcome in ways.items():
        rows.append(_row("all" + way, outcome.overall))
        rows += [_row(name + way, figures) for name, figures in outcome.by_condition.items()]
    return rows


def scores_rows(scores: Histogram) -> list[list[str]]:
    """One row a stretch of scores that holds a pair; the bar shows both shares, `=` same and `-` another."""
    same, different = (
        np.asarray(counts).reshape(-1, _MERGED).sum(axis=1) for counts in (scores.same, scores.different)
    )
    shares = [counts / max(1, counts.sum()) for counts in (same, different)]
    rows = []
    for number in np.flatnonzero(same + different):
        low, high = (-1 + 2 * _MERGED * (number + step) / BINS for step in (0, 1))
        bars = [mark * round(_BAR * share[number]) for mark, share in zip("=-", shares, strict=True)]
        rows.append([
            f"{low:+.1f} to {high:+.1f}",
            f"{same[number]:,}", f"{shares[0][number]:.1%}",
            f"{different[number]:,}", f"{shares[1][number]:.1%}", " ".join(filter(None, bars)),
        ])  # fmt: skip
    return rows


def reliability_rows(calibration: Calibration) -> list[list[str]]:
    """One row a stretch of probabilities: what was told of people not fitted on, and what was true."""
    return [
        [f"{row.low:g} to {row.high:g}", f"{row.pairs:,}", f"{row.predicted:.4f}", f"{row.observed:.4f}"]
        for row in calibration.reliability
    ]


def closing_lines(evaluation: Evaluation, skipped: Sequence[Skipped]) -> list[str]:
    """What the figures rest on, and what did not count."""
    overall = evaluation.plain.overall
    lines = [f"{overall.images:,} pictures; one query per person and camera, sought in the others."]
    if overall.unanswerable:
        lines.append(f"{overall.unanswerable:,} queries do not count: no other camera saw that person.")
    lines += [f"line {skip.line}, {skip.file}: {skip.reason}: {skip.message}" for skip in skipped][
        :_SHOWN_SKIPPED
    ]
    if len(skipped) > _SHOWN_SKIPPED:
        lines.append(f"... and {len(skipped) - _SHOWN_SKIPPED:,} more lines that do not count (all: --json)")
    return lines


def _row(name: str, figures: Figures) -> list[str]:
    values = [*figures.ranks, figures.mean_ap, figures.mean_inp]
    shown = [f"{value:.3f}" if figures.queries else "no query" for value in values]
    return [name, *shown, f"{figures.queries:,}"]
