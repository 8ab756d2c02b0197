"""`reid nightly` at the command line: exit codes, what is on stdout and stderr, what the docs show."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import cli
from indexer.catalogue import writer_lock
from indexer.decisions import RunOptions
from indexer.footage_patterns import PRESETS
from indexer.night_lock import night_lock
from indexer.night_settings import FootageRoot, NightlySettings, NotifySettings
from indexer.nightly import Work
from indexer.settings import commented_settings, load_settings
from indexer.shard.files import ArchiveFiles
from indexer.workers import WorkerProcesses
from tests.faulty import FaultyPipeline
from tests.nights import ONE_AM, Place

DOCS = Path(__file__).parents[1] / "docs" / "nightly.md"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.put("20250219T100000")
    assert made.night().exit_code == 0
    roots = f'[nightly]\nroots = ["{made.footage}"]\n'
    made.archive.settings.write_text(roots, "utf-8")
    return made


def nightly(place: Place, *options: str) -> Result:
    return CliRunner().invoke(cli.app, ["nightly", "--home", str(place.archive.home), *options])


def test_nothing_new_is_a_night_all_done(place: Place) -> None:
    done = nightly(place, "--json", "--log-format", "json")
    told = json.loads(done.stdout)
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert (done.exit_code, told["exit_code"]) == (3, 3)  # a year later: retention does not trust the clock
    assert [each["stage"] for each in told["problems"]] == ["retention"]
    assert (events[0], events[-1]) == ("night_started", "night_ended")
    assert told["roots"][0]["known"] == 1


def test_lines_for_people_and_plain_events_under_cron(place: Place) -> None:
    done = nightly(place)
    assert "1 videos met: 1 in the archive before" in done.stdout
    assert re.search(r"^20\d\d-.*\+09:00 night started night=", done.stderr)


@pytest.mark.parametrize(
    ("settings", "options", "said"),
    [
        ("", [], "no footage roots"),
        ('[nightly]\nroots = ["/x"]\nuntil = "6.30"', [], "nightly.until"),
        ('[nightly]\nroots = [{ path = "/x", patterns = ["frigat"] }]', [], "did you mean frigate"),
        ('[nightly]\nroots = [{ path = "/x", patterns = ["frigate"] }]', [], "tells no district"),
        ('[nightly]\nroots = [{ path = "/x", zone = "Asia/Busan" }]', [], "time zone"),
        ('[nightly]\nroots = [{ path = "/x", district = "atlantis" }]', [], "unknown district"),
        ('[nightly]\nroot = ["/x"]', [], "nightly.root"),
        ('[nightly]\nroots = ["/x"]', ["--until", "24:00"], "--until"),
        ('[nightly]\nroots = ["/x"]', ["--workers", "many"], "workers"),
        ('[nightly]\nroots = ["/x"]', ["--log-format", "xml"], "--log-format"),
        ('embedder = "nobody"\n[nightly]\nroots = ["/x"]', [], "nobody"),
    ],
)
def test_wrong_use_ends_with_2_and_does_nothing(
    place: Place, settings: str, options: list[str], said: str
) -> None:
    nights = len(list(place.archive.nights()))
    place.archive.settings.write_text(settings, "utf-8")
    done = nightly(place, *options)
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
    assert len(list(place.archive.nights())) == nights


def test_who_holds_the_night_is_told(place: Place) -> None:
    with night_lock(place.archive, ONE_AM):
        done = nightly(place)
    assert done.exit_code == 2
    assert "since 2025-02-20T01:00:00+09:00" in done.stderr
    with writer_lock(place.archive):
        done = nightly(place)
    assert (done.exit_code, "is being written by process" in done.stderr) == (2, True)


def test_an_archive_that_is_not_fit_ends_with_3(place: Place) -> None:
    place.archive.catalogue.write_bytes(b"no catalogue" * 1000)
    assert nightly(place).exit_code == 3


def test_a_dry_run(place: Place) -> None:
    place.put("holiday")
    done = nightly(place, "--dry-run", "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["dry_run"], told["order"]) == (1, True, [])
    assert "name not understood" in nightly(place, "--dry-run").stdout


def test_a_decoder_that_crashes_or_hangs_costs_one_clip(place: Place) -> None:
    """As the command line does it: in processes, be it one."""
    for name in ("crash-20250219T110000", "20250219T120000", "endless-20250219T130000", "20250219T140000"):
        place.put(name)
    pattern = "{district}/{camera}/*{start:%Y%m%dT%H%M%S}.mp4"
    settings = place.settings(roots=[{"path": str(place.footage), "patterns": [pattern]}])
    kit, limits = FaultyPipeline().kit, RunOptions(time_floor_s=1.0, time_factor=1e-6)
    work = Work(lambda clips: WorkerProcesses(FaultyPipeline, kit, 1), limits)
    record = place.night(settings=settings, work=work)
    assert (record.exit_code, record.done) == (1, 2)
    assert sorted(reason for _, reason, _ in record.failed) == ["crashed", "time_limit"]


def test_the_commented_settings_are_the_defaults(tmp_path: Path) -> None:
    archive = ArchiveFiles(tmp_path)
    text = commented_settings()
    archive.settings.write_text(text, "utf-8")
    assert load_settings(archive).nightly == NightlySettings()
    every = re.sub(r"^# (\w+ = .*)$", r"\1", text, flags=re.M)
    archive.settings.write_text(every, "utf-8")
    loaded = load_settings(archive)
    assert (loaded.nightly, loaded.notify) == (NightlySettings(), NotifySettings())


def test_the_docs_tell_every_setting_and_preset(tmp_path: Path) -> None:
    text = DOCS.read_text("utf-8")
    for table in (NightlySettings, NotifySettings):
        for name in table.model_fields:
            assert f"`{name}`" in text, name
    for name in FootageRoot.model_fields:
        assert name in text
    for name, preset in PRESETS.items():
        assert f"| `{name}` | `{preset.pattern}`" in text
    archive = ArchiveFiles(tmp_path)
    archive.settings.write_text(re.findall(r"```toml\n(.*?)```", text, flags=re.S)[0], "utf-8")
    loaded = load_settings(archive)
    assert [root.district for root in loaded.nightly.roots] == ["", "송파", "nowon", "", ""]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_takes_the_units_of_the_docs(tmp_path: Path) -> None:
    units = re.findall(r"```ini\n(.*?)```", DOCS.read_text("utf-8"), flags=re.S)
    service = units[0].replace("/opt/reid-search/.venv/bin/reid", "/bin/true").replace("User=reid\n", "")
    (tmp_path / "reid-nightly.timer").write_text(units[1], "utf-8")
    (tmp_path / "reid-nightly.service").write_text(service, "utf-8")
    assert verified(tmp_path) == ""
    (tmp_path / "reid-nightly.service").write_text(service.replace("OOMPolicy=", "OOMPolitics="), "utf-8")
    assert "OOMPolitics" in verified(tmp_path)


def verified(folder: Path) -> str:
    """What systemd says of the units."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "./reid-nightly.service", "./reid-nightly.timer"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    mine = [line for line in done.stderr.splitlines() if "reid-nightly" in line]
    return "\n".join(mine) + ("" if done.returncode == 0 or mine else "failed")
