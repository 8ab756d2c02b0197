"""The page that asks a search, and the reading of its form."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from indexer.clothes import as_set
from indexer.times import from_milliseconds, milliseconds, parse_local, to_local_iso
from reid.errors import InputError, UnknownNameError
from search.case import Case, CasePhoto
from search.casebook import permitted
from search.console.camera_map import camera_map
from search.console.shown import page, see, station_of
from search.console.station import Station
from search.console.tiles import tiles
from search.console.visitors import Needs, Visitor, visitor_of
from search.description import read_description
from search.desk import ApprovalNeededError, GivenPhoto, Question
from search.filters import Filters
from search.last_seen import read_last_seen
from search.policy import NotAllowedError
from search.query import Query
from search.scope import check_scope

router = APIRouter(include_in_schema=False)
searcher = [Depends(Needs("search"))]

TOPS = (20, 50, 100)
COLOURS = ("black", "grey", "white", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")


@router.get("/cases/{case_id}/search", dependencies=searcher)
def search_page(request: Request, case_id: str) -> Response:
    """Asks where, when and what else is known."""
    station, visitor = station_of(request), visitor_of(request)
    case = permitted(station.archive, station.settings, visitor.purpose(case_id), "search", pictures=True)
    return _form(request, station, visitor, case, "", Sent())


class Sent:
    """A form as it was sent: texts and lists of texts, whatever is in it."""

    def __init__(self, form: FormData | None = None) -> None:
        self._form = form
        self.is_empty = form is None

    def text(self, name: str, otherwise: str = "") -> str:
        """The field's text; `otherwise` where no form was sent."""
        value = self._form.get(name) if self._form is not None else otherwise
        return value.strip()[:1000] if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """All texts of the field."""
        values = self._form.getlist(name) if self._form is not None else []
        return [value for value in values if isinstance(value, str)]


async def sent(request: Request) -> Sent:
    """What a form sent."""
    return Sent(await request.form())


@router.post("/cases/{case_id}/search", dependencies=searcher)
def search(request: Request, case_id: str, form: Annotated[Sent, Depends(sent)]) -> Response:
    """Search, and show what was found."""
    station, visitor = station_of(request), visitor_of(request)
    purpose = visitor.purpose(case_id, form.text("reason"))
    case = permitted(station.archive, station.settings, purpose, "search", pictures=True)
    try:
        question = _question(station, visitor, case, form)
        answer = station.desk.search(question, purpose)
    except ApprovalNeededError:
        return see(f"/cases/{quote(case.id)}")  # which shows what is asked of whom
    except NotAllowedError:
        raise
    except InputError as error:
        return _form(request, station, visitor, case, str(error), form)
    kept = station.results.keep(visitor.account.name, case.id, purpose.reason, question, answer.result)
    return see(f"/results/{kept.id}")


def _question(station: Station, visitor: Visitor, case: Case, form: Sent) -> Question:
    """What a form asks; raises InputError."""
    upper, lower = form.texts("upper"), form.texts("lower")
    said = read_description(upper, lower, (), _words(form.text("having")), _words(form.text("without")))
    snapshot, reach = station.snapshot(), station.reach(visitor.account)
    districts, photos = form.texts("districts"), form.texts("photos")
    foreign = sorted(set(districts) - set(reach))
    if foreign:
        raise NotAllowedError(f"account {visitor.account.name} may not search {', '.join(foreign)}")
    colours = [as_set(said.colours(f"{part}_colours")) if said else 0 for part in ("upper", "lower")]
    filters = Filters(
        tuple(slug for slug in reach if slug in districts), (), _moment(form.text("since")),
        _moment(form.text("until"), until=True), None, *(colours if form.text("only_colours") else ()),
    )  # fmt: skip
    check_scope(filters, snapshot, milliseconds(datetime.now(UTC)))
    seen = read_last_seen(
        form.text("last_seen") or None, form.text("at").replace("T", " ") or None, snapshot.cameras,
        station.districts, (said.age if said else None) or case.mandate.age,
    )  # fmt: skip
    return Question(
        filters, _given(case, photos), _top(form.text("top")), last_seen=seen,
        route=bool(form.text("route")), description=said,
        clothes_changed=bool(form.text("clothes_changed") and photos), case_photos=False,
    )  # fmt: skip


def _top(text: str) -> int:
    if not text:
        return TOPS[0]
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII):
        raise InputError(f"expected how many to show, got {text!r}")
    return max(1, min(int(text), 200))


def photo_of(station: Station, visitor: Visitor, case_id: str, sha256: str) -> tuple[Case, CasePhoto]:
    """A case and one of its photos, opened; raises UnknownNameError."""
    case = permitted(station.archive, station.settings, visitor.purpose(case_id), "search", pictures=True)
    for photo in case.photos:
        if photo.sha256 == sha256:
            return case, photo
    raise UnknownNameError("photo", sha256, [])


def _form(
    request: Request, station: Station, visitor: Visitor, case: Case, message: str, form: Sent
) -> Response:
    snapshot = station.snapshot()
    reach = station.reach(visitor.account)
    wanted = case.mandate.districts
    shown = tuple(slug for slug in reach if wanted is None or slug in wanted)
    begin = min((clip.start_ms for clip in snapshot.clips), default=0)
    end = max((clip.end_ms for clip in snapshot.clips), default=0)
    cameras = [camera for key, camera in sorted(snapshot.cameras.items()) if key[0] in shown]
    queries = [(photo, _understood(station, photo)) for photo in case.photos]
    day = timedelta(days=1)
    return page(
        request, "search.html.j2", 400 if message else 200, case=case, message=message, form=form,
        tiles=tiles(station.districts, snapshot, shown), begin_ms=begin, end_ms=end, map=camera_map(cameras),
        queries=queries, colours=COLOURS, tops=TOPS, needs_reason=station.settings.require_case,
        since=_typed(max(begin, milliseconds(from_milliseconds(end) - day))) if end else "",
        until=_typed(end + 60_000) if end else "",
    )  # fmt: skip


def _understood(station: Station, photo: CasePhoto) -> Query | None:
    """What a photo allows; None where it cannot be read any more."""
    try:
        return station.desk.query(GivenPhoto(photo.name, photo.data, box=photo.person_box))
    except InputError:
        return None


def _given(case: Case, chosen: list[str]) -> tuple[GivenPhoto, ...]:
    """The chosen photos of a case."""
    return tuple(
        GivenPhoto(photo.name, photo.data, box=photo.person_box)
        for photo in case.photos
        if photo.sha256 in chosen
    )


def _words(text: str) -> list[str]:
    return [word.strip() for word in re.split(r"[,，、\n]", text) if word.strip()]


def _moment(text: str, until: bool = False) -> int | None:
    """Of a field of a form, in which a browser writes T between day and time."""
    return milliseconds(parse_local(text.strip(), until=until)) if text.strip() else None


def _typed(at_ms: int) -> str:
    """As a field of a form wants it: `2025-11-03T14:05`."""
    return to_local_iso(from_milliseconds(at_ms))[:16]
