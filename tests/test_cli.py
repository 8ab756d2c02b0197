"""The command line as a user meets it: exit codes, one clear line, JSON alone on stdout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import cli
from benchmarks.city.plan import make_plan
from benchmarks.city.settings import DEMO
from indexer.catalogue import Catalogue
from indexer.districts import load_districts
from indexer.keyvalue import KeyValueFile
from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from reid.boxes import iou
from reid.images import encode_jpeg
from reid.registry import DEFAULT_EMBEDDER
from search import demo
from tests.world import picture_of

ROOT = Path(__file__).parents[1]
runner = CliRunner()


def reid(*arguments: object) -> Result:
    return runner.invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The demo, run once."""
    home = tmp_path_factory.mktemp("demo") / "archive"
    return home, reid("demo", "--home", home, "--json")


def a_clip_with_the_missing_person() -> Path:
    return demo.CITY.clip(demo.read_demo().passages_of(demo.PERSON)[0].clip)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode_jpeg(picture_of([], 0)[:, :80]))
    return path


def test_the_demo_finds_the_missing_person(shown: tuple[Path, Result]) -> None:
    home, result = shown
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert len(answer["truth"]["passed"]) >= 4
    assert answer["sightings"][0]["rank"] in answer["truth"]["right_ranks"]
    assert len(answer["truth"]["best_rank_by_clip"]) >= 3
    assert (home / "report.html").stat().st_size > 10_000


def test_the_demo_judges_by_the_truth_and_not_by_the_score(shown: tuple[Path, Result]) -> None:
    """Each sighting called right must lie in a passage of the missing person, each other one must not."""
    _, result = shown
    answer = json.loads(result.stdout)
    truth = demo.read_demo()
    passages = {row.clip: row for row in truth.passages_of(demo.PERSON)}
    assert set(passages) == set(answer["truth"]["passed"])
    for sighting in answer["sightings"]:
        clip = "/".join(Path(sighting["clip"]).parts[-3:])
        frame = sighting["clip_offset_s"] * truth.clips[clip].frame_rate
        box = np.array([sighting["box"]], np.float32)
        shows = truth.frame(clip, round(frame))
        overlaps = iou(box, shows.boxes)[0]
        person = overlaps[shows.people == demo.PERSON].max(initial=0)
        right = clip in passages and bool(person >= 0.4 and person == overlaps.max(initial=0))
        assert right == (sighting["rank"] in answer["truth"]["right_ranks"])
        if right:
            assert passages[clip].first_frame - 1 <= frame <= passages[clip].last_frame + 1


def test_the_demo_fits_the_package_and_the_programme() -> None:
    files = [path for path in demo.CITY.root.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12_000_000
    truth = demo.read_demo()
    districts = {name.split("/")[0] for name in truth.clips}
    assert districts == {row.slug for row in load_districts().active}
    assert {path.name for path in demo.FOOTAGE.rglob("*.mp4")} == {Path(name).name for name in truth.clips}
    made_from = make_plan(DEMO)
    assert truth.made_from["digest"] == made_from.digest  # the recipe in the repository makes this city


def test_searching_the_demo_archive(shown: tuple[Path, Result], tmp_path: Path) -> None:
    home, _ = shown
    report = tmp_path / "report.html"
    result = reid("search", demo.PHOTO, "--home", home, "-d", "송파", "--top", 3, "--html", report)
    assert result.exit_code == 0, result.stderr
    assert "송파구 songpa" in result.stdout
    assert "Searched" in result.stdout
    assert report.read_text("utf-8").startswith("<!doctype html>")
    seen = ("--last-seen", "37.5056,127.1153", "--at", "2025-11-03 13:00", "--age", "노인")
    again = json.loads(reid("search", demo.PHOTO, "--home", home, "-d", "songpa", *seen, "--json").stdout)
    assert {sighting["district"] for sighting in again["sightings"]} == {"songpa"}
    assert all(sighting["minutes_after"] > 0 for sighting in again["sightings"])
    assert again["last_seen"]["age"] == "elder"
    assert again["route"] is not None


def test_searching_by_photo_and_description(shown: tuple[Path, Result], tmp_path: Path) -> None:
    home, _ = shown
    said = ("-d", "songpa", "--upper", "yellow", "--age", "노인", "--clothes-changed")
    report = tmp_path / "report.html"
    both = reid("search", demo.PHOTO, *said, "--home", home, "--html", report)
    assert both.exit_code == 0
    for text in ("less reliable", "upper yellow: ", "노인"):
        assert text in both.stdout
        assert text in report.read_text()


def test_a_kept_result_is_asked_again(shown: tuple[Path, Result], tmp_path: Path) -> None:
    home, _ = shown
    kept = tmp_path / "result.json"
    kept.write_text(reid("search", demo.PHOTO, "--home", home, "-d", "songpa", "--json").stdout)
    again = reid("replay", kept, "--home", home)
    assert (again.exit_code, again.stdout) == (0, "The same ranking.\n")
    result = json.loads(kept.read_text())
    result["sightings"][0]["score"] = 0.1
    kept.write_text(json.dumps(result))
    changed = reid("replay", kept, "--home", home, "--photo", demo.PHOTO, "--json")
    assert changed.exit_code == 1
    answer = json.loads(changed.stdout)
    assert not answer["same"]
    assert [each["id"] for each in answer["ranking"]] == [result["sightings"][0]["id"]]
    assert answer["changes"] == []
    kept.write_text("no JSON")
    broken = reid("replay", kept, "--home", home)
    assert (broken.exit_code, broken.stdout) == (2, "")
    assert "reid search PHOTO --json" in broken.stderr


def test_indexing_the_demo_again_does_nothing(shown: tuple[Path, Result]) -> None:
    home, _ = shown
    before = json.loads(reid("stats", "--home", home, "--json").stdout)
    result = reid("index", demo.FOOTAGE, "--home", home, "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (len(answer["done"]), len(answer["skipped"]), len(answer["failed"])) == (0, 26, 0)
    assert json.loads(reid("stats", "--home", home, "--json").stdout) == before
    assert before["clips"] == 26
    assert before["cameras"] == 26
    assert before["districts"] == 19


def test_the_doctor_finds_a_damaged_segment(shown: tuple[Path, Result], tmp_path: Path) -> None:
    home, _ = shown
    assert reid("doctor", "--home", home, "--deep").exit_code == 0
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(home), str(copy)], check=True)
    records = next((copy / "shards").rglob("records.bin"))
    data = bytearray(records.read_bytes())
    data[-1] ^= 1
    records.write_bytes(data)
    assert reid("doctor", "--home", copy).exit_code == 0  # a search compares it where it shows a sighting
    deep = reid("doctor", "--home", copy, "--deep", "--json")
    assert deep.exit_code == 3
    states = {check["name"]: check["state"] for check in json.loads(deep.stdout)["checks"]}
    assert states["segments"] == "failed"


def test_a_damaged_segment_makes_a_search_exit_with_one(shown: tuple[Path, Result], tmp_path: Path) -> None:
    home, _ = shown
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(home), str(copy)], check=True)
    next((copy / "shards").rglob("manifest.json")).write_text("{")
    result = reid("search", demo.PHOTO, "--home", copy, "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert len(answer["damaged"]) == 1
    assert "damaged segment" in [gap["reason"] for gap in answer["coverage"]["missing"]]


def test_two_photos_are_one_question(shown: tuple[Path, Result], tmp_path: Path) -> None:
    home, _ = shown
    again = tmp_path / "again.jpg"
    again.write_bytes(demo.PHOTO.read_bytes())
    one, two = (
        json.loads(reid("search", *photos, "--home", home, "--top", 3, "--json").stdout)
        for photos in ([demo.PHOTO], [demo.PHOTO, again])
    )
    assert [each["photo"] for each in two["photos"]] == [str(demo.PHOTO), str(again)]
    assert [each["id"] for each in two["sightings"]] == [each["id"] for each in one["sightings"]]
    assert two["expected_right"] == pytest.approx(one["expected_right"], abs=0.01)  # the same says no more
    for choice in (["--person", "1"], ["--box", "1,2,30,80"]):
        refused = reid("search", demo.PHOTO, again, "--home", home, *choice)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert f"{choice[0]} says who it is in one photo, got 2 photos" in refused.stderr


BAD = [
    # (arguments after `search PHOTO`, exit code, what the line says)
    (["-d", "songpaa"], 2, "did you mean songpa"),
    (["-d", "송퍄구"], 2, "송파"),
    (["--since", "2025-02-19", "--until", "2025-02-17"], 2, "--until must be later"),
    (["--since", "soon"], 2, "2025-02-18"),
    (["--since", ""], 2, "2025-02-18"),  # an unset shell variable must not search everything
    (["--box", ""], 2, "x1,y1,x2,y2"),
    (["--box", "1,2,3"], 2, "x1,y1,x2,y2"),
    (["--box", "0,0,9999,9999"], 2, "within"),
    (["--box", "1,2,30,80", "--person", "1"], 2, "exclude"),
    (["--person", "4"], 2, "nobody was found"),
    (["--top", "0"], 2, ""),
    (["--html", "/proc/none/report.html"], 2, "does not exist"),
    (["--html", "photo.jpg"], 2, "ending in .html"),
    (["-c", "a/b"], 2, "slash"),
    (["-c", "NOBODY-1"], 2, "unknown camera"),
    (["--near", "35.1,129.0"], 2, "widen with --within"),
    (["--within", "3"], 2, "needs the point: --near"),
    (["--since", "2099-01-01"], 2, "still to come"),
    (["--upper", "qqq"], 2, "expected one of"),
]


@pytest.mark.parametrize(("arguments", "code", "line"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_bad_search_options(
    shown: tuple[Path, Result], photo: Path, arguments: list[str], code: int, line: str
) -> None:
    home, _ = shown
    result = reid("search", photo, "--home", home, *arguments)
    assert result.exit_code == code, result.stderr
    assert line in result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    if line:
        assert result.stderr.count("\n") <= 2


def test_bad_archives(tmp_path: Path, photo: Path) -> None:
    absent = reid("search", photo, "--home", tmp_path / "absent")
    assert (absent.exit_code, "reid init" in absent.stderr) == (3, True)
    assert not (tmp_path / "absent").exists()
    assert reid("stats", "--home", tmp_path / "absent").exit_code == 3
    empty = tmp_path / "empty"
    assert reid("init", "--home", empty).exit_code == 0
    nothing = reid("search", photo, "--home", empty)
    assert (nothing.exit_code, "nothing can be found or ruled out" in nothing.stderr) == (3, True)
    with Catalogue(ArchiveFiles(empty), "write") as catalogue, catalogue._file.write() as tables:
        tables["meta"].put("format_version", 7)
    newer = reid("search", photo, "--home", empty)
    assert (newer.exit_code, "format version 7" in newer.stderr) == (3, True)
    earlier = tmp_path / "earlier"  # the format before camera means lacks a table
    earlier.mkdir()
    with KeyValueFile(ArchiveFiles(earlier).catalogue, ("meta", "segments")) as file, file.write() as tables:
        tables["meta"].put("format_version", 1)
    before = ArchiveFiles(earlier).catalogue.read_bytes()
    for arguments in (("search", photo), ("stats",), ("init",)):
        older = reid(*arguments, "--home", earlier)
        assert (older.exit_code, "format version 1, this release reads" in older.stderr) == (3, True)
    assert ArchiveFiles(earlier).catalogue.read_bytes() == before
    garbage = tmp_path / "garbage"
    garbage.mkdir()
    (garbage / "catalogue.lmdb").write_bytes(b"x" * 9000)
    damaged = reid("stats", "--home", garbage)
    assert damaged.exit_code == 3, damaged.stderr
    assert damaged.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("frames_per_second = 0", "frames_per_second"),
        ("frames_per_second = 'many'", "frames_per_second"),
        ("detectr = 'x'", "detectr"),
        ("not toml", "expected TOML"),
        ("embedder = 'people-rnet'", "did you mean people-rnet"),
    ],
)
def test_bad_settings(tmp_path: Path, shown: tuple[Path, Result], photo: Path, text: str, line: str) -> None:
    home = tmp_path / "archive"
    subprocess.run(["cp", "-r", str(shown[0]), str(home)], check=True)
    (home / "reid.toml").write_text(text)
    result = reid("search", photo, "--home", home)
    assert result.exit_code == 2, result.stderr
    assert line in result.stderr


def test_bad_footage_is_listed_and_the_rest_is_done(tmp_path: Path) -> None:
    footage = tmp_path / "songpa" / "SP-1"
    footage.mkdir(parents=True)
    good = a_clip_with_the_missing_person()
    (footage / good.name).write_bytes(good.read_bytes())
    cut = footage / "20251103T160000.mp4"
    cut.write_bytes(good.read_bytes()[: good.stat().st_size // 3])
    (footage / "20251103T170000.mp4").write_bytes(b"")
    (footage / "20251103T180000.mp4").write_bytes(b"no video at all")
    (footage / "no-time.avi").write_bytes(good.read_bytes()[:1000])
    result = reid("index", tmp_path / "songpa", "--home", tmp_path / "archive", "--json")
    assert result.exit_code == 1, result.stderr
    answer = json.loads(result.stdout)
    assert {Path(clip["clip"]).name: clip["reason"] for clip in answer["failed"]}.items() >= {
        "20251103T170000.mp4": "empty",
        "20251103T180000.mp4": "not_video",
    }.items()
    assert good.name in {Path(clip["clip"]).name for clip in answer["done"]}


def test_wrong_use(tmp_path: Path) -> None:
    absent = ["index", tmp_path / "absent", "--home", tmp_path / "a"]
    for arguments in (["serach"], ["index"], ["search"], absent):
        result = reid(*arguments)
        assert result.exit_code == 2, arguments
        assert "Traceback" not in result.stderr


def test_init_leaves_what_is_there(tmp_path: Path) -> None:
    assert reid("init", "--home", tmp_path / "a", "--cameras", demo.CAMERAS).exit_code == 0
    settings = tmp_path / "a" / "reid.toml"
    settings.write_text("top = 5\n")
    assert reid("init", "--home", tmp_path / "a").exit_code == 0
    assert settings.read_text() == "top = 5\n"
    listed = json.loads(reid("cameras", "list", "--home", tmp_path / "a", "--json").stdout)["cameras"]
    assert {camera["id"] for camera in listed} >= {"SP-01", "GJ-02"}


def test_districts_and_models(tmp_path: Path) -> None:
    listed = json.loads(reid("districts", "--home", tmp_path, "--json").stdout)["districts"]
    assert len(listed) == 25
    assert sum(row["active"] for row in listed) == 19
    assert "송파구" in reid("districts", "--home", tmp_path).stdout
    models = json.loads(reid("models", "list", "--home", tmp_path, "--json").stdout)["models"]
    assert {model["name"] for model in models if model["in_use"]} == {
        "pedestrian-ssdlite", DEFAULT_EMBEDDER, "people-look-2"
    }  # fmt: skip
    assert all(len(model["sha256"]) == 64 for model in models)


def test_starting_is_light() -> None:
    """`reid --help` must not wait for torch."""
    heavy = "{'torch', 'cv2', 'faiss', 'av', 'numpy', 'pydantic', 'lmdb'}"
    code = f"import sys, cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_the_readme_names_every_command_and_setting() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for command in cli.app.registered_commands:
        assert command.callback is not None
        assert f"`reid {command.name or command.callback.__name__}" in readme
    for name, group in cli.GROUPS.items():
        for command in group.registered_commands:
            assert f"`reid {name} {command.name}" in readme
    for name in Settings.model_fields:
        assert f"`{name}`" in readme


def test_the_installed_script_runs() -> None:
    script = Path(sys.executable).with_name("reid")
    done = subprocess.run([str(script), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "search" in done.stdout


def test_brackets_in_names_are_no_markup(tmp_path: Path) -> None:
    table = tmp_path / "cameras.csv"
    table.write_text("camera,name,district\nS-1,[/x] gate [b],songpa\n", "utf-8")
    assert reid("init", "--home", tmp_path / "a", "--cameras", table).exit_code == 0
    assert "[/x] gate [b]" in reid("cameras", "list", "--home", tmp_path / "a").stdout


def test_removing_a_camera(shown: tuple[Path, Result], tmp_path: Path) -> None:
    home = tmp_path / "a"
    assert reid("init", "--home", home, "--cameras", demo.CAMERAS).exit_code == 0
    assert reid("cameras", "remove", "송파", "SP-01", "--home", home).exit_code == 0
    listed = json.loads(reid("cameras", "list", "--home", home, "--json").stdout)["cameras"]
    assert "SP-01" not in {camera["id"] for camera in listed}
    assert reid("cameras", "remove", "songpa", "SP-01", "--home", home).exit_code == 2
    kept = reid("cameras", "remove", "songpa", "SP-01", "--home", shown[0])
    assert (kept.exit_code, "has indexed footage" in kept.stderr) == (2, True)


@pytest.mark.parametrize("kind", ["fifo", "device", "loop", "nul"])
def test_what_is_no_file_never_hangs_or_crashes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.mp4"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path = tmp_path / "odd\0.mp4"
    assert reid("init", "--home", tmp_path / "a").exit_code == 0
    indexed = reid("index", path, "-d", "songpa", "-c", "A", "--home", tmp_path / "a")
    assert indexed.exit_code in (1, 2), indexed.exception
    searched = reid("search", path, "--home", tmp_path / "a")
    assert searched.exit_code in (2, 3), searched.exception


def test_a_catalogue_with_altered_bytes_never_crashes(shown: tuple[Path, Result], tmp_path: Path) -> None:
    home = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(shown[0]), str(home)], check=True)
    whole = (home / "catalogue.lmdb").read_bytes()
    code = "import cli, sys; sys.argv = ['reid', 'stats', '--home', sys.argv[1]]; cli.main()"
    random = np.random.default_rng(2)
    for number in range(12):
        data = bytearray(whole)
        if number < 3:
            data = data[: len(data) * (number + 1) // 4]
        else:
            for place in random.integers(8192, len(data), 30):
                data[place] = random.integers(256)
        (home / "catalogue.lmdb").write_bytes(data)
        done = subprocess.run(
            [sys.executable, "-c", code, str(home)], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode in (0, 3), (number, done.returncode, done.stderr[-300:])


def test_inactive_districts_with_cameras_are_searched_by_default(tmp_path: Path) -> None:
    home, good = tmp_path / "a", a_clip_with_the_missing_person()
    assert reid("index", good, "-d", "jongno", "-c", "J-1", "--home", home).exit_code == 0
    answer = json.loads(reid("search", demo.PHOTO, "--home", home, "--json").stdout)
    assert {sighting["district"] for sighting in answer["sightings"]} == {"jongno"}
