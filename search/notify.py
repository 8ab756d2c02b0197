"""Tells people of a night: by a command, a webhook, mail. Case numbers, counts and where to look; no picture.

Goes to the configured addresses and nowhere else: nothing is redirected and no proxy is asked. What fails is
returned, never raised.
"""

from __future__ import annotations

import json
import smtplib
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import make_msgid
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from indexer.journal import event
from indexer.night_settings import NotifySettings

TRIES = 3
_PAUSES_S = (1.0, 4.0)
_TOLD = 200  # signs of what a command says on stderr


@dataclass(frozen=True)
class Notice:
    """What is told.

    Attributes:
        subject: one line. text: for people. content: for machines.
    """

    subject: str
    text: str
    content: dict[str, Any]


@dataclass(frozen=True)
class Told:
    """One way that was tried: `command`, `webhook` or `mail`, and why it failed; None when it did not."""

    way: str
    error: str | None


class _RefusedError(Exception):
    """An answer that trying again will not change."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Only the configured address is told."""


def tell(
    settings: NotifySettings, notice: Notice, sleep: Callable[[float], None] = time.sleep
) -> tuple[Told, ...]:
    """Tell everybody who is set; each way is tried whatever becomes of the others."""
    ways: list[tuple[str, Callable[[], None], int]] = []
    if settings.command:
        ways.append(("command", lambda: _run(settings, notice), 1))
    if settings.webhook.get_secret_value():
        ways.append(("webhook", lambda: _post(settings, notice), TRIES))
    if settings.relay:
        ways.append(("mail", lambda: _mail(settings, notice), TRIES))
    told = []
    for name, way, tries in ways:
        error = _tried(way, tries, sleep)
        event("notified", way=name, error=error)
        told.append(Told(name, error))
    return tuple(told)


def _tried(way: Callable[[], None], tries: int, sleep: Callable[[float], None]) -> str | None:
    problem = ""
    for number in range(tries):
        if number:
            sleep(_PAUSES_S[number - 1])
        try:
            way()
            return None
        except (_RefusedError, smtplib.SMTPAuthenticationError, ValueError) as error:
            return str(error)[:_TOLD]
        except (OSError, HTTPException, smtplib.SMTPException, subprocess.SubprocessError) as error:
            problem = f"{type(error).__name__}: {error}"[:_TOLD]
    return f"{problem} (tried {tries} times)" if tries > 1 else problem


def _run(settings: NotifySettings, notice: Notice) -> None:
    """Never through a shell: a name in the text cannot become a command."""
    text = f"{notice.subject}\n\n{notice.text}\n".encode(errors="backslashreplace")
    done = subprocess.run(
        settings.command, input=text, capture_output=True, timeout=settings.timeout_s, check=False
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-_TOLD:]
        raise _RefusedError(f"{settings.command[0]} ended with exit code {done.returncode}: {said}")


def _post(settings: NotifySettings, notice: Notice) -> None:
    address = settings.webhook.get_secret_value()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    request = urllib.request.Request(
        address, json.dumps(notice.content).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with opener.open(request, timeout=settings.timeout_s) as answer:
            answer.read(1024)
    except urllib.error.HTTPError as error:
        said = f"{urlsplit(address).hostname} answered {error.code}"  # the path may hold a token
        error.close()
        if error.code >= 500 or error.code in (408, 429):
            raise OSError(said) from None
        raise _RefusedError(said) from None


def _mail(settings: NotifySettings, notice: Notice) -> None:
    host, _, port = settings.relay.rpartition(":")
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = notice.subject, settings.sender, ", ".join(settings.to)
    mail["Message-ID"] = make_msgid(domain=settings.sender.rpartition("@")[2].strip(">") or None)
    mail.set_content(notice.text.encode(errors="backslashreplace").decode())
    context = ssl.create_default_context()
    whole = settings.security == "tls"
    connected = (
        smtplib.SMTP_SSL(host, int(port), timeout=settings.timeout_s, context=context)
        if whole
        else smtplib.SMTP(host, int(port), timeout=settings.timeout_s)
    )
    with connected as relay:
        if settings.security == "starttls":
            relay.starttls(context=context)
        if settings.user:
            relay.login(settings.user, settings.password.get_secret_value())
        refused = relay.send_message(mail)
    if refused:
        raise _RefusedError(f"the relay refused {', '.join(sorted(refused))}")
