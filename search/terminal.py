"""Shows a result in a terminal. Owns the table and the closing lines about what was searched."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from indexer.coverage import Coverage, Missing
from indexer.districts import Districts
from search.coverage_text import amount, verdict
from search.feedback_text import feedback_notes
from search.last_seen import apart, notes_of
from search.planner import Plan
from search.report import SHOWN_DAMAGE, description_notes, filter_notes
from search.route_text import passed, rank_text, route_notes, way_text
from search.sightings import SearchResult, Sighting
from search.wording import camera_time, chance, clock_doubt, clock_note, duration, local_time, percent, score

_SHOWN_PLACES = 3
_SHOWN_REASONS = 4  # in a line each; the others share one
_TABLE_WIDTH = 100  # characters; a narrower table would cut scores and times


def print_result(
    console: Console, result: SearchResult, districts: Districts, *, by_camera: bool = False
) -> None:
    """The table of sightings, then always what was searched and what was not.

    Args:
        by_camera: also of each camera.
    """
    for warning in result.warnings:
        console.print(f"note: {warning}", style="yellow", highlight=False)
    if result.sightings and console.width >= _TABLE_WIDTH:
        console.print(_table(result, districts))
    elif result.sightings:
        _print_blocks(console, result, districts)
    if result.expected_right is not None and result.sightings:
        shown = counted(len(result.sightings), "sighting")
        console.print(
            f"Expected to show the person: {result.expected_right:.1f} of {shown}, by the calibration.",
            highlight=False,
        )
    _print_route(console, result)
    told = verdict(result.coverage, len(result.sightings), result.expected_right)
    if told:
        style = "bold reverse red" if told.is_urgent else "bold yellow"
        console.print(f"{told.english}\n{told.korean}", style=style, highlight=False)
    print_coverage(console, result.coverage)
    if by_camera:
        print_cameras(console, result.coverage)
    notes = notes_of(result.request.last_seen, result.coverage.until_ms)
    notes = [*feedback_notes(result.request, result.model), *description_notes(result), *notes]
    for note in [*filter_notes(result.request.filters), *notes]:
        console.print(f"note: {note}", style="yellow", highlight=False)
    if note := clock_note(result):
        console.print(f"note: {note}", style="yellow", highlight=False)
    for name, reason in result.damaged[:SHOWN_DAMAGE]:
        console.print(f"damaged segment {name}: {reason}", style="red", highlight=False)
    if len(result.damaged) > SHOWN_DAMAGE:
        more = counted(len(result.damaged) - SHOWN_DAMAGE, "more damaged segment")
        console.print(f"and {more}: reid verify --deep lists them", style="red", highlight=False)
    console.print(
        f"Compared {counted(result.rows, 'vector')} in {counted(len(result.segments), 'segment')},"
        f" {how(result.plan)}."
        " A score is likeness, not identity.",
        highlight=False,
    )


def _print_route(console: Console, result: SearchResult) -> None:
    """The hops in the order of time, and how sure each is."""
    notes, hops = route_notes(result), passed(result)
    if hops:
        console.print("Route, by place, time and likeness:", style="bold", highlight=False)
    seen = result.request.last_seen
    lines = [
        f"   {local_time(sighting.record.start_ms)[5:16]}  {sighting.district} {sighting.camera_name}"
        f" (rank {sighting.rank}, {chance(sighting.probability)})"
        + (f", {way_text(hop)}" if way_text(hop) else "")
        + f": {hop.sureness}"
        + (f"; else {rank_text(result, hop.instead)}" if hop.instead and hop.sureness == "open" else "")
        for hop, sighting in hops
    ]
    if seen and result.route and hops:
        lines.insert(result.route.seen_before, f"   {local_time(seen.at_ms)[5:16]}  {seen.place} (last seen)")
    for line in lines:
        console.print(line, highlight=False, markup=False)
    for note in notes:
        console.print(f"note: {note}", style="yellow", highlight=False)


def how(plan: Plan) -> str:
    """How vectors were compared, in words."""
    if plan.kind == "description":
        return "each asked what was said of the person"
    if plan.kind == "exact":
        return "exact"
    return (
        f"approximate: expected to find {plan.expected_recall:.1%} of the ten nearest (--exact compares all)"
    )


def _print_blocks(console: Console, result: SearchResult, districts: Districts) -> None:
    """For a narrow terminal, in which a table would lose its columns."""
    for sighting in result.sightings:
        record, district = sighting.record, districts.find(sighting.district)
        judged = sighting.decision or f"probability {chance(sighting.probability)}"
        console.print(f"{sighting.rank}. {judged}, score {score(sighting.score)}", style="bold")
        console.print(f"   {_when(sighting)} KST, {duration(sighting)}")
        console.print(f"   {district.name_ko} {district.slug}, {sighting.camera_name}")
        console.print(f"   camera {record.camera}, id {record.id}")
        for each in sighting.shown:
            console.print(f"   {each.text}")
        if sighting.minutes_after is not None:
            console.print(f"   {apart(sighting.distance_m, sighting.minutes_after)} last seen")


def _table(result: SearchResult, districts: Districts) -> Table:
    table = Table(title="Sightings, most alike first", title_justify="left", title_style="bold")
    table.add_column("rank", justify="right")
    table.add_column("probability", justify="right")
    table.add_column("score", justify="right")
    table.add_column("camera", overflow="fold")
    table.add_column("district")
    table.add_column("local time (KST)", no_wrap=True)
    table.add_column("duration", justify="right")
    if result.request.last_seen:
        table.add_column("from last seen")
    if result.request.description:
        table.add_column("described")
    table.add_column("id", style="dim", no_wrap=True)
    for sighting in result.sightings:
        district = districts.find(sighting.district)
        camera = sighting.record.camera
        if sighting.camera_name != camera:
            camera = f"{camera} {sighting.camera_name}"
        after = sighting.minutes_after
        table.add_row(
            str(sighting.rank), sighting.decision or chance(sighting.probability), score(sighting.score),
            camera, f"{district.name_ko} {district.slug}",
            _when(sighting), duration(sighting),
            *([] if after is None else [apart(sighting.distance_m, after)]),
            *(["\n".join(each.text for each in sighting.shown)] if sighting.shown else []),
            sighting.record.id,
        )  # fmt: skip
    return table


def _when(sighting: Sighting) -> str:
    return f"{local_time(sighting.record.start_ms)} {clock_doubt(sighting)}".strip()


def counted(number: int, noun: str) -> str:
    """`1 camera`, `1,200 cameras`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def print_coverage(console: Console, coverage: Coverage) -> None:
    """What was searched and what was not, in six lines at most."""
    asked, searched = camera_time(coverage.asked_camera_hours), camera_time(coverage.searched_camera_hours)
    window = f"{local_time(coverage.since_ms)} to {local_time(coverage.until_ms)}"
    console.print(
        f"Searched {searched} of {asked} of camera time ({percent(coverage.searched_share)}):"
        f" {counted(coverage.cameras, 'camera')}, {window}.",
        style="bold",
        highlight=False,
    )
    shown = _SHOWN_REASONS if len(coverage.missing) > _SHOWN_REASONS + 1 else len(coverage.missing)
    for gap in coverage.missing[:shown]:
        more = len(gap.where) - _SHOWN_PLACES
        places = ", ".join(gap.where[:_SHOWN_PLACES]) + (f" and {more:,} more" if more > 0 else "")
        console.print(
            f"Not searched: {gap.reason}, {amount(gap)} ({places})", style="yellow", highlight=False
        )
    rest = "; ".join(f"{gap.reason}, {_briefly(gap)}" for gap in coverage.missing[shown:])
    if rest:
        console.print(f"Not searched: {rest} (--coverage lists all)", style="yellow", highlight=False)


def _briefly(gap: Missing) -> str:
    return f"{len(gap.where):,}" if gap.camera_hours is None else camera_time(gap.camera_hours)


def print_cameras(console: Console, coverage: Coverage) -> None:
    """What was searched of each camera and what was not, a line each, the worst first."""
    console.print("Coverage by camera, least searched first:", style="bold", highlight=False)
    for each in coverage.by_camera.worst_first():
        asked, searched = camera_time(each.asked_camera_hours), camera_time(each.searched_camera_hours)
        share = each.searched_camera_hours / each.asked_camera_hours if each.asked_camera_hours else 0.0
        missing = "".join(f"; {reason} {camera_time(hours)}" for reason, hours in each.missing)
        console.print(
            f"{each.district}/{each.camera}: {percent(share)}, {searched} of {asked}{missing}",
            highlight=False,
        )
    for gap in coverage.missing:
        if gap.camera_hours is None or gap.unmeasured:
            console.print(f"{gap.reason}, {amount(gap)}: {', '.join(gap.where)}", highlight=False)
