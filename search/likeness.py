"""How much like the person each tracklet of the shortlist looks, as evidence."""

from __future__ import annotations

import numpy as np

from reid.calibration import Calibration
from search.evidence import Evidence
from search.matching import Found
from search.request import Request

_SLOPE = 12.0  # of a model without a calibration: its order is right, its scale means nothing


def likeness(request: Request, found: Found, calibration: Calibration | None) -> Evidence:
    """Of each hit.

    Args:
        request: what was asked. found: at least one hit.
        calibration: of the embedder; None: the order is that of the scores.
    """
    scores = np.array([hit.score for hit in found.hits])
    if calibration is None:
        return Evidence("likeness", scores * _SLOPE)
    qualities = np.array([content.record.quality for content in found.contents])
    photo = max(query.quality for query in request.queries)
    return Evidence("likeness", calibration.log_ratio(scores, np.minimum(qualities, photo)))
