"""The console as an app: its routes, each of which says what it demands, behind the door."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.staticfiles import StaticFiles

from reid.errors import ArchiveError, ReidError, UnknownNameError
from search.accounts import LockedError
from search.console.api import router as api
from search.console.cases import router as cases
from search.console.door import MOST_BYTES, App, Door
from search.console.results import router as results
from search.console.searches import router as searches
from search.console.shown import page, see
from search.console.signing import router as signing
from search.console.station import Station
from search.console.visitors import ForgedError, Needs, SignInError
from search.console.watching import router as watching
from search.policy import NotAllowedError

ROUTERS = (signing, cases, searches, results, watching, api)

log = logging.getLogger("reid.console")


def make_app(station: Station) -> App:
    """The app of a station.

    Raises:
        AssertionError: a route that does not say what it demands.
    """
    MultiPartParser.spool_max_size = MOST_BYTES  # photos of missing people do not lie in temporary files
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.station = station
    for router in ROUTERS:
        app.include_router(router)
    closed = [route.path for route in all_routes() if demand_of(route) is None]
    assert not closed, f"routes without a demand: {closed}"
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")), "static")
    app.add_exception_handler(ReidError, _told)
    app.add_exception_handler(RequestValidationError, _told)
    app.add_exception_handler(HTTPException, _told)
    app.add_exception_handler(Exception, _failed)
    return Door(app, station.accounts, station.is_secure)


def all_routes() -> Iterator[APIRoute]:
    """Every route there is but the static files, which show nothing of anybody."""
    for router in ROUTERS:
        yield from (route for route in router.routes if isinstance(route, APIRoute))


def demand_of(route: APIRoute) -> str | None:
    """What a route demands; None when it does not say."""
    for dependency in route.dependant.dependencies:
        if isinstance(dependency.call, Needs):
            return dependency.call.demand
    return None


def status_of(error: Exception) -> int:
    """HTTP status of what can go wrong."""
    kinds: tuple[tuple[type[Exception], int], ...] = (
        (SignInError, 401), (ForgedError, 403), (NotAllowedError, 403), (LockedError, 429),
        (UnknownNameError, 404), (ArchiveError, 503), (ReidError, 400), (RequestValidationError, 422),
    )  # fmt: skip
    if isinstance(error, HTTPException):
        return error.status_code
    return next((status for kind, status in kinds if isinstance(error, kind)), 500)


async def _told(request: Request, error: Exception) -> Response:
    """What went wrong, to people and to machines."""
    status = status_of(error)
    message = "the request is not as expected" if isinstance(error, RequestValidationError) else str(error)
    if isinstance(error, HTTPException):
        message = "this is not there" if status == 404 else str(error.detail)
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": message}, status)
    if isinstance(error, SignInError):
        return see("/sign-in")
    return page(request, "error.html.j2", status, code=status, message=message)


async def _failed(request: Request, error: Exception) -> Response:
    """Something nobody expected: the log knows what, the visitor that."""
    log.error("%s %s: %r", request.method, request.url.path, error)
    message = "an error that nobody expected; it is in the console's log"
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": message}, 500)
    return page(request, "error.html.j2", 500, code=500, message=message)
