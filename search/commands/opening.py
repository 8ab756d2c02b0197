"""What a command begins with: the archive, its settings, its state, its models, and who asks for what.

The functions import when called what `reid --help` need not wait for, as the commands themselves do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from search.commands.printing import say

if TYPE_CHECKING:
    from indexer.districts import Districts
    from indexer.settings import Settings
    from indexer.shard.files import ArchiveFiles
    from indexer.snapshot import Snapshot
    from reid.detector import Detector
    from reid.embedder import Embedder
    from search.policy import Purpose
    from search.roles import Right


def archive_at(home: Path | None) -> ArchiveFiles:
    """The archive of --home, else of $REID_HOME, else the usual one; it need not exist."""
    from indexer.settings import home_folder

    return home_folder(home)


def read_settings(archive: ArchiveFiles) -> tuple[Settings, Districts]:
    """Its reid.toml, and the districts that this names; raises InputError."""
    from indexer.districts import load_districts
    from indexer.settings import load_settings

    settings = load_settings(archive)
    return settings, load_districts(Path(settings.districts) if settings.districts else None)


def read_snapshot(archive: ArchiveFiles) -> Snapshot:
    """The catalogue as it is now; raises ReidError when the archive is absent or unfit."""
    from indexer.catalogue import Catalogue

    with Catalogue(archive) as catalogue:
        return catalogue.snapshot()


def tell_of_trial(archive: ArchiveFiles, settings: Settings) -> None:
    """Say why nothing is seen to happen for a while, where the models were never loaded on this machine."""
    from reid.models import find_model
    from reid.runtimes.trial import is_to_be_tried

    embedder = find_model(settings.embedder, "embed", archive.models)
    models = [find_model(settings.detector, "detect", archive.models), embedder]
    if embedder.describer:
        models.append(find_model(embedder.describer, "describe", archive.models))
    if any(is_to_be_tried(spec, settings.runtime) for spec in models):
        say("trying once what runs the models fastest on this machine; takes some ten seconds")


def load_models(archive: ArchiveFiles, settings: Settings) -> tuple[Detector, Embedder]:
    """The detector and the embedder of the settings."""
    from reid.detector import load_detector
    from reid.embedder import load_embedder

    tell_of_trial(archive, settings)
    detector = load_detector(settings.detector, archive.models, runtime=settings.runtime)
    return detector, load_embedder(settings.embedder, archive.models, settings.runtime)


def stated_purpose(archive: ArchiveFiles, case: str | None = None, reason: str | None = None) -> Purpose:
    """Who asks, and for what; whether they may is judged by whoever does it."""
    from search.actors import Actor
    from search.cases import check_case_id
    from search.desk import find_account
    from search.policy import Purpose

    actor = Actor.of_this_process()
    return Purpose(
        actor, find_account(archive, actor), check_case_id(case) if case is not None else None, reason or ""
    )


def permitted_purpose(archive: ArchiveFiles, right: Right) -> Purpose:
    """Who asks, if they may."""
    from search.policy import check_right

    purpose = stated_purpose(archive)
    check_right(purpose.account, right, read_settings(archive)[0].require_case)
    return purpose
