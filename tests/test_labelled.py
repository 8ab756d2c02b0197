"""Labelled folders as people make them: loose or zipped pictures, and everything that can be wrong."""

import json
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import cli
from benchmarks.__main__ import main as benchmarks
from benchmarks.footage import EVAL
from reid.calibration import load_calibration
from reid.embedder import load_embedder
from reid.errors import InputError
from reid.evaluation import evaluate
from reid.images import encode_jpeg
from reid.labelled import embed_folder, read_folder
from reid.registry import DEFAULT_EMBEDDER
from tests.world import COLOURS, FakeEmbedder

runner = CliRunner()
HEADER = "file,person_id,camera_id\n"


def picture(colour: str, brightness: int = 0) -> bytes:
    return encode_jpeg(
        np.clip(np.full((64, 32, 3), COLOURS[colour], int) + brightness, 0, 255).astype(np.uint8)
    )


def write_people(folder: Path, place: Callable[[str, bytes], object]) -> Path:
    """Two pictures of each colour's person, in two cameras of different brightness."""
    lines = []
    for colour in COLOURS:
        for camera in (1, 2):
            name = f"{colour}-{camera}.jpg"
            place(name, picture(colour, -20 * camera))
            lines.append(f"{name},{colour},{camera}")
    (folder / "manifest.csv").write_text(HEADER + "\n".join(lines), "utf-8")
    return folder


@pytest.fixture
def people(tmp_path: Path) -> Path:
    return write_people(tmp_path, lambda name, data: (tmp_path / name).write_bytes(data))


def add_line(folder: Path, line: str) -> None:
    with (folder / "manifest.csv").open("a", encoding="utf-8") as stream:
        stream.write("\n" + line)


def test_loose_pictures_in_images_and_zipped_are_the_same(people: Path, tmp_path: Path) -> None:
    expected = embed_folder(read_folder(people), FakeEmbedder())[0]
    assert evaluate(expected).plain.overall.ranks[0] == 1
    beside, zipped = tmp_path / "beside", tmp_path / "zipped"
    (beside / "images").mkdir(parents=True)
    zipped.mkdir()
    write_people(beside, lambda name, data: (beside / "images" / name).write_bytes(data))
    with zipfile.ZipFile(zipped / "images.zip", "w") as archive:
        write_people(zipped, archive.writestr)
    for folder in (beside, zipped):
        vectors, skipped = embed_folder(read_folder(folder), FakeEmbedder())
        assert skipped == ()
        assert (vectors.vectors == expected.vectors).all()


def test_the_order_of_the_manifest_does_not_matter(people: Path) -> None:
    before = embed_folder(read_folder(people), FakeEmbedder())[0]
    manifest = people / "manifest.csv"
    header, *lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([header, *reversed(lines)]))
    after = embed_folder(read_folder(people), FakeEmbedder())[0]
    assert (before.vectors == after.vectors).all()
    assert (before.people == after.people).all()


def test_further_columns_and_conditions(people: Path) -> None:
    manifest = people / "manifest.csv"
    header, *lines = manifest.read_text().splitlines()
    conditions = ["day", "", "night", "day", "day", "day", "day", "day", "day", "day"]
    rows = [f"{line},{condition},x" for line, condition in zip(lines, conditions, strict=True)]
    manifest.write_text("\n".join([f"{header},condition,note", *rows]))
    vectors, _ = embed_folder(read_folder(people), FakeEmbedder())
    assert vectors.condition_names == ("day", "night", "not stated")
    found = evaluate(vectors).to_json()["by_condition"]
    assert {name: each["queries"] for name, each in found.items()} == {"day": 8, "night": 1, "not stated": 1}


BAD_LINES = [
    # (line, reason, part of the message)
    ("red-1.jpg,red,1", "duplicate", "line 2"),
    ("./red-1.jpg,red,1", "duplicate", "line 2"),
    ("gone.jpg,red,1", "missing", "not in"),
    ("../outside.jpg,red,1", "outside", "relative"),
    ("/etc/passwd,red,1", "outside", "relative"),
    ("a/../../outside.jpg,red,1", "outside", "relative"),
    ("..\\outside.jpg,red,1", "outside", "relative"),
    ("empty.jpg,red,1", "unreadable", "empty"),
    ("cut.jpg,red,1", "unreadable", "damaged or cut off"),
    ("text.jpg,red,1", "unreadable", "expected an image"),
    ("folder,red,1", "unreadable", "expected an image file"),
    ("n" * 300 + ".jpg,red,1", "unreadable", "too long"),
]


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "zip"])
@pytest.mark.parametrize(("line", "reason", "message"), BAD_LINES, ids=[c[0][:30] for c in BAD_LINES])
def test_bad_pictures_are_listed(people: Path, line: str, reason: str, message: str, packed: bool) -> None:
    whole = picture("red")
    (people.parent / "outside.jpg").write_bytes(whole)
    broken = {"empty.jpg": b"", "cut.jpg": whole[: len(whole) // 2], "text.jpg": b"no picture"}
    if packed:
        with zipfile.ZipFile(people / "images.zip", "w") as archive:
            for name, data in {**broken, "../outside.jpg": whole, "/etc/passwd": whole}.items():
                archive.writestr(name, data)
    else:
        for name, data in broken.items():
            (people / name).write_bytes(data)
    (people / "folder").mkdir()
    add_line(people, line)
    vectors, skipped = embed_folder(read_folder(people), FakeEmbedder())
    assert len(vectors.vectors) == 2 * len(COLOURS)
    assert [(skip.line, skip.reason) for skip in skipped] == [(12, reason)]
    assert message in skipped[0].message


BAD_MANIFESTS = [
    # (text; None for no file, what the error says)
    (None, "cannot be read"),
    ("", "empty file"),
    (HEADER, "got none"),
    ("file,person_id\nred-1.jpg,red\n", "camera_id"),
    ("file,person_id,camera_id,file\nred-1.jpg,red,1,a\n", "expected the columns"),
    (HEADER + "red-1.jpg,red\n", "line 2: expected 3 fields"),
    (HEADER + "red-1.jpg,,1\n", "line 2: person_id is empty"),
    (HEADER + ",red,1\n", "line 2: file is empty"),
    (HEADER + "red-1.jpg,red,1\nred-1.jpg,blue,1\n", "line 3: red-1.jpg has other labels in line 2"),
    (HEADER + 'red-1.jpg,"red,1\n', "comma-separated"),
    (HEADER + "gone.jpg,red,1\nalso-gone.jpg,red,2\n", "none of 2 pictures"),
    (HEADER + "".join(f"{n}.jpg,,1\n" for n in range(30)), "and 20 more"),
]


@pytest.mark.parametrize(("text", "message"), BAD_MANIFESTS, ids=[case[1] for case in BAD_MANIFESTS])
def test_bad_manifests(people: Path, text: str | None, message: str) -> None:
    manifest = people / "manifest.csv"
    manifest.unlink() if text is None else manifest.write_text(text)
    with pytest.raises(InputError) as caught:
        embed_folder(read_folder(people), FakeEmbedder())
    assert message in str(caught.value)
    assert str(people) in str(caught.value)


def test_bad_zip_files(people: Path) -> None:
    packed = people / "images.zip"
    packed.write_bytes(b"no zip file")
    with pytest.raises(InputError, match="expected a zip file"):
        embed_folder(read_folder(people), FakeEmbedder())
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.jpg", picture("red"))
        archive.writestr("bomb.jpg", b"")
    data = bytearray(packed.read_bytes())
    data[60] ^= 0xFF  # in the packed bytes of the first picture
    packed.write_bytes(data)
    add_line(people, "inside.jpg,red,1")
    skipped = embed_folder(read_folder(people), FakeEmbedder())[1]
    assert [(skip.file, skip.reason) for skip in skipped] == [("inside.jpg", "unreadable")]


def test_a_huge_member_is_not_unpacked(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reid.labelled._MAX_BYTES", 100_000)
    with zipfile.ZipFile(people / "images.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.jpg", bytes(200_000))
    add_line(people, "bomb.jpg,red,1")
    skipped = embed_folder(read_folder(people), FakeEmbedder())[1]
    assert "at most" in skipped[0].message


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("packed", [False, True], ids=["loose", "zip"])
def test_korean_names_are_found_however_they_are_stored(people: Path, stored: str, packed: bool) -> None:
    name = unicodedata.normalize(stored, "할머니.jpg")  # type: ignore[arg-type]
    if packed:
        with zipfile.ZipFile(people / "images.zip", "w") as archive:
            archive.writestr(name, picture("red"))
    else:
        (people / name).write_bytes(picture("red"))
    add_line(people, "할머니.jpg,red,1")
    assert embed_folder(read_folder(people), FakeEmbedder())[1] == ()


def test_the_command(people: Path, tmp_path: Path) -> None:
    home = str(tmp_path / "no-archive-yet")
    done = runner.invoke(cli.app, ["eval", str(people), "--home", home, "--json"])
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    figures = {"rank1", "rank5", "rank10", "mAP", "mINP", "queries", "images"}
    assert answer.keys() >= {"model", "camera_means", "by_condition", "histogram", "skipped", *figures}
    assert answer["camera_means"].keys() >= figures
    assert (answer["model"], answer["queries"], answer["images"]) == (DEFAULT_EMBEDDER, 10, 10)
    add_line(people, "gone.jpg,red,1")
    add_line(people, "[/x].jpg,red,1")
    shown = runner.invoke(cli.app, ["eval", str(people), "--home", home])
    assert shown.exit_code == 1
    assert "rank-1" in shown.stdout
    assert "[/x].jpg" in shown.stdout
    listed = json.loads(runner.invoke(cli.app, ["eval", str(people), "--home", home, "--json"]).stdout)
    assert [skip["reason"] for skip in listed["skipped"]] == ["missing", "missing"]


def test_calibration_is_kept_with_the_archive(people: Path, tmp_path: Path) -> None:
    arguments = ["eval", str(people), "--calibrate", "--home", str(tmp_path / "home")]
    few = runner.invoke(cli.app, [*arguments, "--json"])
    assert (few.exit_code, few.stdout) == (2, "")
    assert "at least 20 people" in few.stderr
    random = np.random.default_rng(1)
    for number in range(20):
        colours = random.integers(0, 256, (4, 1, 3), np.uint8).repeat(16, 0).repeat(32, 1)
        for camera in (1, 2):
            shown = np.clip(colours + random.normal(0, 12, colours.shape), 0, 255).astype(np.uint8)
            (people / f"{number}-{camera}.jpg").write_bytes(encode_jpeg(shown))
            add_line(people, f"{number}-{camera}.jpg,extra {number},{camera}")
    shown_table = runner.invoke(cli.app, arguments)
    assert shown_table.exit_code == 0, shown_table.stderr
    assert "fitted on 25 people" in " ".join(shown_table.stdout.split())
    done = json.loads(runner.invoke(cli.app, [*arguments, "--json"]).stdout)
    (kept,) = (tmp_path / "home" / "calibration").iterdir()
    assert load_calibration(kept).to_json()["weights"] == tuple(done["calibration"]["weights"])
    assert kept.stem == done["sha256"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["absent"], "expected a folder"),
        ([".", "--model", "osnet"], "unknown embedder"),
        ([".", "--model", "osnet-x0.25-msmt17-onnx"], "reid models add"),
    ],
)
def test_wrong_use(people: Path, arguments: list[str], line: str) -> None:
    folder, *rest = arguments
    done = runner.invoke(cli.app, ["eval", str(people / folder), *rest, "--home", str(people), "--json"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert line in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_camera_only(people: Path) -> None:
    manifest = people / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",2\n", ",1\n").removesuffix(",2") + ",1")
    done = runner.invoke(cli.app, ["eval", str(people), "--home", str(people), "--json"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "1 camera(s) and 5 person(s)" in done.stderr


def test_all_embedders_side_by_side(people: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    arguments = ["accuracy", "--set", str(people), "--quick", "--json", str(figures)]
    assert benchmarks(arguments) == 0
    rows = {row["embedder"]: row for row in json.loads(figures.read_text())["accuracy"]["embedders"]}
    assert rows.keys() >= {DEFAULT_EMBEDDER, "colour histograms", "chance"}
    for row in rows.values():
        (outcome,) = row["sets"].values()
        assert outcome["queries"] == 10
        assert row["images_per_s"] > 0
    assert rows[DEFAULT_EMBEDDER]["sets"][people.name]["rank1"] == 1  # the people are plain colours


@pytest.mark.skipif(not (EVAL / "cuhk01").is_dir(), reason="the real pictures are not beside the repository")
def test_the_earlier_embedder_on_real_pictures() -> None:
    """Measured before by another implementation of the protocol: .300/.331, means off .402/.426."""
    found = evaluate(embed_folder(read_folder(EVAL / "cuhk01"), load_embedder("people-rnet-c"))[0])
    assert found.plain.overall.ranks[0] == pytest.approx(0.30, abs=0.025)
    assert found.plain.overall.mean_ap == pytest.approx(0.331, abs=0.02)
    assert found.camera_means.overall.ranks[0] == pytest.approx(0.402, abs=0.025)
    assert found.camera_means.overall.mean_ap == pytest.approx(0.426, abs=0.02)
