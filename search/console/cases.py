"""Pages of cases: list, open, photos, decisions, approvals, export, the end of a case."""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from reid.detector import load_detector
from reid.errors import InputError, UnknownNameError
from reid.images import crop, decode_photo, encode_jpeg, fit_within
from search.casebook import close, decide, delete, open_case, permitted, undo, visible
from search.console.searches import photo_of
from search.console.shown import now_ms, page, see, station_of
from search.console.visitors import Needs, visitor_of
from search.description import AGE_GROUPS
from search.desk import GivenPhoto
from search.export.recorded import export_recorded
from search.policy import is_expired

router = APIRouter(include_in_schema=False)
searcher = [Depends(Needs("search"))]

MOST_PHOTOS = 8
"""Of a case."""
_DECODING = threading.Semaphore(2)  # a large photo takes hundreds of megabytes while it is decoded


@router.get("/cases", dependencies=searcher)
def list_cases(request: Request) -> Response:
    """The cases that the visitor may see."""
    station, visitor = station_of(request), visitor_of(request)
    return page(request, "cases.html.j2", cases=visible(station.archive, visitor.account), expired=is_expired)


@router.get("/cases/new", dependencies=searcher)
def new_case_page(request: Request) -> Response:
    """Asks for what a case rests on."""
    station, visitor = station_of(request), visitor_of(request)
    return page(
        request, "new_case.html.j2", settings=station.settings, reach=station.reach(visitor.account),
        ages=AGE_GROUPS,
    )  # fmt: skip


@router.post("/cases/new", dependencies=searcher)
def new_case(
    request: Request,
    case: Annotated[str, Form()] = "",
    basis: Annotated[str, Form()] = "",
    days: Annotated[str, Form()] = "",
    age: Annotated[str, Form()] = "",
    description: Annotated[str, Form()] = "",
    districts: Annotated[list[str] | None, Form()] = None,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Open a case."""
    station, visitor = station_of(request), visitor_of(request)
    if days.strip() and not re.fullmatch(r"\d{1,4}", days.strip()):
        raise InputError(f"expected a number of days, got {days!r}")
    reach = station.reach(visitor.account)
    chosen = tuple(slug for slug in reach if slug in (districts or ()))
    everything = not districts or len(chosen) == len(reach)
    open_case(
        station.archive, station.settings, visitor.purpose(case.strip(), reason), basis[:500],
        days=int(days) if days.strip() else None, districts=None if everything else chosen,
        age=next((group for group in AGE_GROUPS if group == age), None), description=description[:2000],
    )  # fmt: skip
    return see(f"/cases/{quote(case.strip())}")


@router.get("/cases/{case_id}", dependencies=searcher)
def case_page(request: Request, case_id: str) -> Response:
    """All of a case."""
    station, visitor = station_of(request), visitor_of(request)
    case = permitted(station.archive, station.settings, visitor.purpose(case_id), "search")
    seen = [each for each in case.sightings if visitor.account.may_see((each.judged.district,))]
    return page(
        request, "case.html.j2", case=case, sightings=seen,
        leads=[lead for lead in case.new if visitor.account.may_see((lead.district,))],
        hidden=len(case.sightings) - len(seen),
        expired=is_expired(case, now_ms()), settings=station.settings,
        results=station.results.of_case(visitor.account.name, case.id),
    )  # fmt: skip


@router.post("/cases/{case_id}/photos", dependencies=searcher)
def add_photos(request: Request, case_id: str, photos: Annotated[list[UploadFile], File()]) -> Response:
    """Add photos; of one with several people the visitor chooses next."""
    station, visitor = station_of(request), visitor_of(request)
    purpose = visitor.purpose(case_id)
    case = permitted(station.archive, station.settings, purpose, "search")
    if len(case.photos) + len(photos) > MOST_PHOTOS:
        raise InputError(f"a case holds at most {MOST_PHOTOS} photos")
    several = ""
    for upload in photos:
        data = upload.file.read()
        given = GivenPhoto(Path(upload.filename or "photo").name[:200] or "photo", data)
        added, people = station.desk.add_photo(given, purpose)
        several = added.sha256 if people > 1 else several
    target = f"/cases/{quote(case.id)}"
    return see(f"{target}/photos/{several}" if several else f"{target}/search")


@router.get("/cases/{case_id}/photos/{sha256}", dependencies=searcher)
def choose_page(request: Request, case_id: str, sha256: str) -> Response:
    """The people in a photo, to choose one."""
    station, visitor = station_of(request), visitor_of(request)
    case, photo = photo_of(station, visitor, case_id, sha256)
    query = station.desk.query(GivenPhoto(photo.name, photo.data))
    height, width = query.picture.shape[:2]
    return page(
        request, "choose.html.j2", case=case, photo=photo, people=query.people, width=width, height=height
    )


@router.post("/cases/{case_id}/photos/{sha256}", dependencies=searcher)
def choose(request: Request, case_id: str, sha256: str, person: Annotated[int, Form()]) -> Response:
    """Choose the person in a photo."""
    station, visitor = station_of(request), visitor_of(request)
    case, photo = photo_of(station, visitor, case_id, sha256)
    station.desk.add_photo(GivenPhoto(photo.name, photo.data, person), visitor.purpose(case.id))
    return see(f"/cases/{quote(case.id)}/search")


@router.get("/cases/{case_id}/photos/{sha256}/picture.jpg", dependencies=searcher)
def photo_picture(request: Request, case_id: str, sha256: str, part: str = "person") -> Response:
    """The photo, or the person in it, without anything but its pixels."""
    _, photo = photo_of(station_of(request), visitor_of(request), case_id, sha256)
    with _DECODING:
        picture = decode_photo(photo.data, "photo")
    if part == "person":
        picture = crop(picture, np.array(photo.person_box, np.float32))
    return Response(encode_jpeg(fit_within(picture, 1280, 1280), 88), media_type="image/jpeg")


@router.get("/cases/{case_id}/sightings/{sighting}.jpg", dependencies=searcher)
def kept_picture(request: Request, case_id: str, sighting: str) -> Response:
    """The case's own picture of a confirmed sighting."""
    station, visitor = station_of(request), visitor_of(request)
    case = permitted(station.archive, station.settings, visitor.purpose(case_id), "search")
    for each in case.sightings:
        judged = each.judged
        if judged.record.id == sighting and judged.thumbnail and visitor.account.may_see((judged.district,)):
            return Response(judged.thumbnail, media_type="image/jpeg")
    raise UnknownNameError("sighting", sighting, [])


@router.post("/cases/{case_id}/undo", dependencies=searcher)
def undo_decision(request: Request, case_id: str, sighting: Annotated[str, Form()]) -> Response:
    """Withdraw what was decided of a sighting."""
    station, visitor = station_of(request), visitor_of(request)
    undo(station.archive, station.settings, visitor.purpose(case_id), sighting)
    return see(f"/cases/{quote(case_id)}")


@router.post("/cases/{case_id}/close", dependencies=searcher)
def close_case(request: Request, case_id: str, reason: Annotated[str, Form()] = "") -> Response:
    """Close a case."""
    station, visitor = station_of(request), visitor_of(request)
    close(station.archive, station.settings, visitor.purpose(case_id, reason))
    station.results.forget_case(case_id)
    return see(f"/cases/{quote(case_id)}")


@router.post("/cases/{case_id}/reopen", dependencies=[Depends(Needs("approve"))])
def reopen_case(request: Request, case_id: str, reason: Annotated[str, Form()] = "") -> Response:
    """Open a closed case again."""
    station, visitor = station_of(request), visitor_of(request)
    close(station.archive, station.settings, visitor.purpose(case_id, reason), reopen=True)
    return see(f"/cases/{quote(case_id)}")


@router.post("/cases/{case_id}/delete", dependencies=[Depends(Needs("delete"))])
def delete_case(request: Request, case_id: str, reason: Annotated[str, Form()] = "") -> Response:
    """Delete a case for good."""
    station, visitor = station_of(request), visitor_of(request)
    delete(station.archive, station.settings, visitor.purpose(case_id, reason))
    station.results.forget_case(case_id)
    return see("/cases")


@router.post("/cases/{case_id}/approvals/{approval}", dependencies=[Depends(Needs("approve"))])
def decide_approval(
    request: Request, case_id: str, approval: str, granted: Annotated[str, Form()],
    reason: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Allow, or not, what a second person was asked."""
    station, visitor = station_of(request), visitor_of(request)
    decide(station.archive, station.settings, visitor.purpose(case_id, reason), approval, granted == "yes")
    return see(f"/cases/{quote(case_id)}")


@router.post("/cases/{case_id}/export", dependencies=searcher)
def export(
    request: Request, case_id: str, blur: Annotated[str, Form()] = "", reason: Annotated[str, Form()] = ""
) -> Response:
    """The evidence of a case as one ZIP file."""
    station, visitor = station_of(request), visitor_of(request)
    purpose = visitor.purpose(case_id, reason)
    case = permitted(station.archive, station.settings, purpose, "search")
    foreign = [each for each in case.sightings if not visitor.account.may_see((each.judged.district,))]
    if foreign:
        raise InputError(
            f"case {case.id} holds {len(foreign)} decisions in districts that you may not see; somebody who"
            " may see them must export it"
        )
    load = functools.partial(
        load_detector, station.settings.detector, station.archive.models, runtime=station.settings.runtime
    )
    folder = Path(tempfile.mkdtemp(prefix="reid-export-"))
    try:
        name = f"evidence-{re.sub(r'[^0-9A-Za-z가-힣._-]', '_', case.id)}"
        export_recorded(
            station.archive, station.settings, purpose, station.snapshot(), station.districts, folder / name,
            load if blur else None, lambda done, total: None, f"{name}.zip, downloaded",
        )  # fmt: skip
        archive = shutil.make_archive(str(folder / "whole"), "zip", folder, name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    gone = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(archive, media_type="application/zip", filename=f"{name}.zip", background=gone)
