"""What a search found, as values: hits, what is stored of each, and what was searched.

Owns no behaviour. `matching.py` and `described.py` make them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from indexer.shard.records import Attributes, Record
from search.evidence import Rest
from search.filters import Scope
from search.planner import Plan
from search.view import F32, View


@dataclass(frozen=True)
class Hit:
    """The best match of one tracklet.

    Attributes:
        score: cosine of the query with the nearest of the tracklet's centred vectors, -1..1; by a description
            alone, the log ratio of what was said.
        segment: name of its segment.
        tracklet: position in that segment.
        start_ms: when the tracklet starts; orders equal scores.
    """

    score: float
    segment: str
    tracklet: int
    start_ms: int


@dataclass(frozen=True)
class Content:
    """What is stored of a hit's tracklet.

    Attributes:
        record, thumbnail: see `indexer.shard.records.Tracklet`; times by what is known of the clock today.
        vectors: (K, D) float32 unit rows, the mean of its camera taken out.
        attributes: (COLUMNS,) int8, see `indexer.clothes`.
    """

    record: Record
    thumbnail: bytes
    vectors: F32
    attributes: Attributes


@dataclass(frozen=True)
class Described:
    """What a search by description alone knows of the tracklets it does not list.

    Attributes:
        rest: of those of whom something that was asked is known.
        as_well: tracklets, listed ones too, that fit about as well as the first: at least half as likely.
        unknown: tracklets of whom nothing that was asked is known; they may show the person.
    """

    rest: Rest
    as_well: int
    unknown: int


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        hits: best first.
        contents: of each.
        plan: how it went.
        scope: the cameras that were asked.
        rows, tracklets: how many vectors were in scope, and of about how many tracklets.
        segments: names of those that were searched. damaged: why others could not be, by name.
        view: what was searched.
        described: by a description alone; None with a photo.
        shares: how frequent each thing that was said is in scope; None where that is not known.
    """

    hits: tuple[Hit, ...]
    contents: tuple[Content, ...]
    plan: Plan
    scope: Scope
    rows: int
    tracklets: int
    segments: tuple[str, ...]
    damaged: Mapping[str, str]
    view: View
    described: Described | None = None
    shares: tuple[float, ...] | None = None
