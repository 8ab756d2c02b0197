"""Finds the tracklets most like a query in one view of the archive, exactly or by codes and then exactly.

Owns what is compared and in which order. Every score is exact; codes only choose whom to compare.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from indexer.codes import inner_products
from indexer.rowmask import RowMask
from indexer.shard.reader import Segment
from indexer.shard.records import MOST_ROWS
from indexer.shard.rows import pick
from reid.errors import ArchiveError, ModelMismatchError, StorageError
from reid.vectors import unit_rows
from search.filters import Filters
from search.found import Content, Found, Hit
from search.planner import EXACT, Costs, Plan, by_codes, choose
from search.scan import BLOCK, highest, scan
from search.view import F32, Bools, Loaded, View

_TOGETHER = 64  # small segments compared in one go
_SPARSE = 16  # below one row in so many, rows are read one by one

Ints = NDArray[np.int64]
ScanCodes = Callable[[Sequence[tuple[Loaded, RowMask | None]], F32, int, dict[str, str]], tuple[Ints, Ints]]
"""From segments with their rows in scope, vectors, how many rows of each, and where to note damage, to
(place among the segments, row), each (n,)."""


@dataclass(frozen=True)
class _Compared:
    """Rows that were compared.

    Attributes:
        loaded: some segments. owners: (n,) whose row it is, a place among them.
        rows, scores: (n,).
        heads: (n,) `columns.ROW`, where they are at hand.
    """

    loaded: Sequence[Loaded]
    owners: Ints
    rows: Ints
    scores: F32
    heads: NDArray[np.void] | None = None

    def __getitem__(self, chosen: Ints | Bools | slice) -> _Compared:
        heads = None if self.heads is None else self.heads[chosen]
        return _Compared(self.loaded, self.owners[chosen], self.rows[chosen], self.scores[chosen], heads)


class Matching:
    """One search in one view.

    Args:
        view: of the archive.
        vectors: (Q, D) float32 unit rows, a camera's mean already out.
        filters: which tracklets.
        top: how many, at least 1.
        scan_codes: the best rows by code.
    """

    def __init__(self, view: View, vectors: F32, filters: Filters, top: int, scan_codes: ScanCodes) -> None:
        self._view = view
        self._vectors = np.ascontiguousarray(vectors)
        self._top = top
        self._scan_codes = scan_codes
        self._scope = filters.within(view.snapshot)
        self._damaged: dict[str, str] = {}

    def run(self, costs: Costs | None) -> Found:
        """Plan, compare, read what is shown.

        Args:
            costs: to plan by; None for an exact search.
        """
        filters, view = self._scope.filters, self._view
        wanted = np.flatnonzero(view.within(filters.districts, filters.since_ms, filters.until_ms))
        if self._scope.is_partial:
            wanted = wanted[[self._scope.wants(view.segments[place].entry) for place in wanted]]
        plan = EXACT if costs is None else self._plan(costs, wanted)
        compared: list[_Compared] = []
        sparse: list[tuple[Loaded, list[int]]] = []
        small: list[tuple[Loaded, RowMask | None]] = []
        by_code = view.coded[wanted] & (plan.kind == "codes")
        if self._damaged:
            left = [view.names[place] not in self._damaged for place in wanted]
            wanted, by_code = wanted[left], by_code[left]
        all_rows = by_code & self._scope.all_rows(view.start_ms[wanted], view.end_ms[wanted])
        bulk = wanted[all_rows].tolist()  # hundreds of segments, of which nothing is asked one by one
        scanned: list[tuple[Loaded, RowMask | None]] = [(view.segments[place], None) for place in bulk]
        counts = dict(zip(bulk, view.vectors[bulk].tolist(), strict=True))
        rows_scanned = sum(counts.values())
        for place, is_scanned in zip(wanted[~all_rows].tolist(), by_code[~all_rows].tolist(), strict=True):
            loaded = view.segments[place]
            try:
                keep = self._scope.rows(loaded.entry, loaded)
                count = loaded.entry.vectors if keep is None else keep.count
                counts[place] = count
                if count and is_scanned:
                    scanned.append((loaded, keep))
                    rows_scanned += count
                elif count and keep is not None and count * _SPARSE < loaded.entry.vectors:
                    sparse.append((loaded, keep.places()))
                elif count and loaded.entry.vectors <= BLOCK:
                    small.append((loaded, keep))
                elif count:
                    compared.append(self._scan(loaded, keep, count))
            except ArchiveError as error:
                self._note(loaded, error)
        if scanned and view.codebook:
            # Colours and hours leave fewer rows than the segments hold: those need less depth.
            plan = by_codes(view.codebook, rows_scanned, self._top)
            places, rows = self._scan_codes(scanned, self._vectors, plan.refine, self._damaged)
            sparse += _by_segment([loaded for loaded, _ in scanned], places, rows)
        for begin in range(0, len(small), _TOGETHER):
            compared += self._scan_together(small[begin : begin + _TOGETHER])
        noted = len(self._damaged)
        compared += self._compare(sparse)
        hits, contents = self._read_first(compared)
        if len(self._damaged) > noted:  # its rows took places among the best that are due to others
            return self.run(costs)
        sound = {place: count for place, count in counts.items() if view.names[place] not in self._damaged}
        return Found(
            tuple(hits),
            tuple(contents),
            plan,
            self._scope,
            sum(sound.values()),
            _tracklets(view, sound),
            tuple(map(view.names.__getitem__, sound)),
            self._damaged,
            view,
        )

    def _plan(self, costs: Costs, wanted: Ints) -> Plan:
        """What is planned for these places of segments by what the catalogue knows; none is read."""
        view, coded = self._view, self._view.coded[wanted]
        most = view.vectors[wanted]
        read = int(most.sum())
        if self._scope.is_partial:
            most = np.array([self._scope.rows_at_most(view.segments[place].entry) for place in wanted])
            dense = most * _SPARSE >= view.vectors[wanted]
            singly = most[~dense].sum() * costs.refined_us / costs.exact_us
            read = int(view.vectors[wanted][dense].sum() + singly)
        rows, others = int(most[coded].sum()), int(most[~coded].sum())
        return choose(costs, view.codebook, rows, others, len(wanted), self._top, read)

    def _scan(self, loaded: Loaded, keep: RowMask | None, count: int) -> _Compared:
        """The best rows of one segment, all `count` in scope compared."""
        self._check_model(loaded)
        means = self._view.means
        off = loaded.means_of(means) @ self._vectors.T
        scores = scan(loaded.segment, self._vectors, off, loaded["camera"], loaded.scale(means))
        if keep is not None:
            scores[~keep.bools()] = -np.inf
        best = highest(scores, min(count, self._top * MOST_ROWS))
        return _Compared([loaded], np.zeros(len(best), np.int64), best, scores[best])

    def _scan_together(self, asked: Sequence[tuple[Loaded, RowMask | None]]) -> list[_Compared]:
        """The best rows of some small segments, all in scope compared in one go."""
        buffer = np.empty(
            (sum(loaded.entry.vectors for loaded, _ in asked), self._vectors.shape[1]), np.float16
        )
        sound: list[Loaded] = []
        off: list[F32] = []
        scale: list[F32] = []
        total = 0
        for loaded, keep in asked:
            rows = buffer[total : total + loaded.entry.vectors]
            try:
                self._check_model(loaded)
                loaded.segment.read_into(rows)
                scale.append(loaded.scale(self._view.means))
                off.append((loaded.means_of(self._view.means) @ self._vectors.T)[loaded["camera"]])
            except ArchiveError as error:
                self._note(loaded, error)
                continue
            if keep is not None:
                off[-1] = np.where(keep.bools()[:, None], off[-1], np.float32(np.inf))
            sound.append(loaded)
            total += len(rows)
        if not sound:
            return []
        products = inner_products(buffer[:total], self._vectors) - np.concatenate(off)
        scores = products.max(axis=1) * np.concatenate(scale)
        best = highest(scores, self._top * MOST_ROWS)
        begins = np.cumsum([0, *(loaded.entry.vectors for loaded in sound[:-1])])
        owners = np.searchsorted(begins, best, "right") - 1
        return [_Compared(sound, owners, best - begins[owners], scores[best])]

    def _check_model(self, loaded: Loaded) -> None:
        if loaded.segment.manifest.embedder != self._view.snapshot.embedder:
            name = loaded.entry.segment
            raise ModelMismatchError(f"{name}: holds vectors of another model; index it again")

    def _compare(self, asked: Sequence[tuple[Loaded, list[int]]]) -> list[_Compared]:
        """A few rows of each of some segments compared, with as few steps a segment as can be."""
        opened: list[tuple[Loaded, tuple[Segment, list[int]]]] = []
        for loaded, rows in asked:
            try:
                opened.append((loaded, (loaded.segment, rows)))
            except ArchiveError as error:
                self._note(loaded, error)
        found = pick([each for _, each in opened], self._vectors.shape[1])
        for place, reason in found.damaged.items():
            self._note(opened[place][0], reason)
        if not len(found.owners):
            return []
        held = [loaded for loaded, _ in opened]
        means, owners = self._view.means, found.owners
        cameras = [loaded.cameras_in(means) for loaded in held]
        begins = np.cumsum([0, *map(len, cameras[:-1])])
        kept = found.vectors.astype(np.float32)
        kept -= means.rows[np.concatenate(cameras)[begins[owners] + found.heads["camera"]]]
        lengths = np.maximum(np.sqrt(np.einsum("nd,nd->n", kept, kept)), 1e-9)
        scores = (kept @ self._vectors.T).max(axis=1) / lengths
        return [_Compared(held, owners, found.positions, scores, found.heads)]

    def _best(self, compared: Sequence[_Compared]) -> list[Hit]:
        """The best tracklets, best first, without those of damaged segments."""
        hits: dict[tuple[str, int], Hit] = {}
        if self._damaged:
            compared = [each[self._sound(each)] for each in compared]
        scores = np.concatenate([each.scores for each in compared]) if compared else np.empty(0, np.float32)
        # So many best rows are sure to hold the best tracklets: one tracklet owns only a few.
        chosen = np.sort(highest(scores, self._top * MOST_ROWS))
        ends = np.cumsum([len(each.scores) for each in compared])
        parts = np.split(chosen, np.searchsorted(chosen, ends[:-1])) if compared else []
        for each, part, end in zip(compared, parts, ends, strict=True):
            mine = each[part - (end - len(each.scores))]
            mine = mine[np.argsort(mine.owners, kind="stable")]
            edges = np.flatnonzero(np.diff(mine.owners, prepend=-1, append=-1)).tolist()
            for begin, stop in pairwise(edges):
                few = mine[begin:stop]
                loaded = mine.loaded[int(few.owners[0])]
                try:
                    heads = few.heads
                    if heads is None:
                        heads = loaded.segment.heads(few.rows.tolist())
                    starts = loaded.starts_of(heads)
                except ArchiveError as error:
                    self._note(loaded, error)
                    continue
                name = loaded.entry.segment
                for score, tracklet, start in zip(
                    few.scores.tolist(), heads["tracklet"].tolist(), starts.tolist(), strict=True
                ):
                    before = hits.get((name, tracklet))
                    if before is None or score > before.score:
                        hits[name, tracklet] = Hit(score, name, tracklet, start)
        return first(hits.values(), self._top)

    def _sound(self, each: _Compared) -> Bools:
        whole = np.array([loaded.entry.segment not in self._damaged for loaded in each.loaded], bool)
        return whole[each.owners]

    def _read_first(self, compared: Sequence[_Compared]) -> tuple[list[Hit], list[Content]]:
        """The best hits, best first, and what is shown of them, without those of damaged segments."""
        while True:
            before = len(self._damaged)
            best = self._best(compared)
            contents: dict[Hit, Content] = {}
            for name in dict.fromkeys(hit.segment for hit in best):
                group = [hit for hit in best if hit.segment == name]
                loaded = self._view.by_name[name]
                try:
                    shown = contents_of(self._view, loaded, [hit.tracklet for hit in group])
                    contents |= dict(zip(group, shown, strict=True))
                except ArchiveError as error:
                    self._note(loaded, error)
            if len(self._damaged) == before:
                return best, [contents[hit] for hit in best]

    def _note(self, loaded: Loaded, error: ArchiveError) -> None:
        """A damaged segment is noted and left out; a machine that is not fit ends the search."""
        if isinstance(error, StorageError):
            raise error
        self._damaged[loaded.entry.segment] = str(error)


def contents_of(view: View, loaded: Loaded, positions: Sequence[int]) -> list[Content]:
    """What is stored of some tracklets, at least one, of one segment.

    Raises:
        DamagedError: something is altered.
    """
    means, true = loaded.means_of(view.means), loaded.clocks.record
    found = loaded.segment.vectors_of(positions)
    together = unit_rows(np.concatenate([rows - means[camera] for rows, camera in found]))
    ends = np.cumsum([len(rows) for rows, _ in found]).tolist()
    vectors = [together[begin:end] for begin, end in pairwise([0, *ends])]
    shown = zip(loaded.segment.contents(positions), vectors, strict=True)
    return [Content(true(record), thumbnail, own, said) for (record, thumbnail, said), own in shown]


def _tracklets(view: View, counts: Mapping[int, int]) -> int:
    """Of about how many tracklets so many rows of each segment, by its place, are."""
    return round(float(np.array(list(counts.values())) @ view.tracklets_a_row[list(counts)]))


def first(hits: Iterable[Hit], top: int) -> list[Hit]:
    """The `top` best hits, best first; equal scores by time."""
    return heapq.nsmallest(top, hits, key=lambda hit: (-hit.score, hit.start_ms, hit.segment, hit.tracklet))


def _by_segment(loaded: Sequence[Loaded], places: Ints, rows: Ints) -> list[tuple[Loaded, list[int]]]:
    """Rows put together by segment, each row once."""
    order = np.lexsort((rows, places))
    places, rows = places[order], rows[order]
    fresh = np.ones(len(places), bool)
    fresh[1:] = (np.diff(places) != 0) | (np.diff(rows) != 0)
    places, rows = places[fresh], rows[fresh]
    edges = np.flatnonzero(np.diff(places, prepend=-1))
    ends = [*edges[1:].tolist(), len(rows)]
    every = rows.tolist()
    return [
        (loaded[place], every[begin:end])
        for place, begin, end in zip(places[edges].tolist(), edges.tolist(), ends, strict=False)
    ]
