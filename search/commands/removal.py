"""What cannot be brought back: `reid erase`, and `reid purge` with the check of its proofs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reid.errors import InputError
from search.commands.opening import archive_at, permitted_purpose, read_settings, read_snapshot
from search.commands.options import Home, Json
from search.commands.printing import print_json, progress_bar
from search.commands.running import command

if TYPE_CHECKING:
    from indexer.shard.files import ArchiveFiles


@command
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

    archive = archive_at(home)
    if (tracklet is None) == (district is None):
        raise InputError("expected --tracklet ID, or --district with --day, or --since and --until")
    if tracklet is not None and (camera or since or until or day):
        raise InputError("--tracklet names one tracklet; leave the other options out")
    if not yes and not typer.confirm("What is erased cannot be brought back. Erase?", err=True):
        raise InputError("nothing was erased; confirm, or give --yes")
    purpose = permitted_purpose(archive, "operations")
    asked = {
        "districts": [district] if district else [], "cameras": camera or [], "since": since, "until": until,
        "day": day,
    }  # fmt: skip
    record(archive, Deed("erase", purpose.actor, subject=tracklet or "", scope=asked))
    with progress_bar("erasing") as progress:
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
            names = read_settings(archive)[1]
            done = erase_time(archive, names.find(district or "").slug, begin, end, camera or (), progress)
    let_follow(archive, read_snapshot(archive))
    cases = keeping(archive, done.erasure)
    gone = {"tracklets": done.erasure.tracklets, "vectors": done.erasure.vectors}
    record(archive, Deed("erase", purpose.actor, subject="done", scope=asked, counts=gone))
    if as_json:
        print_json({**asdict(done), "proof": done.proof, "cases": cases})
    else:
        typer.echo(done.proof)
        for case in cases:
            typer.echo(f"case {case} keeps a copy of what was erased; it goes with: reid case close --delete")
        for segment in done.unreadable:
            typer.echo(f"segment {segment} could not be read and went as a whole; index its clips again")
    return 1 if done.unreadable else 0


@command
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

    archive = archive_at(home)
    if check:
        return _check_proofs(archive, as_json)
    settings, table = read_settings(archive)
    slugs = tuple(table.find(name).slug for name in district or ())
    day = parse_day(before) if before is not None else None
    read_snapshot(archive)
    asks = before is not None and not dry_run and not yes
    if asks and not typer.confirm("What is removed cannot be brought back. Remove?", err=True):
        raise InputError("nothing was removed; confirm, or give --yes")
    purpose = permitted_purpose(archive, "operations")
    order = Order(purpose.actor.name if by is None else by, slugs, day, clock_is_right)
    if not dry_run:
        asked = {"districts": list(slugs), "before": before, "by": order.by}
        record(archive, Deed("erase", purpose.actor, subject="retention", scope=asked))
    with progress_bar("removing what has expired") as progress:
        done = purged(archive, Days.of(settings, table), order, holds(archive), progress, dry_run=dry_run)
    if as_json:
        print_json(done.to_json())
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
        print_json({**asdict(found), "sound": found.is_sound})
    else:
        for what in ("missing", "altered", "unexpected"):
            for name in getattr(found, what):
                typer.echo(f"{what}: {name}")
        typer.echo(f"{found.proofs} proofs compared in {archive.proofs}")
    return 0 if found.is_sound else 1
