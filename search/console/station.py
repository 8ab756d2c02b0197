"""What the console works with: the archive, open; accounts; results that people work on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from indexer.districts import District, Districts
from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Snapshot
from reid.detector import Detector, load_detector
from reid.embedder import Embedder, load_embedder
from reid.errors import InputError
from search.accounts import Account, Accounts
from search.console.kept import Results
from search.console.oidc import Provider
from search.desk import Desk


@dataclass(frozen=True)
class Listening:
    """Where the console listens.

    Attributes:
        host, port: address. tls_cert, tls_key: PEM files; both or none.
        behind_proxy: a proxy on this machine speaks TLS, and tells who asks.

    Raises:
        InputError: a certificate without its key, a file that is not there, TLS twice, or no TLS where others
            could listen.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InputError("expected --tls-cert and --tls-key together")
        for path in (self.tls_cert, self.tls_key):
            if path is not None and not path.is_file():
                raise InputError(f"{path}: no such file; give a PEM file")
        if self.tls_cert and self.behind_proxy:
            raise InputError("--behind-proxy says that a proxy speaks TLS; leave --tls-cert out")
        if not self.is_secure and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise InputError(
                f"--host {self.host}: passwords and pictures would cross the network unprotected; give"
                " --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy with --behind-proxy"
            )

    @property
    def is_secure(self) -> bool:
        """Do people reach it by TLS?"""
        return self.tls_cert is not None or self.behind_proxy


@dataclass(frozen=True)
class Station:
    """All that routes work with.

    Attributes:
        archive, settings, districts: of the archive. desk: open.
        accounts: open. is_secure: see `Listening`.
        results: that people work on. provider: of identities, if there is one.
        signing_in: how many may compare passwords at once.
    """

    archive: ArchiveFiles
    settings: Settings
    districts: Districts
    desk: Desk
    accounts: Accounts
    is_secure: bool = False
    results: Results = field(default_factory=Results)
    provider: Provider | None = None
    signing_in: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(8))

    @property
    def by_slug(self) -> Mapping[str, District]:
        """Districts by their slugs."""
        return {district.slug: district for district in self.districts.all}

    def snapshot(self) -> Snapshot:
        """The catalogue as it is now."""
        return self.desk.snapshot()

    def reach(self, account: Account) -> tuple[str, ...]:
        """Slugs of what somebody may see, in the order of the table."""
        everything = tuple(district.slug for district in self.districts.all)
        if account.districts is None:
            return everything
        return tuple(slug for slug in everything if slug in account.districts)


def load_models(archive: ArchiveFiles, settings: Settings) -> tuple[Detector, Embedder]:
    """The models in use."""
    detector = load_detector(settings.detector, archive.models, runtime=settings.runtime)
    return detector, load_embedder(settings.embedder, archive.models, settings.runtime)
