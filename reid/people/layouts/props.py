"""Street furniture, cars, trees: things that stand about, in the colours they have in Korean streets.

Each function adds one thing to a site, its front along -v and its length along u of `where`.
"""

from __future__ import annotations

import math

from reid.people.kernels import solids
from reid.people.kernels.surfaces import (
    BANDS,
    BARK,
    CABIN,
    CAR_BODY,
    GLASS,
    GLOW,
    PAINT,
    POSTER,
    SIGN,
    STEEL,
    STONE,
    TYRE,
    UNIT,
    VENDING,
    WOOD,
)
from reid.people.layouts.site import Frame, Rgb, Site, grey, tinted

_CAR_COLOURS: tuple[tuple[Rgb, float], ...] = (
    ((0.74, 0.74, 0.73), 33), ((0.012, 0.012, 0.013), 22), ((0.11, 0.112, 0.116), 16), ((0.38, 0.39, 0.40),
    14),
    ((0.03, 0.05, 0.13), 6), ((0.24, 0.02, 0.02), 4), ((0.29, 0.26, 0.2), 3), ((0.16, 0.25, 0.36), 2),
)  # fmt: skip
LEAVES: tuple[Rgb, ...] = ((0.075, 0.13, 0.035), (0.055, 0.105, 0.035), (0.1, 0.14, 0.04), (0.17, 0.12, 0.03))
TRUNK = (0.13, 0.1, 0.075)
GALVANISED = (0.27, 0.28, 0.285)
WARM_LAMP, WHITE_LAMP, ORANGE_LAMP = (24.0, 20.0, 13.0), (22.0, 22.0, 21.0), (26.0, 16.0, 7.0)


def car(site: Site, where: Frame) -> None:
    """A parked car; its length lies along u, its nose at +u."""
    rng = site.rng
    shares = [share for _, share in _CAR_COLOURS]
    colour = tinted(
        rng, _CAR_COLOURS[int(rng.choice(len(shares), p=[s / sum(shares) for s in shares]))][0], 0.08, 0.01
    )
    at = where.plain().at(0, 0, -math.pi / 2)  # own +y is the nose
    build = str(rng.choice(["saloon", "suv", "van", "hatch"], p=[0.42, 0.33, 0.1, 0.15]))
    length, wide, high = {
        "saloon": (4.6, 1.83, 1.45),
        "suv": (4.5, 1.86, 1.68),
        "van": (4.9, 1.9, 1.95),
        "hatch": (3.6, 1.6, 1.49),
    }[build]
    belt = high * 0.6
    seed = float(rng.integers(1, 500))
    site.box(
        at, (wide, length, belt * 0.52), CAR_BODY, colour, low=0.2, shrink=(-0.02, 0.02, 0.02), seed=seed
    )
    nose, tail = (0.14, 0.1) if build != "van" else (0.3, 0.02)
    site.box(
        at,
        (wide + 0.03, length, belt - 0.2 - belt * 0.5),
        CAR_BODY,
        colour,
        p0=1.0,
        low=0.2 + belt * 0.5,
        shrink=(0.07, nose, tail),
        seed=seed,
    )
    front, back = {"saloon": (0.30, 0.17), "suv": (0.27, 0.05), "van": (0.12, 0.02), "hatch": (0.25, 0.04)}[
        build
    ]
    cabin_length = length * (1 - front - back) + 0.2
    middle = at.at(0, (length * (back - front)) / 2)
    rake = (0.78, 0.7 if build == "saloon" else 0.34) if build != "van" else (0.5, 0.12)
    site.box(
        middle,
        (wide - 0.12, cabin_length, high - belt),
        CABIN,
        colour,
        low=belt - 0.01,
        shrink=(0.2, rake[0], rake[1]),
        seed=seed,
    )
    for side in (-1, 1):
        for end in (-1, 1):
            hub = at.at(side * (wide / 2 - 0.1), end * length * 0.31)
            site.solid(solids.WHEEL, hub, 0.0, 0.64, 0.32, 0.115, TYRE, (0.02, 0.02, 0.02))
        mirror = at.at(side * (wide / 2 + 0.06), length * (0.5 - front) - 0.25)
        site.box(mirror, (0.2, 0.12, 0.14), PAINT, colour, p0=0.3, low=belt)
    site.box(at, (wide - 0.3, length - 0.4, 0.12), PAINT, (0.01, 0.01, 0.01), low=0.12)


def truck(site: Site, where: Frame) -> None:
    """A one-ton lorry with a flat bed, blue or white as in any market street."""
    rng = site.rng
    colour = ((0.72, 0.72, 0.7), (0.06, 0.16, 0.34))[int(rng.integers(2))]
    at = where.plain().at(0, 0, -math.pi / 2)
    cab = at.at(0, 1.7)
    site.box(cab, (1.7, 1.6, 0.75), CAR_BODY, colour, p0=0.0, low=0.35)
    site.box(cab, (1.7, 1.6, 0.85), CABIN, colour, low=1.08, shrink=(0.1, 0.35, 0.02))
    bed = at.at(0, -0.85)
    site.box(bed, (1.74, 3.2, 0.36), PAINT, colour, p0=0.1, low=0.78)
    site.box(bed, (1.4, 3.2, 0.3), PAINT, (0.03, 0.03, 0.03), low=0.42)
    if rng.random() < 0.6:
        site.box(
            bed,
            (1.6, rng.uniform(1.5, 3.0), rng.uniform(0.3, 0.9)),
            PAINT,
            tinted(rng, (0.3, 0.27, 0.2), 0.3),
            low=1.1,
        )
    for side in (-1, 1):
        for end in (-1.5, 1.55):
            site.solid(solids.WHEEL, at.at(side * 0.72, end), 0.0, 0.62, 0.31, 0.12, TYRE, (0.02, 0.02, 0.02))


def tree(site: Site, where: Frame, high: float, leaves: Rgb | None = None, bare_to: float = 2.4) -> None:
    """A trunk with a crown of leafy blobs; nobody walks into leaves below `bare_to` metres."""
    rng = site.rng
    colour = tinted(rng, leaves or LEAVES[int(rng.choice(4, p=[0.4, 0.3, 0.25, 0.05]))], 0.15, 0.06)
    radius = high * rng.uniform(0.014, 0.022) + 0.03
    site.post(where, radius, high * 0.75, BARK, tinted(rng, TRUNK, 0.2))
    wide = high * rng.uniform(0.2, 0.32)
    low = max(bare_to, high * 0.3)
    for _ in range(int(rng.integers(8, 13))):
        angle, out, up = (
            rng.uniform(0, 2 * math.pi),
            wide * rng.uniform(0.1, 0.8),
            rng.uniform(low, high * 0.9),
        )
        size = wide * rng.uniform(0.6, 1.1)
        blob = Frame(where.x + out * math.cos(angle), where.y + out * math.sin(angle), angle)
        site.blob(
            blob,
            up,
            (size * 1.3, size * 1.1, size * 0.9),
            solids.FOLIAGE,
            tinted(rng, colour, 0.12, 0.03),
            5.0,
            0.12,
        )
    site.blob(where, low + 0.1, (wide * 1.4, wide * 1.4, high - low - 0.1), solids.FOLIAGE, colour, 4.0, 0.15)


def shrub(site: Site, where: Frame, wide: float, high: float) -> None:
    """A bush."""
    colour = tinted(site.rng, LEAVES[int(site.rng.integers(3))], 0.2, 0.06)
    site.blob(where, -0.3 * high, (wide, wide * 0.9, high * 1.3), solids.FOLIAGE, colour, 7.0, 0.02)
    site.blob(
        where.at(wide * 0.2, wide * 0.15),
        0.0,
        (wide * 0.6, wide * 0.6, high * 0.9),
        solids.FOLIAGE,
        colour,
        8.0,
        0.02,
    )


def hedge(site: Site, where: Frame, length: float, wide: float = 0.7, high: float = 0.8) -> None:
    """A clipped hedge along u."""
    colour = tinted(site.rng, LEAVES[int(site.rng.integers(2))], 0.2, 0.05)
    site.box(where, (length, wide, high), solids.HEDGE, colour, p0=9.0, p1=0.0, shrink=(0.08, 0.06, 0.06))
    for k in range(int(length / 0.55)):  # clumps break the ruled edge
        u = -length / 2 + 0.3 + k * 0.55 + float(site.rng.uniform(-0.1, 0.1))
        size = float(site.rng.uniform(0.6, 0.95))
        blob = where.at(u, float(site.rng.uniform(-0.1, 0.1)))
        site.blob(
            blob,
            high - size * 0.45,
            (size, wide * 1.02, size * 0.6),
            solids.FOLIAGE,
            tinted(site.rng, colour, 0.1, 0.03),
            9.0,
            0.05,
        )


def street_lamp(site: Site, where: Frame, high: float, colour: Rgb, reach: float = 1.2) -> None:
    """A lamp post whose arm reaches along +v; the light hangs at its end."""
    steel = tinted(
        site.rng, ((0.06, 0.062, 0.065), (0.24, 0.245, 0.25))[int(site.rng.integers(2))], 0.1, 0.01
    )
    site.post(where, 0.055 + high * 0.006, high, PAINT, steel, p0=0.15)
    site.post(where, 0.13, 0.5, PAINT, steel, p0=0.1)
    arm = where.at(0, reach / 2)
    site.box(arm, (0.07, reach, 0.07), PAINT, steel, low=high - 0.1)
    head = where.at(0, reach)
    site.box(head, (0.24, 0.55, 0.1), PAINT, steel, low=high - 0.12)
    site.box(head, (0.18, 0.42, 0.03), GLOW, tuple(c / 24 for c in colour), p0=0.4, p1=9.0, low=high - 0.15)
    site.lamp(head, high - 0.2, tuple(c * (high / 5) ** 1.5 for c in colour), 1.4)


def utility_pole(site: Site, where: Frame, high: float = 9.0) -> None:
    """A concrete pole with its yellow and black sleeve, transformer and cross arms."""
    rng = site.rng
    site.post(where, 0.15, high, PAINT, grey(rng, 0.3, 0.38))
    if rng.random() < 0.7:
        site.post(where, 0.17, 1.6, BANDS, (0.55, 0.42, 0.05), (0.03, 0.03, 0.03), 0.4, 0.2, low=0.3)
    site.box(where, (1.8, 0.1, 0.1), PAINT, GALVANISED, low=high - 0.8)
    if rng.random() < 0.5:
        site.post(where.at(0, -0.4), 0.25, 0.8, PAINT, grey(rng, 0.25, 0.4), low=high - 2.0)
    if rng.random() < 0.6:
        site.box(where.at(0, -0.24), (0.35, 0.2, 0.55), PAINT, grey(rng, 0.3, 0.5), low=rng.uniform(1.7, 2.6))


def bollard(site: Site, where: Frame, style: int) -> None:
    """A post against cars: stone, steel with bands, or a dark one."""
    rng = site.rng
    if style == 0:
        site.post(where, 0.15, 0.75, STONE, grey(rng, 0.34, 0.46))
    elif style == 1:
        site.post(where, 0.055, 0.85, BANDS, (0.5, 0.5, 0.5), (0.55, 0.2, 0.03), 0.3, 0.12)
    else:
        site.post(where, 0.06, 0.8, PAINT, (0.03, 0.03, 0.032), p0=0.2)


def bench(site: Site, where: Frame) -> None:
    """A park bench of wooden slats on iron legs; people sit looking to -v."""
    wood = tinted(site.rng, (0.2, 0.12, 0.065), 0.25)
    for slat in (-0.17, 0.0, 0.17):
        site.box(where.at(0, slat), (1.6, 0.13, 0.05), WOOD, wood, low=0.4)
    if site.rng.random() < 0.6:
        site.box(where.at(0, 0.3), (1.6, 0.05, 0.32), WOOD, wood, low=0.5)
    for end in (-0.6, 0.6):
        site.box(where.at(end, 0), (0.07, 0.5, 0.4), PAINT, (0.03, 0.03, 0.03), p0=0.1)


def bin_(site: Site, where: Frame) -> None:
    """A litter bin."""
    if site.rng.random() < 0.5:
        site.post(where, 0.24, 0.85, STEEL, grey(site.rng, 0.2, 0.4), p0=5.0)
    else:
        site.box(where, (0.75, 0.42, 0.95), PAINT, tinted(site.rng, (0.12, 0.14, 0.14), 0.3), p0=0.1)


def planter(site: Site, where: Frame, length: float = 1.6) -> None:
    """A stone trough with bushes."""
    site.box(where, (length, 0.6, 0.5), STONE, grey(site.rng, 0.28, 0.42), shrink=(-0.03, -0.03, -0.03))
    for k in range(int(length / 0.4)):
        shrub(site, where.at(-length / 2 + 0.25 + 0.4 * k, 0), 0.55, site.rng.uniform(0.75, 1.0))


def vending_machine(site: Site, where: Frame) -> None:
    """A drinks machine with its lit front towards -v."""
    rng = site.rng
    colour = ((0.6, 0.6, 0.58), (0.3, 0.03, 0.03), (0.05, 0.1, 0.25), (0.08, 0.08, 0.085))[
        int(rng.integers(4))
    ]
    site.box(facing(where), (1.0, 0.75, 1.83), VENDING, colour)
    site.lamp(where.at(0, -0.6), 1.4, (0.8, 0.85, 0.9), 1.0, (0, -1.5))


def facing(where: Frame) -> Frame:
    """The frame whose own +y, the front of machines and boards, is -v of `where`."""
    return Frame(where.x, where.y, where.angle + (0.0 if where.mirror else math.pi), False)


def banner(site: Site, where: Frame) -> None:
    """A standing sign before a shop (an upright board or an air-filled column)."""
    rng = site.rng
    ground = tinted(
        rng,
        ((0.6, 0.6, 0.57), (0.35, 0.05, 0.04), (0.5, 0.4, 0.08), (0.06, 0.1, 0.25))[int(rng.integers(4))],
        0.2,
    )
    ink = (0.05, 0.04, 0.04) if sum(ground) > 0.9 else (0.7, 0.7, 0.65)
    if rng.random() < 0.6:
        site.box(facing(where), (0.55, 0.3, rng.uniform(0.9, 1.5)), SIGN, ground, ink, p1=1.0, low=0.05)
    else:
        site.box(facing(where), (0.6, 0.55, 1.0), SIGN, ground, ink, p1=1.0, shrink=(0.0, 0.2, 0.2))


def road_sign(site: Site, where: Frame) -> None:
    """A pole with a round or square traffic sign facing -v."""
    rng = site.rng
    site.post(where, 0.04, 2.9, PAINT, GALVANISED, p0=0.15)
    colour = ((0.05, 0.1, 0.35), (0.55, 0.53, 0.5), (0.4, 0.03, 0.03), (0.6, 0.45, 0.04))[
        int(rng.integers(4))
    ]
    site.box(
        facing(where.at(0, -0.06)), (0.6, 0.03, 0.6), SIGN, colour, (0.7, 0.7, 0.7), p0=0.99, p1=1.0, low=2.2
    )


def notice_board(site: Site, where: Frame) -> None:
    """A roofed board with posters."""
    site.box(facing(where), (1.8, 0.1, 1.1), POSTER, (0.12, 0.12, 0.12), p0=0.6, low=0.8)
    for end in (-0.92, 0.92):
        site.post(where.at(end, 0), 0.045, 2.1, PAINT, (0.1, 0.1, 0.1))
    site.box(where, (2.1, 0.5, 0.08), PAINT, (0.13, 0.1, 0.08), low=2.05)


def bus_shelter(site: Site, where: Frame) -> None:
    """Glass walls under a flat roof, a bench, an illuminated poster at one end; open to -v."""
    site.box(where.at(0, 0.7), (4.2, 0.06, 2.1), GLASS, (0.05, 0.055, 0.06), p0=1.4, low=0.25)
    site.box(where, (4.6, 1.7, 0.14), PAINT, grey(site.rng, 0.1, 0.4), p0=0.2, low=2.5)
    for end in (-2.1, 2.1):
        site.post(where.at(end, 0.7), 0.06, 2.5, PAINT, (0.1, 0.1, 0.105), p0=0.2)
    site.box(
        where.at(2.1, 0.0, math.pi / 2), (1.2, 0.14, 1.8), POSTER, (0.1, 0.1, 0.1), p0=1.2, p1=0.9, low=0.4
    )
    site.box(where.at(-0.3, 0.35), (2.4, 0.36, 0.06), WOOD, (0.2, 0.13, 0.07), low=0.42)
    for u in (-1.2, 0.6):
        site.box(where.at(u, 0.35), (0.06, 0.3, 0.42), PAINT, (0.1, 0.1, 0.1))
    site.lamp(where, 2.35, (3.0, 3.0, 2.9), 1.0)


def air_conditioner(site: Site, where: Frame, low: float) -> None:
    """An outdoor unit against a wall, its fan towards -v."""
    site.box(facing(where), (0.85, 0.34, 0.62), UNIT, grey(site.rng, 0.45, 0.6), p0=1.0, low=low)


def fence(
    site: Site, where: Frame, length: float, high: float = 1.1, colour: Rgb = (0.1, 0.13, 0.11)
) -> None:
    """Upright bars along u."""
    site.box(where, (length, 0.05, high), solids.FENCE, colour, p0=0.13, p1=0.03)
    for k in range(int(length / 2) + 1):
        site.box(
            where.at(-length / 2 + min(length, 2.0 * k), 0), (0.07, 0.07, high + 0.05), PAINT, colour, p0=0.1
        )


def scooter(site: Site, where: Frame) -> None:
    """A parked delivery scooter, length along u."""
    rng = site.rng
    colour = tinted(
        rng,
        ((0.5, 0.5, 0.5), (0.03, 0.03, 0.03), (0.3, 0.04, 0.03), (0.05, 0.2, 0.25))[int(rng.integers(4))],
        0.15,
    )
    at = where.plain().at(0, 0, -math.pi / 2)
    for end in (-0.6, 0.6):
        site.solid(solids.WHEEL, at.at(0, end), 0.0, 0.46, 0.23, 0.05, TYRE, (0.02, 0.02, 0.02))
    site.box(at, (0.3, 0.9, 0.3), PAINT, colour, p0=0.3, low=0.25, shrink=(0.05, 0.2, 0.1))
    site.box(at.at(0, -0.25), (0.26, 0.65, 0.14), PAINT, (0.015, 0.015, 0.015), p0=0.2, low=0.62)
    site.box(at.at(0, 0.5), (0.36, 0.12, 0.7), PAINT, colour, p0=0.3, low=0.35, shrink=(0.08, 0.02, 0.0))
    site.box(at.at(0, 0.48), (0.62, 0.06, 0.06), PAINT, (0.02, 0.02, 0.02), low=1.0)
    if rng.random() < 0.6:
        site.box(
            at.at(0, -0.62), (0.45, 0.42, 0.42), PAINT, tinted(rng, (0.25, 0.25, 0.24), 0.5), p0=0.1, low=0.76
        )


def cone(site: Site, where: Frame) -> None:
    """A traffic cone."""
    site.box(
        where,
        (0.34, 0.34, 0.72),
        BANDS,
        (0.55, 0.12, 0.02),
        (0.65, 0.65, 0.62),
        0.3,
        0.12,
        shrink=(0.13, 0.13, 0.13),
    )
