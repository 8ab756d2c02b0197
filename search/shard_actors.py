"""An archive searched by many machines: shards, by district and day, lie with Ray actors.

Owns who searches which shard, and who takes over when an actor or its machine dies: another one, and if none
is left, this process; what was searched is the same, and nothing is silently missing. Actors are told the
catalogue, and read segments from storage that all machines share. Knows no photo and no person.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from indexer.catalogue import Catalogue
from indexer.machines import connect
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Snapshot
from reid.errors import ReidError
from reid.registry import ModelSpec
from search.engine import Engine
from search.filters import Filters, Key
from search.found import Content, Found, Hit
from search.planner import Plan
from search.view import F32

_ANSWER_S = 30.0  # an actor that says nothing for so long is taken for dead
_GATHER_S = 60.0  # before machines are asked for again, once one was lost
_TRIES = 4  # views of an archive that changes under a search

OTHER = "told of another version"

Shard = tuple[str, str]
"""District and day."""
Asked = tuple[F32, Filters, int, bool, Sequence[tuple[Key, F32]]]
"""All of `Engine.search` but where to look."""


@dataclass(frozen=True)
class Part:
    """What some segments of an archive gave; as of `Found`."""

    hits: tuple[Hit, ...]
    contents: tuple[Content, ...]
    plan: Plan
    rows: int
    tracklets: int
    segments: tuple[str, ...]
    damaged: Mapping[str, str]

    @classmethod
    def of(cls, found: Found) -> Part:
        """All of it that can travel."""
        return cls(
            found.hits, found.contents, found.plan, found.rows, found.tracklets, found.segments,
            dict(found.damaged),
        )  # fmt: skip


class _Told:
    """A catalogue that somebody else reads: LMDB files are not to be read over a network."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.current = snapshot

    @property
    def version(self) -> int:
        return self.current.version

    def snapshot(self) -> Snapshot:
        return self.current


class Holder:
    """An actor's side: an engine over the segments it is asked for."""

    def __init__(self, archive: ArchiveFiles, embedder: ModelSpec, code_bytes: int) -> None:
        self._arguments = (archive, embedder, code_bytes)
        self._told: _Told | None = None
        self._engine: Engine | None = None

    def tell(self, snapshot: Snapshot) -> None:
        """From now on the archive is this."""
        if self._told is None:
            self._told = _Told(snapshot)
        self._told.current = snapshot

    def search(self, version: int, only: Collection[str], asked: Asked) -> Part | str:
        """See `Engine.search`; `OTHER` when last told of another version; else what this machine lacks."""
        if self._told is None or self._told.version != version:
            return OTHER
        try:
            if self._engine is None:
                self._engine = Engine(*self._arguments, self._told)
            return Part.of(self._engine.search(*asked, only))
        except ReidError as error:
            return str(error)


@dataclass
class ShardActor:
    """An actor, its number, whether it answers, and which version of the catalogue it was told."""

    number: int
    handle: Any
    alive: bool = True
    told: int = -1


class ClusterEngine(Engine):
    """An `Engine` whose searches by photo are done by actors, one on each machine of a Ray cluster.

    Actors outlive this process, with what they hold in memory, until `ray stop`.

    Args:
        address: see `indexer.machines.connect`.
        replicas: so many actors share the searches of a shard.
        (others): see `Engine`.

    Raises:
        MissingExtraError, InputError: no cluster.
    """

    def __init__(
        self, archive: ArchiveFiles, embedder: ModelSpec, code_bytes: int, catalogue: Catalogue | None,
        address: str, replicas: int = 2,
    ) -> None:  # fmt: skip
        super().__init__(archive, embedder, code_bytes, catalogue)
        self._ray = connect(address)
        self._replicas = replicas
        self._put: tuple[int, Any] = (-1, None)
        key = hashlib.sha256(f"{archive.home} {embedder.sha256} {code_bytes}".encode()).hexdigest()[:12]
        self._names, self._arguments = f"shards-{key}", (archive, embedder, code_bytes)
        self.actors = self._gather()

    def _gather(self) -> list[ShardActor]:
        """An actor on each machine that is there; those that were started before are found by their names."""
        self._gathered = time.monotonic()
        machines = [each for each in self._ray.nodes() if each["Alive"] and each["Resources"].get("CPU")]
        actor = self._ray.remote(num_cpus=0.01)(Holder)
        return [
            ShardActor(number, actor.options(
                name=f"{self._names}-{machine['NodeID'][:12]}", get_if_exists=True, lifetime="detached",
                scheduling_strategy=self._on(machine["NodeID"]),
            ).remote(*self._arguments))
            for number, machine in enumerate(machines)
        ]  # fmt: skip

    def _on(self, machine: str) -> Any:
        strategies = self._ray.util.scheduling_strategies
        return strategies.NodeAffinitySchedulingStrategy(machine, soft=False)

    def search(
        self, vectors: F32, filters: Filters, top: int, exact: bool = False,
        seen: Sequence[tuple[Key, F32]] = (), only: Collection[str] | None = None,
    ) -> Found:  # fmt: skip
        """See `Engine.search`."""
        if only is not None:
            return self._here((vectors, filters, top, exact, seen), only)
        lost = not all(actor.alive for actor in self.actors)
        if lost and time.monotonic() - self._gathered > _GATHER_S:
            self.actors = self._gather()
        for _ in range(_TRIES):
            view = self.view()
            scope = filters.within(view.snapshot)
            inside = view.within(filters.districts, filters.since_ms, filters.until_ms)
            shards: dict[Shard, list[str]] = defaultdict(list)
            for place in np.flatnonzero(inside).tolist():
                entry = view.segments[place].entry
                if scope.wants(entry):
                    shards[entry.district, entry.day].append(entry.segment)
            asked: Asked = (vectors, filters, top, exact, seen)
            parts = self._ask(view.snapshot, shards, asked)
            found = replace(_together(parts, top, self._here(asked, ())), view=view)
            if not found.damaged or self.view() is view:
                break
        return found

    def _here(self, asked: Asked, only: Collection[str]) -> Found:
        return super().search(*asked, only)

    def _ask(self, snapshot: Snapshot, shards: Mapping[Shard, list[str]], asked: Asked) -> list[Part]:
        """What every shard gave, whoever searched it in the end."""
        parts: list[Part] = []
        left = dict(shards)
        while left:
            shared = share(left, self.actors, self._replicas)
            if not shared:  # nobody is there any more
                only = [name for names in left.values() for name in names]
                return [*parts, Part.of(self._here(asked, only))]
            self._tell(snapshot, [actor for actor, _ in shared])
            calls: dict[Any, tuple[ShardActor, list[Shard]]] = {}
            for actor, mine in shared:
                only = [name for shard in mine for name in left[shard]]
                calls[actor.handle.search.remote(snapshot.version, only, asked)] = (actor, mine)
            answered, silent = self._ray.wait(list(calls), num_returns=len(calls), timeout=_ANSWER_S)
            for call in silent:
                calls[call][0].alive = False
            for call in answered:
                actor, mine = calls[call]
                part = self._answer(actor, call)
                if part is not None:
                    parts.append(part)
                    for shard in mine:
                        del left[shard]
        return parts

    def _tell(self, snapshot: Snapshot, actors: Sequence[ShardActor]) -> None:
        if self._put[0] != snapshot.version:
            self._put = (snapshot.version, self._ray.put(snapshot))
        for actor in actors:
            if actor.told != snapshot.version:
                actor.handle.tell.remote(self._put[1])
                actor.told = snapshot.version

    def _answer(self, actor: ShardActor, call: Any) -> Part | None:
        """None when the actor is dead, was told otherwise, or its machine does not see the archive."""
        try:
            answer = self._ray.get(call)
        except self._ray.exceptions.RayError:
            actor.alive = False
            return None
        if isinstance(answer, Part):
            return answer
        actor.told, actor.alive = -1, answer == OTHER
        return None


def share(
    shards: Collection[Shard], actors: Sequence[ShardActor], replicas: int
) -> list[tuple[ShardActor, list[Shard]]]:
    """Who searches which shards: of the first living ones in an order of each shard's own, the idlest. When
    one dies, its shards are spread over the others, and all else stays where it is warm.
    """
    alive = [each for each in actors if each.alive]
    shared: dict[int, list[Shard]] = {each.number: [] for each in alive}
    for shard in sorted(shards) if alive else ():
        order = sorted(shared, key=lambda number: hashlib.sha256(f"{shard} {number}".encode()).digest())
        shared[min(order[:replicas], key=lambda number: len(shared[number]))].append(shard)
    return [(each, shared[each.number]) for each in alive if shared[each.number]]


def _together(parts: Sequence[Part], top: int, empty: Found) -> Found:
    """One result of several; `empty` is of the same question and no segment."""
    pairs = [pair for part in parts for pair in zip(part.hits, part.contents, strict=True)]
    pairs.sort(key=lambda pair: (-pair[0].score, pair[0].start_ms, pair[0].segment, pair[0].tracklet))
    plan = min((part.plan for part in parts), key=lambda each: each.expected_recall, default=empty.plan)
    return replace(
        empty, hits=tuple(hit for hit, _ in pairs[:top]), contents=tuple(what for _, what in pairs[:top]),
        plan=plan, rows=sum(part.rows for part in parts), tracklets=sum(part.tracklets for part in parts),
        segments=tuple(name for part in parts for name in part.segments),
        damaged={name: why for part in parts for name, why in part.damaged.items()},
    )  # fmt: skip
