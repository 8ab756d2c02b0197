"""Structured logs: one JSON object a line, a file for each night, and nothing kept longer than wanted.

Owns the form of an event and the life of the files. What happened is told by whoever does it, through
`event`; without an open journal nobody listens.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from indexer.shard.files import ArchiveFiles
from indexer.times import local_day, to_local_iso
from reid.durable import make_folder
from reid.errors import InputError, storage_errors

LogFormat = Literal["text", "json"]

_LOG = logging.getLogger("reid.events")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})[T.]")


def log_form(given: str, on_terminal: bool) -> LogFormat | None:
    """In which form events go to stderr; empty: not to a terminal, where a bar is shown, else as text.

    Raises:
        InputError: no such form.
    """
    if given not in ("", "text", "json"):
        raise InputError(f"--log-format {given!r}: expected text or json")
    return "json" if given == "json" else None if on_terminal and not given else "text"


def event(name: str, level: int = logging.INFO, **fields: Any) -> None:
    """Tell what happened: `name` in snake_case, `fields` anything JSON can hold, paths as text."""
    _LOG.log(level, name, extra={"fields": fields})


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One line: time (Seoul, with offset), level, event, fields."""
        told = {
            "time": to_local_iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(), "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }  # fmt: skip
        return json.dumps(told, ensure_ascii=False, default=str)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """The same for people, on one line."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        said = " ".join(f"{name}={value}" for name, value in fields.items() if value not in (None, ""))
        moment = to_local_iso(datetime.fromtimestamp(record.created, UTC))
        return f"{moment} {record.getMessage().replace('_', ' ')} {said}".rstrip().replace("\n", " ")


class _File(logging.FileHandler):
    """A log that cannot be written (a full disk) is told once and stops nothing."""

    failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  its name in `logging`
        """Say so once."""
        if not self.failed:
            self.failed = True
            print(f"reid: the log {self.baseFilename} cannot be written", file=sys.stderr)  # noqa: T201


@contextmanager
def journal(archive: ArchiveFiles, now: datetime, shown: LogFormat | None) -> Iterator[None]:
    """Write events to the log of the day of `now` (Seoul) while this is open.

    Args:
        shown: also on stderr, in this form; None: not there.

    Raises:
        StorageError: the log cannot be opened.
    """
    path = archive.log(local_day(now).isoformat())
    make_folder(path.parent)
    with storage_errors(path):
        handlers: list[logging.Handler] = [
            _File(path, "a", "utf-8", errors="backslashreplace")  # makes \udc80 of a byte that is no UTF-8
        ]
    handlers[0].setFormatter(_JsonLines())
    if shown is not None:
        handlers.append(logging.StreamHandler(sys.stderr))
        handlers[-1].setFormatter(_JsonLines() if shown == "json" else _Plain())
    _LOG.setLevel(logging.INFO)
    for handler in handlers:
        _LOG.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            _LOG.removeHandler(handler)
            with suppress(OSError):  # what a full disk did not take
                handler.close()


def expire(archive: ArchiveFiles, now: datetime, keep_days: int) -> int:
    """Delete logs and summaries of nights that are older; returns how many.

    A clock that was set back or runs ahead deletes nothing of use: what is dated in the future stays, and
    the newest of each kind always does.

    Raises:
        StorageError: the disk refuses.
    """
    oldest = local_day(now) - timedelta(days=keep_days)
    dated = [(path, day) for path in archive.dated() if (day := _day(path.name)) is not None]
    newest = {path.suffix: path for path, _ in sorted(dated, key=lambda each: each[0].name)}
    gone = [path for path, day in dated if day < oldest and path not in newest.values()]
    for path in gone:
        with storage_errors(path):
            path.unlink(missing_ok=True)
    return len(gone)


def _day(name: str) -> date | None:
    match = _DAY.match(name)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None
