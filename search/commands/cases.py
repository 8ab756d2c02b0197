"""`reid case`, and `reid export` of what was confirmed in a case."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reid.errors import InputError
from search.commands.opening import (
    archive_at,
    permitted_purpose,
    read_settings,
    read_snapshot,
    stated_purpose,
)
from search.commands.options import CaseId, Home, Json
from search.commands.printing import print_json, print_table, progress_bar, say
from search.commands.running import command

if TYPE_CHECKING:
    from indexer.settings import Settings
    from indexer.shard.files import ArchiveFiles
    from search.policy import Purpose

case_app = typer.Typer(no_args_is_help=True, help="Cases: whom somebody looks for, and what was decided.")


@case_app.command("open")
@command
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

    archive = archive_at(home)
    settings, table = read_settings(archive)
    said = read_description((), (), [age], (), ()) if age else None
    slugs = tuple(table.find(name).slug for name in district) if district else None
    open_case(
        archive, settings, stated_purpose(archive, case, reason), basis, days=days, districts=slugs,
        age=said.age if said else None, description=description,
    )  # fmt: skip
    say(f"case {case} is open; search in it with: reid search PHOTO --case {case}")


@case_app.command("list")
@command
def case_list(home: Home = None, as_json: Json = False) -> None:
    """List the cases that you may see."""
    from search.case_text import LIST_HEADER, list_row, summary
    from search.casebook import visible

    archive = archive_at(home)
    read_snapshot(archive)
    found = visible(archive, permitted_purpose(archive, "search").account)
    if as_json:
        print_json({"cases": [summary(case) for case in found]})
        return
    print_table(LIST_HEADER, [list_row(case) for case in found])


@case_app.command("show")
@command
def case_show(case: CaseId, home: Home = None, as_json: Json = False) -> None:
    """Show the photos of a case and what was decided of which sighting."""
    from search.case_text import SHOW_HEADER, case_json, head_lines, show_rows
    from search.casebook import permitted

    archive, settings, purpose = _case_work(home, case)
    found = permitted(archive, settings, purpose, "search")
    if as_json:
        print_json(case_json(found))
        return
    typer.echo("\n".join(head_lines(found)))
    print_table(SHOW_HEADER, show_rows(found))


@case_app.command("undo")
@command
def case_undo(
    case: CaseId,
    sighting: Annotated[str, typer.Argument(help="Its id, or the first digits of it.")],
    home: Home = None,
) -> None:
    """Withdraw what was decided of a sighting."""
    from search.casebook import undo

    verdict = undo(*_case_work(home, case), sighting)
    say(f"sighting {sighting} is no longer {verdict} in case {case}")


@case_app.command("approve")
@command
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
    say(f"{decided.kind} of {decided.asked_by} {'denied' if deny else 'allowed for a day'}")


@case_app.command("close")
@command
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
        say(f"case {case} closed; open it again with: reid case reopen {case}")
        return
    if not yes and not typer.confirm("What is deleted cannot be brought back. Delete?", err=True):
        raise InputError("nothing was deleted; confirm, or give --yes")
    photos, sightings = deleted(archive, settings, purpose)
    say(f"case {case} deleted from {archive.cases}: {photos} photos, {sightings} judged sightings")


@case_app.command("reopen")
@command
def case_reopen(
    case: CaseId,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit log.")] = None,
    home: Home = None,
) -> None:
    """Open a closed case again."""
    from search.casebook import close

    close(*_case_work(home, case, reason), reopen=True)
    say(f"case {case} is open")


@case_app.command("purge")
@command
def case_purge(home: Home = None, as_json: Json = False) -> None:
    """Delete the cases that were closed, or expired, as long ago as reid.toml says (for cron)."""
    from search.actors import Actor
    from search.casebook import delete_due

    archive = archive_at(home)
    gone = delete_due(archive, read_settings(archive)[0], Actor.of_this_process())
    if as_json:
        print_json({"deleted": list(gone)})
    else:
        typer.echo("\n".join(f"case {case} deleted" for case in gone) or "nothing is due")


def _case_work(
    home: Path | None, case: str, reason: str | None = None
) -> tuple[ArchiveFiles, Settings, Purpose]:
    archive = archive_at(home)
    read_snapshot(archive)
    return archive, read_settings(archive)[0], stated_purpose(archive, case, reason)


@command
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

    archive = archive_at(home)
    settings, table = read_settings(archive)
    snapshot = read_snapshot(archive)
    check_target(out)
    blurring = functools.partial(load_detector, settings.detector, archive.models, runtime=settings.runtime)
    purpose = stated_purpose(archive, case, reason)
    with progress_bar("exporting") as progress:
        done = export_recorded(
            archive, settings, purpose, snapshot, table, out, blurring if blur else None, progress
        )
    if as_json:
        print_json(asdict(done))
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

    with progress_bar("checking") as progress:
        found = check_export(folder, progress)
    if as_json:
        print_json({**asdict(found), "sound": found.sound})
    else:
        for what in ("missing", "altered", "unexpected"):
            for name in getattr(found, what):
                typer.echo(f"{what}: {name}")
        typer.echo(f"{found.files} files compared; sha256 of the manifest {found.manifest}")
    return 0 if found.sound else 1
