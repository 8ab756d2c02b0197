"""Templates for pages that people read and print. The only module that imports Jinja."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """A page from a template of `search/templates`; every value is escaped."""
    environment = Environment(
        loader=PackageLoader("search"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update({"jpeg": data_uri, **filters})
    return environment.get_template(template).render(**values)


class Pages:
    """Templates of a package, compiled once; every value is escaped.

    Args:
        package: holds a folder `templates`. filters: by name.
    """

    def __init__(self, package: str, filters: Mapping[str, Callable[..., Any]]) -> None:
        self._environment = Environment(
            loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._environment.filters.update(filters)

    def render(self, template: str, **values: Any) -> str:
        """A page."""
        return self._environment.get_template(template).render(**values)


def data_uri(jpeg: bytes) -> str:
    """A picture inside the page, so that nothing is loaded from anywhere."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
