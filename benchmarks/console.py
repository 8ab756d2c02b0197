"""How long an analyst waits for the console, alone and among fifty, over an archive of a million vectors.

Starts the product's own server in a process of its own and asks it by HTTP as a browser does: a photo
dropped, the search, the page of a hundred pictures with its pictures; then fifty analysts for a minute, each
of whom looks for about six seconds, searches, looks at pictures and decides. An error is any answer that is
none.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.archives import make_archive
from benchmarks.gallery import Scene
from indexer.shard.files import ArchiveFiles
from indexer.times import milliseconds
from reid.errors import StorageError
from search.accounts import Accounts
from search.audit_proof import verify
from search.demo import PHOTO

TARGETS = {"photo to first page": 0.3, "page of 100 pictures": 1.0, "fifty analysts, p95": 2.0}
"""Seconds, of issue and design."""

_VECTORS, _QUICK_VECTORS = 1_000_000, 40_000
_LOOKS_S = 6.0  # mean time of an analyst between two requests: pictures are compared by eye
_PASSWORD = "one hundred patient searchers"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The benchmark's options."""
    parser.add_argument("--vectors", type=int, help="size of the archive")
    parser.add_argument("--analysts", type=int, default=50, help="how many at once")
    parser.add_argument("--seconds", type=float, help="how long they work")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make the archive, serve it, ask; the figures."""
    vectors = options.vectors or (_QUICK_VECTORS if options.quick else _VECTORS)
    seconds = options.seconds or (10.0 if options.quick else 60.0)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "archive"
        make_archive(home, Scene(vectors, days=3), whole_ledger=False)
        archive = ArchiveFiles(home)
        sessions = _sessions(archive, options.analysts)
        with _served(home, Path(folder)) as port:
            alone = _alone(Analyst(port, sessions[0], "alone"))
            together = _together([Analyst(port, each, f"c-{k}") for k, each in enumerate(sessions)], seconds)
        sound = verify(archive).sound
    figures = {"vectors": vectors, "analysts": options.analysts, "seconds": seconds, "alone_s": alone,
               **together, "log_is_whole": sound}  # fmt: skip
    _print(figures)
    return figures


class Analyst:
    """Somebody at the console, by HTTP; every wait is kept by what was waited for."""

    def __init__(self, port: int, session: str, case: str) -> None:
        self.waits: dict[str, list[float]] = defaultdict(list)
        self.errors: list[str] = []
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._cookie, self.case, self._csrf = f"reid-session={session}; reid-language=en", case, ""

    def ask(
        self, what: str, url: str, form: Mapping[str, str] | None = None, photo: bytes = b""
    ) -> tuple[str, bytes]:
        """Where it leads, if elsewhere, and what came."""
        body, headers = b"", {"cookie": self._cookie}
        if form is not None and photo:
            body, headers["content-type"] = _multipart({**form, "csrf": self._csrf}, photo)
        elif form is not None:
            body = urllib.parse.urlencode({**form, "csrf": self._csrf}).encode()
            headers["content-type"] = "application/x-www-form-urlencoded"
        begun = time.perf_counter()
        try:
            answer, data = self._sent("GET" if form is None else "POST", url, body or None, headers)
        except (OSError, http.client.HTTPException) as error:
            self.errors.append(f"{what}: {error!r}")
            self._connection.close()
            return "", b""
        self.waits[what].append(time.perf_counter() - begun)
        if answer.status not in (200, 303):
            self.errors.append(f"{what}: {answer.status}")
        found = re.search(rb'name="csrf" value="([0-9a-f]{64})"', data)
        self._csrf = found[1].decode() if found else self._csrf
        return answer.getheader("location") or "", data

    def _sent(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """The answer; once more where the server had closed an idle connection, as browsers do."""
        for may_be_closed in (True, False):
            try:
                self._connection.request(method, url, body, dict(headers))
                answer = self._connection.getresponse()
                return answer, answer.read()
            except (http.client.RemoteDisconnected, ConnectionError):
                self._connection.close()
                if not may_be_closed:
                    raise
        raise AssertionError

    def open_case(self, mark: bytes) -> None:
        """A case with a photo that only this mark, behind its end, tells from others."""
        self.ask("page", "/cases/new")
        self.ask("page", "/cases/new", {"case": self.case, "basis": "Act 9"})
        self.ask("photo", f"/cases/{self.case}/photos", {}, PHOTO.read_bytes() + mark)

    def search(self, top: int, districts: Sequence[str] = ("songpa",)) -> tuple[str, list[str]]:
        """The result's address and the ids on its page."""
        _, form = self.ask("form", f"/cases/{self.case}/search")
        photos = re.findall(rb'name="photos" value="([0-9a-f]{64})"', form)
        asked = {"districts": districts[0], "photos": photos[0].decode() if photos else "", "top": str(top)}
        result, _ = self.ask("search", f"/cases/{self.case}/search", asked)
        _, page = self.ask("results", f"{result}?group=0")
        return result, [each.decode() for each in re.findall(rb'data-sighting="([0-9a-f]{16})"', page)]

    def work(self, until: float, random: np.random.Generator) -> None:
        """Look, search, look at pictures, decide, until this moment."""
        while time.perf_counter() < until:
            time.sleep(float(random.exponential(_LOOKS_S)))
            result, shown = self.search(50)
            for each in shown[:20]:
                self.ask("picture", f"{result}/sightings/{each}/thumbnail.jpg")
            time.sleep(float(random.exponential(_LOOKS_S)))
            if shown:
                decision = "confirmed" if random.random() < 0.2 else "rejected"
                self.ask("decision", f"{result}/judge", {"sighting": shown[0], "decision": decision})
                self.ask("results", result)


def _alone(analyst: Analyst) -> dict[str, float]:
    """Median seconds of what one analyst waits for, the server warm."""
    analyst.open_case(b"first")
    analyst.search(20)
    analyst.waits.clear()
    kinds: dict[str, list[float]] = defaultdict(list)
    for number in range(7):
        analyst.case = f"alone-{number}"
        analyst.ask("page", "/cases/new")
        analyst.ask("page", "/cases/new", {"case": analyst.case, "basis": "Act 9"})
        begun = time.perf_counter()  # a photo that was not seen before
        analyst.ask("photo", f"/cases/{analyst.case}/photos", {}, PHOTO.read_bytes() + b"%d" % number)
        kinds["photo understood"].append(time.perf_counter() - begun)
        analyst.search(20)
        kinds["photo to first page"].append(time.perf_counter() - begun)
        result, shown = analyst.search(100)
        begun = time.perf_counter()
        analyst.ask("results", f"{result}?group=0")
        for each in shown:
            analyst.ask("picture", f"{result}/sightings/{each}/thumbnail.jpg")
        kinds["page of 100 pictures"].append(time.perf_counter() - begun)
    kinds["search alone"] = analyst.waits["search"]
    return {name: float(np.median(waits)) for name, waits in kinds.items()}


def _together(analysts: list[Analyst], seconds: float) -> dict[str, Any]:
    for analyst in analysts:
        analyst.open_case(analyst.case.encode())
        analyst.waits.clear()
    until = time.perf_counter() + seconds
    threads = [
        threading.Thread(target=analyst.work, args=(until, np.random.default_rng(seed)))
        for seed, analyst in enumerate(analysts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waits: dict[str, list[float]] = defaultdict(list)
    for analyst in analysts:
        for name, each in analyst.waits.items():
            waits[name] += each
    everything = [wait for each in waits.values() for wait in each]
    errors = [error for analyst in analysts for error in analyst.errors]
    told = {name: _shares(each) for name, each in [*waits.items(), ("everything", everything)] if each}
    return {
        "together_s": told,
        "requests": len(everything),
        "errors": len(errors),
        "first_errors": errors[:5],
    }


def _shares(waits: Sequence[float]) -> dict[str, float]:
    p50, p95, most = np.percentile(waits, (50, 95, 100))
    return {"p50": float(p50), "p95": float(p95), "max": float(most)}


def _sessions(archive: ArchiveFiles, count: int) -> list[str]:
    """Signed in beforehand: comparing fifty passwords is no part of a search."""
    now_ms = milliseconds(datetime.now(UTC))
    with Accounts(archive) as accounts:
        accounts.add("analyst", "analyst", None, _PASSWORD, now_ms, lambda what, reach: None)
        return [accounts.sign_in("analyst", _PASSWORD, now_ms) for _ in range(count)]


@contextmanager
def _served(home: Path, folder: Path) -> Iterator[int]:
    """The console in a process of its own; gives its port."""
    port = _free_port()
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config"), "REID_HOME": str(home)}
    command = [sys.executable, "-c", "import cli; cli.main()", "serve", "--port", str(port)]
    process = subprocess.Popen(
        command, env=environment, cwd=Path(__file__).parents[1], stderr=subprocess.PIPE
    )
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise StorageError(f"the console ended: {process.stderr.read() if process.stderr else b''!r}")
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
                break
            except OSError:
                time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _multipart(form: Mapping[str, str], photo: bytes) -> tuple[bytes, str]:
    edge = "reid-benchmark-edge"
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in form.items()
    ]
    head = f'--{edge}\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'.encode()
    return b"".join(
        parts
    ) + head + photo + f"\r\n--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"


def _print(figures: Mapping[str, Any]) -> None:
    console = Console()
    table = Table("one analyst", "seconds (median)")
    for name, value in figures["alone_s"].items():
        table.add_row(name, f"{value:.3f}")
    console.print(table)
    table = Table(f"{figures['analysts']} analysts, {figures['seconds']:.0f} s", "p50", "p95", "max")
    for name, each in figures["together_s"].items():
        table.add_row(name, *(f"{each[key]:.3f}" for key in ("p50", "p95", "max")))
    console.print(table)
    console.print(
        f"{figures['requests']} requests, {figures['errors']} errors {figures['first_errors'] or ''};"
        f" log whole: {figures['log_is_whole']}; targets in seconds: {TARGETS}"
    )
