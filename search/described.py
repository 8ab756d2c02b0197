"""Finds the tracklets that fit a description, without any photo: every tracklet in scope is asked.

Owns the scan of the stored attributes, one segment after the other, so that memory does not grow with the
archive. What fits is known exactly; that it fits many people is told with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reid.errors import ArchiveError, StorageError
from search.description import Description, frequency, weighed
from search.evidence import Rest
from search.filters import Filters, Scope
from search.matching import Content, Described, Found, Hit, contents_of, first
from search.planner import Plan
from search.view import Bools, Loaded, View

BY_DESCRIPTION = Plan("description")

_STEPS = 20  # of a nat, in which tracklets that are not shown are counted
_AS_WELL = float(np.log(2))  # half as likely fits about as well

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


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

    def run(self) -> Found:
        """How frequent each thing is in scope, then who fits, then what is shown of them."""
        shares = self._frequencies()
        best = _Best(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        counts: Counter[int] = Counter()
        searched: list[str] = []
        vectors = unknown = 0
        for place, here, ratios, told in self._scanned():
            loaded, known = self._view.segments[place], told.any(axis=0)
            searched.append(loaded.entry.segment)
            vectors += int(loaded.segment.column("tracklets")["rows"][here].sum())
            unknown += int(np.count_nonzero(~known))
            fits = weighed(ratios[:, known], told[:, known], shares)
            counts.update(_counted(fits))
            best = _merged(best, _Best(np.full(len(fits), place), here[known], fits), self._top)
        contents = self._read(best)
        if len(contents) < len(best.places):  # their places are due to others
            return self.run()
        hits = first(contents, self._top)
        return Found(
            tuple(hits), tuple(contents[hit] for hit in hits), BY_DESCRIPTION, self._scope, vectors,
            counts.total() + unknown, tuple(searched), self._damaged, self._view,
            _told(hits, counts, unknown), tuple(shares),
        )  # fmt: skip

    def _scanned(self) -> Iterator[tuple[int, Ints, F64, Bools]]:
        """Each segment in scope: its place, (n,) tracklets in scope, and (A, n) of `Description.told`."""
        filters = self._scope.filters
        within = self._view.within(filters.districts, filters.since_ms, filters.until_ms)
        for place in np.flatnonzero(within).tolist():
            loaded = self._view.segments[place]
            if loaded.entry.segment in self._damaged or not self._scope.wants(loaded.entry):
                continue
            try:
                keep = self._scope.rows(loaded.entry, loaded)
                heads, attributes = loaded.segment.column("tracklets"), loaded.segment.column("attributes")
            except ArchiveError as error:
                self._note(loaded, error)
                continue
            here = np.arange(len(heads)) if keep is None else np.flatnonzero(keep[heads["row"]])
            if len(here):
                yield place, here, *self._said.told(attributes[here])

    def _frequencies(self) -> list[float]:
        """(A,) see `frequency`; over all that is in scope, so that every segment is read twice."""
        counts: list[Counter[int]] = [Counter() for _ in self._said.asked]
        for _, _, ratios, told in self._scanned():
            for each, mine, known in zip(counts, ratios, told, strict=True):
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
    steps, counts = np.unique(np.rint(nats * _STEPS).astype(np.int64), return_counts=True)
    return dict(zip(steps.tolist(), counts.tolist(), strict=True))


def _spread(counts: Counter[int]) -> tuple[F64, Ints]:
    """(B,) nats and how many tracklets have them."""
    steps = sorted(step for step, count in counts.items() if count)
    return np.array(steps, np.float64) / _STEPS, np.array([counts[step] for step in steps], np.int64)
