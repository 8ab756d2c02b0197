"""Options and arguments that several commands take, and what their text means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reid.errors import InputError

if TYPE_CHECKING:
    from search.query import Box

Home = Annotated[
    Path | None,
    typer.Option("--home", help="The archive's folder. [default: $REID_HOME, else ~/reid-archive]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]
Model = Annotated[str | None, typer.Option(help="An embedder. [default: that of reid.toml]")]
Person = Annotated[int | None, typer.Option(min=1, help="Which of several people in the photo.")]
Region = Annotated[str | None, typer.Option(help="Where the person is: x1,y1,x2,y2 in pixels.")]
CaseId = Annotated[str, typer.Argument(help="The case, e.g. 2026-SP-0142.")]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray", help="Work on a Ray cluster: HOST:PORT of its head, or auto (extra cluster)."),
]
Workers = Annotated[
    str | None,
    typer.Option(help="How many clips at a time, a number or auto. [default: that of reid.toml]"),
]
District = Annotated[
    list[str] | None,
    typer.Option(
        "--district", "-d", help="songpa, Songpa-gu, 송파 or 송파구; repeats. [default: all active]"
    ),
]


def parse_box(text: str) -> Box:
    """(x1, y1, x2, y2) in pixels of the photo, from the text of --box; raises InputError."""
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--box {text!r}: expected four numbers x1,y1,x2,y2, e.g. 120,40,260,410") from None
    return x1, y1, x2, y2
