"""Runs the console: uvicorn over TLS or behind a proxy; deletes what is due of closed cases meanwhile."""

from __future__ import annotations

import logging
import threading

import uvicorn

from indexer.districts import Districts
from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from reid.errors import ReidError, StorageError
from search.accounts import Accounts
from search.actors import Actor
from search.casebook import delete_due
from search.console.app import make_app
from search.console.oidc import Provider
from search.console.patience import PatientProtocol
from search.console.station import Listening, Station, load_models
from search.desk import Desk

_EVERY_S = 3600.0  # what is due is deleted
_AT_ONCE = 1000  # connections; a browser holds up to six

log = logging.getLogger("reid.console")


def run(
    archive: ArchiveFiles, settings: Settings, districts: Districts, listening: Listening,
    ray: str | None = None,
) -> None:  # fmt: skip
    """Serve until interrupted.

    Args:
        ray: address of a cluster whose machines search; None: this one does.

    Raises:
        StorageError: the address is taken, or the archive is not fit.
    """
    with (
        Desk(archive, settings, lambda: load_models(archive, settings), ray) as desk,
        Accounts(archive) as accounts,
    ):
        _ = desk.models, desk.engine  # told now, not to the first analyst
        oidc = settings.oidc
        provider = Provider(oidc, f"{oidc.address.rstrip('/')}/oidc/back") if oidc.issuer else None
        station = Station(
            archive, settings, districts, desk, accounts, listening.is_secure, provider=provider
        )
        stop = threading.Event()
        keeper = threading.Thread(target=_keep_house, args=(station, stop), daemon=True)
        keeper.start()
        config = uvicorn.Config(
            make_app(station), host=listening.host, port=listening.port, log_level="warning",
            ssl_certfile=listening.tls_cert, ssl_keyfile=listening.tls_key, server_header=False,
            proxy_headers=listening.behind_proxy, forwarded_allow_ips="127.0.0.1", limit_concurrency=_AT_ONCE,
            timeout_keep_alive=15, http=PatientProtocol, h11_max_incomplete_event_size=32_768,
        )  # fmt: skip
        print_address(listening)
        try:
            uvicorn.Server(config).run()
        except SystemExit:
            raise StorageError(
                f"{listening.host}:{listening.port}: cannot listen there; choose another --port"
            ) from None
        finally:
            stop.set()


def print_address(listening: Listening) -> None:
    """Tell where it is."""
    scheme = "https" if listening.tls_cert else "http"
    log.warning("console at %s://%s:%s/", scheme, listening.host, listening.port)


def _keep_house(station: Station, stop: threading.Event) -> None:
    while True:
        try:
            for case_id in delete_due(station.archive, station.settings, Actor.system()):
                station.results.forget_case(case_id)
        except ReidError as error:
            log.error("cases that are due could not be deleted: %s", error)
        if stop.wait(_EVERY_S):
            return
