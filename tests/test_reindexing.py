"""Another embedder beside the archive in use: searchable until the switch; nothing is lost or comes back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import cli
from indexer import workers
from indexer.cameras import Camera
from indexer.catalogue import Catalogue, writer_lock
from indexer.clips import ClipRequest
from indexer.compaction import compact
from indexer.coverage import ERASED, Footage
from indexer.erasure import erase_time, erase_tracklet
from indexer.executors import InProcess
from indexer.generations import let_follow
from indexer.pipeline import ClipContent
from indexer.purge import Days, Order
from indexer.reindexing import Reindexed, look_ahead, reindex
from indexer.retention import purge
from indexer.settings import load_settings, set_setting
from indexer.shard.files import ArchiveFiles
from indexer.times import from_milliseconds
from indexer.verification import verify
from reid.errors import FootageError, InputError, ModelMismatchError
from reid.models import find_model
from search.cases import Cases
from search.engine import Engine
from search.filters import Filters
from search.judged import find_judged
from tests import test_kill_points as kills
from tests.canned import (
    NOW,
    KnownPipeline,
    at,
    clip,
    holding,
    index,
    litter,
    snapshot,
    traces,
)  # fmt: skip
from tests.crowd import embedder, people

NAME = "people-net-1"
OTHER = find_model(NAME, "embed").sha256
hook = kills.hook


class OtherEmbedder:
    """Of other weights than the one in use."""

    spec = replace(find_model(NAME, "embed"), dimension=32)


class OtherPipeline(KnownPipeline):
    """Another embedder; `before` is called before each clip."""

    def __init__(self, before: Callable[[str], None] = lambda name: None) -> None:
        super().__init__(count=3)
        self.embedder = OtherEmbedder()  # type: ignore[assignment]
        self.before = before

    def run(self, path: Path, progress: Any = lambda seconds: None) -> ClipContent:
        self.before(path.stem)
        content = super().run(path, progress)
        seen = tuple(replace(one, vectors=-one.vectors, crops=(255 - one.crop,)) for one in content.people)
        looks = tuple(replace(look, attributes=-look.attributes) for look in content.looks)
        return replace(content, people=seen, looks=looks)


def again(archive: ArchiveFiles, pipeline: KnownPipeline | None = None, **more: Any) -> Reindexed:
    return reindex(archive, InProcess(pipeline or OtherPipeline()), now=lambda: NOW, **more)


@pytest.fixture
def footage(tmp_path: Path) -> list[ClipRequest]:
    """Four clips, one over midnight."""
    return [
        clip(tmp_path, "a", "S-1", at(9)), clip(tmp_path, "b", "S-2", at(9)),
        clip(tmp_path, "n", "S-1", at(24) - 15_000), clip(tmp_path, "c", "N-1", at(33), "nowon"),
    ]  # fmt: skip


@pytest.fixture
def archive(tmp_path: Path, footage: list[ClipRequest]) -> ArchiveFiles:
    made = ArchiveFiles(tmp_path / "archive")
    index(made, *footage)
    return made


def straight(tmp_path: Path, *requests: ClipRequest) -> ArchiveFiles:
    """An archive that never knew another embedder."""
    made = ArchiveFiles(tmp_path / "straight")
    index(made, *requests, pipeline=OtherPipeline())
    return made


def without_ids(archive: ArchiveFiles) -> list[tuple[Any, ...]]:
    return sorted((*one[:9], one[10], one[11]) for one in holding(archive).tracklets.values())


def test_the_archive_is_as_if_indexed_with_the_other_embedder(
    archive: ArchiveFiles, footage: list[ClipRequest], tmp_path: Path
) -> None:
    before = holding(archive)
    rows = {each.sha256: each for each in snapshot(archive).clips}
    done = again(archive)
    assert (done.clips, done.done, done.now, done.missing, done.switched) == (4, 4, 4, (), True)
    expected = straight(tmp_path, *footage)
    assert without_ids(archive) == without_ids(expected)
    assert snapshot(archive).embedder == OTHER
    after = {each.sha256: each for each in snapshot(archive).clips}
    assert after.keys() == rows.keys()
    for sha256, row in after.items():
        assert row.embedder == OTHER
        assert (row.start_source, row.path, row.start_ms) == (
            rows[sha256].start_source, rows[sha256].path, rows[sha256].start_ms,
        )  # fmt: skip
    assert not before.tracklets.keys() & holding(archive).tracklets.keys()  # nobody is taken for another
    assert traces(archive, before.tracklets) == []
    assert litter(archive) == []
    assert not archive.next.home.exists()
    assert verify(archive, deep=True).damaged == ()
    assert load_settings(archive).embedder == NAME
    assert again(archive).switched
    late = replace(footage[0], path=Path(shutil.copy(footage[0].path, footage[0].path.with_name("z.mp4"))))
    late.path.write_text("z")
    with pytest.raises(ModelMismatchError):
        index(archive, late)
    assert len(index(archive, late, pipeline=OtherPipeline()).done) == 1


def test_it_is_searchable_on_the_old_all_the_while(archive: ArchiveFiles) -> None:
    query = people(np.random.default_rng(1), 1, 32)
    before = set(holding(archive).tracklets)
    seen: list[set[str]] = []

    def searched(name: str) -> None:
        with Engine(archive, embedder()) as engine:
            found = engine.search(query, Filters(("songpa", "nowon")), 100)
        assert not found.damaged
        seen.append({each.record.id for each in found.contents})

    again(archive, OtherPipeline(searched))
    assert seen == [before] * 4
    with Engine(archive, OtherEmbedder.spec) as engine:
        found = engine.search(query, Filters(("songpa", "nowon")), 100)
    assert {each.record.id for each in found.contents} == set(holding(archive).tracklets)
    with pytest.raises(ModelMismatchError):
        Engine(archive, embedder())


def test_a_stopped_run_goes_on(archive: ArchiveFiles) -> None:
    def stop(name: str) -> None:
        if name == "a":
            raise KeyboardInterrupt

    first = OtherPipeline(stop)
    before = holding(archive)
    with pytest.raises(KeyboardInterrupt):
        again(archive, first)
    assert holding(archive) == before
    assert len(first.calls) >= 1
    ahead = look_ahead(archive, NAME, OTHER)
    assert (ahead.done, ahead.switched) == (len(first.calls), False)
    second = OtherPipeline()
    done = again(archive, second)
    assert (done.now, done.switched) == (4 - len(first.calls), True)
    assert sorted([*first.calls, *second.calls]) == ["a", "b", "c", "n"]  # nothing twice


def test_footage_that_is_gone_is_told_before_and_dropped_only_when_asked(
    archive: ArchiveFiles, footage: list[ClipRequest], tmp_path: Path
) -> None:
    footage[1].path.unlink()
    before = holding(archive)
    [missing] = look_ahead(archive, NAME, OTHER).missing
    assert (missing.path, missing.reason) == (str(footage[1].path), "the footage is gone")
    assert missing.hours == pytest.approx(40 / 3600)
    assert not archive.next.home.exists()
    done = again(archive)
    assert (done.done, done.switched, done.missing) == (3, False, (missing,))
    assert "--drop-missing" in done.lines()[-1]
    assert holding(archive) == before
    pipeline = OtherPipeline()
    dropped = again(archive, pipeline, drop_missing=True)
    assert (pipeline.calls, dropped.switched, dropped.missing) == ([], True, (missing,))
    expected = straight(tmp_path, footage[0], footage[2], footage[3])
    assert without_ids(archive) == without_ids(expected)


def test_another_file_in_its_place_and_one_that_fails_are_missing(
    archive: ArchiveFiles, footage: list[ClipRequest]
) -> None:
    footage[0].path.write_text("something else")

    def refuse(name: str) -> None:
        if name == "b":
            raise FootageError("no_frames", "nothing in it")

    done = again(archive, OtherPipeline(refuse))
    assert not done.switched
    assert {Path(each.path).stem: each.reason for each in done.missing} == {
        "a": "the file there is not the one that was indexed", "b": "nothing in it",
    }  # fmt: skip
    footage[0].path.write_text("a")
    assert again(archive).switched  # what is mended is tried again
    assert len(snapshot(archive).clips) == 4


def test_what_happens_meanwhile_is_caught_up_with(
    archive: ArchiveFiles, footage: list[ClipRequest], tmp_path: Path
) -> None:
    """New footage, a clip moved to another camera, a clock corrected, an erasure."""
    first = clip(tmp_path, "first", "S-7", at(34))
    index(archive, first)

    def meanwhile(name: str) -> None:
        if name != "n":
            return
        index(archive, clip(tmp_path, "new", "S-3", at(35)))
        index(archive, replace(footage[0], camera="S-9"), replace=True)
        with Catalogue(archive, "write") as catalogue:
            catalogue.put_cameras([Camera("S-2", "", "songpa", clock_offset_s=60)])
        erase_time(archive, "nowon", at(33), at(33) + 5_000, ("N-1",), now=lambda: NOW)

    done = again(archive, OtherPipeline(meanwhile))
    assert (done.clips, done.switched) == (6, True)
    places = {Path(each.path).stem: each.camera for each in snapshot(archive).clips}
    assert places == {"a": "S-9", "b": "S-2", "n": "S-1", "c": "N-1", "first": "S-7", "new": "S-3"}
    held = holding(archive).tracklets.values()
    assert {one[2] for one in held} == set(places.values())
    assert len([one for one in held if one[2] == "N-1"]) == 2  # of three
    assert snapshot(archive).cameras["songpa", "S-2"].clock_offset_s == 60
    shown = {Path(each.path).stem: each.shown_ms for each in snapshot(archive).clips}
    assert shown["b"] == at(9)


def test_who_was_erased_does_not_come_back_under_another_id(archive: ArchiveFiles) -> None:
    held = holding(archive).tracklets
    victim = min(held, key=lambda name: (held[name][2], held[name][3]))
    _, _, camera, start, end = held[victim][:5]
    erase_tracklet(archive, victim, now=lambda: NOW)
    assert again(archive).switched
    after = holding(archive).tracklets.values()
    assert not [one for one in after if one[2] == camera and one[3] <= end and one[4] >= start]
    assert len([one for one in after if one[2] == camera]) > 0
    found = Footage(snapshot(archive)).measure(("nowon", "songpa"), (), start, end, at(99))
    assert {gap.reason for gap in found.missing} >= {ERASED}  # that time is told, no tracklet is


@pytest.mark.parametrize("locked", [False, True])
def test_what_is_erased_or_expires_leaves_the_one_beside_too(archive: ArchiveFiles, locked: bool) -> None:
    def stop(name: str) -> None:
        if name == "a":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again(archive, OtherPipeline(stop))
    beside = holding(archive.next).tracklets
    old = {name: one for name, one in beside.items() if one[3] < at(24)}
    assert old

    def removed() -> None:
        order = Order("night", clock_is_right=True)
        purge(archive, Days(1), order, now=lambda: from_milliseconds(at(35)))

    if locked:  # as while clips are indexed into it
        with writer_lock(archive.next):
            removed()
        assert holding(archive.next).tracklets == beside
        let_follow(archive, snapshot(archive))
    else:
        removed()
    assert holding(archive.next).tracklets == {name: one for name, one in beside.items() if name not in old}
    assert traces(archive.next, old) == []
    assert again(archive).switched
    assert {one[3] >= at(24) for one in holding(archive).tracklets.values()} == {True}
    assert len(snapshot(archive).clips) == 2  # of the day that is kept, and that over midnight


def test_a_confirmed_sighting_is_nobody_of_the_new_archive(archive: ArchiveFiles) -> None:
    name = min(holding(archive).tracklets)
    [one] = find_judged(archive, snapshot(archive), [name]).values()
    with Cases(archive) as cases:
        cases.record("2025-SP-1", at(40), confirmed=[one])
    assert again(archive).switched
    assert name not in holding(archive).tracklets
    with Cases(archive) as cases:
        [kept] = cases.get("2025-SP-1").judged("confirmed")
    assert kept.record.id == name
    [found] = find_judged(archive, snapshot(archive), [name], [kept]).values()
    assert not found.in_archive


def test_damage_beside_is_mended_before_the_switch(archive: ArchiveFiles) -> None:
    def stop(name: str) -> None:
        if name == "a":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again(archive, OtherPipeline(stop))
    entry = snapshot(archive.next).segments[0]
    os.truncate(archive.next.segment(entry.district, entry.day, entry.segment).vectors, 3)
    assert again(archive).switched
    assert verify(archive, deep=True).damaged == ()
    assert len(snapshot(archive).clips) == 4


def test_a_compacted_archive_with_codes(archive: ArchiveFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    compact(archive)
    with Catalogue(archive, "write") as catalogue:
        catalogue.use_codebook("abc")
    assert again(archive).switched
    assert snapshot(archive).codebook is None
    assert len(holding(archive).tracklets) == 12


def test_refusals(archive: ArchiveFiles, tmp_path: Path) -> None:
    def stop(name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again(archive, OtherPipeline(stop))
    with pytest.raises(InputError, match="begun with another model"):
        look_ahead(archive, "osnet", "f" * 64)
    empty = ArchiveFiles(tmp_path / "empty")
    with Catalogue(empty, "create"):
        pass
    with pytest.raises(InputError, match="nothing is indexed"):
        look_ahead(empty, NAME, OTHER)


def test_killed_anywhere_at_the_switch(
    archive: ArchiveFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old or new, never between; and the same command finishes."""
    before = holding(archive)
    ready = OtherPipeline()
    last = snapshot(archive).clips[0].path

    def stop(name: str) -> None:
        if name == Path(last).stem:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again(archive, OtherPipeline(stop))
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    with kills.watched(archive, tmp_path / "album", monkeypatch) as camera:
        again(archive, ready)
    after = holding(archive)
    assert len(ready.calls) == 1
    ends = []
    for picture in camera.pictures.values():
        left = ArchiveFiles(picture)
        found = holding(left)
        assert found in (before, after), picture.name
        assert verify(left, deep=True).damaged == ()
        ends.append(found == after)
        done = again(left)
        assert done.switched, picture.name
        assert holding(left) == after, picture.name
        assert litter(left) == [], picture.name
        assert not left.next.home.exists(), picture.name
        assert traces(left, before.tracklets) == [], picture.name
        assert load_settings(left).embedder == NAME, picture.name
        shutil.rmtree(picture)
    assert sorted(ends) == ends
    assert set(ends) == {False, True}


# (before, after)
TOML = [
    ("", 'embedder = "x"\n'),
    ("top = 3\n", 'embedder = "x"\ntop = 3\n'),
    ('embedder = "old"\ntop = 3\n', 'embedder = "x"\ntop = 3\n'),
    ('# embedder = "old"\n# top = 3\n', 'embedder = "x"\n# top = 3\n'),
    ('# embedder = "a"\nembedder = "b" # why\n', '# embedder = "a"\nembedder = "x"\n'),
    ("[nightly]\nsettle_s = 3.0\n", 'embedder = "x"\n[nightly]\nsettle_s = 3.0\n'),
]


@pytest.mark.parametrize(("text", "wanted"), TOML)
def test_one_line_of_the_settings_is_changed(tmp_path: Path, text: str, wanted: str) -> None:
    archive = ArchiveFiles(tmp_path)
    if text:
        archive.settings.write_text(text)
    set_setting(archive, "embedder", "x")
    assert archive.settings.read_text() == wanted
    assert load_settings(archive).embedder == "x"


def test_the_command(
    archive: ArchiveFiles, footage: list[ClipRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CliRunner()
    monkeypatch.setattr(workers, "local_executor", lambda *given: InProcess(OtherPipeline()))
    line = ["reindex", "--model", NAME, "--home", str(archive.home)]
    dry = runner.invoke(cli.app, [*line, "--dry-run", "--json"])
    assert (dry.exit_code, json.loads(dry.stdout)["done"]) == (0, 0)
    footage[0].path.unlink()
    refused = runner.invoke(cli.app, [*line, "--json"])
    assert refused.exit_code == 1
    told = json.loads(refused.stdout)
    assert (told["switched"], told["done"], len(told["missing"])) == (False, 3, 1)
    assert "the footage is gone" in refused.stderr  # before anything is indexed
    done = runner.invoke(cli.app, [*line, "--drop-missing"])
    assert done.exit_code == 0, done.stderr
    assert f"the archive uses {NAME} now" in done.stdout
    assert (
        runner.invoke(cli.app, ["reindex", "--model", "nobody", "--home", str(archive.home)]).exit_code == 2
    )
