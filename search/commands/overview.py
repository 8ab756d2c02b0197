"""What is there and how it is: districts, clips, figures, status, doctor; and what a load would need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.commands.opening import archive_at, read_settings
from search.commands.options import District, Home, Json
from search.commands.printing import print_json, print_table, say
from search.commands.running import command


@command
def districts(home: Home = None, as_json: Json = False) -> None:
    """List the 25 districts of Seoul and which are active, with the source of that."""
    from dataclasses import asdict

    _, table = read_settings(archive_at(home))
    if as_json:
        print_json({"districts": [asdict(row) for row in table.all]})
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
    print_table(["name", "한글", "English", "code", "active", "confidence", "source"], rows)
    say(f"{len(table.active)} of {len(table.all)} active")


@command
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

    archive = archive_at(home)
    settings, table = read_settings(archive)
    states = [*([FAILED, GIVEN_UP] if failed else []), *([WAITING] if waiting else [])]
    slugs = [table.find(name).slug for name in district or ()]
    found = list_clips(archive, states, slugs, settings.clip_tries)
    if as_json:
        print_json(found.to_json())
        return
    header = ["state", "district", "camera", "start", "tries", "", "clip"]
    print_table(header, [each.cells() for each in found.clips])
    say(", ".join(f"{count} {state.replace('_', ' ')}" for state, count in found.counts.items() if count))


@command
def stats(home: Home = None, as_json: Json = False) -> None:
    """What the archive holds."""
    from indexer.health import archive_figures

    figures = archive_figures(archive_at(home))
    if as_json:
        print_json(figures)
        return
    print_table(["", ""], [[name.replace("_", " "), str(value)] for name, value in figures.items()])


@command
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

    archive = archive_at(home)
    settings, table = read_settings(archive)
    found = read_status(archive, Days.of(settings, table))
    if settings.metrics_file:
        write_metrics(Path(settings.metrics_file), found)
    if metrics:
        typer.echo(metrics_text(found), nl=False)
    elif as_json:
        print_json(found.to_json())
    else:
        print_table(list(HEADER), found.rows())
        typer.echo("\n".join(found.notes()))


@command
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
    archive = archive_at(home)
    settings = read_settings(archive)[0]
    found = plan(archive, settings, load, footage or (), seconds_in_view, again=again, tell=say)
    if as_json:
        print_json(found.to_json())
        return
    print_table(list(HEADER), found.rows())
    for line in found.assumptions:
        typer.echo(f"assumed: {line}")


@command
def doctor(
    home: Home = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every segment and compare checksums.")] = False,
    as_json: Json = False,
) -> int:
    """Check machine, models and archive, and say what to do about what is not well."""
    from dataclasses import asdict

    from indexer.health import examine

    checks = list(examine(archive_at(home), deep))
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    else:
        print_table(["check", "state", "detail"], [[c.name, c.state, c.detail] for c in checks])
    return 3 if any(check.state == "failed" for check in checks) else 0
