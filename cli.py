"""The command line: names the commands, in the order in which `reid --help` lists them.

What each takes and does is in search/commands/. Results go to stdout, everything else to stderr. Exit codes:
0 done, 1 done with failures that are listed, 2 wrong use or bad input, 3 the archive or the machine is not
fit, 130 interrupted.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping

import typer

from search.commands import (
    audit,
    cameras,
    cases,
    console,
    demo,
    indexing,
    models,
    overview,
    removal,
    searching,
    upkeep,
)

COMMANDS: Mapping[str, Callable[..., None]] = {
    "init": upkeep.init,
    "index": indexing.index,
    "nightly": indexing.nightly,
    "search": searching.search,
    "replay": searching.replay,
    "districts": overview.districts,
    "clips": overview.clips,
    "stats": overview.stats,
    "status": overview.status,
    "plan": overview.plan_capacity,
    "doctor": overview.doctor,
    "verify": upkeep.verify,
    "reindex": indexing.reindex_footage,
    "compact": upkeep.compaction,
    "erase": removal.erase,
    "purge": removal.purge,
    "export": cases.export_evidence,
    "migrate": upkeep.migrate,
    "demo": demo.demo,
    "describe": models.describe,
    "eval": models.evaluate,
    "train": models.train,
    "serve": console.serve,
}
GROUPS: Mapping[str, typer.Typer] = {
    "case": cases.case_app,
    "audit": audit.audit_app,
    "users": console.users_app,
    "models": models.models_app,
    "cameras": cameras.cameras_app,
    "codebook": upkeep.codebook_app,
}

app = typer.Typer(
    name="reid", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
    help="Find missing people in archived CCTV footage from a single photo.",
)  # fmt: skip
for name, command in COMMANDS.items():
    app.command(name)(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def main() -> None:
    """Entry point of the `reid` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name the terminal cannot show is no crash
    app()


if __name__ == "__main__":
    main()
