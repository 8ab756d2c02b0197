"""Searching by the machines of a cluster gives what searching here gives, also when one of them dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.catalogue import Catalogue
from indexer.codes import Codebook
from indexer.compaction import compact
from indexer.machines import connect
from indexer.shard.files import ArchiveFiles
from search import shard_actors
from search.engine import Engine
from search.filters import Filters
from search.found import Found
from search.shard_actors import ClusterEngine, ShardActor, share
from tests.canned import merged_and_coded
from tests.crowd import embedder, fill, people

cluster_utils = pytest.importorskip(
    "ray.cluster_utils", reason="ray is not installed: uv sync --extra cluster"
)
NODE = {"object_store_memory": 80 << 20}
TWO = ("songpa", "nowon")


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[Any, list[Any]]]:
    """A head without CPUs and two machines."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    started = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **NODE}
    )
    nodes = [started.add_node(num_cpus=1, **NODE) for _ in range(2)]
    yield started, nodes
    connect(started.address).shutdown()
    started.shutdown()


def question(seed: int) -> Any:
    return people(np.random.default_rng(seed), 1, 32)


def shown(found: Found) -> list[tuple[str, str, float]]:
    return [
        (each.record.id, hit.segment, round(hit.score, 5))
        for hit, each in zip(found.hits, found.contents, strict=True)
    ]


@contextmanager
def both(archive: ArchiveFiles, address: str) -> Iterator[tuple[Engine, ClusterEngine]]:
    with (
        Catalogue(archive) as catalogue,
        Engine(archive, embedder(), catalogue=catalogue) as here,
        ClusterEngine(archive, embedder(), 1 << 30, catalogue, address) as there,
    ):
        yield here, there


def compare(here: Engine, there: ClusterEngine, *asked: Filters) -> None:
    for filters in asked:
        one, many = (each.search(question(3), filters, 15, True) for each in (here, there))
        assert shown(many) == shown(one)
        assert sorted(many.segments) == sorted(one.segments)
        assert (many.rows, many.tracklets, many.plan) == (one.rows, one.tracklets, one.plan)
        assert many.damaged.keys() == one.damaged.keys()
        assert many.view is there.view()


def test_the_answer_is_that_of_one_machine(
    machines: tuple[Any, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a changed archive, with a damaged segment, with a machine killed, and with none left."""
    cluster, nodes = machines
    archive = ArchiveFiles(tmp_path / "archive")
    fill(archive, TWO, days=3)
    everything = Filters((*TWO, "jongno"))
    some = Filters(("songpa",), ("S-1",), 1_739_840_000_000, 1_740_000_000_000)
    with both(archive, cluster.address) as (here, there):
        compare(here, there, everything, some, Filters(("gangnam",)))
        assert [actor.alive for actor in there.actors] == [True, True]
    fill(archive, ("jongno",), days=1, seed=5)
    with both(archive, cluster.address) as (here, there):  # the same actors, told anew
        compare(here, there, Filters(("jongno",)), everything)
        lost = here.view().segments[0].entry
        archive.segment(lost.district, lost.day, lost.segment).vectors.write_bytes(b"")
        compare(here, there, everything)
        assert lost.segment in there.search(question(0), everything, 15, True).damaged
        for left in (1, 0):
            for processes in nodes[left].all_processes.values():
                for each in processes:
                    os.kill(each.process.pid, signal.SIGKILL)
            deadline = time.monotonic() + 60
            while sum(actor.alive for actor in there.actors) > left and time.monotonic() < deadline:
                compare(here, there, everything, some)  # an actor may outlive its machine's raylet a moment
            assert sum(actor.alive for actor in there.actors) == left
            compare(here, there, everything, some)
        cluster.add_node(num_cpus=1, **NODE)
        monkeypatch.setattr(shard_actors, "_GATHER_S", 0.0)
        compare(here, there, everything)  # a machine that joins takes its part
        assert any(actor.alive for actor in there.actors)


def test_each_shard_has_as_many_holders_as_it_should() -> None:
    """Who searches what follows from the names; a dead actor's shards go to others, the rest stays."""
    actors = [ShardActor(number, None) for number in range(5)]
    shards = {("songpa", f"2025-02-{day:02d}"): [str(day)] for day in range(1, 29)}

    def owners() -> dict[tuple[str, str], int]:
        return {shard: actor.number for actor, mine in share(shards, actors, 1) for shard in mine}

    before = owners()
    assert before.keys() == shards.keys()
    assert set(before.values()) == set(range(5))
    actors[2].alive = False
    after = owners()
    assert after.keys() == shards.keys()
    assert 2 not in after.values()
    assert {shard for shard in shards if before[shard] != after[shard]} == {
        shard for shard, number in before.items() if number == 2
    }
    assert {actor.number for actor, _ in share({next(iter(shards)): []}, actors, 4)} <= {0, 1, 3, 4}
    assert share(shards, [ShardActor(0, None, alive=False)], 2) == []


def test_codes_are_searched_in_parts(tmp_path: Path) -> None:
    archive = ArchiveFiles(tmp_path / "archive")
    fill(archive, TWO, days=1, tracklets=40)
    merged_and_coded(
        archive, Codebook.train(people(np.random.default_rng(7), 1500, 32), embedder().sha256), 2
    )
    assert compact(archive).days == ()
    with Engine(archive, embedder()) as engine:
        names = [loaded.entry.segment for loaded in engine.view().segments]
        assert engine.view().part(names[:1]).coded.tolist() == [True]
        halves = [engine.search(question(4), Filters(TWO), 10, only=[name]) for name in names]
        whole = engine.search(question(4), Filters(TWO), 10)
        best = sorted(-hit.score for half in halves for hit in half.hits)[:10]
        assert best == pytest.approx([-hit.score for hit in whole.hits], abs=1e-5)
        assert engine.search(question(4), Filters(TWO), 10, only=()).hits == ()
