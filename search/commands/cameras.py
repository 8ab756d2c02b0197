"""`reid cameras`: register, correct, list and take out cameras, and compare their clocks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.commands.opening import archive_at, read_settings, read_snapshot
from search.commands.options import District, Home, Json
from search.commands.printing import cell, print_json, print_table, progress_bar, say
from search.commands.running import command

if TYPE_CHECKING:
    from indexer.shard.files import ArchiveFiles

cameras_app = typer.Typer(no_args_is_help=True, help="The cameras of this archive.")


@cameras_app.command("add")
@command
def cameras_add(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV: camera,name,district,latitude,longitude,clock_offset_s,clock_uncertainty_s."
        ),
    ],
    home: Home = None,
) -> None:
    """Register cameras, or correct registered ones; a clock corrected here corrects old footage too."""
    register_cameras(archive_at(home), file)


@cameras_app.command("remove")
@command
def cameras_remove(
    district: Annotated[str, typer.Argument(help="The district it is registered in.")],
    camera: Annotated[str, typer.Argument(help="Its id.")],
    home: Home = None,
) -> None:
    """Take out a camera without footage, such as one registered in the wrong district."""
    from indexer.catalogue import Catalogue

    archive = archive_at(home)
    _, districts = read_settings(archive)
    with Catalogue(archive, "write") as catalogue:
        catalogue.remove_camera(districts.find(district).slug, camera)
    say(f"camera {camera} removed")


@cameras_app.command("list")
@command
def cameras_list(home: Home = None, as_json: Json = False) -> None:
    """List the cameras of this archive."""
    from dataclasses import asdict

    rows = [asdict(camera) for _, camera in sorted(read_snapshot(archive_at(home)).cameras.items())]
    if as_json:
        print_json({"cameras": rows})
        return
    names = ["id", "name", "district", "latitude", "longitude", "clock_offset_s", "clock_uncertainty_s"]
    print_table(
        [name.replace("_", " ") for name in names], [[cell(row[name]) for name in names] for row in rows]
    )


@cameras_app.command("check")
@command
def cameras_check(
    district: District = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="A camera whose clock is right: its id, or DISTRICT/ID. [default: most of those compared]"
        ),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the offsets and uncertainties into the archive.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Tell which clocks are wrong, by the people who walk from one camera to the next."""
    from indexer.clock_check import apply_check, check_clocks

    archive = archive_at(home)
    names = read_settings(archive)[1]
    slugs = [names.find(name).slug for name in district or ()]
    with progress_bar("comparing clocks") as progress:
        check = check_clocks(archive, slugs, reference, progress)
    changed = apply_check(archive, check) if apply else ()
    if as_json:
        told = [f"{camera.district}/{camera.id}" for camera in changed]
        print_json({**check.to_json(), "applied": told})
    else:
        print_table(list(check.header), check.rows())
        for line in check.notes():
            typer.echo(line)
        if apply:
            typer.echo(f"{len(changed)} clocks written; searches correct the times of old footage by them")
    return 1 if check.unreadable else 0


def register_cameras(archive: ArchiveFiles, file: Path) -> None:
    """Put the cameras of a CSV file into the archive, new ones and corrected ones; raises InputError."""
    from indexer.cameras import read_cameras
    from indexer.catalogue import Catalogue

    _, districts = read_settings(archive)
    with Catalogue(archive, "write") as catalogue:
        cameras = read_cameras(file, districts, catalogue.snapshot().cameras)
        catalogue.put_cameras(cameras)
    say(f"{len(cameras)} cameras registered")
