"""The console: pages for analysts and their overseers, and an interface for machines, over one archive.

Routes -> `search.desk` and `search.casebook`, which allow and record; nothing here searches by itself. Loads
nothing from any network. Needs the extra `console`.
"""

from __future__ import annotations

from reid.errors import MissingExtraError

try:
    from search.console.server import run
    from search.console.station import Listening
except ImportError as error:
    if (error.name or "").split(".")[0] not in ("fastapi", "starlette", "uvicorn", "argon2", "multipart"):
        raise
    raise MissingExtraError(error.name or "fastapi", "console") from None

__all__ = ["Listening", "run"]
