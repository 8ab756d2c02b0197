"""The console in a real browser: the whole way, in both languages, without an error and without a network.

Needs Debian's chromium and playwright; `REID_AXE` names axe.min.js (npm, axe-core) for accessibility too.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from search.audit import read_log
from search.console.app import make_app
from search.console.station import Station
from tests.test_console import PASSWORD, PHOTO, TWO, station  # noqa: F401  fixture
from tests.test_search import made  # noqa: F401  fixture

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"
)


@pytest.fixture(scope="module")
def address(station: Station) -> Iterator[str]:  # noqa: F811
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(make_app(station), port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.mark.parametrize(
    ("locale", "theme", "words"),
    [
        ("ko-KR", "light", ("사건 목록", "동일인", "검색 범위")),
        ("en-US", "dark", ("Open cases", "Same", "searched")),
    ],
)
def test_from_sign_in_to_evidence_by_keys(
    address: str,
    station: Station,  # noqa: F811
    tmp_path: Path,
    locale: str,
    theme: str,
    words: tuple[str, ...],
) -> None:
    (tmp_path / "one.jpg").write_bytes(PHOTO)
    (tmp_path / "two.jpg").write_bytes(TWO)
    faults: list[str] = []
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(
            locale=locale, color_scheme=theme, viewport={"width": 1366, "height": 900}
        )
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on(
            "console", lambda told: faults.append(told.text) if told.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request", lambda asked: faults.append(asked.url) if not asked.url.startswith(address) else None
        )
        page.on(
            "response", lambda got: faults.append(f"{got.status} {got.url}") if got.status >= 400 else None
        )
        case = f"b-{locale[:2]}"

        page.goto(address)
        page.fill("[name=name]", "kim")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/cases")
        assert words[0] in page.inner_text("main")
        page.goto(f"{address}/cases/new")
        page.fill("[name=case]", case)
        page.fill("[name=basis]", "Act 9")
        page.click("main button.main")
        page.set_input_files("[data-drop] input[type=file]", tmp_path / "two.jpg")
        page.wait_for_url("**/photos/*")
        page.keyboard.press("1")
        page.wait_for_url("**/search")
        page.click("[data-none]")
        assert page.locator("[data-tiles] input:checked").count() == 0
        page.click("[data-all]")
        page.click("main button.big")
        page.wait_for_url("**/results/*")
        assert words[1] in page.inner_text("main")
        assert words[2] in page.inner_text("main")
        result = page.url
        assert page.locator(".card").count() > 1

        page.keyboard.press(" ")
        page.wait_for_selector(".card .frames img")
        page.keyboard.press("y")
        page.wait_for_selector(".card.confirmed")
        assert page.locator(".card:focus").count() == 1, "the keys go on with the next picture"
        last = page.locator(".card").last
        last.focus()
        page.keyboard.press("n")
        page.wait_for_selector(".chip")
        cards = page.locator(".card")
        for number in (0, 1):
            cards.nth(number).focus()
            page.keyboard.press("c")
        page.keyboard.press("v")
        page.wait_for_url("**compare**")
        assert page.locator(".side-by-side figure").count() == 3
        page.goto(result)
        page.keyboard.press("Enter")
        page.wait_for_url("**/sightings/*")
        with page.expect_response("**/whole.jpg") as whole:
            page.click(".whole summary")
        assert whole.value.status == 200
        for part in ("/route", "/coverage"):
            page.goto(result + part)
        _check_accessibility(context, result)
        page.goto(f"{address}/cases/{case}")
        with page.expect_download() as evidence:
            page.click("form[action$=export] button")
        assert evidence.value.suggested_filename == f"evidence-{case}.zip"
        page.click(".who form button")
        page.wait_for_url("**/sign-in")
        browser.close()
    assert faults == []
    events = [entry.deed.event for entry in read_log(station.archive) if entry.deed.case == case]
    assert {"search", "view", "confirm", "reject", "export"} <= set(events)


def _check_accessibility(context: object, url: str) -> None:
    """No serious violation by axe, where that is at hand."""
    script = os.environ.get("REID_AXE")
    if not script:
        return
    page = context.browser.new_context(  # type: ignore[attr-defined]
        bypass_csp=True,
        storage_state=context.storage_state(),  # type: ignore[attr-defined]
    ).new_page()
    page.goto(url)
    page.evaluate(Path(script).read_text("utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
