"""The interface for machines: the same searches under the same rules, by token; described by OpenAPI."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response

from indexer.health import archive_figures
from indexer.times import milliseconds, parse_local
from reid.errors import InputError
from search.audit import Deed, recent, record
from search.audit_text import entry_json
from search.case_text import case_json, summary
from search.casebook import open_case, permitted, visible
from search.console.shown import now_ms, station_of
from search.console.visitors import Needs, visitor_of
from search.description import read_description
from search.desk import GivenPhoto, Question
from search.filters import Filters
from search.policy import DAY
from search.report import to_json
from search.scope import check_scope

router = APIRouter(prefix="/api", tags=["reid"])
searcher = [Depends(Needs("search"))]

_MOST_ENTRIES = 1000


@router.get("/openapi.json", dependencies=[Depends(Needs("signed in"))], include_in_schema=False)
def openapi(request: Request) -> Response:
    """What there is."""
    app: FastAPI = request.app
    told = get_openapi(title="reid", version="1", routes=router.routes)
    told["components"] = {
        **told.get("components", {}), "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }  # fmt: skip
    told["security"] = [{"token": []}]
    assert app is not None
    return JSONResponse(told)


@router.get("/cases", dependencies=searcher)
def cases(request: Request) -> dict[str, Any]:
    """The cases that the token's account may see."""
    found = visible(station_of(request).archive, visitor_of(request).account)
    return {"cases": [summary(case) for case in found]}


@router.post("/cases", dependencies=searcher, status_code=201)
def new_case(
    request: Request,
    case: Annotated[str, Form()],
    basis: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    description: Annotated[str, Form()] = "",
) -> dict[str, Any]:
    """Open a case."""
    station, visitor = station_of(request), visitor_of(request)
    open_case(
        station.archive, station.settings, visitor.purpose(case, reason), basis[:500],
        description=description[:2000],
    )  # fmt: skip
    return {"case": case}


@router.get("/cases/{case_id}", dependencies=searcher)
def case_of(request: Request, case_id: str) -> dict[str, Any]:
    """All of a case but its pictures; of decisions, those in districts that the account may see."""
    station, visitor = station_of(request), visitor_of(request)
    case = permitted(station.archive, station.settings, visitor.purpose(case_id), "search")
    told = case_json(case)
    seen = [each for each in told["sightings"] if visitor.account.may_see((each["district"],))]
    return {**told, "sightings": seen}


@router.post("/search", dependencies=searcher)
def search(
    request: Request,
    photo: Annotated[list[UploadFile] | None, File()] = None,
    case: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    district: Annotated[list[str] | None, Form()] = None,
    since: Annotated[str, Form()] = "",
    until: Annotated[str, Form()] = "",
    upper: Annotated[list[str] | None, Form()] = None,
    lower: Annotated[list[str] | None, Form()] = None,
    having: Annotated[list[str] | None, Form()] = None,
    without: Annotated[list[str] | None, Form()] = None,
    top: Annotated[int, Form(ge=1, le=1000)] = 20,
    exact: Annotated[bool, Form()] = False,
) -> dict[str, Any]:
    """Search as `reid search --json` does; the answer is the same."""
    station, visitor = station_of(request), visitor_of(request)
    reach = station.reach(visitor.account)
    asked = tuple(station.districts.find(name).slug for name in district or ()) or reach
    filters = Filters(
        tuple(dict.fromkeys(asked)), (), milliseconds(parse_local(since)) if since else None,
        milliseconds(parse_local(until, until=True)) if until else None,
    )  # fmt: skip
    check_scope(filters, station.snapshot(), milliseconds(datetime.now(UTC)))
    given = tuple(GivenPhoto((each.filename or "photo")[:200], each.file.read()) for each in photo or ())
    said = read_description(upper or (), lower or (), (), having or (), without or ())
    if not given and said is None and not case:
        raise InputError("expected a photo, a description, or a case that holds a photo")
    question = Question(filters, given, top, exact, description=said)
    answer = station.desk.search(question, visitor.purpose(case or None, reason))
    return to_json(answer.result)


@router.get("/status", dependencies=[Depends(Needs("operations"))])
def status(request: Request) -> dict[str, Any]:
    """What the archive holds, as `reid stats --json`."""
    station = station_of(request)
    return archive_figures(station.archive, station.snapshot())


@router.get("/audit", dependencies=[Depends(Needs("oversight"))])
def audit(request: Request, days: int = 1) -> dict[str, Any]:
    """Entries of the last days, newest first."""
    station, visitor = station_of(request), visitor_of(request)
    if not 1 <= days <= 3650:
        raise InputError(f"expected 1 to 3650 days, got {days}")
    record(station.archive, Deed("log read", visitor.actor, subject="api"))
    found = recent(station.archive, now_ms() - days * DAY)
    return {"entries": [entry_json(entry) for entry, _ in zip(found, range(_MOST_ENTRIES), strict=False)]}
