"""Making an archive and keeping it sound: init, verify, compact, migrate, and `reid codebook`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from search.commands.cameras import register_cameras
from search.commands.opening import archive_at
from search.commands.options import Home, Json
from search.commands.printing import print_json, progress_bar, say
from search.commands.running import command

codebook_app = typer.Typer(no_args_is_help=True, help="The codes of large archives.")


@command
def init(
    home: Home = None,
    cameras: Annotated[Path | None, typer.Option(help="Cameras to register (CSV).")] = None,
    profile: Annotated[
        str, typer.Option(help="plain, or police: cases with a legal basis, reasons, limits, retention.")
    ] = "plain",
) -> None:
    """Create an archive with a commented reid.toml; an existing one is left as it is."""
    archive = archive_at(home)
    from indexer.catalogue import Catalogue
    from indexer.settings import find_profile, write_settings
    from search.actors import Actor
    from search.audit import Deed, record

    chosen = find_profile(profile)
    with Catalogue(archive, "create"):
        written = write_settings(archive, chosen)
    if written:
        record(archive, Deed("archive created", Actor.of_this_process(), subject=f"profile {profile}"))
    say(f"archive at {archive.home}" + (", settings in reid.toml" if written else " was there already"))
    if cameras:
        register_cameras(archive, cameras)
    say("next: reid index FOOTAGE --district NAME --camera ID --start TIME")


@command
def verify(
    home: Home = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read everything: each checksum, each record, each vector.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Verify the sealed segments; damaged ones go into quarantine, where no search looks, and says so."""
    from dataclasses import asdict

    from indexer.verification import verify as verified

    with progress_bar("verifying") as progress:
        found = verified(archive_at(home), deep, progress)
    if as_json:
        print_json(asdict(found))
    else:
        for segment, shard, reason in found.damaged:
            typer.echo(f"damaged: {segment} of {shard}: {reason}")
        for path in found.clips:
            typer.echo(f"index again: {path}")
        for segment in found.restored:
            typer.echo(f"sound again: {segment}")
        if found.codebook:
            typer.echo(f"codebook: {found.codebook}")
        typer.echo(
            f"{found.segments} segments, {len(found.damaged)} damaged"
            f" ({'every checksum' if deep else 'manifests and lengths; --deep compares all'})"
        )
    return 1 if found.damaged or found.codebook else 0


@command
def compaction(home: Home = None, as_json: Json = False) -> int:
    """Merge the segments of each district and day into one, with codes once there is a codebook."""
    from dataclasses import asdict

    from indexer.compaction import compact

    with progress_bar("merging days") as progress:
        done = compact(archive_at(home), progress, len(os.sched_getaffinity(0)))
    if as_json:
        print_json(asdict(done))
    else:
        for shard, reason in done.failed:
            typer.echo(f"failed: {shard}: {reason}; see: reid verify --deep")
        typer.echo(
            f"{len(done.days)} days written anew from {done.merged} segments; {done.segments} segments now"
        )
    return 1 if done.failed else 0


@command
def migrate(home: Home = None, as_json: Json = False) -> None:
    """Bring an archive of an earlier format up to date; its footage need not be indexed again."""
    from indexer.migrations import migrate as migrated

    with progress_bar("rewriting segments") as progress:
        steps = migrated(archive_at(home), progress)
    if as_json:
        print_json({"steps": list(steps)})
    else:
        typer.echo("\n".join(steps) if steps else "up to date already")


@codebook_app.command("train")
@command
def codebook_train(
    home: Home = None,
    rows: Annotated[int | None, typer.Option(min=1000, help="Vectors to sample.")] = None,
    as_json: Json = False,
) -> None:
    """Train the codebook by which large archives are scanned, on a sample of this one."""
    from indexer.codebooks import SAMPLE, train_codebook

    with progress_bar("sampling") as progress:
        codebook, sampled = train_codebook(archive_at(home), rows or SAMPLE, progress=progress)
    figures = {
        "codebook": codebook.name, "model": codebook.model, "sampled": sampled,
        "distortion": round(codebook.distortion, 4),
    }  # fmt: skip
    if as_json:
        print_json(figures)
        return
    say(f"codebook {codebook.name} trained on {sampled:,} vectors; code the archive with: reid compact")


@codebook_app.command("check")
@command
def codebook_check(home: Home = None, as_json: Json = False) -> int:
    """Tell whether the codebook in use still fits what is in the archive."""
    from indexer.codebooks import check_codebook

    codebook, fit = check_codebook(archive_at(home))
    if as_json:
        print_json({
            "codebook": codebook.name, "distortion": round(fit.distortion, 4),
            "distortion_at_training": round(fit.trained, 4), "fits": fit.fits,
        })  # fmt: skip
    else:
        verdict = "fits" if fit.fits else "no longer fits; train another with: reid codebook train"
        typer.echo(
            f"codebook {codebook.name} {verdict} (distortion {fit.distortion:.4f}, at training"
            f" {fit.trained:.4f})"
        )
    return 0 if fit.fits else 1
