"""`reid search`, and `reid replay` of what it printed: options become a question, its answer is shown."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reid.errors import InputError
from search.commands.opening import archive_at, load_models, read_settings, read_snapshot, stated_purpose
from search.commands.options import District, Home, Json, Person, RayAddress, Region, parse_box
from search.commands.printing import plain_console, print_json, say
from search.commands.running import command, ray_on_stderr

if TYPE_CHECKING:
    from indexer.districts import Districts
    from indexer.settings import Settings
    from indexer.shard.files import ArchiveFiles
    from search.description import Description
    from search.desk import Desk
    from search.filters import Near
    from search.sightings import SearchResult

_WITHIN_KM = 2.0  # of --near


@command
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

    archive = archive_at(home)
    settings, districts = read_settings(archive)
    if html:
        _check_target(html)
    if within is not None and near is None:
        raise InputError(f"--within {within:g} needs the point: --near lat,lon, e.g. --near 37.5145,127.1059")
    asked = Typed(
        photos or (), person, box, district or (), camera or (), since, until,
        _parse_near(near, within) if near is not None else None,
        read_description(upper or (), lower or (), age or (), having or (), without or ()), only_colours,
        clothes_changed, last_seen, at, route, case, reason, confirm or (), reject or (), top, exact,
    )  # fmt: skip
    result = search_archive(archive, settings, districts, asked, ray)
    if html:
        write_report(html, result, districts)
    if as_json:
        print_json(to_json(result))
    else:
        show_result(result, districts, by_camera=coverage)
    return 1 if result.damaged else 0


@command
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
    archive = archive_at(home)
    settings, _ = read_settings(archive)
    snapshot = read_snapshot(archive)  # an unfit archive is told before the models are loaded
    recalled = functools.partial(recall, archive, snapshot)
    with _desk(archive, settings) as desk:
        request = asked_again(then, str(result), photo or (), *desk.models, recalled)
        now = to_json(desk.ask_again(request, stated_purpose(archive, case or request.feedback.case, reason)))
    found = compare(then, now)
    if as_json:
        print_json({"same": found.is_same, **asdict(found), "result": now})
    else:
        for line in found.lines():
            typer.echo(line)
    return 0 if found.is_same else 1


@dataclass(frozen=True)
class Typed:
    """What the options of `reid search` say, each as it was typed; None and empty for what was not said.

    Attributes:
        photos, person, box: the photos, and whom to look for in the one.
        districts, cameras, since, until, near, only_colours: what is searched.
        said: what is known of how the person looks. clothes_changed: they may wear others by now.
        last_seen, at, route: where and when they were seen last, and whether the way is asked for.
        case, reason: on whose behalf. confirm, reject: sightings judged before.
        top: how many sightings. exact: compare all vectors.
    """

    photos: Sequence[Path] = ()
    person: int | None = None
    box: str | None = None
    districts: Sequence[str] = ()
    cameras: Sequence[str] = ()
    since: str | None = None
    until: str | None = None
    near: Near | None = None
    said: Description | None = None
    only_colours: bool = False
    clothes_changed: bool = False
    last_seen: str | None = None
    at: str | None = None
    route: bool = False
    case: str | None = None
    reason: str | None = None
    confirm: Sequence[str] = ()
    reject: Sequence[str] = ()
    top: int | None = None
    exact: bool = False


def search_archive(
    archive: ArchiveFiles, settings: Settings, table: Districts, asked: Typed, ray: str | None = None
) -> SearchResult:
    """Ask what was typed; doubts and notes go to stderr.

    Raises:
        InputError: options that do not go together, or that name what is not there.
        ReidError: whoever asks may not, or the archive, the models or the cluster are not fit.
    """
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

    if not asked.photos and asked.said is None and asked.case is None:
        raise InputError(NOTHING_ASKED)
    snapshot = read_snapshot(archive)  # an unfit archive is told before the models are loaded
    known = snapshot.cameras
    holding = {district for district, _ in known}
    colours = [
        as_set(asked.said.colours(group)) if asked.said else 0 for group in ("upper_colours", "lower_colours")
    ]
    if asked.only_colours and not any(colours):
        raise InputError("--only-colours: expected colours with --upper or --lower, got none")
    purpose = stated_purpose(archive, asked.case, asked.reason)
    scope = (
        [table.find(name).slug for name in asked.districts]
        if asked.districts
        else default_districts(table, holding)
    )
    if not asked.districts and purpose.account and purpose.account.districts is not None:
        scope = purpose.account.districts
    filters = Filters(
        tuple(dict.fromkeys(scope)),
        tuple(dict.fromkeys(check_camera_id(camera) for camera in asked.cameras)),
        milliseconds(parse_local(asked.since)) if asked.since is not None else None,
        milliseconds(parse_local(asked.until, until=True)) if asked.until is not None else None,
        asked.near,
        *(colours if asked.only_colours else ()),
    )
    for doubt in check_scope(filters, snapshot, milliseconds(datetime.now(UTC))):
        say(f"note: {doubt}")
    seen = read_last_seen(asked.last_seen, asked.at, known, table, asked.said.age if asked.said else None)
    region = parse_box(asked.box) if asked.box is not None else None
    check_choice(asked.photos, asked.person, region)
    if not asked.photos and (asked.person is not None or region is not None):
        raise InputError("--person and --box choose in a photo that is given; the case's photos have theirs")
    given = tuple(GivenPhoto(str(photo), photo_bytes(photo), asked.person, region) for photo in asked.photos)
    question = Question(
        filters, given, asked.top or settings.top, asked.exact, seen, asked.route, tuple(asked.confirm),
        tuple(asked.reject), asked.said, asked.clothes_changed,
    )  # fmt: skip
    with ray_on_stderr(ray), _desk(archive, settings, ray) as desk:
        answer = desk.search(question, purpose)
    if answer.opened:
        say(f"case {asked.case} opened")
    return answer.result


def _desk(archive: ArchiveFiles, settings: Settings, ray: str | None = None) -> Desk:
    from search.desk import Desk

    return Desk(archive, settings, functools.partial(load_models, archive, settings), ray)


def _check_target(html: Path) -> None:
    """A report may not overwrite anything but a report."""
    if html.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--html {html}: expected a name ending in .html")
    if not html.absolute().parent.is_dir():
        raise InputError(f"--html {html}: the folder {html.absolute().parent} does not exist; create it")
    if html.exists() and not html.is_file():
        raise InputError(f"--html {html}: expected a file, there is something else of that name")


def _parse_near(text: str, kilometres: float | None) -> Near:
    from search.filters import Near

    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--near {text!r}: expected latitude,longitude, e.g. 37.5145,127.1059") from None
    return Near(latitude, longitude, (_WITHIN_KM if kilometres is None else kilometres) * 1000)


def show_result(result: SearchResult, table: Districts, by_camera: bool = False) -> None:
    """Print the sightings and what was not searched; by_camera: also camera by camera."""
    from search.terminal import print_result

    print_result(plain_console(), result, table, by_camera=by_camera)


def write_report(path: Path, result: SearchResult, table: Districts) -> None:
    """Write the result as one HTML file, whole or not at all."""
    from reid.durable import write_file
    from search.report import to_html

    write_file(path.absolute(), to_html(result, table).encode(errors="replace"))
    say(f"report written to {path}")
