"""Every place there is, by name."""

from __future__ import annotations

from reid.errors import UnknownNameError
from reid.people.layouts.alley import alley
from reid.people.layouts.lift import lift
from reid.people.layouts.park import park
from reid.people.layouts.plaza import plaza
from reid.people.layouts.shop import shop
from reid.people.layouts.site import Site
from reid.people.layouts.station import station
from reid.people.layouts.street import crossing, street
from reid.people.scene import PLACES, Scene

_LAYOUTS = {
    "street": street, "crossing": crossing, "alley": alley, "park": park, "plaza": plaza,
    "station": station, "shop": shop, "lift": lift,
}  # fmt: skip


def check_place(place: str) -> None:
    """Refuse a place nobody knows.

    Raises:
        UnknownNameError: not one of `PLACES`.
    """
    if place not in PLACES:
        raise UnknownNameError("place", place, PLACES)


def lay_out(place: str, site: Site) -> Scene:
    """Build a place on an empty site."""
    return _LAYOUTS[place](site)
