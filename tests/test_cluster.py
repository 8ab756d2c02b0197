"""Many machines: a real Ray cluster of two nodes on this one, a worker killed, a node killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.cluster import RayActors
from indexer.index_report import Progress
from indexer.machines import connect
from indexer.shard.files import ArchiveFiles
from reid.errors import InputError, ModelError
from tests.canned import at, clip, litter, snapshot
from tests.faulty import FaultyPipeline, Unloadable
from tests.test_executors import (  # the contract, over Ray
    KIT,
    SHORT,
    alone,
    beside,
    made,
    run,
    test_a_fault_of_the_disk_ends_the_run_with_what_to_do,
    test_it_stops_at_the_end_of_a_clip_and_goes_on,
    test_the_archive_is_the_same_whoever_works,
    test_told_to_stop_at_once_it_does_nothing_and_says_what_waits,
    test_what_nobody_foresaw_fails_its_clip_and_tells_where,
    test_what_takes_the_place_of_something_does_so_in_order,
)

__all__ = [
    "test_a_fault_of_the_disk_ends_the_run_with_what_to_do",
    "test_it_stops_at_the_end_of_a_clip_and_goes_on",
    "test_the_archive_is_the_same_whoever_works",
    "test_told_to_stop_at_once_it_does_nothing_and_says_what_waits",
    "test_what_nobody_foresaw_fails_its_clip_and_tells_where",
    "test_what_takes_the_place_of_something_does_so_in_order",
]

cluster_utils = pytest.importorskip(
    "ray.cluster_utils", reason="ray is not installed: uv sync --extra cluster"
)
NODE = {"object_store_memory": 80 << 20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without CPUs, as many have it, and a machine with two."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    started = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **NODE}
    )
    started.add_node(num_cpus=2, **NODE)
    yield started
    connect(started.address).shutdown()
    started.shutdown()


@pytest.fixture(scope="module")
def executor(cluster: Any) -> Iterator[RayActors]:
    """What the contract is asked of."""
    with RayActors(cluster.address, FaultyPipeline, KIT) as made_of_it:
        yield made_of_it


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveFiles:
    return ArchiveFiles(tmp_path / "archive")


def test_an_address_where_nothing_is() -> None:
    with pytest.raises(InputError, match=r"no Ray cluster at 127\.0\.0\.1:1 .*ray start --head"):
        connect("127.0.0.1:1")


def test_there_is_an_actor_for_each_cpu(executor: RayActors) -> None:
    assert executor.slots == 2


def test_faults_fail_their_clips_and_the_run_goes_on(
    executor: RayActors, archive: ArchiveFiles, tmp_path: Path
) -> None:
    names = ("crash", "a", "endless", "b", "unlucky", "odd")
    clips = [clip(tmp_path, name, "S-1", at(9 + k)) for k, name in enumerate(names)]
    report = run(executor, archive, clips, options=SHORT)
    assert [(Path(each.path).stem, each.reason) for each in report.failed] == [
        ("crash", "crashed"), ("endless", "time_limit"), ("odd", "crashed")
    ]  # fmt: skip
    assert [Path(each.path).stem for each in report.done] == ["a", "b", "unlucky"]
    assert litter(archive) == []


def test_models_that_cannot_be_loaded_end_the_run(
    cluster: Any, archive: ArchiveFiles, tmp_path: Path, executor: RayActors
) -> None:
    executor.close()  # its CPUs are needed
    with (
        RayActors(cluster.address, Unloadable(ModelError("weights missing")), KIT, 1) as without,
        pytest.raises(ModelError, match="weights missing"),
    ):
        run(without, archive, [clip(tmp_path, "a", "S-1", at(9))])


def test_a_node_that_dies_loses_no_clip_and_doubles_none(
    cluster: Any, archive: ArchiveFiles, tmp_path: Path, executor: RayActors
) -> None:
    """A second machine is there from the start, and killed while both are at work."""
    executor.close()
    second = cluster.add_node(num_cpus=2, **NODE)
    cluster.wait_for_nodes()
    clips = [clip(tmp_path, f"slow-{k}", f"S-{k % 3}", at(9) + 60_000 * k) for k in range(24)]
    killed: list[bool] = []

    class Killing(Progress):
        def clip_ended(self, path: Path, ended: int, total: int) -> None:
            if ended >= 8 and not killed:
                killed.append(True)
                for process in second.all_processes.values():
                    for each in process:
                        os.kill(each.process.pid, signal.SIGKILL)

    with RayActors(cluster.address, FaultyPipeline, KIT) as both:
        assert both.slots == 4
        report = run(both, archive, clips, Killing())
    assert killed
    assert len(report.done) == 24
    assert not report.failed
    assert len(snapshot(archive).clips) == 24
    alone(archive, clips)
    assert made(archive) == made(beside(archive))
