"""Pages of the console: what every page knows, and how it is answered. Owns no route."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse

from indexer.times import milliseconds
from search.audit_text import EVENTS_KO
from search.console.station import Station
from search.console.visitors import Language, Visitor
from search.console.words import translate
from search.coverage_text import WORDS_KO
from search.pages import Pages
from search.wording import (
    camera_time,
    camera_time_ko,
    chance,
    chance_ko,
    clock_doubt,
    duration,
    local_time,
    percent,
    percent_ko,
    score,
)

LANGUAGES: tuple[Language, ...] = ("ko", "en")
THEMES = ("auto", "dark", "light")

PAGES = Pages("search.console", {"local_time": local_time, "score": score, "clock_doubt": clock_doubt})


def language_of(request: Request) -> Language:
    """Chosen, else what the browser asks for, else Korean."""
    chosen = request.cookies.get("reid-language")
    for language in LANGUAGES:
        if chosen == language:
            return language
    asked = request.headers.get("accept-language", "ko").lower()
    return "en" if asked.startswith("en") else "ko"


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page in the visitor's language."""
    station: Station = request.app.state.station
    visitor: Visitor | None = request.scope.get("visitor")
    language = language_of(request)
    theme = request.cookies.get("reid-theme", "auto")
    text = PAGES.render(
        template,
        t=lambda text: translate(text, language),
        ko=language == "ko",
        language=language,
        theme=theme if theme in THEMES else "auto",
        visitor=visitor,
        csrf=visitor.csrf if visitor else "",
        here=request.url.path,
        district_name=lambda slug: district_name(station, slug, language),
        reason_word=lambda word: WORDS_KO.get(word, word) if language == "ko" else word,
        event_word=lambda word: EVENTS_KO.get(word, word) if language == "ko" else word,
        now_ms=now_ms(),
        has_provider=station.provider is not None,
        share=percent_ko if language == "ko" else percent,
        odds=chance_ko if language == "ko" else chance,
        hours=camera_time_ko if language == "ko" else camera_time,
        long=lambda each: _seconds(duration(each), language),
        **values,
    )
    return HTMLResponse(text.encode(errors="replace"), status)


def district_name(station: Station, slug: str, language: Language) -> str:
    """Of a slug; the slug itself where the table does not know it."""
    district = station.by_slug.get(slug)
    if district is None:
        return slug
    return district.name_ko if language == "ko" else district.name_en


def _seconds(text: str, language: Language) -> str:
    return text.replace(" min", "분").replace(" s", "초") if language == "ko" else text


def see(url: str) -> RedirectResponse:
    """Look there now."""
    return RedirectResponse(url, 303)


def station_of(request: Request) -> Station:
    """What routes work with."""
    station: Station = request.app.state.station
    return station


def now_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return milliseconds(datetime.now(UTC))
