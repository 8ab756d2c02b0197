"""`reid demo`: index, search and judge the shipped footage, by the functions of the commands that do so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.commands.cameras import register_cameras
from search.commands.indexing import index_clips
from search.commands.opening import archive_at, read_settings
from search.commands.options import Json
from search.commands.printing import print_json, say
from search.commands.running import command
from search.commands.searching import Typed, search_archive, show_result, write_report

_DEMO_RATE = 3.0  # frames a second: enough for people who walk, and soon done


@command
def demo(
    home: Annotated[Path, typer.Option(help="Folder for the demo's archive and report.")] = Path("reid-demo"),
    as_json: Json = False,
) -> int:
    """Index the shipped clips, search for the missing person's photo, and compare with the truth."""
    from indexer.catalogue import Catalogue
    from indexer.clips import Given, find_clips
    from indexer.settings import write_settings
    from search.demo import CAMERAS, FOOTAGE, PERSON, PHOTO, judge, read_demo
    from search.report import to_json

    archive = archive_at(home)
    with Catalogue(archive, "create"):
        write_settings(archive, {"frames_per_second": _DEMO_RATE})
    settings, districts = read_settings(archive)
    truth = read_demo()
    say(f"Looking for: {truth.person(PERSON).description}")
    register_cameras(archive, CAMERAS)
    report = index_clips(archive, settings, find_clips([FOOTAGE], Given(), districts))
    say("\n".join(report.lines()))
    result = search_archive(archive, settings, districts, Typed(photos=[PHOTO], top=10))
    judgement = judge(result, truth)
    write_report(archive.home / "report.html", result, districts)
    if as_json:
        print_json({**to_json(result), "truth": {
            "passed": [clip for _, clip in judgement.passed], "right_ranks": list(judgement.right_ranks),
            "best_rank_by_clip": judgement.best_rank_by_clip,
        }})  # fmt: skip
    else:
        show_result(result, districts)
        for camera, clip in judgement.passed:
            rank = judgement.best_rank_by_clip.get(clip)
            say(
                f"truth: walked past {camera}: "
                + (f"found at rank {rank}" if rank else "NOT in the first 10")
            )
    found = len(judgement.best_rank_by_clip)
    say(
        f"truth: {found} of {len(judgement.passed)} passages are in the first"
        f" {len(result.sightings)} sightings"
    )
    return 0 if found and not report.failed else 1
