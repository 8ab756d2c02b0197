"""The command line: parse, call one function, print.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 done with failures that are
listed, 2 wrong use or bad input, 3 the archive or the machine is not fit, 130 interrupted.
Heavy modules are imported by the commands that need them, so that `reid --help` is quick.
"""

from __future__ import annotations

import functools
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from reid.errors import InputError, ReidError, storage_errors

if TYPE_CHECKING:
    from rich.console import Console

    from indexer.clips import ClipRequest
    from indexer.cluster import RayActors
    from indexer.districts import Districts
    from indexer.executors import InProcess
    from indexer.index_report import IndexReport
    from indexer.night_record import NightRecord
    from indexer.nightly import Work
    from indexer.pipeline import PipelineChoice
    from indexer.settings import Settings
    from indexer.shard.files import ArchiveFiles
    from indexer.snapshot import Snapshot
    from indexer.workers import WorkerProcesses
    from reid.calibration import Calibration
    from reid.detector import Detector
    from reid.embedder import Embedder
    from reid.evaluation import Evaluation
    from reid.labelled import Skipped
    from reid.training.session import Watch
    from search.actors import Actor
    from search.description import Description
    from search.desk import Desk
    from search.filters import Near
    from search.policy import Purpose
    from search.query import Box
    from search.roles import Right
    from search.sightings import SearchResult

P = ParamSpec("P")

_WITHIN_KM = 2.0  # of --near
_DEMO_RATE = 3.0  # frames a second: enough for people who walk, and soon done

app = typer.Typer(
    name="reid", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
    help="Find missing people in archived CCTV footage from a single photo.",
)  # fmt: skip
models_app = typer.Typer(no_args_is_help=True, help="The models this archive can use.")
codebook_app = typer.Typer(no_args_is_help=True, help="The codes of large archives.")
cameras_app = typer.Typer(no_args_is_help=True, help="The cameras of this archive.")
case_app = typer.Typer(no_args_is_help=True, help="Cases: whom somebody looks for, and what was decided.")
audit_app = typer.Typer(no_args_is_help=True, help="The log of who did what, when and why.")
users_app = typer.Typer(
    no_args_is_help=True, help="Who may use the console, and search where rules ask for it."
)
app.add_typer(case_app, name="case")
app.add_typer(audit_app, name="audit")
app.add_typer(users_app, name="users")
app.add_typer(models_app, name="models")
app.add_typer(cameras_app, name="cameras")
app.add_typer(codebook_app, name="codebook")

Home = Annotated[
    Path | None,
    typer.Option("--home", help="The archive's folder. [default: $REID_HOME, else ~/reid-archive]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]
Model = Annotated[str | None, typer.Option(help="An embedder. [default: that of reid.toml]")]
Person = Annotated[int | None, typer.Option(min=1, help="Which of several people in the photo.")]
Region = Annotated[str | None, typer.Option(help="Where the person is: x1,y1,x2,y2 in pixels.")]
CaseId = Annotated[str, typer.Argument(help="The case, e.g. 2026-SP-0142.")]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray", help="Work on a Ray cluster: HOST:PORT of its head, or auto (extra cluster)."),
]
District = Annotated[
    list[str] | None,
    typer.Option(
        "--district", "-d", help="songpa, Songpa-gu, 송파 or 송파구; repeats. [default: all active]"
    ),
]


def main() -> None:
    """Entry point of the `reid` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name the terminal cannot show is no crash
    app()


def _command(body: Callable[P, int | None]) -> Callable[P, None]:
    """Turn expected failures into one clear line on stderr and the documented exit code."""

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with storage_errors(Path.cwd()):
                code = body(*args, **kwargs)
            if sys.stdout:
                sys.stdout.flush()
        except ReidError as error:
            typer.echo(f"reid: {error}", err=True)
            code = error.exit_code
        except KeyboardInterrupt:
            typer.echo("reid: interrupted; what was done is kept, run the same command to go on", err=True)
            code = 130
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        raise typer.Exit(code or 0)

    return run


@app.command()
@_command
def init(
    home: Home = None,
    cameras: Annotated[Path | None, typer.Option(help="Cameras to register (CSV).")] = None,
    profile: Annotated[
        str, typer.Option(help="plain, or police: cases with a legal basis, reasons, limits, retention.")
    ] = "plain",
) -> None:
    """Create an archive with a commented reid.toml; an existing one is left as it is."""
    archive = _archive(home)
    from indexer.catalogue import Catalogue
    from indexer.settings import find_profile, write_settings
    from search.actors import Actor
    from search.audit import Deed, record

    chosen = find_profile(profile)
    with Catalogue(archive, "create"):
        written = write_settings(archive, chosen)
    if written:
        record(archive, Deed("archive created", Actor.of_this_process(), subject=f"profile {profile}"))
    _say(f"archive at {archive.home}" + (", settings in reid.toml" if written else " was there already"))
    if cameras:
        _add_cameras(archive, cameras)
    _say("next: reid index FOOTAGE --district NAME --camera ID --start TIME")


@app.command()
@_command
def index(
    paths: Annotated[
        list[Path], typer.Argument(help="Clips, folder trees (DISTRICT/CAMERA/CLIP), CSV lists.")
    ],
    district: Annotated[
        str | None, typer.Option("--district", "-d", help="District of all these clips.")
    ] = None,
    camera: Annotated[str | None, typer.Option("--camera", "-c", help="Camera of all these clips.")] = None,
    start: Annotated[
        str | None,
        typer.Option(help="Start of the clip on its camera's clock, e.g. 2025-02-18T12:34:00+09:00."),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Index clips anew whose start, place or settings differ."),
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Also try again clips that failed too often.")
    ] = False,
    workers: Annotated[
        str | None,
        typer.Option(help="How many clips at a time, a number or auto. [default: that of reid.toml]"),
    ] = None,
    ray: RayAddress = None,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Find everybody in the footage and add them to the archive. Safe to stop; a rerun goes on."""
    from indexer.cameras import check_camera_id
    from indexer.clips import Given, find_clips, parse_start

    archive = _archive(home)
    settings, districts = _settings(archive)
    given = Given(
        districts.find(district).slug if district is not None else None,
        check_camera_id(camera) if camera is not None else None,
        parse_start(start) if start is not None else None,
    )
    requests = find_clips(paths, given, districts)
    report = _index(archive, settings, requests, replace, workers, retry=retry, ray=ray)
    if as_json:
        _print_json(report.to_json())
    else:
        typer.echo("\n".join(report.lines()))
    return 1 if report.failed or report.given_up else 0


@app.command()
@_command
def nightly(
    until: Annotated[
        str | None, typer.Option(help="Stop indexing at this time of day in Seoul, at a clip's end: 06:30.")
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option(min=0.01, help="Stop indexing after so many hours, at a clip's end.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be done; write nothing.")
    ] = False,
    workers: Annotated[
        str | None,
        typer.Option(help="How many clips at a time, a number or auto. [default: that of reid.toml]"),
    ] = None,
    ray: RayAddress = None,
    log_format: Annotated[
        str,
        typer.Option(help="Events on stderr: text, json, or none. [default: none on a terminal, else text]"),
    ] = "",
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Index what is new below the footage roots, most valuable first, and see to all a night needs."""
    from indexer.journal import log_form
    from indexer.progress import bar_or_nothing
    from search.night import DryRun, NightOptions, plan_night, run_nightly

    archive = _archive(home)
    settings, table = _settings(archive)
    options = NightOptions(until, max_hours, log_form(log_format, sys.stderr.isatty()))
    if dry_run:
        done: DryRun | NightRecord = plan_night(archive, settings, table)
    else:
        with _ray_on_stderr(ray), bar_or_nothing() as progress:
            work = _night_work(archive, settings, workers, ray)
            models = functools.partial(_models, archive, settings)
            done = run_nightly(archive, settings, table, work, models, options, progress)
    if as_json:
        _print_json(done.to_json())
    else:
        typer.echo("\n".join(done.lines()))
    return done.exit_code


@app.command()
@_command
def search(
    photos: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Photos of the person, one or several. [default: those of --case, or a description alone]"
        ),
    ] = None,
    district: District = None,
    camera: Annotated[
        list[str] | None, typer.Option("--camera", "-c", help="Only this camera; repeats.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Not earlier than, e.g. 2025-02-18 or 2025-02-18T12:30.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Not later than; a date means its end.")] = None,
    top: Annotated[
        int | None, typer.Option(min=1, max=1000, help="How many sightings. [default: 20]")
    ] = None,
    person: Person = None,
    box: Region = None,
    near: Annotated[
        str | None, typer.Option(help="Only cameras around this point: lat,lon, e.g. 37.5145,127.1059.")
    ] = None,
    within: Annotated[
        float | None, typer.Option(min=0.01, help="How far around it, kilometres. [default: 2]")
    ] = None,
    upper: Annotated[
        list[str] | None,
        typer.Option(help="Colour of the upper clothes (yellow, 검정 ...); repeats: any of them."),
    ] = None,
    lower: Annotated[list[str] | None, typer.Option(help="The same for the lower clothes.")] = None,
    age: Annotated[
        list[str] | None,
        typer.Option(help="child, adult or elder (어린이, 성인, 노인): how the person looks and walks."),
    ] = None,
    having: Annotated[
        list[str] | None,
        typer.Option(
            "--with", "--wearing", help="Worn or carried: hat, cane, 지팡이, coat, striped ...; repeats."
        ),
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="Not worn or carried; repeats.")] = None,
    only_colours: Annotated[
        bool, typer.Option("--only-colours", help="Leave out whoever was taken for other colours.")
    ] = False,
    clothes_changed: Annotated[
        bool, typer.Option("--clothes-changed", help="The photo shows other clothes than are worn now.")
    ] = False,
    last_seen: Annotated[
        str | None,
        typer.Option(
            help="Where the person was last seen: a camera, DISTRICT/CAMERA, or lat,lon; needs --at."
        ),
    ] = None,
    at: Annotated[str | None, typer.Option(help="When that was, e.g. '2025-02-18 14:05'.")] = None,
    route: Annotated[
        bool, typer.Option("--route", help="Suggest the most plausible route; --last-seen does so too.")
    ] = False,
    case: Annotated[
        str | None,
        typer.Option(help="Keep photo and decisions in this case, and refine by all that it holds."),
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Why, for the audit log; some archives demand it.")
    ] = None,
    confirm: Annotated[
        list[str] | None,
        typer.Option(help="A sighting, by its id, that shows the person; repeats, refines the search."),
    ] = None,
    reject: Annotated[
        list[str] | None, typer.Option(help="A sighting that shows somebody else; repeats.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare every vector, however long that takes.")
    ] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Also list what was searched of each camera, and why not more.")
    ] = False,
    ray: RayAddress = None,
    html: Annotated[Path | None, typer.Option(help="Also write the report as one HTML file.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Rank the sightings most like the person in photos or description; tell what was not searched."""
    from search.description import read_description
    from search.report import to_json

    archive = _archive(home)
    settings, districts = _settings(archive)
    if html:
        _check_target(html)
    if within is not None and near is None:
        raise InputError(f"--within {within:g} needs the point: --near lat,lon, e.g. --near 37.5145,127.1059")
    result = _search(
        archive, settings, districts, photos=photos, names=district, cameras=camera, since=since, until=until,
        top=top, person=person, box=box, near=_parse_near(near, within) if near is not None else None,
        exact=exact, last_seen=last_seen, at=at, route=route, case=case, confirm=confirm, reject=reject,
        said=read_description(upper or (), lower or (), age or (), having or (), without or ()),
        only_colours=only_colours, clothes_changed=clothes_changed, ray=ray, reason=reason,
    )  # fmt: skip
    if html:
        _write_report(html, result, districts)
    if as_json:
        _print_json(to_json(result))
    else:
        _print_result(result, districts, by_camera=coverage)
    return 1 if result.damaged else 0


@app.command()
@_command
def replay(
    result: Annotated[Path, typer.Argument(help="What `reid search --json` printed, in a file.")],
    photo: Annotated[
        list[Path] | None,
        typer.Option(help="Where the photo lies now; repeats. [default: where it lay]"),
    ] = None,
    case: Annotated[str | None, typer.Option(help="The case it is asked in. [default: the result's]")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit log.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Ask again what a kept result was asked; exit code 0: the same ranking, 1: what changed is listed."""
    from dataclasses import asdict

    from search.casework import recall
    from search.replay import asked_again, compare, read_result
    from search.report import to_json

    then = read_result(result)
    archive = _archive(home)
    settings, _ = _settings(archive)
    snapshot = _snapshot(archive)  # an unfit archive is told before the models are loaded
    recalled = functools.partial(recall, archive, snapshot)
    with _desk(archive, settings) as desk:
        request = asked_again(then, str(result), photo or (), *desk.models, recalled)
        now = to_json(desk.ask_again(request, _purpose(archive, case or request.feedback.case, reason)))
    found = compare(then, now)
    if as_json:
        _print_json({"same": found.is_same, **asdict(found), "result": now})
    else:
        for line in found.lines():
            typer.echo(line)
    return 0 if found.is_same else 1


@app.command()
@_command
def districts(home: Home = None, as_json: Json = False) -> None:
    """List the 25 districts of Seoul and which are active, with the source of that."""
    from dataclasses import asdict

    _, table = _settings(_archive(home))
    if as_json:
        _print_json({"districts": [asdict(row) for row in table.all]})
        return
    rows = [
        [
            row.slug,
            row.name_ko,
            row.name_en,
            row.code,
            "active" if row.active else "",
            row.confidence,
            row.source,
        ]
        for row in table.all
    ]
    _print_table(["name", "한글", "English", "code", "active", "confidence", "source"], rows)
    _say(f"{len(table.active)} of {len(table.all)} active")


@app.command()
@_command
def clips(
    failed: Annotated[
        bool, typer.Option("--failed", help="Only those that failed, and those given up.")
    ] = False,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those not yet indexed.")] = False,
    district: District = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List what became of each clip: state, reason, tries, times, frames, models."""
    from indexer.clip_list import FAILED, GIVEN_UP, WAITING, list_clips

    archive = _archive(home)
    settings, table = _settings(archive)
    states = [*([FAILED, GIVEN_UP] if failed else []), *([WAITING] if waiting else [])]
    slugs = [table.find(name).slug for name in district or ()]
    found = list_clips(archive, states, slugs, settings.clip_tries)
    if as_json:
        _print_json(found.to_json())
        return
    header = ["state", "district", "camera", "start", "tries", "", "clip"]
    _print_table(header, [each.cells() for each in found.clips])
    _say(", ".join(f"{count} {state.replace('_', ' ')}" for state, count in found.counts.items() if count))


@app.command()
@_command
def stats(home: Home = None, as_json: Json = False) -> None:
    """What the archive holds."""
    from indexer.health import archive_figures

    figures = archive_figures(_archive(home))
    if as_json:
        _print_json(figures)
        return
    _print_table(["", ""], [[name.replace("_", " "), str(value)] for name, value in figures.items()])


@app.command()
@_command
def status(
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Print it as Prometheus metrics instead.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """How far each district is indexed, what waits, what failed, and when the disk is full."""
    from indexer.metrics import metrics_text, write_metrics
    from indexer.purge import Days
    from indexer.status import HEADER, read_status

    archive = _archive(home)
    settings, table = _settings(archive)
    found = read_status(archive, Days.of(settings, table))
    if settings.metrics_file:
        write_metrics(Path(settings.metrics_file), found)
    if metrics:
        typer.echo(metrics_text(found), nl=False)
    elif as_json:
        _print_json(found.to_json())
    else:
        _print_table(list(HEADER), found.rows())
        typer.echo("\n".join(found.notes()))


@app.command("plan")
@_command
def plan_capacity(
    cameras: Annotated[int, typer.Option(help="Cameras in all districts.")],
    hours: Annotated[float, typer.Option(help="Hours of footage a day from each.")],
    people_per_hour: Annotated[float, typer.Option(help="Passages of people before a camera in an hour.")],
    days: Annotated[int, typer.Option(help="Days that are kept.")],
    district_count: Annotated[int, typer.Option(help="Districts the cameras are spread over.")] = 1,
    seconds_in_view: Annotated[
        float | None, typer.Option(min=0.1, help="How long a passage lasts. [default: as in the archive]")
    ] = None,
    index_hours: Annotated[float, typer.Option(help="Hours of a day in which machines index.")] = 24.0,
    clip_minutes: Annotated[float, typer.Option(help="Length of a clip.")] = 60.0,
    footage: Annotated[
        list[Path] | None,
        typer.Option(help="Measure on this short clip of yours; repeats. [default: the demo's]"),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure this machine anew.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What a load needs: disk, memory, core-hours and machines, by what this machine is measured to do."""
    from search.capacity import HEADER, Load
    from search.planning import plan

    load = Load(cameras, hours, people_per_hour, days, district_count, index_hours, clip_minutes)
    archive = _archive(home)
    settings = _settings(archive)[0]
    found = plan(archive, settings, load, footage or (), seconds_in_view, again=again, tell=_say)
    if as_json:
        _print_json(found.to_json())
        return
    _print_table(list(HEADER), found.rows())
    for line in found.assumptions:
        typer.echo(f"assumed: {line}")


@app.command()
@_command
def doctor(
    home: Home = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every segment and compare checksums.")] = False,
    as_json: Json = False,
) -> int:
    """Check machine, models and archive, and say what to do about what is not well."""
    from dataclasses import asdict

    from indexer.health import examine

    checks = list(examine(_archive(home), deep))
    if as_json:
        _print_json({"checks": [asdict(check) for check in checks]})
    else:
        _print_table(["check", "state", "detail"], [[c.name, c.state, c.detail] for c in checks])
    return 3 if any(check.state == "failed" for check in checks) else 0


@app.command()
@_command
def verify(
    home: Home = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read everything: each checksum, each record, each vector.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Verify the sealed segments; damaged ones go into quarantine, where no search looks, and says so."""
    from dataclasses import asdict

    from indexer.verification import verify as verified

    with _shown_progress("verifying") as progress:
        found = verified(_archive(home), deep, progress)
    if as_json:
        _print_json(asdict(found))
    else:
        for segment, shard, reason in found.damaged:
            typer.echo(f"damaged: {segment} of {shard}: {reason}")
        for path in found.clips:
            typer.echo(f"index again: {path}")
        for segment in found.restored:
            typer.echo(f"sound again: {segment}")
        if found.codebook:
            typer.echo(f"codebook: {found.codebook}")
        typer.echo(
            f"{found.segments} segments, {len(found.damaged)} damaged"
            f" ({'every checksum' if deep else 'manifests and lengths; --deep compares all'})"
        )
    return 1 if found.damaged or found.codebook else 0


@app.command("reindex")
@_command
def reindex_footage(
    model: Annotated[str, typer.Option(help="The embedder that is to take the place of the one in use.")],
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Switch even without clips whose footage is gone.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what could not be indexed.")] = False,
    workers: Annotated[
        str | None,
        typer.Option(help="How many clips at a time, a number or auto. [default: that of reid.toml]"),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Index all footage again with another embedder; searches go on with the old one until the switch."""
    from indexer.decisions import RunOptions
    from indexer.progress import shown_progress
    from indexer.reindexing import look_ahead, reindex
    from indexer.workers import fitting_workers, local_executor
    from reid.models import find_model

    archive = _archive(home)
    settings = _settings(archive)[0].model_copy(update={"embedder": model})
    found = look_ahead(archive, model, find_model(model, "embed", archive.models).sha256)
    if not dry_run:
        _permitted(archive, "operations")
        for line in found.lines()[: len(found.missing)]:
            _say(line)
        count = fitting_workers(workers or settings.workers, found.clips)
        options = RunOptions(True, settings.clip_time_factor, settings.clip_time_floor_s, None)
        made = local_executor(_choice(archive, settings), count, settings.worker_memory_mb)
        with made as executor, shown_progress() as progress:
            found = reindex(archive, executor, options, progress, drop_missing=drop_missing)
    if as_json:
        _print_json(found.to_json())
    else:
        typer.echo("\n".join(found.lines()))
    return 0 if found.switched or (dry_run and not found.missing) else 1


@app.command("compact")
@_command
def compaction(home: Home = None, as_json: Json = False) -> int:
    """Merge the segments of each district and day into one, with codes once there is a codebook."""
    from dataclasses import asdict

    from indexer.compaction import compact

    with _shown_progress("merging days") as progress:
        done = compact(_archive(home), progress, len(os.sched_getaffinity(0)))
    if as_json:
        _print_json(asdict(done))
    else:
        for shard, reason in done.failed:
            typer.echo(f"failed: {shard}: {reason}; see: reid verify --deep")
        typer.echo(
            f"{len(done.days)} days written anew from {done.merged} segments; {done.segments} segments now"
        )
    return 1 if done.failed else 0


@app.command()
@_command
def erase(
    district: Annotated[str | None, typer.Option("--district", "-d", help="Of this district.")] = None,
    camera: Annotated[
        list[str] | None, typer.Option("--camera", "-c", help="Only before this camera; repeats.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From then on, e.g. 2025-02-18T12:30.")] = None,
    until: Annotated[str | None, typer.Option(help="Until then; a date means its end.")] = None,
    day: Annotated[str | None, typer.Option(help="One day, e.g. 2025-02-18.")] = None,
    tracklet: Annotated[str | None, typer.Option(help="One tracklet, by the id of its sighting.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Erase a day, expired days (--until), a time before a camera, or one tracklet; prints the proof."""
    from dataclasses import asdict

    from indexer.erasure import erase_time, erase_tracklet
    from indexer.generations import let_follow
    from indexer.times import milliseconds, parse_local
    from search.audit import Deed, record
    from search.casework import keeping

    archive = _archive(home)
    if (tracklet is None) == (district is None):
        raise InputError("expected --tracklet ID, or --district with --day, or --since and --until")
    if tracklet is not None and (camera or since or until or day):
        raise InputError("--tracklet names one tracklet; leave the other options out")
    if not yes and not typer.confirm("What is erased cannot be brought back. Erase?", err=True):
        raise InputError("nothing was erased; confirm, or give --yes")
    purpose = _permitted(archive, "operations")
    asked = {
        "districts": [district] if district else [], "cameras": camera or [], "since": since, "until": until,
        "day": day,
    }  # fmt: skip
    record(archive, Deed("erase", purpose.actor, subject=tracklet or "", scope=asked))
    with _shown_progress("erasing") as progress:
        if tracklet is not None:
            done = erase_tracklet(archive, tracklet, progress)
        else:
            if (day is None) == (until is None):
                raise InputError("expected --day, or --until (with --since, or all before it)")
            if day is not None and since is not None:
                raise InputError("--day names the whole time; leave --since out")
            if day is not None:
                since, until = day, day
            begin = milliseconds(parse_local(since)) if since else 0
            end = milliseconds(parse_local(until or "", until=True))
            names = _settings(archive)[1]
            done = erase_time(archive, names.find(district or "").slug, begin, end, camera or (), progress)
    let_follow(archive, _snapshot(archive))
    cases = keeping(archive, done.erasure)
    gone = {"tracklets": done.erasure.tracklets, "vectors": done.erasure.vectors}
    record(archive, Deed("erase", purpose.actor, subject="done", scope=asked, counts=gone))
    if as_json:
        _print_json({**asdict(done), "proof": done.proof, "cases": cases})
    else:
        typer.echo(done.proof)
        for case in cases:
            typer.echo(f"case {case} keeps a copy of what was erased; it goes with: reid case close --delete")
        for segment in done.unreadable:
            typer.echo(f"segment {segment} could not be read and went as a whole; index its clips again")
    return 1 if done.unreadable else 0


@app.command()
@_command
def purge(
    district: Annotated[
        list[str] | None, typer.Option("--district", "-d", help="Only of this one; repeats. [default: all]")
    ] = None,
    before: Annotated[
        str | None, typer.Option(help="Everything before this day, instead of what the settings keep.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="By whose order. [default: whoever runs it]")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Compare the proofs with their chain instead.")
    ] = False,
    clock_is_right: Annotated[
        bool, typer.Option("--clock-is-right", help="You looked at the machine's clock; the proof says so.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a purge with --before.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Remove what is older than its district keeps (`retention_days`), whole days, with a proof."""
    from indexer.purge import Days, Order, parse_day
    from indexer.retention import purge as purged
    from search.audit import Deed, record
    from search.casework import holds

    archive = _archive(home)
    if check:
        return _check_proofs(archive, as_json)
    settings, table = _settings(archive)
    slugs = tuple(table.find(name).slug for name in district or ())
    day = parse_day(before) if before is not None else None
    _snapshot(archive)
    asks = before is not None and not dry_run and not yes
    if asks and not typer.confirm("What is removed cannot be brought back. Remove?", err=True):
        raise InputError("nothing was removed; confirm, or give --yes")
    purpose = _permitted(archive, "operations")
    order = Order(purpose.actor.name if by is None else by, slugs, day, clock_is_right)
    if not dry_run:
        asked = {"districts": list(slugs), "before": before, "by": order.by}
        record(archive, Deed("erase", purpose.actor, subject="retention", scope=asked))
    with _shown_progress("removing what has expired") as progress:
        done = purged(archive, Days.of(settings, table), order, holds(archive), progress, dry_run=dry_run)
    if as_json:
        _print_json(done.to_json())
    else:
        typer.echo("\n".join(done.lines()))
    return 1 if done.unreadable else 0


def _check_proofs(archive: ArchiveFiles, as_json: bool) -> int:
    from dataclasses import asdict

    from indexer.catalogue import Catalogue
    from indexer.proofs import check_proofs

    with Catalogue(archive) as catalogue:
        found = check_proofs(archive, catalogue.retained)
    if as_json:
        _print_json({**asdict(found), "sound": found.is_sound})
    else:
        for what in ("missing", "altered", "unexpected"):
            for name in getattr(found, what):
                typer.echo(f"{what}: {name}")
        typer.echo(f"{found.proofs} proofs compared in {archive.proofs}")
    return 0 if found.is_sound else 1


@app.command("export")
@_command
def export_evidence(
    case: Annotated[str | None, typer.Argument(help="The case's id.")] = None,
    out: Annotated[Path | None, typer.Argument(help="A folder that is new or empty.")] = None,
    blur: Annotated[
        bool, typer.Option("--blur", help="Paint over bystanders in stills and clips; a person must check.")
    ] = False,
    check: Annotated[
        Path | None, typer.Option("--check", help="Compare an export with its manifest instead.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit log.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Export a case's confirmed sightings: stills, clips, times, sha256 of every file, a page, a feed."""
    if check is not None:
        if case is not None or out is not None or blur:
            raise InputError("--check names an export to compare; leave CASE, OUT and --blur out")
        return _check_export(check, as_json)
    if case is None or out is None:
        raise InputError("expected a case and a folder to write: reid export CASE OUT; or --check FOLDER")
    from dataclasses import asdict

    from reid.detector import load_detector
    from search.export.folder import check_target
    from search.export.recorded import export_recorded

    archive = _archive(home)
    settings, table = _settings(archive)
    snapshot = _snapshot(archive)
    check_target(out)
    blurring = functools.partial(load_detector, settings.detector, archive.models, runtime=settings.runtime)
    purpose = _purpose(archive, case, reason)
    with _shown_progress("exporting") as progress:
        done = export_recorded(
            archive, settings, purpose, snapshot, table, out, blurring if blur else None, progress
        )
    if as_json:
        _print_json(asdict(done))
    else:
        for line in done.missing:
            typer.echo(f"missing: {line}")
        made = f"{done.clips} with a clip, {done.stills} with a still"
        typer.echo(f"{done.sightings} sightings, {made}, in {done.folder}")
        typer.echo(f"sha256 of its manifest.json, to be noted elsewhere: {done.manifest}")
        if blur:
            typer.echo("bystanders were painted over automatically: a person must check before it goes out")
    return 1 if done.missing else 0


def _check_export(folder: Path, as_json: bool) -> int:
    from dataclasses import asdict

    from search.export.checking import check_export

    with _shown_progress("checking") as progress:
        found = check_export(folder, progress)
    if as_json:
        _print_json({**asdict(found), "sound": found.sound})
    else:
        for what in ("missing", "altered", "unexpected"):
            for name in getattr(found, what):
                typer.echo(f"{what}: {name}")
        typer.echo(f"{found.files} files compared; sha256 of the manifest {found.manifest}")
    return 0 if found.sound else 1


@codebook_app.command("train")
@_command
def codebook_train(
    home: Home = None,
    rows: Annotated[int | None, typer.Option(min=1000, help="Vectors to sample.")] = None,
    as_json: Json = False,
) -> None:
    """Train the codebook by which large archives are scanned, on a sample of this one."""
    from indexer.codebooks import SAMPLE, train_codebook

    with _shown_progress("sampling") as progress:
        codebook, sampled = train_codebook(_archive(home), rows or SAMPLE, progress=progress)
    figures = {
        "codebook": codebook.name, "model": codebook.model, "sampled": sampled,
        "distortion": round(codebook.distortion, 4),
    }  # fmt: skip
    if as_json:
        _print_json(figures)
        return
    _say(f"codebook {codebook.name} trained on {sampled:,} vectors; code the archive with: reid compact")


@codebook_app.command("check")
@_command
def codebook_check(home: Home = None, as_json: Json = False) -> int:
    """Tell whether the codebook in use still fits what is in the archive."""
    from indexer.codebooks import check_codebook

    codebook, fit = check_codebook(_archive(home))
    if as_json:
        _print_json({
            "codebook": codebook.name, "distortion": round(fit.distortion, 4),
            "distortion_at_training": round(fit.trained, 4), "fits": fit.fits,
        })  # fmt: skip
    else:
        verdict = "fits" if fit.fits else "no longer fits; train another with: reid codebook train"
        typer.echo(
            f"codebook {codebook.name} {verdict} (distortion {fit.distortion:.4f}, at training"
            f" {fit.trained:.4f})"
        )
    return 0 if fit.fits else 1


@app.command()
@_command
def migrate(home: Home = None, as_json: Json = False) -> None:
    """Bring an archive of an earlier format up to date; its footage need not be indexed again."""
    from indexer.migrations import migrate as migrated

    with _shown_progress("rewriting segments") as progress:
        steps = migrated(_archive(home), progress)
    if as_json:
        _print_json({"steps": list(steps)})
    else:
        typer.echo("\n".join(steps) if steps else "up to date already")


@app.command()
@_command
def demo(
    home: Annotated[Path, typer.Option(help="Folder for the demo's archive and report.")] = Path("reid-demo"),
    as_json: Json = False,
) -> int:
    """Index the shipped clips, search for the missing person's photo, and compare with the truth."""
    from indexer.catalogue import Catalogue
    from indexer.clips import Given, find_clips
    from indexer.settings import write_settings
    from search.demo import CAMERAS, FOOTAGE, PERSON, PHOTO, judge, read_demo
    from search.report import to_json

    archive = _archive(home)
    with Catalogue(archive, "create"):
        write_settings(archive, {"frames_per_second": _DEMO_RATE})
    settings, districts = _settings(archive)
    truth = read_demo()
    _say(f"Looking for: {truth.person(PERSON).description}")
    _add_cameras(archive, CAMERAS)
    report = _index(archive, settings, find_clips([FOOTAGE], Given(), districts))
    _say("\n".join(report.lines()))
    result = _search(archive, settings, districts, photos=[PHOTO], top=10)
    judgement = judge(result, truth)
    _write_report(archive.home / "report.html", result, districts)
    if as_json:
        _print_json({**to_json(result), "truth": {
            "passed": [clip for _, clip in judgement.passed], "right_ranks": list(judgement.right_ranks),
            "best_rank_by_clip": judgement.best_rank_by_clip,
        }})  # fmt: skip
    else:
        _print_result(result, districts)
        for camera, clip in judgement.passed:
            rank = judgement.best_rank_by_clip.get(clip)
            _say(
                f"truth: walked past {camera}: "
                + (f"found at rank {rank}" if rank else "NOT in the first 10")
            )
    found = len(judgement.best_rank_by_clip)
    _say(
        f"truth: {found} of {len(judgement.passed)} passages are in the first"
        f" {len(result.sightings)} sightings"
    )
    return 0 if found and not report.failed else 1


@app.command()
@_command
def describe(
    photo: Annotated[Path, typer.Argument(help="A photo or crop of the person.")],
    model: Model = None,
    person: Person = None,
    box: Region = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say what a picture shows of a person: colours, clothes, things carried, age group."""
    from dataclasses import asdict

    import numpy as np

    from reid.description import describe as described
    from reid.description import words
    from reid.detector import load_detector
    from reid.embedder import load_embedder
    from reid.images import crop
    from search.query import read_query

    archive = _archive(home)
    settings, _ = _settings(archive)
    embedder = load_embedder(model or settings.embedder, archive.models, settings.runtime)
    detector = load_detector(settings.detector, archive.models, runtime=settings.runtime)
    query = read_query(photo, detector, embedder, person, _parse_box(box) if box is not None else None)
    shown = crop(query.picture, np.array(query.person_box, np.float32))
    logits = embedder.attributes([shown])
    if logits is None:
        raise InputError(
            f"model {embedder.spec.name} describes nobody; choose one that does with --model"
            " (reid models list)"
        )
    statements = described(logits[0], shown)
    for warning in query.warnings:
        _say(f"warning: {warning}")
    if as_json:
        _print_json({
            "model": embedder.spec.name, "photo": query.photo, "person_box": query.person_box,
            "warnings": query.warnings, "statements": [asdict(each) for each in statements],
        })  # fmt: skip
        return
    _print_table(["", "", "shown", "", "confidence"], [words(each) for each in statements])


@app.command("eval")
@_command
def evaluate(
    folder: Annotated[
        Path, typer.Argument(help="Holds manifest.csv (file,person_id,camera_id[,condition]) and pictures.")
    ],
    model: Model = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit probabilities on these pictures and keep them in --home.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Measure how well an embedder finds people again in another camera, on pictures you labelled."""
    from reid.calibration import calibrate as fitted
    from reid.embedder import load_embedder
    from reid.evaluation import evaluate as measured
    from reid.labelled import embed_folder, read_folder

    archive = _archive(home)
    labelled = read_folder(folder)
    settings, _ = _settings(archive)
    embedder = load_embedder(model or settings.embedder, archive.models, settings.runtime)
    with _shown_progress("embedding") as progress:
        vectors, skipped = embed_folder(labelled, embedder, progress)
    evaluation, spec = measured(vectors), embedder.spec
    calibration = fitted(vectors, spec.sha256) if calibrate else None
    if calibration:
        calibration.save(archive.calibration(spec.sha256))
    if as_json:
        told: dict[str, Any] = {"skipped": [vars(skip) for skip in skipped]}
        if calibration:
            told["calibration"] = calibration.to_json()
        _print_json({"model": spec.name, "sha256": spec.sha256, **evaluation.to_json(), **told})
    else:
        _print_evaluation(spec.name, evaluation, skipped)
        if calibration:
            _print_calibration(calibration, archive.calibration(spec.sha256))
    return 1 if any(skip.reason != "duplicate" for skip in skipped) else 0


@app.command()
@_command
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe: cpu, gpu, tiny, or a .toml file.")],
    out: Annotated[Path, typer.Option(help="Folder of this run: state, history, weights, model card.")],
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Train this long. [default: recipe]")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Train so many steps. [default: recipe]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    data: Annotated[Path | None, typer.Option(help="Where rendered crops lie. [default: OUT/data]")] = None,
    crops: Annotated[
        Path | None, typer.Option(help="Learn from this folder of synthetic crops instead of rendering.")
    ] = None,
    measure: Annotated[
        list[Path] | None, typer.Option(help="Labelled folder to measure on, as of `reid eval`; repeats.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Processes that render; 0 beside another run that does. [default: one a core]"
        ),
    ] = None,
    render_only: Annotated[bool, typer.Option("--render-only", help="Render the crops and stop.")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Begin while crops are still being rendered; for a GPU.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train an embedder on synthetic people (extra `synthetic`). Safe to stop; --resume goes on."""
    from reid.training.recipe import load_recipe

    loaded = load_recipe(recipe)
    from reid.training.session import Options, run

    options = Options(steps, minutes, resume, data, crops, tuple(measure or ()), workers, render_only, stream)
    with _shown_training() as watch:
        made = run(loaded, out, options, watch)
    if as_json:
        _print_json({"recipe": loaded.name, **(made.to_json() if made else {"weights": None})})
    elif made:
        typer.echo(f"{made.weights}\nsha256 {made.sha256}\nmodel card {made.card}")


@models_app.command("list")
@_command
def models_list(home: Home = None, as_json: Json = False) -> None:
    """List the models: built in, and added to this archive."""
    from dataclasses import asdict

    from reid.models import known_models
    from reid.runtimes.choice import kept_choice
    from reid.weights import is_present

    archive = _archive(home)
    settings, _ = _settings(archive)
    specs = known_models(archive.models)
    chosen = {spec.name: kept_choice(spec) if spec.backend == "torch" else None for spec in specs}
    rows = [
        {
            "name": spec.name, "task": spec.task, "backend": spec.backend, "dimension": spec.dimension,
            "licence": spec.licence, "training_data": spec.training_data, "origin": spec.origin,
            "sha256": spec.sha256, "present": is_present(spec, archive.models),
            "in_use": spec.name in (settings.detector, settings.embedder),
            "runtime": settings.runtime if spec.backend == "torch" else spec.backend,
            "chosen": asdict(choice) if (choice := chosen[spec.name]) is not None else None,
        }
        for spec in specs
    ]  # fmt: skip
    if as_json:
        _print_json({"models": rows})
        return
    shown = ["name", "task", "backend", "licence", "training_data", "in_use", "present"]
    _print_table(
        [name.replace("_", " ") for name in shown], [[_word(row[name]) for name in shown] for row in rows]
    )


@models_app.command("add")
@_command
def models_add(
    files: Annotated[list[Path], typer.Argument(help="Weights: .onnx, .xml and .bin, .pth or .safetensors.")],
    architecture: Annotated[
        str | None, typer.Option("--as", help="Architecture of a torchreid checkpoint, e.g. osnet_ain_x1_0.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Copy model files into the archive; known ones are recognised by their sha256."""
    from reid.adding import add_model

    archive = _archive(home)
    added = [add_model(file, archive.models, architecture) for file in files]
    if as_json:
        _print_json({"added": [{"name": spec.name, "sha256": spec.sha256} for spec in added]})
        return
    for spec in dict.fromkeys(added):
        setting = "detector" if spec.task == "detect" else "embedder"
        _say(f'added {spec.name}; use it with this line in reid.toml: {setting} = "{spec.name}"')


@cameras_app.command("add")
@_command
def cameras_add(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV: camera,name,district,latitude,longitude,clock_offset_s,clock_uncertainty_s."
        ),
    ],
    home: Home = None,
) -> None:
    """Register cameras, or correct registered ones; a clock corrected here corrects old footage too."""
    _add_cameras(_archive(home), file)


@cameras_app.command("remove")
@_command
def cameras_remove(
    district: Annotated[str, typer.Argument(help="The district it is registered in.")],
    camera: Annotated[str, typer.Argument(help="Its id.")],
    home: Home = None,
) -> None:
    """Take out a camera without footage, such as one registered in the wrong district."""
    from indexer.catalogue import Catalogue

    archive = _archive(home)
    _, districts = _settings(archive)
    with Catalogue(archive, "write") as catalogue:
        catalogue.remove_camera(districts.find(district).slug, camera)
    _say(f"camera {camera} removed")


@cameras_app.command("list")
@_command
def cameras_list(home: Home = None, as_json: Json = False) -> None:
    """List the cameras of this archive."""
    from dataclasses import asdict

    rows = [asdict(camera) for _, camera in sorted(_snapshot(_archive(home)).cameras.items())]
    if as_json:
        _print_json({"cameras": rows})
        return
    names = ["id", "name", "district", "latitude", "longitude", "clock_offset_s", "clock_uncertainty_s"]
    _print_table(
        [name.replace("_", " ") for name in names], [[_word(row[name]) for name in names] for row in rows]
    )


@cameras_app.command("check")
@_command
def cameras_check(
    district: District = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="A camera whose clock is right: its id, or DISTRICT/ID. [default: most of those compared]"
        ),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the offsets and uncertainties into the archive.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Tell which clocks are wrong, by the people who walk from one camera to the next."""
    from indexer.clock_check import apply_check, check_clocks

    archive = _archive(home)
    names = _settings(archive)[1]
    slugs = [names.find(name).slug for name in district or ()]
    with _shown_progress("comparing clocks") as progress:
        check = check_clocks(archive, slugs, reference, progress)
    changed = apply_check(archive, check) if apply else ()
    if as_json:
        told = [f"{camera.district}/{camera.id}" for camera in changed]
        _print_json({**check.to_json(), "applied": told})
    else:
        _print_table(list(check.header), check.rows())
        for line in check.notes():
            typer.echo(line)
        if apply:
            typer.echo(f"{len(changed)} clocks written; searches correct the times of old footage by them")
    return 1 if check.unreadable else 0


@case_app.command("open")
@_command
def case_open(
    case: CaseId,
    basis: Annotated[str, typer.Option(help="The legal basis.")] = "",
    days: Annotated[
        int | None, typer.Option(min=1, help="It expires after so many days. [default: reid.toml's]")
    ] = None,
    district: Annotated[
        list[str] | None,
        typer.Option("--district", "-d", help="It reaches; repeats. [default: all that you may see]"),
    ] = None,
    age: Annotated[str | None, typer.Option(help="Of the person: child, adult or elder.")] = None,
    description: Annotated[str, typer.Option(help="Of the person, in words.")] = "",
    reason: Annotated[str | None, typer.Option(help="Why, for the audit log.")] = None,
    home: Home = None,
) -> None:
    """Open a case, in which photos and decisions are kept, and which searches may demand."""
    from search.casebook import open_case
    from search.description import read_description

    archive = _archive(home)
    settings, table = _settings(archive)
    said = read_description((), (), [age], (), ()) if age else None
    slugs = tuple(table.find(name).slug for name in district) if district else None
    open_case(
        archive, settings, _purpose(archive, case, reason), basis, days=days, districts=slugs,
        age=said.age if said else None, description=description,
    )  # fmt: skip
    _say(f"case {case} is open; search in it with: reid search PHOTO --case {case}")


@case_app.command("list")
@_command
def case_list(home: Home = None, as_json: Json = False) -> None:
    """List the cases that you may see."""
    from search.case_text import LIST_HEADER, list_row, summary
    from search.casebook import visible

    archive = _archive(home)
    _snapshot(archive)
    found = visible(archive, _permitted(archive, "search").account)
    if as_json:
        _print_json({"cases": [summary(case) for case in found]})
        return
    _print_table(LIST_HEADER, [list_row(case) for case in found])


@case_app.command("show")
@_command
def case_show(case: CaseId, home: Home = None, as_json: Json = False) -> None:
    """Show the photos of a case and what was decided of which sighting."""
    from search.case_text import SHOW_HEADER, case_json, head_lines, show_rows
    from search.casebook import permitted

    archive, settings, purpose = _case_work(home, case)
    found = permitted(archive, settings, purpose, "search")
    if as_json:
        _print_json(case_json(found))
        return
    typer.echo("\n".join(head_lines(found)))
    _print_table(SHOW_HEADER, show_rows(found))


@case_app.command("undo")
@_command
def case_undo(
    case: CaseId,
    sighting: Annotated[str, typer.Argument(help="Its id, or the first digits of it.")],
    home: Home = None,
) -> None:
    """Withdraw what was decided of a sighting."""
    from search.casebook import undo

    verdict = undo(*_case_work(home, case), sighting)
    _say(f"sighting {sighting} is no longer {verdict} in case {case}")


@case_app.command("approve")
@_command
def case_approve(
    case: CaseId,
    approval: Annotated[str, typer.Argument(help="Its id, which the refused search told.")],
    deny: Annotated[bool, typer.Option("--deny", help="Do not allow it.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit log.")] = None,
    home: Home = None,
) -> None:
    """Allow, as a second person, a search over most districts and many days, or beyond the daily limit."""
    from search.casebook import decide

    decided = decide(*_case_work(home, case, reason), approval, not deny)
    _say(f"{decided.kind} of {decided.asked_by} {'denied' if deny else 'allowed for a day'}")


@case_app.command("close")
@_command
def case_close(
    case: CaseId,
    delete: Annotated[
        bool, typer.Option("--delete", help="Also delete its photos, decisions and copies, for good.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit log.")] = None,
    home: Home = None,
) -> None:
    """Close a case: it can be read and exported, not searched or changed."""
    from search.casebook import close
    from search.casebook import delete as deleted

    archive, settings, purpose = _case_work(home, case, reason)
    if not delete:
        close(archive, settings, purpose)
        _say(f"case {case} closed; open it again with: reid case reopen {case}")
        return
    if not yes and not typer.confirm("What is deleted cannot be brought back. Delete?", err=True):
        raise InputError("nothing was deleted; confirm, or give --yes")
    photos, sightings = deleted(archive, settings, purpose)
    _say(f"case {case} deleted from {archive.cases}: {photos} photos, {sightings} judged sightings")


@case_app.command("reopen")
@_command
def case_reopen(
    case: CaseId,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit log.")] = None,
    home: Home = None,
) -> None:
    """Open a closed case again."""
    from search.casebook import close

    close(*_case_work(home, case, reason), reopen=True)
    _say(f"case {case} is open")


@case_app.command("purge")
@_command
def case_purge(home: Home = None, as_json: Json = False) -> None:
    """Delete the cases that were closed, or expired, as long ago as reid.toml says (for cron)."""
    from search.actors import Actor
    from search.casebook import delete_due

    archive = _archive(home)
    gone = delete_due(archive, _settings(archive)[0], Actor.of_this_process())
    if as_json:
        _print_json({"deleted": list(gone)})
    else:
        typer.echo("\n".join(f"case {case} deleted" for case in gone) or "nothing is due")


@audit_app.command("verify")
@_command
def audit_verify(
    noted: Annotated[
        str | None, typer.Option(help="NUMBER:HASH that an earlier verify printed, kept elsewhere.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Find any change, removal, reordering or shortening of the log; exit code 1 when there is one."""
    from search.audit_proof import verify as verified
    from search.audit_text import verification_json

    found = verified(_archive(home), noted)
    if as_json:
        _print_json(verification_json(found))
    else:
        for line in (*found.faults, *found.remarks):
            typer.echo(line)
        state = "whole" if found.sound else "NOT whole"
        typer.echo(
            f"the log is {state}: {found.head.entries} entries hold. Note elsewhere: {found.head.note}"
        )
    return 0 if found.sound else 1


@audit_app.command("show")
@_command
def audit_show(
    who: Annotated[str | None, typer.Option(help="Only of this person.")] = None,
    case: Annotated[str | None, typer.Option(help="Only of this case.")] = None,
    event: Annotated[str | None, typer.Option(help="Only these: search, view, export ...")] = None,
    since: Annotated[str | None, typer.Option(help="Not earlier than, e.g. 2025-02-18.")] = None,
    until: Annotated[str | None, typer.Option(help="Not later than; a date means its end.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show who did what, when and why."""
    from indexer.times import milliseconds, parse_local
    from search.audit import read_log
    from search.audit_text import HEADER, chosen, entry_json, row

    archive = _archive(home)
    _permitted(archive, "oversight")
    bounds = (
        milliseconds(parse_local(since)) if since else None,
        milliseconds(parse_local(until, until=True)) if until else None,
    )
    entries = list(chosen(read_log(archive), who, case, event, *bounds))
    if as_json:
        _print_json({"entries": [entry_json(entry) for entry in entries]})
    else:
        _print_table(HEADER, [row(entry) for entry in entries])


@audit_app.command("export")
@_command
def audit_export(
    out: Annotated[Path, typer.Argument(help="A new file.")], home: Home = None, as_json: Json = False
) -> int:
    """Copy the log as it is to a file for an oversight body, who can prove it whole by the printed note."""
    from search.audit_proof import copy_log

    archive = _archive(home)
    found, size = copy_log(archive, out, _permitted(archive, "oversight").actor)
    if as_json:
        _print_json({"file": str(out), "bytes": size, "sound": found.sound, "noted": found.head.note})
    else:
        typer.echo(f"{found.head.entries} entries in {out}; note: {found.head.note}")
    return 0 if found.sound else 1


@users_app.command("add")
@_command
def users_add(
    name: Annotated[str, typer.Argument(help="Of the account; for the command line the system user's.")],
    role: Annotated[str, typer.Option(help="analyst, supervisor, operator, auditor or admin.")],
    district: Annotated[
        list[str] | None, typer.Option("--district", "-d", help="That it may see; repeats.")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="It may see every district.")] = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="For tokens and the command line alone.")
    ] = False,
    home: Home = None,
) -> None:
    """Add an account; asks for its password (or reads a line from stdin)."""
    password = None if no_password else _read_password()
    from search.accounts_work import add

    archive = _archive(home)
    add(archive, _admin(archive), name, role, _reach(archive, district, everywhere), password)
    _say(f"account {name} added ({role})")


@users_app.command("list")
@_command
def users_list(home: Home = None, as_json: Json = False) -> None:
    """List the accounts."""
    from dataclasses import asdict

    from search.accounts_work import listed

    archive = _archive(home)
    _admin(archive)
    found = listed(archive)
    if as_json:
        _print_json({"accounts": [asdict(account) for account in found]})
        return
    rows = [
        [each.name, each.role, ", ".join(each.districts or ("every district",)), "disabled" * each.disabled]
        for each in found
    ]
    _print_table(["name", "role", "districts", ""], rows)


@users_app.command("disable")
@_command
def users_disable(
    name: Annotated[str, typer.Argument(help="Of the account.")],
    enable: Annotated[bool, typer.Option("--enable", help="Let it in again.")] = False,
    home: Home = None,
) -> None:
    """Shut an account out at once: its sessions and tokens end."""
    from search.accounts_work import change

    archive = _archive(home)
    change(archive, _admin(archive), name, disabled=not enable)
    _say(f"account {name} {'enabled' if enable else 'disabled'}")


@users_app.command("passwd")
@_command
def users_passwd(name: Annotated[str, typer.Argument(help="Of the account.")], home: Home = None) -> None:
    """Set another password; ends the account's sessions and its lock-out."""
    from search.accounts_work import set_password

    archive = _archive(home)
    set_password(archive, _admin(archive), name, _read_password())
    _say(f"password of {name} set")


@users_app.command("role")
@_command
def users_role(
    name: Annotated[str, typer.Argument(help="Of the account.")],
    role: Annotated[str | None, typer.Option(help="Another role. [default: as it is]")] = None,
    district: Annotated[
        list[str] | None, typer.Option("--district", "-d", help="Other districts; repeats.")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Every district.")] = False,
    home: Home = None,
) -> None:
    """Change what an account may do and see."""
    from search.accounts_work import change

    archive = _archive(home)
    reach = _reach(archive, district, everywhere) if district or everywhere else False
    if role is None and reach is False:
        raise InputError("expected --role, --district or --everywhere")
    change(archive, _admin(archive), name, role=role, districts=reach)
    _say(f"account {name} changed")


@users_app.command("token")
@_command
def users_token(
    name: Annotated[str, typer.Argument(help="Of the account.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it lasts.")] = 90,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take back all tokens of the account.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a token for machines (`Authorization: Bearer ...`); it is shown this once."""
    from search.accounts_work import add_token, revoke_tokens

    archive = _archive(home)
    actor = _admin(archive)
    made = {"revoked": revoke_tokens(archive, actor, name)} if revoke else {
        "token": add_token(archive, actor, name, days)
    }  # fmt: skip
    if as_json:
        _print_json(made)
    else:
        typer.echo(made.get("token", f"{made.get('revoked')} tokens revoked"))


@app.command()
@_command
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8765,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy on this machine speaks TLS; believe its headers.")
    ] = False,
    ray: RayAddress = None,
    home: Home = None,
) -> None:
    """Serve the console (extra `console`); the first account: reid users add NAME --role admin."""
    from search.console import Listening, run

    archive = _archive(home)
    settings, table = _settings(archive)
    _snapshot(archive)
    with _ray_on_stderr(ray):
        run(archive, settings, table, Listening(host, port, tls_cert, tls_key, behind_proxy), ray)


def _read_password() -> str:
    """Asked twice at a terminal; else a line of stdin."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _reach(archive: ArchiveFiles, district: list[str] | None, everywhere: bool) -> tuple[str, ...] | None:
    if everywhere == bool(district):
        raise InputError("expected --district NAME (repeats), or --everywhere")
    table = _settings(archive)[1]
    return tuple(dict.fromkeys(table.find(name).slug for name in district)) if district else None


def _permitted(archive: ArchiveFiles, right: Right) -> Purpose:
    """Who asks, if they may."""
    from search.policy import check_right

    purpose = _purpose(archive)
    check_right(purpose.account, right, _settings(archive)[0].require_case)
    return purpose


def _admin(archive: ArchiveFiles) -> Actor:
    """Who manages accounts: whoever the operating system lets write the archive."""
    from search.actors import Actor

    _snapshot(archive)
    return Actor.of_this_process()


def _case_work(
    home: Path | None, case: str, reason: str | None = None
) -> tuple[ArchiveFiles, Settings, Purpose]:
    archive = _archive(home)
    _snapshot(archive)
    return archive, _settings(archive)[0], _purpose(archive, case, reason)


def _case_id(text: str) -> str:
    from search.cases import check_case_id

    return check_case_id(text)


def _archive(home: Path | None) -> ArchiveFiles:
    from indexer.settings import home_folder

    return home_folder(home)


def _settings(archive: ArchiveFiles) -> tuple[Settings, Districts]:
    from indexer.districts import load_districts
    from indexer.settings import load_settings

    settings = load_settings(archive)
    return settings, load_districts(Path(settings.districts) if settings.districts else None)


def _snapshot(archive: ArchiveFiles) -> Snapshot:
    from indexer.catalogue import Catalogue

    with Catalogue(archive) as catalogue:
        return catalogue.snapshot()


def _add_cameras(archive: ArchiveFiles, file: Path) -> None:
    from indexer.cameras import read_cameras
    from indexer.catalogue import Catalogue

    _, districts = _settings(archive)
    with Catalogue(archive, "write") as catalogue:
        cameras = read_cameras(file, districts, catalogue.snapshot().cameras)
        catalogue.put_cameras(cameras)
    _say(f"{len(cameras)} cameras registered")


def _index(
    archive: ArchiveFiles,
    settings: Settings,
    requests: list[ClipRequest],
    replace: bool = False,
    workers: str | None = None,
    *,
    retry: bool = False,
    ray: str | None = None,
) -> IndexReport:
    from indexer.catalogue import Catalogue
    from indexer.decisions import RunOptions
    from indexer.indexing import index_with
    from indexer.progress import shown_progress
    from indexer.workers import fitting_workers, local_executor

    choice, asked = _choice(archive, settings), workers or settings.workers
    count = fitting_workers(asked, len(requests))
    with Catalogue(archive, "create"):  # an unfit archive is told before the models are loaded
        pass
    tries = None if retry else settings.clip_tries
    options = RunOptions(replace, settings.clip_time_factor, settings.clip_time_floor_s, tries)
    if ray is not None:
        made: InProcess | WorkerProcesses | RayActors = _ray_actors(ray, choice, workers)
    else:
        made = local_executor(choice, count, settings.worker_memory_mb)
    with _ray_on_stderr(ray), made as executor, shown_progress() as progress:
        return index_with(executor, archive, requests, progress, options=options)


def _choice(archive: ArchiveFiles, settings: Settings) -> PipelineChoice:
    from indexer.pipeline import PipelineChoice, PipelineOptions

    looking = PipelineOptions(settings.frames_per_second, settings.whole_look_seconds)
    return PipelineChoice(settings.detector, settings.embedder, archive.models, looking, settings.runtime)


@contextmanager
def _ray_on_stderr(address: str | None) -> Iterator[None]:
    """Ray tells of dead machines on stdout, where nothing but the result belongs."""
    if address is None:
        yield
        return
    from indexer.machines import disconnect

    with redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            disconnect()


def _ray_actors(address: str, choice: PipelineChoice, workers: str | None) -> RayActors:
    """As many as asked for; else as the cluster has room for."""
    from indexer.cluster import RayActors

    count = None if workers in (None, "auto") else int(workers or 0)
    return RayActors(address, choice, choice.kit(), count)


def _night_work(archive: ArchiveFiles, settings: Settings, workers: str | None, ray: str | None) -> Work:
    """Always processes, be it one: nobody watches, and no clip may end the night."""
    from indexer.decisions import RunOptions
    from indexer.nightly import Work
    from indexer.workers import WorkerProcesses, fitting_workers

    choice, asked = _choice(archive, settings), workers or settings.workers
    kit = choice.kit()
    fitting_workers(asked, 1)  # refuses what is no number now, not at one in the morning's third stage
    rules = RunOptions(False, settings.clip_time_factor, settings.clip_time_floor_s, settings.clip_tries)
    if ray is not None:
        return Work(lambda clips: _ray_actors(ray, choice, workers), rules)
    memory_mb = settings.worker_memory_mb
    return Work(lambda clips: WorkerProcesses(choice, kit, fitting_workers(asked, clips), memory_mb), rules)


def _search(
    archive: ArchiveFiles,
    settings: Settings,
    table: Districts,
    *,
    photos: list[Path] | None,
    names: list[str] | None = None,
    cameras: list[str] | None = None,
    since: str | None = None,
    until: str | None = None,
    top: int | None = None,
    person: int | None = None,
    box: str | None = None,
    near: Near | None = None,
    exact: bool = False,
    last_seen: str | None = None,
    at: str | None = None,
    route: bool = False,
    case: str | None = None,
    confirm: list[str] | None = None,
    reject: list[str] | None = None,
    said: Description | None = None,
    only_colours: bool = False,
    clothes_changed: bool = False,
    reason: str | None = None,
    ray: str | None = None,
) -> SearchResult:
    from indexer.cameras import check_camera_id
    from indexer.clothes import as_set
    from indexer.times import milliseconds, parse_local
    from reid.images import photo_bytes
    from search.desk import GivenPhoto, Question
    from search.filters import Filters, default_districts
    from search.last_seen import read_last_seen
    from search.query import check_choice
    from search.request import NOTHING_ASKED
    from search.scope import check_scope

    if not photos and said is None and case is None:
        raise InputError(NOTHING_ASKED)
    snapshot = _snapshot(archive)  # an unfit archive is told before the models are loaded
    known = snapshot.cameras
    holding = {district for district, _ in known}
    colours = [as_set(said.colours(group)) if said else 0 for group in ("upper_colours", "lower_colours")]
    if only_colours and not any(colours):
        raise InputError("--only-colours: expected colours with --upper or --lower, got none")
    purpose = _purpose(archive, case, reason)
    asked = [table.find(name).slug for name in names] if names else default_districts(table, holding)
    if not names and purpose.account and purpose.account.districts is not None:
        asked = purpose.account.districts
    filters = Filters(
        tuple(dict.fromkeys(asked)),
        tuple(dict.fromkeys(check_camera_id(camera) for camera in cameras or ())),
        milliseconds(parse_local(since)) if since is not None else None,
        milliseconds(parse_local(until, until=True)) if until is not None else None,
        near,
        *(colours if only_colours else ()),
    )
    for doubt in check_scope(filters, snapshot, milliseconds(datetime.now(UTC))):
        _say(f"note: {doubt}")
    seen = read_last_seen(last_seen, at, known, table, said.age if said else None)
    region = _parse_box(box) if box is not None else None
    check_choice(photos or (), person, region)
    if not photos and (person is not None or region is not None):
        raise InputError("--person and --box choose in a photo that is given; the case's photos have theirs")
    given = tuple(GivenPhoto(str(photo), photo_bytes(photo), person, region) for photo in photos or ())
    question = Question(
        filters, given, top or settings.top, exact, seen, route, tuple(confirm or ()), tuple(reject or ()),
        said, clothes_changed,
    )  # fmt: skip
    with _ray_on_stderr(ray), _desk(archive, settings, ray) as desk:
        answer = desk.search(question, purpose)
    if answer.opened:
        _say(f"case {case} opened")
    return answer.result


def _desk(archive: ArchiveFiles, settings: Settings, ray: str | None = None) -> Desk:
    from search.desk import Desk

    return Desk(archive, settings, functools.partial(_models, archive, settings), ray)


def _models(archive: ArchiveFiles, settings: Settings) -> tuple[Detector, Embedder]:
    from reid.detector import load_detector
    from reid.embedder import load_embedder

    detector = load_detector(settings.detector, archive.models, runtime=settings.runtime)
    return detector, load_embedder(settings.embedder, archive.models, settings.runtime)


def _purpose(archive: ArchiveFiles, case: str | None = None, reason: str | None = None) -> Purpose:
    from search.actors import Actor
    from search.desk import find_account
    from search.policy import Purpose

    actor = Actor.of_this_process()
    return Purpose(
        actor, find_account(archive, actor), _case_id(case) if case is not None else None, reason or ""
    )


def _check_target(html: Path) -> None:
    """A report may not overwrite anything but a report."""
    if html.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--html {html}: expected a name ending in .html")
    if not html.absolute().parent.is_dir():
        raise InputError(f"--html {html}: the folder {html.absolute().parent} does not exist; create it")
    if html.exists() and not html.is_file():
        raise InputError(f"--html {html}: expected a file, there is something else of that name")


def _parse_box(text: str) -> Box:
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--box {text!r}: expected four numbers x1,y1,x2,y2, e.g. 120,40,260,410") from None
    return x1, y1, x2, y2


def _parse_near(text: str, kilometres: float | None) -> Near:
    from search.filters import Near

    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--near {text!r}: expected latitude,longitude, e.g. 37.5145,127.1059") from None
    return Near(latitude, longitude, (_WITHIN_KM if kilometres is None else kilometres) * 1000)


def _print_result(result: SearchResult, table: Districts, by_camera: bool = False) -> None:
    from search.terminal import print_result

    print_result(_console(), result, table, by_camera=by_camera)


def _write_report(path: Path, result: SearchResult, table: Districts) -> None:
    from reid.durable import write_file
    from search.report import to_html

    write_file(path.absolute(), to_html(result, table).encode(errors="replace"))
    _say(f"report written to {path}")


def _print_evaluation(name: str, evaluation: Evaluation, skipped: Sequence[Skipped]) -> None:
    from reid.evaluation_text import (
        FIGURES_HEADER,
        SCORES_HEADER,
        closing_lines,
        figures_rows,
        scores_rows,
    )

    _print_table([name, *FIGURES_HEADER[1:]], figures_rows(evaluation))
    _print_table(SCORES_HEADER, scores_rows(evaluation.plain.histogram))
    for line in closing_lines(evaluation, skipped):
        _console().print(line)


def _print_calibration(calibration: Calibration, path: Path) -> None:
    from reid.evaluation_text import RELIABILITY_HEADER, reliability_rows

    _print_table(RELIABILITY_HEADER, reliability_rows(calibration))
    told = "-" if calibration.error is None else f"{calibration.error:.4f}"
    _console().print(
        f"fitted on {calibration.people:,} people; on the half not fitted on, probabilities above .001 were"
        f" off by {told} on average; kept in {path}"
    )


@contextmanager
def _shown_progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _shown_training() -> Iterator[Watch]:
    """A bar on stderr where that is a terminal; lines on stderr in any case."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, highlight=False, markup=False)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)

        class Shown:
            def progress(self, what: str, done: int, of: int) -> None:
                bar.update(task, description=what, completed=done, total=of)

            def say(self, line: str) -> None:
                console.print(line, soft_wrap=True)

        yield Shown()


def _print_table(header: list[str], rows: list[list[str]]) -> None:
    from rich.table import Table

    shown = Table(*header)
    for row in rows:
        shown.add_row(*row)
    _console().print(shown)


def _console() -> Console:
    from rich.console import Console

    # Names come from outside: brackets in them are no markup.
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=160)
    return console


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _say(text: str) -> None:
    typer.echo(text, err=True)


if __name__ == "__main__":
    main()
