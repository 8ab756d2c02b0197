"""Pages of a result: pictures, one sighting large, two side by side, route, decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from reid.errors import FootageError, InputError, UnknownNameError
from search.audit import Deed, record
from search.casebook import permitted, undo
from search.console.arranging import View, groups
from search.console.kept import Kept
from search.console.pictures import close_up, person_of, strip, whole_frame
from search.console.shown import language_of, page, see, station_of
from search.console.visitors import Language, Needs, visitor_of
from search.coverage_text import bar, verdict
from search.desk import ApprovalNeededError
from search.feedback_text import feedback_notes
from search.last_seen import apart, apart_ko, notes_of
from search.map import draw_map
from search.query import Query
from search.report import description_notes, filter_notes
from search.request import CLOTHES_CHANGED, DESCRIPTION_ALONE
from search.route_text import CAUTION, CAUTION_KO, SURENESS_KO, passed, route_notes, way_text
from search.sightings import SearchResult, Sighting
from search.timeline import draw_timeline
from search.wording import clock_note

router = APIRouter(prefix="/results/{result}", include_in_schema=False)
searcher = [Depends(Needs("search"))]


@router.get("", dependencies=searcher)
def result_page(
    request: Request, result: str, sort: str = "best", group: str = "1", least: str = "0", district: str = ""
) -> Response:
    """The sightings as pictures."""
    kept = _kept(request, result)
    view = View.of(sort, group, least, district)
    return _page(request, kept, "results.html.j2", view=view, groups=groups(kept.result.sightings, view))


@router.get("/route", dependencies=searcher)
def route_page(request: Request, result: str) -> Response:
    """Where and when, on a map and in time."""
    kept = _kept(request, result)
    found = kept.result
    return _page(
        request, kept, "route.html.j2", map=draw_map(found, station_of(request).districts),
        timeline=draw_timeline(found), hops=passed(found), way=way_text, sureness_ko=SURENESS_KO,
        route_notes=route_notes(found), route_caution=(CAUTION, CAUTION_KO),
    )  # fmt: skip


@router.get("/coverage", dependencies=searcher)
def coverage_page(request: Request, result: str) -> Response:
    """What was searched of each camera, and why not more."""
    return _page(request, _kept(request, result), "coverage.html.j2")


@router.get("/compare", dependencies=searcher)
def compare_page(request: Request, result: str, a: str = "", b: str = "") -> Response:
    """Two sightings side by side, large."""
    kept = _kept(request, result)
    both = [kept.sighting(each) for each in (a, b) if each]
    return _page(request, kept, "compare.html.j2", both=both)


@router.get("/sightings/{sighting}", dependencies=searcher)
def sighting_page(request: Request, result: str, sighting: str) -> Response:
    """One sighting, large, with all that is known of it."""
    kept = _kept(request, result)
    found = kept.sighting(sighting)
    order = [each.record.id for each in kept.result.sightings]
    place = order.index(sighting)
    return _page(
        request, kept, "sighting.html.j2", each=found, before=order[place - 1] if place else "",
        after=order[place + 1] if place + 1 < len(order) else "",
    )  # fmt: skip


@router.post("/judge", dependencies=searcher)
def judge(
    request: Request, result: str, sighting: Annotated[str, Form()], decision: Annotated[str, Form()],
    back: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Confirm, reject or withdraw, and rank again."""
    station, visitor = station_of(request), visitor_of(request)
    kept = _kept(request, result)
    purpose = visitor.purpose(kept.case_id, kept.reason)
    if decision not in ("confirmed", "rejected", "undo"):
        raise InputError(f"expected a decision, got {decision!r}")
    if decision == "undo":
        undo(station.archive, station.settings, purpose, sighting)
        question = kept.question
    else:
        kept.sighting(sighting)
        confirm = (sighting,) if decision == "confirmed" else ()
        reject = (sighting,) if decision == "rejected" else ()
        question = replace(kept.question, confirm=confirm, reject=reject)
    try:
        answer = station.desk.search(question, purpose)
    except ApprovalNeededError:
        return see(f"/cases/{quote(kept.case_id)}")
    station.results.refresh(kept, answer.result)
    query = back if back.startswith("?") and "\n" not in back else ""
    return see(f"/results/{quote(kept.id)}{query}")


@router.get("/people/{number}.jpg", dependencies=searcher)
def person_picture(request: Request, result: str, number: int) -> Response:
    """The person in the photo of this number, from 0."""
    queries = _kept(request, result).result.request.queries
    if not 0 <= number < len(queries):
        raise UnknownNameError("photo", str(number), [])
    query: Query = queries[number]
    return _jpeg(person_of(query.picture, query.person_box))


@router.get("/sightings/{sighting}/thumbnail.jpg", dependencies=searcher)
def thumbnail(request: Request, result: str, sighting: str) -> Response:
    """The archive's picture."""
    return _jpeg(_kept(request, result).sighting(sighting).thumbnail)


@router.get("/sightings/{sighting}/strip.jpg", dependencies=searcher)
def strip_picture(request: Request, result: str, sighting: str) -> Response:
    """A few frames in a row."""
    return _viewed(request, result, sighting, "a few frames", strip)


@router.get("/sightings/{sighting}/close.jpg", dependencies=searcher)
def close_picture(request: Request, result: str, sighting: str) -> Response:
    """The person in the resolution of the original."""
    return _viewed(request, result, sighting, "close", close_up)


@router.get("/sightings/{sighting}/whole.jpg", dependencies=searcher)
def whole_picture(request: Request, result: str, sighting: str) -> Response:
    """The whole frame."""
    return _viewed(request, result, sighting, "whole picture", whole_frame)


def _viewed(
    request: Request, result: str, sighting: str, what: str, make: Callable[[Sighting], bytes]
) -> Response:
    """A picture from the original; that it was looked at is on the disk before it is shown."""
    station, visitor = station_of(request), visitor_of(request)
    kept = _kept(request, result)
    found = kept.sighting(sighting)
    try:
        data = make(found)
    except FootageError as error:
        raise UnknownNameError("original", f"{sighting} ({error.reason})", []) from None
    told = {"districts": [found.district], "camera": found.record.camera, "shown": what}
    deed = Deed("view", visitor.actor, kept.case_id, kept.reason, sighting, told)
    record(station.archive, deed)
    return _jpeg(data)


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg")


def _kept(request: Request, result: str) -> Kept:
    """A result of the visitor, in a case that they still may see."""
    station, visitor = station_of(request), visitor_of(request)
    kept = station.results.get(visitor.account.name, result)
    purpose = visitor.purpose(kept.case_id)
    check = partial(permitted, station.archive, station.settings, purpose, "search")
    station.results.allowed(visitor.account, kept.case_id, check)
    if not visitor.account.may_see(kept.question.filters.districts):
        raise UnknownNameError("result", result, [])
    return kept


def _page(request: Request, kept: Kept, template: str, **values: Any) -> Response:
    found = kept.result
    rejected = found.request.feedback.rejected
    return page(
        request, template, kept=kept, result=found, coverage=found.coverage, bar=bar(found.coverage),
        verdict=verdict(found.coverage, len(found.sightings), found.expected_right), rejected=rejected,
        warnings=_warnings(found, language_of(request)), notes=[
            *filter_notes(found.request.filters), *feedback_notes(found.request, found.model),
            *description_notes(found), *notes_of(found.request.last_seen, found.coverage.until_ms),
            *([clock_note(found)] if clock_note(found) else []),
        ],
        apart=apart, apart_ko=apart_ko, **values,
    )  # fmt: skip


_WARNINGS_KO = {
    DESCRIPTION_ALONE: "사진이 없습니다. 인상착의는 많은 사람에게 해당되며, 목록의 사람은 검색된 사람 가운데"
    " 가장 가까울 뿐 다른 사람일 수 있습니다.",
    CLOTHES_CHANGED: "사진과 다른 옷을 입었습니다. 닮음은 주로 옷에서 오므로 덜 반영되고, 목록의 신뢰도가"
    " 낮습니다.",
}


def _warnings(found: SearchResult, language: Language) -> list[str]:
    """What the reader must know of the photos, in their language where it is known."""
    if language == "en":
        return list(found.warnings)
    korean = dict(_WARNINGS_KO)
    for query in found.request.queries:
        for finding in query.allows.limits if query.allows else ():
            english = f"photo {finding.aspect} {finding.verdict}: {finding.reason}; {finding.advice}"
            korean[english] = f"사진: {finding.reason_ko}. {finding.advice_ko}."
    return [korean.get(each, each) for each in found.warnings]
