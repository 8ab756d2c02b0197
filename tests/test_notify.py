"""Who is told of a night: real servers on this machine, failing in every way; no shell, no other address."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from indexer.night_settings import NotifySettings
from indexer.settings import Settings, load_settings
from indexer.shard.files import ArchiveFiles
from reid.errors import InputError
from search.notify import Notice, tell

NOTICE = Notice(
    "reid night: 2 new; $(touch pwned) 실종", "case 2026-SP-1: 2, see: reid case show", {"cases": 1}
)


def told(waits: list[float] | None = None, **settings: Any) -> dict[str, str | None]:
    slept = [] if waits is None else waits
    return {each.way: each.error for each in tell(NotifySettings(**settings), NOTICE, slept.append)}


class Hook(BaseHTTPRequestHandler):
    """Answers with the next of `answers`, and keeps what came."""

    answers: list[int]
    came: list[tuple[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.came.append((self.path, json.loads(body)))
        answer = self.answers.pop(0) if self.answers else 200
        self.send_response(answer)
        if 300 <= answer < 400:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")  # type: ignore[attr-defined]
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def hook(*answers: int) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    came: list[tuple[str, Any]] = []
    handler = type("One", (Hook,), {"answers": list(answers), "came": came})
    with serving(HTTPServer(("127.0.0.1", 0), handler)) as port:
        yield f"http://127.0.0.1:{port}/hook?token=secret", came


def test_a_webhook_gets_the_content() -> None:
    with hook() as (address, came):
        assert told(webhook=address) == {"webhook": None}
    assert came == [("/hook?token=secret", {"cases": 1})]


@pytest.mark.parametrize(
    ("answers", "asked", "error"),
    [
        ([503, 429, 200], 3, None),  # busy servers are asked again
        ([500, 500, 500], 3, "answered 500"),
        ([404], 1, "answered 404"),  # asking again changes nothing
        ([307], 1, "answered 307"),  # only the configured address is told
        ([302], 1, "answered 302"),
    ],
)
def test_answers_of_a_webhook(answers: list[int], asked: int, error: str | None) -> None:
    waits: list[float] = []
    with hook(*answers) as (address, came):
        said = told(waits, webhook=address)["webhook"]
    assert [path for path, _ in came] == ["/hook?token=secret"] * asked
    assert (said is None) if error is None else (said is not None and error in said and "secret" not in said)
    assert len(waits) == asked - 1


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with hook() as (proxy, asked), hook() as (address, came):
        monkeypatch.setenv("http_proxy", proxy)
        assert told(webhook=address) == {"webhook": None}
    assert (len(asked), len(came)) == (0, 1)


def test_a_webhook_that_is_not_there_or_never_answers() -> None:
    with hook() as (address, _):
        gone = address
    assert "tried 3 times" in str(told(webhook=gone)["webhook"])

    class Silent(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1 << 16)
            silent.wait(5)

    silent = threading.Event()
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silent)) as port:
        said = told(webhook=f"http://127.0.0.1:{port}/", timeout_s=0.05)["webhook"]
        silent.set()
    assert "timed out" in str(said)


def test_a_command_gets_the_text_and_is_no_shell(tmp_path: Path) -> None:
    target = tmp_path / "told; touch pwned"
    assert told(command=["tee", str(target)]) == {"command": None}
    assert target.read_text("utf-8").splitlines() == [NOTICE.subject, "", NOTICE.text]
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (["/nowhere/at/all"], "FileNotFoundError"),
        (["false"], "exit code 1"),
        (["sh", "-c", "echo broken >&2; exit 7"], "exit code 7: broken"),
        (["sleep", "5"], "timed out"),
    ],
)
def test_a_command_that_fails_is_told(command: list[str], error: str) -> None:
    assert error in str(told(command=command, timeout_s=0.3)["command"])


class Relay(socketserver.StreamRequestHandler):
    """Enough of SMTP for a client without encryption; refuses what `refuses` names."""

    refuses: dict[str, bytes]
    came: list[list[str]]

    def handle(self) -> None:
        said: list[str] = []
        self.wfile.write(b"220 relay\r\n")
        while line := self.rfile.readline().decode("utf-8", "replace").rstrip("\r\n"):
            word = line.split(":")[0].split(" ")[0].upper()
            if word in self.refuses:
                self.wfile.write(self.refuses[word])
            elif word == "DATA":
                self.wfile.write(b"354 go on\r\n")
                said += iter(lambda: self.rfile.readline().decode("utf-8", "replace").rstrip("\r\n"), ".")
                self.came.append(said)
                self.wfile.write(b"250 taken\r\n")
            else:
                said += [line] if word in ("MAIL", "RCPT") else []
                self.wfile.write(b"250 relay\r\n" if word != "QUIT" else b"221 bye\r\n")


@contextmanager
def relay(**refuses: bytes) -> Iterator[tuple[str, list[list[str]]]]:
    came: list[list[str]] = []
    handler = type("One", (Relay,), {"refuses": refuses, "came": came})
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)) as port:
        yield f"127.0.0.1:{port}", came


MAIL: dict[str, Any] = {
    "sender": "reid@example.kr",
    "to": ["duty@example.kr", "two@example.kr"],
    "security": "none",
}


def test_mail_goes_through_the_relay_to_everybody() -> None:
    with relay() as (address, came):
        assert told(relay=address, **MAIL) == {"mail": None}
    [said] = came
    envelope = [line.partition(" ")[0].upper() for line in said if line.lower().startswith(("mail", "rcpt"))]
    assert envelope == ["MAIL", "RCPT", "RCPT"]
    assert ["<duty@example.kr>" in said[1], "<two@example.kr>" in said[2]] == [True, True]
    assert "From: reid@example.kr" in said
    assert any(line.startswith("Subject: ") for line in said)
    assert NOTICE.text in said


@pytest.mark.parametrize(
    ("refuses", "error"),
    [
        ({"MAIL": b"550 no\r\n"}, "550"),
        ({"RCPT": b"550 no\r\n"}, "duty@example.kr"),
        ({"DATA": b"451 later\r\n"}, "451"),
    ],
)
def test_mail_that_is_refused_is_told(refuses: dict[str, bytes], error: str) -> None:
    with relay(**refuses) as (address, _):
        assert error in str(told(relay=address, **MAIL)["mail"])


def test_mail_is_never_sent_in_the_clear_when_encryption_is_asked_for() -> None:
    with relay() as (address, came):  # knows no STARTTLS
        said = told(relay=address, **{**MAIL, "security": "starttls"})["mail"]
    assert (came, "STARTTLS" in str(said)) == ([], True)


def test_one_way_that_fails_stops_no_other() -> None:
    with hook() as (address, came):
        said = told(command=["false"], webhook=address)
    assert (said["webhook"], len(came)) == (None, 1)
    assert said["command"] is not None


@pytest.mark.parametrize(
    "settings",
    [
        {"webhook": "http://example.kr/hook"},  # in the clear
        {"webhook": "http://127.0.0.1.example.kr/"},
        {"webhook": "file:///etc/passwd"},
        {"webhook": "https:///nobody"},
        {"relay": "mail.example.kr:25"},
        {"relay": "mail.example.kr", "sender": "a@b", "to": ["c@d"]},
        {"relay": "m:25", "sender": "a@b", "to": ["c@d\nBcc: e@f"]},
        {"relay": "m:25", "sender": "a", "to": ["c@d"]},
        {"relay": "m:25", "sender": "a@b", "to": ["c@d"], "user": "u", "password": "p", "security": "none"},
        {"when": "never"},
        {"nobody": 1},
    ],
)
def test_settings_that_are_wrong_are_refused_without_telling_secrets(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings = {**settings, "password": "hunter2-secret"}
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
    (tmp_path / "reid.toml").write_text(f"[notify]\n{lines}\n", "utf-8")
    with pytest.raises(InputError, match="notify") as caught:
        load_settings(ArchiveFiles(tmp_path))
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1.example" not in str(caught.value)


def test_secrets_are_masked_and_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REID_NOTIFY__PASSWORD", "hunter2")
    monkeypatch.setenv("REID_NIGHTLY__SETTLE_S", "7")
    (tmp_path / "reid.toml").write_text('[notify]\nwebhook = "https://example.kr/token"\n', "utf-8")
    settings: Settings = load_settings(ArchiveFiles(tmp_path))
    assert settings.notify.password.get_secret_value() == "hunter2"
    assert settings.nightly.settle_s == 7
    assert settings.notify.webhook.get_secret_value() == "https://example.kr/token"
    assert "hunter2" not in repr(settings)
    assert "token" not in repr(settings)
