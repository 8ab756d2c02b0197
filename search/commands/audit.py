"""`reid audit`: show the log of deeds, prove it whole, copy it for an oversight body."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.commands.opening import archive_at, permitted_purpose
from search.commands.options import Home, Json
from search.commands.printing import print_json, print_table
from search.commands.running import command

audit_app = typer.Typer(no_args_is_help=True, help="The log of who did what, when and why.")


@audit_app.command("verify")
@command
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

    found = verified(archive_at(home), noted)
    if as_json:
        print_json(verification_json(found))
    else:
        for line in (*found.faults, *found.remarks):
            typer.echo(line)
        state = "whole" if found.sound else "NOT whole"
        typer.echo(
            f"the log is {state}: {found.head.entries} entries hold. Note elsewhere: {found.head.note}"
        )
    return 0 if found.sound else 1


@audit_app.command("show")
@command
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

    archive = archive_at(home)
    permitted_purpose(archive, "oversight")
    bounds = (
        milliseconds(parse_local(since)) if since else None,
        milliseconds(parse_local(until, until=True)) if until else None,
    )
    entries = list(chosen(read_log(archive), who, case, event, *bounds))
    if as_json:
        print_json({"entries": [entry_json(entry) for entry in entries]})
    else:
        print_table(HEADER, [row(entry) for entry in entries])


@audit_app.command("export")
@command
def audit_export(
    out: Annotated[Path, typer.Argument(help="A new file.")], home: Home = None, as_json: Json = False
) -> int:
    """Copy the log as it is to a file for an oversight body, who can prove it whole by the printed note."""
    from search.audit_proof import copy_log

    archive = archive_at(home)
    found, size = copy_log(archive, out, permitted_purpose(archive, "oversight").actor)
    if as_json:
        print_json({"file": str(out), "bytes": size, "sound": found.sound, "noted": found.head.note})
    else:
        typer.echo(f"{found.head.entries} entries in {out}; note: {found.head.note}")
    return 0 if found.sound else 1
