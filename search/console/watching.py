"""Pages for those who run and those who oversee: operations, the audit log, metrics."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.params import Query as Parameter
from fastapi.responses import FileResponse, Response

from indexer.metrics import CONTENT_TYPE, metrics_text
from indexer.purge import Days
from indexer.status import Status, read_status
from search.actors import Actor
from search.audit import EVENTS, Deed, log_path, read_head, recent, record
from search.audit_proof import verify
from search.audit_text import chosen, told
from search.console.shown import now_ms, page, station_of
from search.console.station import Station
from search.console.visitors import Needs, visitor_of
from search.policy import DAY

router = APIRouter(include_in_schema=False)

_SHOWN = 200  # entries
_SOON_BYTES = 4_000_000  # of a log that is proved without being asked
_FAILURES = 100


def _status(station: Station) -> Status:
    days = Days.of(station.settings, station.districts)
    return read_status(station.archive, days, catalogue=station.desk.catalogue)


@router.get("/operations", dependencies=[Depends(Needs("operations"))])
def operations(request: Request) -> Response:
    """What is indexed, last night's run, failures."""
    station, visitor = station_of(request), visitor_of(request)
    status = _status(station)
    reach = station.reach(visitor.account)
    failures = [each for each in station.snapshot().failures if each.district in reach or not each.district]
    return page(
        request, "operations.html.j2", found=status,
        rows=[row for row in status.districts if row.district in reach], failures=failures[:_FAILURES],
        more=max(0, len(failures) - _FAILURES),
    )  # fmt: skip


@router.get("/metrics", dependencies=[Depends(Needs("operations"))])
def metrics(request: Request) -> Response:
    """For Prometheus, with a token."""
    station = station_of(request)
    status = _status(station)
    return Response(metrics_text(status), media_type=CONTENT_TYPE)


@router.get("/oversight", dependencies=[Depends(Needs("oversight"))])
def oversight(
    request: Request, who: str = "", case: str = "", event: str = "", before: Annotated[int, Parameter()] = 0,
    prove: bool = False,
) -> Response:  # fmt: skip
    """Who did what, when and why, and whether the log is whole."""
    station, visitor = station_of(request), visitor_of(request)
    record(station.archive, Deed("log read", visitor.actor, subject="oversight page"))
    week = list(recent(station.archive, now_ms() - 7 * DAY))
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in week:
        if entry.deed.actor.name:
            counted[entry.deed.actor.name][entry.deed.event] += 1
    entries = chosen(recent(station.archive, 0), who or None, case or None, event or None, None, None)
    is_small = read_head(station.archive).bytes < _SOON_BYTES
    proof = verify(station.archive) if prove or is_small else None
    older = (entry for entry in entries if not before or entry.number < before)
    return page(
        request, "oversight.html.j2", proof=proof, entries=list(islice(older, _SHOWN)),
        told=told, events=EVENTS, who=who, case=case, event=event,
        alerts=[entry for entry in week if entry.deed.event == "alert"],
        people=sorted(counted.items(), key=lambda each: -each[1]["search"]),
    )  # fmt: skip


@router.get("/oversight/log.jsonl", dependencies=[Depends(Needs("oversight"))])
def log_copy(request: Request) -> Response:
    """The log as it is, for an oversight body."""
    station, visitor = station_of(request), visitor_of(request)
    actor: Actor = visitor.actor
    record(station.archive, Deed("log read", actor, subject="copied by the console"))
    return FileResponse(
        log_path(station.archive), media_type="application/jsonl", filename="reid-audit.jsonl"
    )
