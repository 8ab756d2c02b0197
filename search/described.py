"""Finds the tracklets that fit a description, without any photo: every tracklet in scope is asked.

Owns the scan of the stored attributes, some segments at a time, so that memory does not grow with the
archive. What fits is known exactly; that it fits many people is told with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from indexer.shard.records import Attributes
from reid.errors import ArchiveError, StorageError
from search.description import Description, frequency, weighed
from search.evidence import Rest
from search.filters import Filters, Scope
from search.found import Content, Described, Found, Hit
from search.matching import contents_of, first
from search.planner import Plan
from search.view import Bools, Loaded, View

BY_DESCRIPTION = Plan("description")

_STEPS = 20  # of a nat, in which tracklets that are not shown are counted
_AS_WELL = float(np.log(2))  # half as likely fits about as well
_TOGETHER = 1 << 14  # tracklets that are asked in one go
_REMEMBERED = 1 << 20  # of so many tracklets the answers are kept between the two passes: 60 MB

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Part:
    """Tracklets in scope: (n,) places of segments, positions in them, and (A, n) of `Description.told`."""

    places: Ints
    positions: Ints
    ratios: F64
    told: Bools


@dataclass(frozen=True)
class _Best:
    """The best so far: (n,) places of segments, which are by time, positions in them, and how they fit."""

    places: Ints
    positions: Ints
    fits: F64

    def __getitem__(self, chosen: Ints) -> _Best:
        return _Best(self.places[chosen], self.positions[chosen], self.fits[chosen])


def find_described(view: View, said: Description, filters: Filters, top: int) -> Found:
    """The `top` tracklets that fit best, best first; equal ones by time.

    Nobody is listed of whom nothing that was asked is known; they are counted.

    Args:
        view: of the archive. said: of the person. filters: which tracklets.

    Raises:
        StorageError: the machine is out of memory or file handles.
    """
    return _Search(view, said, filters.within(view.snapshot), top).run()


class _Search:
    """One search in one view."""

    def __init__(self, view: View, said: Description, scope: Scope, top: int) -> None:
        self._view = view
        self._said = said
        self._scope = scope
        self._top = top
        self._damaged: dict[str, str] = {}
        self._vectors: dict[str, int] = {}  # in scope, of each segment that was read

    def run(self) -> Found:
        """How frequent each thing is in scope, then who fits, then what is shown of them."""
        wanted = self._wanted()
        many = sum(loaded.entry.tracklets for _, loaded in wanted) > _REMEMBERED
        remembered = None if many else list(self._asked(wanted))
        shares = self._frequencies(remembered or self._asked(wanted))
        best = _Best(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        counts: Counter[int] = Counter()
        unknown = 0
        for part in remembered or self._asked(wanted):
            known = part.told.any(axis=0)
            unknown += int(np.count_nonzero(~known))
            fits = weighed(part.ratios[:, known], part.told[:, known], shares)
            counts.update(_counted(fits))
            best = _merged(best, _Best(part.places[known], part.positions[known], fits), self._top)
        contents = self._read(best)
        if len(contents) < len(best.places):  # their places are due to others
            return self.run()
        hits = first(contents, self._top)
        sound = {name: count for name, count in self._vectors.items() if name not in self._damaged}
        return Found(
            tuple(hits), tuple(contents[hit] for hit in hits), BY_DESCRIPTION, self._scope,
            sum(sound.values()), counts.total() + unknown, tuple(sound), self._damaged, self._view,
            _told(hits, counts, unknown), tuple(shares),
        )  # fmt: skip

    def _wanted(self) -> list[tuple[int, Loaded]]:
        """The sound segments that may hold something in scope, with their places."""
        filters, segments = self._scope.filters, self._view.segments
        within = self._view.within(filters.districts, filters.since_ms, filters.until_ms)
        places = ((place, segments[place]) for place in np.flatnonzero(within).tolist())
        return [
            (place, loaded) for place, loaded in places
            if loaded.entry.segment not in self._damaged and self._scope.wants(loaded.entry)
        ]  # fmt: skip

    def _asked(self, wanted: Sequence[tuple[int, Loaded]]) -> Iterator[_Part]:
        """All tracklets in scope, some segments at a time."""
        gathered: list[tuple[int, Ints, Attributes]] = []
        count = 0
        for place, loaded in wanted:
            try:
                here, attributes = self._read_scope(loaded)
            except ArchiveError as error:
                self._note(loaded, error)
                continue
            if len(here):
                gathered.append((place, here, attributes))
                count += len(here)
            if count >= _TOGETHER:
                yield self._part(gathered)
                gathered, count = [], 0
        if gathered:
            yield self._part(gathered)

    def _read_scope(self, loaded: Loaded) -> tuple[Ints, Attributes]:
        """(n,) positions of the tracklets in scope, and their (n, COLUMNS) attributes."""
        keep = self._scope.rows(loaded.entry, loaded)
        attributes = loaded.segment.column("attributes")
        if keep is None:
            here, self._vectors[loaded.entry.segment] = np.arange(len(attributes)), loaded.entry.vectors
            return here, attributes
        heads = loaded.segment.column("tracklets")
        here = np.flatnonzero(keep.bools()[heads["row"]])
        if len(here):
            self._vectors[loaded.entry.segment] = int(heads["rows"][here].sum())
        return here, attributes[here]

    def _part(self, gathered: Sequence[tuple[int, Ints, Attributes]]) -> _Part:
        places = np.repeat([place for place, _, _ in gathered], [len(rows) for _, rows, _ in gathered])
        together = np.concatenate([attributes for _, _, attributes in gathered])
        return _Part(
            places, np.concatenate([rows for _, rows, _ in gathered]), *self._said.told(together)
        )  # fmt: skip

    def _frequencies(self, asked: Iterable[_Part]) -> list[float]:
        """(A,) see `frequency`; over all that is in scope."""
        counts: list[Counter[int]] = [Counter() for _ in self._said.asked]
        for part in asked:
            for each, mine, known in zip(counts, part.ratios, part.told, strict=True):
                each.update(_counted(mine[known]))
        return [frequency(*_spread(each)) for each in counts]

    def _read(self, best: _Best) -> dict[Hit, Content]:
        """The hits and what is stored of them; without those of segments that turn out to be damaged."""
        found: dict[Hit, Content] = {}
        for place in np.unique(best.places).tolist():
            here = best.places == place
            positions = best.positions[here].tolist()
            loaded = self._view.segments[place]
            try:
                contents = contents_of(self._view, loaded, positions)
            except ArchiveError as error:
                self._note(loaded, error)
                continue
            for fit, position, one in zip(best.fits[here].tolist(), positions, contents, strict=True):
                found[Hit(fit, loaded.entry.segment, position, one.record.start_ms)] = one
        return found

    def _note(self, loaded: Loaded, error: ArchiveError) -> None:
        """A damaged segment is noted and left out; a machine that is not fit ends the search."""
        if isinstance(error, StorageError):
            raise error
        self._damaged[loaded.entry.segment] = str(error)


def joined(found: Found, described: Found) -> Found:
    """A shortlist by photos with those behind it who fit a description, both of one view."""
    listed = {(hit.segment, hit.tracklet) for hit in found.hits}
    more = [
        (hit, content) for hit, content in zip(described.hits, described.contents, strict=True)
        if (hit.segment, hit.tracklet) not in listed
    ]  # fmt: skip
    return replace(
        found, hits=(*found.hits, *(hit for hit, _ in more)),
        contents=(*found.contents, *(content for _, content in more)), shares=described.shares,
        damaged={**found.damaged, **described.damaged},
    )  # fmt: skip


def _merged(best: _Best, more: _Best, top: int) -> _Best:
    if len(more.fits) > top:  # equal ones by time, so that all of those at the edge are still in it
        edge = np.partition(more.fits, len(more.fits) - top)[len(more.fits) - top]
        more = more[np.flatnonzero(more.fits >= edge)]
    both = _Best(
        np.concatenate([best.places, more.places]), np.concatenate([best.positions, more.positions]),
        np.concatenate([best.fits, more.fits]),
    )  # fmt: skip
    return both[np.argsort(-both.fits, kind="stable")[:top]]


def _told(hits: Sequence[Hit], counts: Counter[int], unknown: int) -> Described:
    """What is known of the tracklets in scope, `counts` by steps of a nat, besides who is listed."""
    left = counts.copy()
    left.subtract(round(hit.score * _STEPS) for hit in hits)
    rest = Rest(*_spread(left))
    least = hits[0].score - _AS_WELL if hits else 0.0
    as_well = sum(hit.score >= least for hit in hits) + int(rest.counts[rest.log_ratios >= least].sum())
    return Described(rest, as_well, unknown)


def _counted(nats: F64) -> dict[int, int]:
    """How many have so many steps."""
    if not len(nats):
        return {}
    steps = np.rint(nats * _STEPS).astype(np.int64)
    least = int(steps.min())
    counts = np.bincount(steps - least)
    used = np.flatnonzero(counts)
    return dict(zip((used + least).tolist(), counts[used].tolist(), strict=True))


def _spread(counts: Counter[int]) -> tuple[F64, Ints]:
    """(B,) nats and how many tracklets have them."""
    steps = sorted(step for step, count in counts.items() if count)
    return np.array(steps, np.float64) / _STEPS, np.array([counts[step] for step in steps], np.int64)
