"""`reid index`, `reid nightly` and `reid reindex`: which clips, by whose processes, with which models."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.commands.opening import archive_at, load_models, permitted_purpose, read_settings, tell_of_trial
from search.commands.options import Home, Json, RayAddress, Workers
from search.commands.printing import print_json, say
from search.commands.running import command, ray_on_stderr

if TYPE_CHECKING:
    from indexer.clips import ClipRequest
    from indexer.cluster import RayActors
    from indexer.executors import InProcess
    from indexer.index_report import IndexReport
    from indexer.night_record import NightRecord
    from indexer.nightly import Work
    from indexer.pipeline import PipelineChoice
    from indexer.settings import Settings
    from indexer.shard.files import ArchiveFiles
    from indexer.workers import WorkerProcesses


@command
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
    workers: Workers = None,
    ray: RayAddress = None,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Find everybody in the footage and add them to the archive. Safe to stop; a rerun goes on."""
    from indexer.cameras import check_camera_id
    from indexer.clips import Given, find_clips, parse_start

    archive = archive_at(home)
    settings, districts = read_settings(archive)
    given = Given(
        districts.find(district).slug if district is not None else None,
        check_camera_id(camera) if camera is not None else None,
        parse_start(start) if start is not None else None,
    )
    requests = find_clips(paths, given, districts)
    report = index_clips(archive, settings, requests, replace, workers, retry=retry, ray=ray)
    if as_json:
        print_json(report.to_json())
    else:
        typer.echo("\n".join(report.lines()))
    return 1 if report.failed or report.given_up else 0


@command
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
    workers: Workers = None,
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

    archive = archive_at(home)
    settings, table = read_settings(archive)
    options = NightOptions(until, max_hours, log_form(log_format, sys.stderr.isatty()))
    if dry_run:
        done: DryRun | NightRecord = plan_night(archive, settings, table)
    else:
        with ray_on_stderr(ray), bar_or_nothing() as progress:
            work = _night_work(archive, settings, workers, ray)
            models = functools.partial(load_models, archive, settings)
            done = run_nightly(archive, settings, table, work, models, options, progress)
    if as_json:
        print_json(done.to_json())
    else:
        typer.echo("\n".join(done.lines()))
    return done.exit_code


@command
def reindex_footage(
    model: Annotated[str, typer.Option(help="The embedder that is to take the place of the one in use.")],
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Switch even without clips whose footage is gone.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what could not be indexed.")] = False,
    workers: Workers = None,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Index all footage again with another embedder; searches go on with the old one until the switch."""
    from indexer.decisions import RunOptions
    from indexer.progress import shown_progress
    from indexer.reindexing import look_ahead, reindex
    from indexer.workers import fitting_workers, local_executor
    from reid.models import find_model

    archive = archive_at(home)
    settings = read_settings(archive)[0].model_copy(update={"embedder": model})
    found = look_ahead(archive, model, find_model(model, "embed", archive.models).sha256)
    if not dry_run:
        permitted_purpose(archive, "operations")
        for line in found.lines()[: len(found.missing)]:
            say(line)
        count = fitting_workers(workers or settings.workers, found.clips)
        options = RunOptions(True, settings.clip_time_factor, settings.clip_time_floor_s, None)
        made = local_executor(pipeline_choice(archive, settings), count, settings.worker_memory_mb)
        with made as executor, shown_progress() as progress:
            found = reindex(archive, executor, options, progress, drop_missing=drop_missing)
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo("\n".join(found.lines()))
    return 0 if found.switched or (dry_run and not found.missing) else 1


def index_clips(
    archive: ArchiveFiles,
    settings: Settings,
    requests: list[ClipRequest],
    replace: bool = False,
    workers: str | None = None,
    *,
    retry: bool = False,
    ray: str | None = None,
) -> IndexReport:
    """Index the clips with the settings' models, by local processes or on the cluster at `ray`.

    Args:
        archive: Made when it is not there.
        settings: What is looked at, how closely, and when a clip is given up.
        requests: The clips, each with its place and start.
        replace: Index anew what was indexed with another place, start or settings.
        workers: How many clips at a time, a number or auto; None: as the settings say.
        retry: Also try what failed too often.
        ray: HOST:PORT of the head of a Ray cluster, or auto; None: this machine.

    Raises:
        InputError: `workers` is neither a number nor auto.
        ReidError: the archive, the models or the cluster are not fit.
    """
    from indexer.catalogue import Catalogue
    from indexer.decisions import RunOptions
    from indexer.indexing import index_with
    from indexer.progress import shown_progress
    from indexer.workers import fitting_workers, local_executor

    choice, asked = pipeline_choice(archive, settings), workers or settings.workers
    count = fitting_workers(asked, len(requests))
    with Catalogue(archive, "create"):  # an unfit archive is told before the models are loaded
        pass
    if ray is None:
        tell_of_trial(archive, settings)
    tries = None if retry else settings.clip_tries
    options = RunOptions(replace, settings.clip_time_factor, settings.clip_time_floor_s, tries)
    if ray is not None:
        made: InProcess | WorkerProcesses | RayActors = _ray_actors(ray, choice, workers)
    else:
        made = local_executor(choice, count, settings.worker_memory_mb)
    with ray_on_stderr(ray), made as executor, shown_progress() as progress:
        return index_with(executor, archive, requests, progress, options=options)


def pipeline_choice(archive: ArchiveFiles, settings: Settings) -> PipelineChoice:
    """The models of the settings, and how closely they look at footage."""
    from indexer.pipeline import PipelineChoice, PipelineOptions

    looking = PipelineOptions(settings.frames_per_second, settings.whole_look_seconds)
    return PipelineChoice(settings.detector, settings.embedder, archive.models, looking, settings.runtime)


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

    choice, asked = pipeline_choice(archive, settings), workers or settings.workers
    kit = choice.kit()
    fitting_workers(asked, 1)  # refuses what is no number now, not at one in the morning's third stage
    rules = RunOptions(False, settings.clip_time_factor, settings.clip_time_floor_s, settings.clip_tries)
    if ray is not None:
        return Work(lambda clips: _ray_actors(ray, choice, workers), rules)
    memory_mb = settings.worker_memory_mb
    return Work(lambda clips: WorkerProcesses(choice, kit, fitting_workers(asked, clips), memory_mb), rules)
