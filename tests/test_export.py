"""Evidence of a case as a folder: what is in it, what is hidden, what is told when something is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import cli
from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.clips import ClipRequest
from indexer.districts import load_districts
from indexer.erasure import erase_time
from indexer.indexing import index_clips
from indexer.keyvalue import packed
from indexer.ledger import ClipDone, Fingerprint
from indexer.rewriting import open_entry
from indexer.shard.files import ArchiveFiles
from indexer.shard.records import read_record
from indexer.times import milliseconds
from indexer.video import open_clip
from reid.boxes import Boxes
from reid.errors import InputError, StorageError
from reid.images import Picture, read_photo
from search.cases import Cases
from search.export.checking import check_export
from search.export.exporting import Exported, export_case
from search.export.feed import schema_bytes
from search.export.page import page_html, span
from search.export.sheet import Confirmed, Sheet
from search.judged import Judged
from tests.test_search import START
from tests.world import COLOURS, NOW, FakeDetector, Walk, fake_pipeline, write_scene

MADE = milliseconds(NOW)
CAMERA = Camera("S-1", "석촌 1 <b>", "songpa", 37.5, 127.1)
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Scene:
    """An archive of one clip, and the red person in it as confirmed."""

    archive: ArchiveFiles
    clip: Path
    red: Confirmed

    def sheet(self, **change: Any) -> Sheet:
        return Sheet("2025-17 <아동>", MADE - 9000, None, (replace(self.red, **change),))

    @property
    def row(self) -> ClipDone:
        """Of the ledger."""
        assert self.red.clip is not None
        return self.red.clip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("made")
    archive, clip = ArchiveFiles(folder / "archive"), folder / "footage" / "a.mp4"
    write_scene(clip, [Walk("red", 10, 35), Walk("blue", 0, 49, 1)], 50)
    with Catalogue(archive, "create") as catalogue:
        catalogue.put_cameras([CAMERA])
    index_clips(archive, [ClipRequest(clip, "songpa", "S-1", START)], fake_pipeline(), now=lambda: NOW)
    return Scene(archive, clip, red_of(archive))


@pytest.fixture
def scene(made: Scene, tmp_path: Path) -> Scene:
    """The same with footage that a test may destroy."""
    archive, clip = ArchiveFiles(tmp_path / "archive"), tmp_path / "footage" / "a.mp4"
    shutil.copytree(made.archive.home, archive.home)
    clip.parent.mkdir()
    shutil.copy2(made.clip, clip)
    record = replace(made.red.record, path=str(clip))
    with Catalogue(archive, "write") as catalogue:  # as if it had been indexed there
        row = replace(made.row, path=str(clip))
        catalogue.record_done(row, Fingerprint.of(clip), CAMERA, ())
    return Scene(archive, clip, replace(made.red, record=record, clip=row))


def row_of(archive: ArchiveFiles) -> ClipDone:
    with Catalogue(archive) as catalogue:
        [row] = catalogue.snapshot().clips
    return row


def red_of(archive: ArchiveFiles) -> Confirmed:
    with Catalogue(archive) as catalogue:
        seen = catalogue.snapshot()
    [row] = seen.clips
    district = load_districts().find("songpa")
    found = [
        Confirmed(read_record(one.record), one.thumbnail, district, CAMERA, MADE - 5000, row.embedder, row)
        for entry in seen.segments
        for one in open_entry(archive, entry).stored()
    ]
    [red] = [one for one in found if one.record.box[1] < 50]
    return red


def export(scene: Scene, out: Path, blur: bool = False, **change: Any) -> Exported:
    blurrer = FakeDetector() if blur else None
    return export_case(scene.sheet(**change), out, MADE, blurrer)


def manifest_of(out: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((out / "manifest.json").read_text("utf-8"))
    return value


def media_of(out: Path) -> dict[str, Path]:
    [sighting] = manifest_of(out)["sightings"]
    return {file["kind"]: out / file["path"] for file in sighting["media"]}


def codes(out: Path) -> list[str]:
    [sighting] = manifest_of(out)["sightings"]
    return [note["code"] for note in sighting["notes"]]


def amount(picture: Picture, colour: str) -> int:
    """Pixels of about this colour."""
    return int((np.abs(picture.astype(int) - COLOURS[colour]).max(axis=2) < 60).sum())


def test_an_export_holds_pictures_clip_times_and_checksums(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = export(scene, out)
    assert (exported.sightings, exported.clips, exported.stills, exported.missing) == (1, 1, 1, ())
    manifest = manifest_of(out)
    [sighting] = manifest["sightings"]
    assert manifest["complete"] is True
    assert manifest["case"] == {"id": "2025-17 <아동>", "opened": "2025-06-01T08:59:51+09:00", "closed": None}
    assert sighting["start"] == "2025-02-18T12:34:01+09:00"
    assert sighting["end"] == "2025-02-18T12:34:03.400+09:00"
    assert (sighting["original"]["state"], sighting["uncertainty_s"]) == ("present", None)
    assert sighting["camera"]["latitude"] == 37.5
    assert sighting["district"]["ko"] == "송파구"
    assert sighting["decided"] == "2025-06-01T08:59:55+09:00"
    assert sighting["models"] == {"embedder": scene.row.embedder, "detector": scene.row.detector}
    assert codes(out) == ["clock_unchecked"]
    assert subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=out, check=False).returncode == 0
    listed = {file["path"] for file in manifest["files"]} | {"manifest.json", "SHA256SUMS"}
    assert listed == {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_the_clip_is_a_copy_that_contains_the_moment(scene: Scene, tmp_path: Path) -> None:
    export(scene, tmp_path / "out")
    cut = manifest_of(tmp_path / "out")["sightings"][0]["cut"]
    assert cut["copied"] is True
    with open_clip(scene.clip) as original, open_clip(media_of(tmp_path / "out")["clip"]) as copy:
        best_s = scene.red.record.best_offset_s
        wanted = original.frame_at(best_s).picture.astype(int)
        shown = copy.frame_at(best_s - cut["start_offset_s"]).picture
    assert np.abs(wanted - shown).mean() < 2
    assert cut["start_offset_s"] <= 0.0 + 1e-6  # three seconds before 1 s is the beginning
    assert cut["end_offset_s"] == pytest.approx(4.9)
    assert cut["start"] == "2025-02-18T12:34:00+09:00"


def test_stills_are_the_best_frame_with_and_without_the_box(scene: Scene, tmp_path: Path) -> None:
    export(scene, tmp_path / "out")
    media = media_of(tmp_path / "out")
    plain, drawn = read_photo(media["still"]), read_photo(media["still_with_box"])
    assert plain.shape[:2][::-1] == scene.red.record.frame
    assert amount(plain, "blue") > 2000
    x1, y1, x2, y2 = (round(edge) for edge in scene.red.record.box)
    inside = np.abs(plain.astype(int) - drawn)[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3]
    assert inside.mean() < 2
    assert np.abs(plain.astype(int) - drawn).max() > 100
    assert media["person"].read_bytes() == scene.red.thumbnail


def test_blurring_takes_the_bystander_out_and_keeps_the_person(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(scene, out, blur=True)
    media, manifest = media_of(out), manifest_of(out)
    for kind in ("still", "still_with_box"):
        picture = read_photo(media[kind])
        assert amount(picture, "blue") == 0
        assert amount(picture, "red") > 0.9 * 32 * 80
    with open_clip(media["clip"]) as clip:
        shown = list(clip.frames())
    assert len(shown) == 50
    assert all(amount(frame.picture, "blue") == 0 for frame in shown)
    assert [amount(frame.picture, "red") > 0.8 * 32 * 80 for frame in shown] == [
        10 <= number <= 35 for number in range(50)
    ]
    assert manifest["blurring"]["detector"] == FakeDetector.spec.sha256
    assert "person must look" in manifest["blurring"]["en"]
    assert all(file["blurred"] for file in manifest["sightings"][0]["media"])
    assert manifest["sightings"][0]["cut"]["copied"] is False


def test_when_nobody_is_surely_the_person_everybody_is_hidden(scene: Scene, tmp_path: Path) -> None:
    class Twice(FakeDetector):
        """Two people almost in one place."""

        def detect(
            self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
        ) -> list[Any]:
            return [
                type(found)(np.concatenate([found.boxes, found.boxes + 3]), np.tile(found.scores, 2))
                for found in super().detect(pictures, regions)
            ]

    out = tmp_path / "out"
    exported = export_case(scene.sheet(), out, MADE, Twice())
    media = media_of(out)
    assert amount(read_photo(media["still"]), "red") == 0
    assert "all_blurred" in codes(out)
    assert len(exported.missing) == 1
    with open_clip(media["clip"]) as clip:
        assert all(amount(frame.picture, "red") == 0 for frame in clip.frames())


def test_a_thumbnail_alone_is_blurred_too(scene: Scene, tmp_path: Path) -> None:
    scene.clip.unlink()
    export(scene, tmp_path / "out", blur=True)
    person = read_photo(media_of(tmp_path / "out")["person"])
    assert amount(person, "red") > 0.8 * 32 * 80


# what became of the original -> its state in the manifest, and what is exported all the same
def _deleted(scene: Scene) -> None:
    scene.clip.unlink()


def _altered(scene: Scene) -> None:
    data = bytearray(scene.clip.read_bytes())
    data[len(data) // 2] ^= 255
    scene.clip.write_bytes(bytes(data))


def _a_folder(scene: Scene) -> None:
    scene.clip.unlink()
    scene.clip.mkdir()


@pytest.mark.parametrize(
    ("harm", "state"), [(_deleted, "missing"), (_altered, "changed"), (_a_folder, "unreadable")]
)
def test_an_original_that_cannot_be_used_is_told(scene: Scene, tmp_path: Path, harm: Any, state: str) -> None:
    harm(scene)
    out = tmp_path / "out"
    exported = export(scene, out)
    manifest = manifest_of(out)
    [sighting] = manifest["sightings"]
    assert sighting["original"]["state"] == state
    assert sighting["missing"] == [f"footage_{state}"]
    assert manifest["complete"] is False
    assert list(media_of(out)) == ["person"]
    assert sighting["cut"] is None
    assert "thumbnail_only" in codes(out)
    assert len(exported.missing) == 1
    assert check_export(out).sound


def test_a_moved_original_is_found_by_its_bytes_once_indexing_met_it(scene: Scene, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "b.mp4"
    moved.parent.mkdir()
    scene.clip.rename(moved)
    first, second = tmp_path / "first", tmp_path / "second"
    export(scene, first)
    assert manifest_of(first)["sightings"][0]["original"]["state"] == "missing"
    request = ClipRequest(moved, "songpa", "S-1", START)
    report = index_clips(scene.archive, [request], fake_pipeline(), now=lambda: NOW)
    assert (len(report.done), len(report.skipped)) == (0, 1)
    exported = export(scene, second, clip=row_of(scene.archive))
    original = manifest_of(second)["sightings"][0]["original"]
    assert (original["state"], original["path"]) == ("moved", str(moved))
    assert (exported.clips, exported.missing) == (1, ())
    assert codes(second) == ["footage_moved", "clock_unchecked"]


def test_a_clip_whose_frame_is_not_the_stored_picture_gives_no_still(scene: Scene, tmp_path: Path) -> None:
    """The times of the record are not those of the clip: a still would show somebody else's moment."""
    wrong = replace(scene.red.record, box=(10.0, 98.0, 42.0, 178.0), best_offset_s=0.0)
    exported = export(scene, tmp_path / "out", record=wrong)
    assert "picture_differs" in codes(tmp_path / "out")
    assert list(media_of(tmp_path / "out")) == ["clip", "person"]
    assert exported.missing


def test_the_feed_keeps_its_schema(scene: Scene, tmp_path: Path) -> None:
    schema = json.loads(schema_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    whole, bare = tmp_path / "whole", tmp_path / "bare"
    export(scene, whole)
    scene.clip.unlink()
    unplaced = Camera("S-1", "", "songpa", clock_uncertainty_s=2.5)
    export(scene, bare, camera=unplaced, clip=None)
    for out in (whole, bare):
        feed = json.loads((out / "feed.json").read_text("utf-8"))
        validator.validate(feed)
        assert (out / "sightings.json").read_bytes() == (out / "feed.json").read_bytes()
        assert (out / "feed.schema.json").read_bytes() == (ROOT / "docs" / "feed.schema.json").read_bytes()
        for file in feed["sightings"][0]["media"]:
            assert (out / file["path"]).stat().st_size == file["bytes"]
    [seen] = json.loads((whole / "feed.json").read_text("utf-8"))["sightings"]
    assert seen["place"]["point"] == {"latitude": 37.5, "longitude": 127.1}
    assert (seen["direction"], seen["time"]["uncertainty_s"]) == (None, None)
    assert seen["confidence"]["confirmed"] == "2025-06-01T08:59:55+09:00"
    [seen] = json.loads((bare / "feed.json").read_text("utf-8"))["sightings"]
    assert (seen["place"]["point"], seen["time"]["uncertainty_s"]) == (None, 2.5)
    broken = json.loads((whole / "feed.json").read_text("utf-8"))
    broken["sightings"][0]["media"][0]["sha256"] = "?"
    assert not validator.is_valid(broken)


class _Loads(HTMLParser):
    """Everything a page loads or links to."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster", "action"):
                self.sources.append(value or "")
            if name == "href":
                self.links.append(value or "")


def test_the_page_loads_nothing_and_links_to_its_files(scene: Scene, tmp_path: Path) -> None:
    export(scene, tmp_path / "out")
    text = (tmp_path / "out" / "index.html").read_text("utf-8")
    page = _Loads()
    page.feed(text)
    assert page.sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert len(page.links) == 4
    assert all((tmp_path / "out" / link).is_file() for link in page.links)
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "b"}  # names are escaped
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert "± unknown · 오차 알 수 없음" in text
    assert "2025-17 &lt;아동&gt;" in text


def test_a_sighting_over_midnight_shows_both_days() -> None:
    midnight = milliseconds(datetime(2025, 2, 17, 15, tzinfo=UTC))
    assert span(midnight - 3000, midnight + 2000) == "2025-02-17 23:59:57 – 2025-02-18 00:00:02"
    assert span(midnight, midnight + 2000) == "2025-02-18 00:00:00 – 00:00:02"


def test_check_finds_what_was_altered_lost_or_added(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = export(scene, out)
    media = media_of(out)
    sound = check_export(out)
    assert (sound.sound, sound.manifest) == (True, exported.manifest)
    data = bytearray(media["still"].read_bytes())
    data[-100] ^= 1
    media["still"].write_bytes(bytes(data))
    media["clip"].unlink()
    (out / "note.txt").write_text("?")
    found = check_export(out)
    assert found.altered == (media["still"].relative_to(out).as_posix(),)
    assert found.missing == (media["clip"].relative_to(out).as_posix(),)
    assert found.unexpected == ("note.txt",)


@pytest.mark.parametrize("name", ["manifest.json", "SHA256SUMS", "index.html", "feed.json"])
def test_check_finds_each_altered_document(scene: Scene, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    export(scene, out)
    path = out / name
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    assert not check_export(out).sound


def test_check_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no export"):
        check_export(tmp_path)


def test_a_manifest_cannot_point_outside(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(scene, out)
    manifest = manifest_of(out)
    manifest["files"][0]["path"] = "../footage/a.mp4"
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert "manifest.json" in check_export(out).altered


# what already lies at the target -> refused, untouched
def test_nothing_is_overwritten(scene: Scene, tmp_path: Path) -> None:
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    (full / "a").write_text("mine")
    file.write_text("mine")
    for out in (full, file):
        with pytest.raises(InputError, match=r"not empty|something else"):
            export(scene, out)
    assert (full / "a").read_text() == file.read_text() == "mine"
    (tmp_path / "empty").mkdir()
    export(scene, tmp_path / "empty")
    assert check_export(tmp_path / "empty").sound


def test_no_confirmed_sighting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to export"):
        export_case(Sheet("1", 0, None, ()), tmp_path / "out", MADE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interruption_leaves_nothing(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(*_: Any) -> None:
        raise error

    monkeypatch.setattr("search.export.exporting.page_html", fails)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StorageError if isinstance(error, OSError) else KeyboardInterrupt):
        export(scene, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_what_a_killed_export_left_is_taken_over_and_a_running_one_is_not(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".out.part"
    (left / "media" / "x").mkdir(parents=True)
    (left / "media" / "x" / "still.jpg").write_bytes(b"half")
    refused: list[InputError] = []
    real = page_html

    def meanwhile(*given: Any) -> str:
        def second() -> None:
            with pytest.raises(InputError) as caught:
                export(scene, tmp_path / "out")
            refused.append(caught.value)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        return real(*given)

    monkeypatch.setattr("search.export.exporting.page_html", meanwhile)
    export(scene, tmp_path / "out")
    assert "another export" in str(refused[0])
    assert check_export(tmp_path / "out").sound
    assert not left.exists()


def test_an_erased_sighting_is_told(scene: Scene, tmp_path: Path) -> None:
    export(scene, tmp_path / "out", erased_ms=MADE)
    assert "erased" in codes(tmp_path / "out")


@pytest.fixture
def case(scene: Scene) -> str:
    """The same confirmed in a case, another sighting rejected."""
    with Catalogue(scene.archive) as catalogue:
        seen = catalogue.snapshot()
    everybody = [
        Judged("songpa", scene.row.embedder, one.record, one.vectors, one.thumbnail)
        for entry in seen.segments
        for one in open_entry(scene.archive, entry).stored()
    ]
    red = [each for each in everybody if each.record.id == scene.red.record.id]
    others = [each for each in everybody if each.record.id != scene.red.record.id]
    with Cases(scene.archive) as cases:
        cases.record("2026-SP-0142", MADE, confirmed=red, rejected=others)
    return "2026-SP-0142"


def reid(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def test_the_command_exports_a_case_and_checks_it(scene: Scene, case: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = reid("export", case, out, "--home", scene.archive.home, "--json")
    assert done.exit_code == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["sightings"], printed["clips"], printed["missing"]) == (1, 1, [])
    [sighting] = manifest_of(out)["sightings"]
    assert sighting["id"] == scene.red.record.id
    assert sighting["decided"] == "2025-06-01T09:00:00+09:00"
    checked = reid("export", "--check", out, "--json")
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["manifest"] == printed["manifest"]
    media_of(out)["still"].write_bytes(b"?")
    again = reid("export", "--check", out)
    assert again.exit_code == 1
    assert "altered: media/" in again.stdout


def test_the_command_tells_what_is_missing(scene: Scene, case: str, tmp_path: Path) -> None:
    with Cases(scene.archive) as cases:
        sighting = replace(
            cases.get(case).sightings[0].judged, packed=packed(replace(scene.red.record, path="/gone").pack())
        )
        cases.record("gone", MADE, confirmed=[sighting])
    scene.clip.unlink()
    done = reid("export", "gone", tmp_path / "out", "--home", scene.archive.home)
    assert done.exit_code == 1
    assert "missing: " in done.stdout
    assert "run reid index on its new place" in done.stdout


def test_times_follow_what_is_known_of_the_clock_now(scene: Scene, case: str, tmp_path: Path) -> None:
    """The clock was a minute ahead, give or take 8 seconds, and the day was erased from the archive since."""
    with Catalogue(scene.archive, "write") as catalogue:
        catalogue.put_cameras([replace(CAMERA, clock_offset_s=60.0, clock_uncertainty_s=8.0)])
    erase_time(scene.archive, "songpa", milliseconds(START) - 61_000, milliseconds(START) - 50_000)
    done = reid("export", case, tmp_path / "out", "--home", scene.archive.home)
    assert done.exit_code == 0, done.stderr
    [sighting] = manifest_of(tmp_path / "out")["sightings"]
    assert sighting["start"] == "2025-02-18T12:33:01+09:00"
    assert sighting["cut"]["start"] == "2025-02-18T12:33:00+09:00"
    assert (sighting["clock_offset_s"], sighting["uncertainty_s"]) == (60.0, 8.0)
    assert sighting["erased"] is not None
    assert codes(tmp_path / "out") == ["erased"]
    assert "± 8 s" in (tmp_path / "out" / "index.html").read_text("utf-8")


# arguments after `reid export` -> what the line on stderr says
REFUSED: dict[str, tuple[list[str], str]] = {
    "no case": ([], "reid export CASE OUT"),
    "no folder": (["2026-SP-0142"], "reid export CASE OUT"),
    "unknown case": (["2026-SP-0143", "out"], "did you mean 2026-SP-0142"),
    "check and case": (["2026-SP-0142", "--check", "out"], "leave CASE, OUT and --blur out"),
    "check of nothing": (["--check", "nowhere"], "no export there"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_use_of_the_command(
    scene: Scene, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, told = REFUSED[name]
    done = reid("export", *arguments, "--home", scene.archive.home)
    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr
    assert not (tmp_path / "out").exists()
