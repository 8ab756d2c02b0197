"""The console from sign-in to export, who may reach what, and what is tried by those who may not."""

from __future__ import annotations

import html
import io
import json
import re
import socket
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx2 as httpx
import pytest
import uvicorn
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.districts import load_districts
from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from reid.images import encode_jpeg
from search.accounts import Accounts
from search.audit import read_log
from search.audit_proof import verify
from search.cases import Cases
from search.console import door, kept, patience, watching
from search.console.app import all_routes, demand_of, make_app
from search.console.camera_map import camera_map
from search.console.shown import now_ms
from search.console.station import Listening, Station
from search.console.words import KOREAN
from search.desk import Desk
from search.leads import Lead
from search.roles import RIGHTS_OF, ROLES
from tests.canned import copy_of
from tests.test_search import made  # noqa: F401  fixture
from tests.world import FakeDetector, FakeEmbedder, Walk, picture_of

PASSWORD = "네 개의 파란 우산 이야기"
NOW_MS = 1_900_000_000_000  # tokens of these tests do not expire
PLACE = Path(door.__file__).parent
PHOTO = encode_jpeg(picture_of([Walk("red", 0, 1)], 0), 98)
TWO = encode_jpeg(picture_of([Walk("red", 0, 1), Walk("blue", 0, 1, 1)], 0), 98)
PEOPLE: dict[str, tuple[str, tuple[str, ...] | None]] = {
    **{role: (role, None) for role in ROLES}, "kim": ("analyst", None), "leaver": ("analyst", None),
    "far": ("supervisor", ("nowon",)),
}  # fmt: skip


@pytest.fixture(scope="module")
def station(made: ArchiveFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:  # noqa: F811
    archive = copy_of(made, tmp_path_factory.mktemp("console"))
    with Catalogue(archive, "write") as catalogue:
        catalogue.put_cameras([Camera("S-1", "<script>alert(1)</script>", "songpa", 37.5, 127.1)])
    settings = Settings()  # type: ignore[call-arg]
    with (
        Desk(archive, settings, lambda: (FakeDetector(), FakeEmbedder())) as desk,  # type: ignore[arg-type, return-value]
        Accounts(archive) as accounts,
    ):
        assert desk.models
        for name, (role, districts) in PEOPLE.items():
            accounts.add(name, role, districts, PASSWORD, 0, lambda what, reach: None)
        yield Station(archive, settings, load_districts(None), desk, accounts)


SESSIONS: dict[str, str] = {}


class Browser:
    """Somebody at the console; like a browser it keeps cookies, and follows where it is sent."""

    def __init__(self, station: Station, name: str = "") -> None:
        self.client = TestClient(make_app(station), follow_redirects=False, headers={"accept-language": "en"})
        if name:  # comparing a password takes its time: once for each name
            if name not in SESSIONS:
                SESSIONS[name] = station.accounts.sign_in(name, PASSWORD, now_ms())
            self.client.cookies["reid-session"] = SESSIONS[name]

    def get(self, url: str) -> httpx.Response:
        answer: httpx.Response = self.client.get(url)
        return answer

    def see(self, url: str) -> str:
        answer: httpx.Response = self.client.get(url, follow_redirects=True)
        assert answer.status_code == 200, (url, answer.status_code, answer.text[-800:])
        return answer.text

    @property
    def csrf(self) -> str:
        page = self.client.get("/prefer", follow_redirects=True).text
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
        assert found
        return found[1]

    def post(self, url: str, files: Any = None, **data: object) -> httpx.Response:
        answer: httpx.Response = self.client.post(url, data={"csrf": self.csrf, **data}, files=files)
        return answer


def a_case(browser: Browser, case: str, photo: bytes = PHOTO) -> str:
    url = f"/cases/{quote(case)}"
    assert browser.post("/cases/new", case=case, basis="Act 9").headers["location"] == url
    assert browser.post(f"{url}/photos", {"photos": ("a.jpg", photo)}).status_code == 303
    return url


def a_result(browser: Browser, url: str, **asked: object) -> str:
    photos = re.findall(r'name="photos" value="([0-9a-f]{64})"', browser.see(f"{url}/search"))
    data = {"districts": ["songpa", "nowon"], "photos": photos, "top": "50", **asked}
    answer = browser.post(f"{url}/search", **data)
    assert answer.status_code == 303, re.findall('class="alert".*', answer.text)
    return answer.headers["location"]


def ids(page: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r'data-sighting="([0-9a-f]{16})"', page)))


def test_from_sign_in_to_evidence(station: Station) -> None:
    kim = Browser(station, "kim")
    url = a_case(kim, "c-1")
    result = a_result(kim, url, reason="a child", route="1")
    page = kim.see(result)
    first, second, *_ = ids(page)
    assert "<script>alert" not in page
    assert html.escape("<script>alert(1)</script>") in page
    assert "What was searched" in page
    for name in ("thumbnail", "close", "whole", "strip"):
        picture = kim.get(f"{result}/sightings/{first}/{name}.jpg")
        assert picture.content.startswith(b"\xff\xd8"), name
        assert picture.headers["cache-control"] == "no-store"
    for part in (
        "route",
        "coverage",
        f"compare?a={first}&b={second}",
        f"sightings/{first}",
        "?sort=time&group=0",
    ):
        kim.see(f"{result}/{part}" if not part.startswith("?") else result + part)
    back = kim.post(f"{result}/judge", sighting=first, decision="confirmed", back="?sort=time")
    assert back.headers["location"] == f"{result}?sort=time"
    assert 'class="card confirmed"' in kim.see(result)
    kim.post(f"{result}/judge", sighting=second, decision="rejected")
    assert second not in ids(kim.see(result))
    kim.post(f"{result}/judge", sighting=second, decision="undo")
    assert second in ids(kim.see(result))
    assert "confirmed" in kim.see(url)
    evidence = kim.post(f"{url}/export", reason="court")
    with zipfile.ZipFile(io.BytesIO(evidence.content)) as kept:
        assert any(name.endswith("manifest.json") for name in kept.namelist())
    deeds = [entry.deed for entry in read_log(station.archive) if entry.deed.case == "c-1"]
    assert [deed.event for deed in deeds] == [
        "case opened", "case changed", "search", "view", "view", "view", "confirm", "search", "reject",
        "search", "undo", "search", "export",
    ]  # fmt: skip
    assert {deed.actor.name for deed in deeds} == {"kim"}
    assert deeds[2].reason == deeds[6].reason == "a child"
    assert verify(station.archive).sound
    auditor = Browser(station, "auditor").see("/oversight?who=kim")
    assert "The log is whole" in auditor
    assert "c-1" in auditor


def test_of_several_people_one_is_chosen(station: Station) -> None:
    kim = Browser(station, "kim")
    kim.post("/cases/new", case="c-two", basis="Act 9")
    asked = kim.post("/cases/c-two/photos", {"photos": ("a.jpg", TWO)}).headers["location"]
    assert kim.see(asked).count("data-person=") == 2
    before = kim.get(f"{asked}/picture.jpg").content
    assert kim.post(asked, person="2").headers["location"] == "/cases/c-two/search"
    assert kim.get(f"{asked}/picture.jpg").content != before
    assert kim.post(asked, person="9").status_code == 400


@pytest.fixture(scope="module")
def filled(station: Station) -> dict[str, str]:
    """What stands for the names in routes; of a case and result of `analyst`, in songpa."""
    analyst = Browser(station, "analyst")
    url = a_case(analyst, "walk")
    result = a_result(analyst, url)
    sighting = ids(analyst.see(result))[0]
    analyst.post(f"{result}/judge", sighting=sighting, decision="confirmed")
    [sha256] = set(re.findall("photos/([0-9a-f]{64})", analyst.see(url)))
    return {
        "case_id": "walk", "sha256": sha256, "sighting": sighting, "approval": "0", "number": "0",
        "result": result.rpartition("/")[2],
    }  # fmt: skip


def url_of(route: APIRoute, filled: dict[str, str]) -> str:
    return route.path.format(**filled)


ROUTES = sorted(all_routes(), key=lambda route: (route.path, sorted(route.methods or ())))
ENDS = {"/sign-out", "/cases/{case_id}/delete", "/cases/{case_id}/close"}


def test_every_route_says_what_it_demands() -> None:
    assert len(ROUTES) > 30
    assert all(demand_of(route) for route in ROUTES)
    anyone = {route.path for route in ROUTES if demand_of(route) == "anyone"}
    assert anyone == {"/sign-in", "/prefer", "/oidc/start", "/oidc/back"}, (
        "whatever else is open to everybody is a mistake"
    )


@pytest.mark.parametrize("who", ["", *ROLES])
def test_every_route_with_every_role(station: Station, filled: dict[str, str], who: str) -> None:
    browser = Browser(station, who)
    csrf = browser.csrf if who else ""
    token = station.accounts.add_token(who, 1, NOW_MS, lambda what, reach: None) if who else "reid_forged"
    for route in ROUTES:
        demand, url = demand_of(route), url_of(route, filled)
        if demand == "anyone" or route.path in ENDS:
            continue
        is_machine = url.startswith("/api/")
        headers = {"authorization": f"Bearer {token}"} if is_machine else {}
        if "POST" in (route.methods or ()):
            answer = browser.client.post(url, data={"csrf": csrf}, headers=headers)
        else:
            answer = browser.client.get(url, headers=headers)
        told = (who, route.path, answer.status_code)
        if not who and not is_machine:
            assert (answer.status_code, answer.headers.get("location")) == (303, "/sign-in"), told
        elif not who:
            assert answer.status_code == 401, told
        elif demand == "signed in" or demand in RIGHTS_OF[who]:  # type: ignore[index]
            assert answer.status_code not in (401, 403, 500), told
        else:
            assert answer.status_code == 403, told
            assert filled["sighting"] not in answer.text or "{sighting}" in route.path, told


def test_whose_district_it_is_not_finds_nothing(station: Station, filled: dict[str, str]) -> None:
    """A supervisor of nowon alone, at everything of a case that reaches all districts."""
    far = Browser(station, "far")
    token = station.accounts.add_token("far", 1, NOW_MS, lambda what, reach: None)
    headers = {"authorization": f"Bearer {token}"}
    csrf = far.csrf
    for route in ROUTES:
        if "{" not in route.path:
            continue
        url = url_of(route, filled)
        own = headers if url.startswith("/api/") else {}
        data = {
            "csrf": csrf,
            "sighting": filled["sighting"],
            "decision": "confirmed",
            "granted": "yes",
            "person": "1",
        }
        if route.path.endswith("/photos"):
            answer = far.client.post(url, data=data, files={"photos": ("a.jpg", PHOTO)})
        elif "POST" in (route.methods or ()):
            answer = far.client.post(url, data=data, headers=own)
        else:
            answer = far.client.get(url, headers=own)
        assert answer.status_code == 404, (route.path, answer.status_code)
        assert b"\xff\xd8" not in answer.content
    assert "walk" not in far.see("/cases")
    url = a_case(far, "near")
    refused = far.post(f"{url}/search", districts=["songpa"], photos="")
    assert refused.status_code == 403
    answer = far.client.post(
        "/api/search", headers=headers, data={"district": "songpa"}, files={"photo": ("a", PHOTO)}
    )
    assert answer.status_code == 403
    answer = far.client.post(
        "/api/search", headers=headers, data={"case": "near"}, files={"photo": ("a", PHOTO)}
    )
    assert {each["district"] for each in answer.json()["sightings"]} == {"nowon"}


def test_somebody_elses_result_is_not_there(station: Station, filled: dict[str, str]) -> None:
    kim = Browser(station, "kim")
    assert kim.get(f"/results/{filled['result']}").status_code == 404
    assert kim.get(f"/cases/{filled['case_id']}").status_code == 200, "the case itself is shared"


def test_forms_of_other_sites_do_nothing(station: Station) -> None:
    kim, other = Browser(station, "kim"), Browser(station, "analyst")
    count = len(list(read_log(station.archive)))
    for csrf in ("", "0" * 64, other.csrf):
        assert kim.client.post("/cases/new", data={"csrf": csrf, "case": "x"}).status_code == 403
    assert kim.client.post("/cases/new", data={"case": "x"}).status_code == 403
    assert kim.client.post("/cases/new", content=b"\xff" * 90).status_code == 403
    good = {"csrf": kim.csrf, "case": "x"}
    for headers in (
        {"origin": "https://elsewhere.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
        {"origin": "http://testserver.elsewhere.example"},
    ):  # fmt: skip
        assert kim.client.post("/cases/new", data=good, headers=headers).status_code == 403, headers
        assert kim.client.post("/sign-in", data={"name": "kim"}, headers=headers).status_code == 403
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert kim.client.request(method, "/cases/new").status_code == 405
    assert len(list(read_log(station.archive))) == count


def test_sessions_and_tokens_are_not_each_other(station: Station) -> None:
    kim = Browser(station, "leaver")
    session = kim.client.cookies["reid-session"]
    token = station.accounts.add_token("leaver", 1, NOW_MS, lambda what, reach: None)
    nobody = Browser(station)
    bearer = {"authorization": f"Bearer {token}"}
    assert nobody.client.get("/api/cases", headers=bearer).status_code == 200
    assert nobody.client.get("/cases", headers=bearer).status_code == 303
    assert kim.get("/api/cases").status_code == 401
    altered = token[:-1] + ("A" if token[-1] != "A" else "E")
    for forged in (session, altered, token.upper(), "", "reid_" + "a" * 43, "a" * 5000):
        answer = nobody.client.get("/api/cases", headers={"authorization": f"Bearer {forged}"})
        assert answer.status_code == 401, forged[:9]
    kim.post("/sign-out")
    kim.client.cookies["reid-session"] = session
    assert kim.get("/cases").status_code == 303, "a session that ended cannot be replayed"
    for odd in ("a" * 4000, "%00", "é".encode("latin1").decode("latin1"), '"; DROP', token):
        answer = nobody.client.get("/cases", headers={b"cookie": f"reid-session={odd}".encode("latin1")})
        assert answer.status_code == 303, odd[:9]


def test_the_cookie_and_the_headers(station: Station) -> None:
    answer = Browser(station).client.post("/sign-in", data={"name": "kim", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    secure = Browser(Station(**{**vars(station), "is_secure": True})).client
    answer = secure.post("/sign-in", data={"name": "kim", "password": PASSWORD})
    assert answer.headers["set-cookie"].startswith("__Host-reid-session=")
    assert "secure" in answer.headers["set-cookie"].lower()
    for url in ("/sign-in", "/nothing", "/static/console.css", "/static/../app.py", "/api/cases", "/cases"):
        headers = secure.get(url).headers
        assert headers["content-security-policy"].startswith("default-src 'none'"), url
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "max-age" in headers["strict-transport-security"]
        assert headers.get("cache-control") == (
            None if url == "/static/console.css" else "no-store"
        ) or url.startswith("/static")


def bomb() -> bytes:
    """A PNG of a few hundred bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 9999))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "photo",
    [b"", b"no picture", bomb(), PHOTO[: len(PHOTO) // 3], b"<svg onload=alert(1)>", b"GIF89a" + b"\0" * 40,
     b"%PDF-1.7", b"PK\x03\x04" * 9],
    ids=["empty", "text", "bomb", "cut off", "svg", "gif", "pdf", "zip"],
)  # fmt: skip
def test_what_is_no_photo_is_refused_and_not_kept(station: Station, photo: bytes) -> None:
    kim = Browser(station, "kim")
    kim.post("/cases/new", case="c-bombs", basis="Act 9")
    answer = kim.post("/cases/c-bombs/photos", {"photos": ("../../etc/passwd", photo)})
    assert answer.status_code == 400
    assert "<figure>" not in kim.see("/cases/c-bombs")
    token = station.accounts.add_token("kim", 1, NOW_MS, lambda what, reach: None)
    headers = {"authorization": f"Bearer {token}"}
    machine = kim.client.post("/api/search", headers=headers, files={"photo": ("a", photo)})
    assert machine.status_code == 400
    assert machine.json()["error"]


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "{{ 7 * 7 }}",
        "' OR 1=1 --",
        "사건 (가)",
        'a"onmouseover=alert(1)',
        "a&b=c#d?e",
    ],
)
def test_odd_names_of_cases_are_text(station: Station, name: str) -> None:
    kim = Browser(station, "kim")
    answer = kim.post(
        "/cases/new", case=name, basis="<b>Act</b> 9", description="<img src=x onerror=alert(1)>"
    )
    if answer.status_code == 400:
        assert "<script>alert" not in answer.text
        return
    for page in (kim.see(answer.headers["location"]), kim.see("/cases")):
        assert html.escape(name) in page.replace("&#39;", "&#x27;").replace("&#34;", "&quot;")
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert ">49<" not in page


@pytest.mark.parametrize(
    "url",
    [
        "/cases/..%2f..%2fetc%2fpasswd",
        "/cases/%00",
        "/cases/" + "a" * 5000,
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/results/..%2f",
        "/results/x/people/-1.jpg",
        "/results/x/people/99999999999999999999.jpg",
        "/oversight?before=x",
        "/oversight?before=99999999999999999999999",
        "/cases/%ff%fe",
        "/prefer?back=//elsewhere.example",
        "/api/audit?days=x",
        "/results/x?sort=%00&least=-1",
    ],
)
def test_odd_addresses_lead_nowhere(station: Station, url: str) -> None:
    answer = Browser(station, "supervisor").get(url)
    assert answer.status_code in (200, 303, 400, 401, 404, 422), url
    assert "root:" not in answer.text
    assert "def make_app" not in answer.text


@pytest.mark.parametrize(
    "back", ["//e.example", "https://e.example", "/\\e.example", "\\\\e", "javascript:alert(1)", ""]
)
def test_nobody_is_sent_elsewhere(station: Station, back: str) -> None:
    answer = Browser(station).client.get("/prefer", params={"back": back, "language": "ko", "theme": "x"})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    "asked",
    [
        {"since": "yesterday"},
        {"since": "2025-02-19", "until": "2025-02-18"},
        {"since": "2999-01-01"},
        {"districts": []},
        {"districts": ["atlantis"]},
        {"photos": ["0" * 64]},
        {"having": "a dragon"},
        {"last_seen": "nowhere", "at": "2025-02-18T10:00"},
        {"at": "2025-02-18T10:00"},
        {"top": "x"},
        {"top": "-5"},
        {"upper": ["invisible"]},
        {"last_seen": "<script>", "at": "2025-02-18T10:00"},
    ],
)
def test_what_cannot_be_searched_is_told(
    station: Station, filled: dict[str, str], asked: dict[str, object]
) -> None:
    analyst = Browser(station, "analyst")
    data = {"districts": ["songpa"], "photos": [filled["sha256"]], **asked}
    answer = analyst.post("/cases/walk/search", **data)
    assert answer.status_code in (303, 400, 403, 422)
    assert answer.status_code != 303
    if answer.status_code == 400:
        assert f'name="photos" value="{filled["sha256"]}"' in answer.text, "what was chosen is kept"
    assert "<script>" not in answer.text.replace('<script src="/static/console.js" defer></script>', "")


def test_no_more_is_taken_than_is_allowed(station: Station) -> None:
    kim = Browser(station, "kim")
    told = {"content-length": str(door.MOST_BYTES + 1), "content-type": "application/x-www-form-urlencoded"}
    assert kim.client.post("/cases/new", content=b"a", headers=told).status_code == 413
    assert kim.client.post("/cases/new", content=b"a", headers={"content-length": "x"}).status_code == 413
    files = [("photos", (f"{k}.jpg", PHOTO)) for k in range(9)]
    kim.post("/cases/new", case="c-many", basis="Act 9")
    assert kim.post("/cases/c-many/photos", files).status_code == 400


def test_a_slow_or_endless_request_is_a_client_that_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "CHUNK_S", 0.1)
    monkeypatch.setattr(door, "MOST_BYTES", 10)

    async def never() -> door.Message:
        await anyio.sleep(99)
        raise AssertionError

    async def endless() -> door.Message:
        return {"type": "http.request", "body": b"12345", "more_body": True}

    async def both() -> None:
        assert await door._limited(never)() == {"type": "http.disconnect"}
        receive = door._limited(endless)
        assert [(await receive())["type"] for _ in range(3)] == [
            "http.request",
            "http.request",
            "http.disconnect",
        ]

    anyio.run(both)


def test_failed_sign_ins_are_recorded_and_lock(station: Station) -> None:
    nobody = Browser(station)
    station.accounts.add("locked", "analyst", None, PASSWORD, 0, lambda what, reach: None)
    tries = [nobody.client.post("/sign-in", data={"name": "locked", "password": "x" * 20}) for _ in range(6)]
    assert [answer.status_code for answer in tries] == [403] * 5 + [429]
    assert nobody.client.post("/sign-in", data={"name": "locked", "password": PASSWORD}).status_code == 429
    typed = {"name": "my secret password", "password": ""}
    assert nobody.client.post("/sign-in", data=typed).status_code == 403
    failed = [e.deed.actor.name for e in read_log(station.archive) if e.deed.event == "sign-in failed"]
    assert failed == ["locked"] * 7 + ["(unknown)"], "what is no name may be a password"


def test_a_closed_case_is_read_and_nothing_more(station: Station) -> None:
    kim = Browser(station, "kim")
    url = a_case(kim, "c-closed")
    result = a_result(kim, url)
    kim.post(f"{url}/close", reason="found")
    assert kim.get(result).status_code == 404, "its results are forgotten"
    assert kim.post(f"{url}/photos", {"photos": ("a.jpg", PHOTO)}).status_code == 400
    assert kim.post(f"{url}/search", districts=["songpa"]).status_code == 400
    assert kim.post(f"{url}/reopen").status_code == 403
    assert kim.post(f"{url}/delete").status_code == 403
    boss = Browser(station, "supervisor")
    assert boss.post(f"{url}/reopen").status_code == 303
    assert boss.post(f"{url}/delete", reason="asked").status_code == 303
    assert boss.get(url).status_code == 404


def test_machines_are_told_what_there_is(station: Station) -> None:
    token = station.accounts.add_token("kim", 1, NOW_MS, lambda what, reach: None)
    client = Browser(station).client
    headers = {"authorization": f"Bearer {token}"}
    told = client.get("/api/openapi.json", headers=headers).json()
    assert set(told["paths"]) == {
        "/api/cases",
        "/api/cases/{case_id}",
        "/api/search",
        "/api/status",
        "/api/audit",
    }
    assert (
        client.post("/api/cases", headers=headers, data={"case": "m-1", "basis": "Act 9"}).status_code == 201
    )
    answer = client.post(
        "/api/search", headers=headers, data={"case": "m-1"}, files={"photo": ("a", PHOTO)}
    ).json()
    assert answer["sightings"][0]["rank"] == 1
    assert answer["coverage"]["asked_camera_hours"] > 0
    assert client.get("/api/cases/m-1", headers=headers).json()["photos"][0]["photo"] == "a"
    metrics = client.get("/metrics", headers=headers)
    assert metrics.status_code == 403, "an analyst's token does not operate"


def test_every_word_has_its_korean_and_nothing_comes_from_elsewhere() -> None:
    for path in [*(PLACE / "templates").iterdir(), *(PLACE / "static").iterdir()]:
        text = path.read_text("utf-8")
        for word in re.findall(r'\bt\("((?:[^"\\]|\\.)*)"\)', text):
            assert word in KOREAN, (path.name, word)
        outside = set(re.findall(r"""(?:https?:)?//[a-z][^\s"'<)]*""", text)) - {
            "//www.w3.org/2000/svg",
            "http://www.w3.org/2000/svg",
        }
        assert not outside, (path.name, outside)
        assert " style=" not in text, path.name
        assert not re.search(r"\son[a-z]+=", text), path.name
    assert (
        json.dumps(KOREAN, ensure_ascii=False, sort_keys=True, indent=0)
        == (PLACE / "korean.json").read_text("utf-8").strip()
    )


@pytest.mark.parametrize(
    ("host", "more", "told"),
    [("0.0.0.0", {}, "unprotected"), ("127.0.0.1", {"tls_cert": Path("a")}, "together"),
     ("127.0.0.1", {"tls_cert": Path("a"), "tls_key": Path("b")}, "no such file")],
)  # fmt: skip
def test_it_does_not_listen_unprotected(host: str, more: dict[str, Path], told: str) -> None:
    with pytest.raises(Exception, match=told):
        Listening(host, **more)  # type: ignore[arg-type]
    assert not Listening().is_secure
    assert Listening("0.0.0.0", behind_proxy=True).is_secure


@pytest.fixture
def strict(station: Station) -> Station:
    """The same under the rules of the police, with a small limit."""
    settings = Settings(require_case=True, case_days=30, daily_searches=2)  # type: ignore[call-arg]
    desk = Desk(station.archive, settings, lambda: station.desk.models)
    desk._engine, desk._catalogue = station.desk.engine, station.desk.catalogue  # LMDB opens a file once
    return Station(**{**vars(station), "settings": settings, "desk": desk, "results": station.results})


def test_the_rules_bind_the_console_and_a_second_person_is_asked_there(strict: Station) -> None:
    strict.accounts.add("choi", "analyst", None, PASSWORD, 0, lambda what, reach: None)
    choi, boss = Browser(strict, "choi"), Browser(strict, "supervisor")
    assert choi.post("/cases/new", case="p-1", basis=" ").status_code == 400
    url = a_case(choi, "p-1")
    assert "expires" in choi.see(url)
    data = {"districts": ["songpa"], "upper": ["red"]}
    assert choi.post(f"{url}/search", **data).status_code == 403, "no reason"
    for _ in range(2):
        assert "/results/" in choi.post(f"{url}/search", reason="a child", **data).headers["location"]
    asked = choi.post(f"{url}/search", reason="a child", **data)
    assert asked.headers["location"] == url
    assert "waits for a second person" in choi.see(url)
    [approval] = re.findall(r"approvals/([0-9a-f]{8})", boss.see(url))
    assert choi.post(f"{url}/approvals/{approval}", granted="yes").status_code == 403
    assert boss.post(f"{url}/approvals/{approval}", granted="yes").status_code == 303
    assert "allowed by" in choi.see(url)
    assert "/results/" in choi.post(f"{url}/search", reason="a child", **data).headers["location"]
    assert "daily limit" in boss.see("/oversight"), "and the supervisor is alerted"


def test_who_never_comes_to_the_point_is_let_go(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_S", 0.4)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    config = uvicorn.Config(make_app(station), port=port, log_level="error", http=patience.PatientProtocol)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    for said in (b"", b"GET /sign-in HTTP/1.1\r\nHost: a\r\nX-"):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
            slow.sendall(said)
            assert slow.recv(10) == b"", "the connection was closed"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as quick:
        for _ in range(2):
            quick.sendall(b"GET /static/mark.svg HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.2)
            assert quick.recv(9999).startswith(b"HTTP/1.1 200")
    server.should_exit = True
    thread.join(10)


def test_a_point_of_the_map_is_where_it_is_drawn() -> None:
    cameras = [Camera(str(k), "", "songpa", 37.45 + k / 30, 127.0 + k * k / 90) for k in range(5)]
    drawn = camera_map([*cameras, Camera("x", "", "nowon")])
    assert drawn is not None
    for dot, camera in zip(drawn.dots, cameras, strict=True):
        assert camera.latitude is not None
        assert camera.longitude is not None
        assert drawn.first[0] + drawn.step[0] * dot.y == pytest.approx(camera.latitude, abs=1e-9)
        assert drawn.first[1] + drawn.step[1] * dot.x == pytest.approx(camera.longitude, abs=1e-9)
        assert 0 < dot.x < drawn.width
        assert 0 < dot.y < drawn.height
    assert camera_map([Camera("x", "", "nowon")]) is None


def test_a_long_log_is_proved_when_it_is_asked(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_SOON_BYTES", 1)
    auditor = Browser(station, "auditor")
    assert "The log is whole" not in auditor.see("/oversight")
    assert "The log is whole" in auditor.see("/oversight?prove=1")


def test_photos_of_results_are_kept_within_bounds(
    station: Station, filled: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    analyst = Browser(station, "analyst")
    monkeypatch.setattr(kept, "MOST_BYTES", 1)
    urls = [a_result(analyst, "/cases/walk") for _ in range(2)]
    assert [analyst.get(url).status_code for url in urls] == [404, 200], "the newest stays, however large"


def test_what_a_night_found_is_shown_to_who_may_see_it(station: Station) -> None:
    kim = Browser(station, "kim")
    kim.post("/cases/new", case="c-lead", basis="Act 9", districts=["songpa", "nowon"])
    found = Lead("00000000000000ab", "songpa", "S-1", 1_740_000_000_000, 1_740_000_009_000, 0.7, 0.93, 1)
    with Cases(station.archive) as cases:
        cases.add_leads("c-lead", [found])
    page = kim.see("/cases/c-lead")
    assert "nobody has looked yet" in html.unescape(page)
    assert "93 %" in page
    assert "new 1" in kim.see("/cases")
    assert Browser(station, "far").get("/cases/c-lead").status_code == 404
