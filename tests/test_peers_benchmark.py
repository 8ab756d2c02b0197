"""The comparison with other indexes: each against brute force on a small world; a missing one is told."""

import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.gallery import Scene
from benchmarks.peer_indexes import PEERS, NumpyExact, Ours, Peer, check_installed
from benchmarks.peers import Answered, World, answer, prepare, raise_effort
from benchmarks.vectors import Ints
from reid.errors import InputError


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    scene = Scene(2400, districts=3, days=2, views=(1.0,), seed=2)
    return prepare(tmp_path_factory.mktemp("peers"), scene, 3)


def built(name: str, world: World, folder: Path) -> Peer:
    peer: Peer = Ours(world.home, world.offsets) if name == "ours" else PEERS[name]()
    assert peer.build(*world.load(), folder) > 0
    return peer


@pytest.mark.parametrize("name", [*PEERS, "ours"])
def test_an_index_finds_the_nearest_in_scope(name: str, world: World, tmp_path: Path) -> None:
    if name != "ours":
        pytest.importorskip(name, reason="needs the extra bench")
    peer = built(name, world, tmp_path)
    _, columns = world.load()
    for kind, asked in world.questions.items():
        for question, (true, scope) in zip(asked, world.truth[kind], strict=True):
            kept = question.holds(columns)
            assert kept.sum() == scope
            found = peer.search(question, peer.efforts[-1])
            assert kept[found].all(), (kind, "an answer out of scope")
            assert len(set(found.tolist())) == len(found) <= 10
            if name != "hnswlib":  # it may give up when little is in scope, which is what is measured
                assert len(np.intersect1d(found, true)) >= len(true) - 1


def test_the_truth_is_the_truth(world: World) -> None:
    vectors, columns = world.load()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    question = world.questions["city-month", ""][0]
    true, scope = world.truth["city-month", ""][0]
    assert scope == len(vectors) == world.count
    assert sorted(true) == sorted(np.argsort(vectors @ question.query)[-10:])
    one = world.questions["district-day", "colour + radius"][0]
    rows = world.truth["district-day", "colour + radius"][0][0]
    assert set(columns.upper[rows]) <= {0, one.ask.upper}


class Half:
    """Finds half of what it could, and with more effort all."""

    name = package = filtering = "half"
    efforts: tuple[int, ...] = (1, 2, 3)

    def build(self, vectors: object, columns: object, folder: Path) -> int:
        return 0

    def search(self, question: object, effort: int) -> Ints:
        return np.arange(5 if effort == 1 else 10)


def test_effort_is_raised_until_the_recall_is_reached(world: World) -> None:
    asked = world.questions["city-day", ""]
    tried = raise_effort(Half(), asked, [np.arange(10)] * len(asked))
    assert [each.effort for each in tried] == [1, 2]
    assert [each.recall for each in tried] == [0.5, 1.0]
    assert (tried[0].returned, tried[0].right, tried[0].wanted) == (5, 5, 10)


def test_nothing_in_scope_is_found_whole(world: World, tmp_path: Path) -> None:
    peer = built("numpy", world, tmp_path)
    assert isinstance(peer, NumpyExact)
    asked = world.questions["city-day", ""][:1]
    one = answer(peer, asked, [np.empty(0, np.int64)], 0)
    assert isinstance(one, Answered)
    assert one.recall == 1.0


def test_a_missing_package_is_told_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.raises(InputError, match=r"hnswlib is not installed.*uv sync --extra bench"):
        check_installed("hnswlib")
    monkeypatch.setattr(peers, "_QUICK_VECTORS", 1200)
    monkeypatch.setattr(peers, "_QUICK_EACH", 1)
    monkeypatch.setattr(peers, "_QUICK_DAYS", 1)
    figures = peers.run(Namespace(vectors=None, quick=True, only=["hnswlib", "numpy"]))
    assert "uv sync --extra bench" in figures["missing"]["hnswlib"]
    assert list(figures["indexes"]) == ["numpy"]
    assert "left out: hnswlib is not installed" in capsys.readouterr().out.replace("\n", " ")


def test_too_few_vectors_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1000"):
        peers.run(Namespace(vectors=5, quick=True, only=None))
