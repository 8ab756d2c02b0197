"""People who do not exist: bodies against anny itself, outfits, gait, figures."""

from __future__ import annotations

from importlib import metadata

import numpy as np
import pytest

from reid.errors import MissingExtraError, UnknownNameError

anny = pytest.importorskip("anny", reason="needs the extra `synthetic`")
pytest.importorskip("numba", reason="needs the extra `synthetic`")

from reid.people.accessories import hood_parts  # noqa: E402
from reid.people.body import body_model  # noqa: E402
from reid.people.cloth import PATTERNS  # noqa: E402
from reid.people.colours import TERMS, dye  # noqa: E402
from reid.people.figure import build_figure, regions  # noqa: E402
from reid.people.gait import bone_transforms, make_gait, pose  # noqa: E402
from reid.people.kernels import cloth as k  # noqa: E402
from reid.people.kernels.mesh import rasterise, skin, vertex_normals  # noqa: E402
from reid.people.labels import attributes, describe  # noqa: E402
from reid.people.outfits import UNIFORMS, lookalike, make_outfit  # noqa: E402
from reid.people.persons import AGE_GROUPS, make_person  # noqa: E402

SHAPES = [  # edges of the shape space and something in between
    {},
    {"age": -1 / 3, "gender": 0.0},
    {"age": 1.0, "weight": 1.0, "muscle": 0.0},
    {
        "age": 0.41,
        "gender": 0.2,
        "height": 0.3,
        "african": 0.0,
        "asian": 1.0,
        "caucasian": 0.3,
        "weight": 0.7,
    },
]


@pytest.fixture(scope="module")
def full_model() -> object:
    return anny.Anny(topology="notoes", phenotypes="all", phenotype_blendshapes="original").float()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: ",".join(shape) or "mean")
def test_bodies_are_those_of_anny(full_model: object, shape: dict[str, float]) -> None:
    import torch

    values = {name: torch.tensor([shape.get(name, 0.5)]) for name in full_model.phenotype_labels}  # type: ignore[attr-defined]
    truth = full_model(phenotype_kwargs=values)  # type: ignore[operator]
    ours = body_model().body(shape)
    assert np.abs(ours.joints - truth["rest_bone_heads"][0].numpy()).max() < 1e-5
    theirs = truth["rest_vertices"][0].numpy()
    nearest = np.abs(ours.vertices[:, None] - theirs[None]).sum(axis=2).min(axis=1)
    assert nearest.max() < 2e-3  # our vertices are some of theirs; stored with 16 bits


def test_unknown_shape_parameters_are_refused() -> None:
    with pytest.raises(KeyError, match="elbow"):
        body_model().body({"elbow": 1.0})


def test_without_anny_the_command_to_install_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(MissingExtraError, match=r"reid-search\[synthetic\]"):
        body_model.__wrapped__()


@pytest.mark.parametrize("group", AGE_GROUPS)
def test_people_are_as_old_and_tall_as_they_say(group: str) -> None:
    for seed in range(25):
        person = make_person(seed, group)
        assert person.age_group == group
        assert person.body.height == pytest.approx(person.height_m, abs=0.02)
    years = [make_person(seed, group).years for seed in range(50)]
    assert {"child": max(years) <= 13, "adult": min(years) >= 17, "elder": min(years) >= 66}[group]


def test_the_same_seed_is_the_same_person() -> None:
    assert make_person(5) == make_person(5)
    assert make_person(5) != make_person(6)
    with pytest.raises(UnknownNameError, match="adult"):
        make_person(1, "adults")


def test_outfits() -> None:
    for seed in range(300):
        person = make_person(seed)
        outfit = make_outfit(person, seed)
        assert outfit == make_outfit(person, seed)
        if person.male:
            assert outfit.bottom.kind not in {"skirt", "dress", "long skirt", "leggings"}
        if person.age_group != "elder":
            assert outfit.aid.kind not in {"cane", "walking frame", "wheelchair"}
        for garment in (outfit.top, outfit.bottom, outfit.shoes, outfit.hat, outfit.bag):
            assert garment.cloth.pattern in PATTERNS
            assert garment.cloth.term in TERMS


def test_another_seed_is_another_outfit_and_a_season_limits_it() -> None:
    person = make_person(1)
    assert make_outfit(person, 1) != make_outfit(person, 2)
    winter = {make_outfit(make_person(s), s, season="winter").top.kind for s in range(150)}
    assert "tee" not in winter
    assert "padded jacket" in winter
    with pytest.raises(UnknownNameError, match="winter"):
        make_outfit(person, 1, season="wintre")
    with pytest.raises(UnknownNameError, match="school"):
        make_outfit(person, 1, uniform="schol")


@pytest.mark.parametrize("uniform", UNIFORMS)
def test_a_uniform_is_the_same_on_everybody_of_the_group(uniform: str) -> None:
    people = [make_person(seed, "adult") for seed in range(12)]
    tops = {make_outfit(person, 77, uniform).top for person in people}
    assert len(tops) == 1
    assert {make_outfit(person, 78, uniform).top for person in people}.isdisjoint(tops)
    assert make_outfit(people[0], 77, uniform).uniform == uniform


def test_a_lookalike_differs_in_one_to_three_items() -> None:
    for seed in range(60):
        first = make_person(seed, "adult")
        other = make_person(seed + 1000, "adult")
        outfit = make_outfit(first, seed)
        alike = lookalike(outfit, other, seed)
        same = sum(
            getattr(outfit, name) == getattr(alike, name) for name in ("top", "bottom", "shoes", "hat", "bag")
        )
        assert same >= 1
        assert alike != outfit


def test_labels_say_what_is_worn() -> None:
    person = make_person(3, "elder")
    for seed in range(80):
        outfit = make_outfit(person, seed)
        labels = attributes(person, outfit)
        assert set(labels["upper_colours"]) <= set(TERMS)
        assert labels["age_group"] == "elder"
        assert labels["aid"] == outfit.aid.kind
        text = describe(person, outfit)
        assert outfit.top.kind in text
        assert ("cane" in text) == (outfit.aid.kind == "cane")


def test_dyes_carry_their_word() -> None:
    rng = np.random.default_rng(0)
    reds = [dye(rng, ("red",)) for _ in range(20)]
    assert all(each.term == "red" and each.colour.red > 2 * each.colour.green for each in reds)


def test_the_old_walk_slower_and_a_walking_frame_slows_further() -> None:
    adults = [make_gait(make_person(seed, "adult"), "none", "none").speed_m_s for seed in range(60)]
    elders = [make_gait(make_person(seed, "elder"), "none", "none").speed_m_s for seed in range(60)]
    framed = [make_gait(make_person(seed, "elder"), "none", "walking frame").speed_m_s for seed in range(60)]
    assert np.mean(adults) > 1.2 * np.mean(elders) > 1.2 * np.mean(framed)


def test_legs_swing_against_each_other_over_a_cycle() -> None:
    model, person = body_model(), make_person(2, "adult")
    gait = make_gait(person, "none", "none")
    ankles = {side: model.bones.index(f"foot.{side}") for side in "LR"}

    def ahead(phase: float) -> dict[str, float]:
        transforms = bone_transforms(model, person.body, pose(gait, phase, 0.0, 0.0))
        return {
            s: float((transforms[b, :, :3] @ person.body.joints[b] + transforms[b, :, 3])[1])
            for s, b in ankles.items()
        }

    start, half = ahead(0.0), ahead(0.5)
    assert start["L"] < start["R"] - 0.3  # facing -y, the left foot is in front
    assert half["R"] < half["L"] - 0.3
    assert ahead(1.0) == pytest.approx(start)


def test_skinning_is_the_weighted_sum_of_the_bones_moves() -> None:
    model, person = body_model(), make_person(2)
    transforms = bone_transforms(model, person.body, pose(make_gait(person, "none", "none"), 0.3, 0.0, 0.2))
    moved = skin(person.body.vertices, model.weight_bones, model.weights, transforms)
    for v in (0, 100, 2000, len(moved) - 1):
        parts = [
            weight * (transforms[bone, :, :3] @ person.body.vertices[v] + transforms[bone, :, 3])
            for bone, weight in zip(model.weight_bones[v], model.weights[v], strict=True)
        ]
        assert moved[v] == pytest.approx(sum(parts), abs=1e-5)


AIDS = ("none", "cane", "walking frame", "wheelchair", "stroller", "umbrella")


@pytest.mark.parametrize("aid", AIDS)
def test_figures_stand_on_the_ground(aid: str) -> None:
    from dataclasses import replace

    person = make_person(8, "elder")
    outfit = make_outfit(person, 8)
    outfit = replace(outfit, aid=replace(outfit.aid, kind=aid), hat=replace(outfit.hat, kind="none"))
    figure = build_figure(person, outfit)
    for phase in np.linspace(0, 1, 7):
        vertices = figure.pose(float(phase))
        assert vertices.shape == (len(figure.attributes), 3)
        assert np.isfinite(vertices).all()
        assert vertices[:, 2].min() == pytest.approx(0, abs=0.06)
        tall = np.ptp(vertices[figure.worn, 2])
        assert tall == pytest.approx(person.height_m, rel=0.12) or (
            aid == "wheelchair" and tall < person.height_m
        )
    assert figure.faces.max() < len(figure.attributes)
    assert set(np.unique(figure.kinds)) <= {-1, *range(k.MATERIALS)}


@pytest.mark.parametrize("kind", ["shoulder", "crossbody", "backpack"])
def test_a_bag_hangs_where_its_strap_leads(kind: str) -> None:
    """The person's left is +x; two straps lead to the back, one across to the other hip."""
    from dataclasses import replace

    person = make_person(4, "adult")
    for seed in range(24):
        outfit = make_outfit(person, 4)
        outfit = replace(outfit, bag=replace(outfit.bag, kind=kind, seed=seed))
        figure = build_figure(person, outfit)
        bag = figure.pose(0.0)[np.unique(figure.faces[figure.kinds == k.BAG])].mean(axis=0)
        hung = int(figure.tailoring.cut[k.STRAPS])
        left = {k.ACROSS: True, k.ACROSS_OTHER: False, k.LEFT_SHOULDER: True, k.RIGHT_SHOULDER: False}.get(
            hung
        )
        assert hung
        behind = bag[1] > 0.1
        assert behind or kind != "backpack"
        if left is not None and not (kind == "crossbody" and behind):
            assert (bag[0] > 0) == left


def test_hoods_hang_down_the_back_unless_they_are_worn() -> None:
    from dataclasses import replace

    person, hung = make_person(4, "adult"), 0
    outfit = make_outfit(person, 4)
    outfit = replace(outfit, bag=replace(outfit.bag, kind="none"), aid=replace(outfit.aid, kind="none"))
    for seed in range(12):
        for top, hat in (("hoodie", "none"), ("hoodie", "hood"), ("shirt", "none")):
            dressed = replace(
                outfit, top=replace(outfit.top, kind=top, seed=seed), hat=replace(outfit.hat, kind=hat)
            )
            parts = list(hood_parts(dressed, 1.0, 0.12, 1.45))
            assert not parts or (top, hat) == ("hoodie", "none")
            hung += len(parts)
            for part in parts:
                assert part.mesh.vertices[:, 1].mean() > 0.1
                assert 1.3 < part.mesh.vertices[:, 2].mean() < 1.45
                assert part.worn
    assert 4 <= hung <= 12


def test_a_skirt_never_gets_narrower_downwards_than_the_legs_need() -> None:
    from dataclasses import replace

    person = make_person(4, "adult")
    outfit = make_outfit(person, 4)
    outfit = replace(outfit, bottom=replace(outfit.bottom, kind="long skirt"))
    figure = build_figure(person, outfit)
    body = len(body_model().canonical)
    skirt = np.unique(figure.faces[figure.kinds == k.BOTTOM])
    for phase in (0.0, 0.2, 0.6):
        vertices = figure.pose(phase)
        legs = vertices[:body][(regions().attributes[:, 2] < 0.1) & (regions().attributes[:, 2] > -0.4)]
        assert np.abs(vertices[skirt, 1]).max() >= np.abs(legs[:, 1]).max() - 0.02


def test_normals_point_outwards() -> None:
    model = body_model()
    normals = vertex_normals(model.canonical, model.faces)
    lengths = np.linalg.norm(normals, axis=1)
    assert (np.abs(lengths - 1) < 1e-3).mean() > 0.995  # a few thinned fingers fold flat and have none
    chest = (np.abs(model.canonical[:, 0]) < 0.1) & (np.abs(model.canonical[:, 2] - 0.5) < 0.1)
    front = chest & (model.canonical[:, 1] < -0.08)
    assert (normals[front, 1] < 0).mean() > 0.95


def test_the_rasteriser_keeps_the_nearest_and_interpolates() -> None:
    points = np.array([[0, 0, 2], [10, 0, 2], [0, 10, 2], [0, 0, 1], [4, 0, 1], [0, 4, 1]], np.float32)
    faces = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    depth, triangle = np.full((12, 12), 1e9, np.float32), np.full((12, 12), -1, np.int32)
    corners = np.zeros((12, 12, 2), np.float32)
    rasterise(points, faces, depth, triangle, corners)
    assert triangle[0, 0] == 1
    assert triangle[6, 1] == 0
    assert triangle[11, 11] == -1
    assert depth[0, 0] == pytest.approx(1)
    assert corners[2, 3] == pytest.approx([3.5 / 10, 2.5 / 10], abs=1e-5)  # weights of (10, 0) and (0, 10)


def test_what_is_behind_the_camera_is_not_drawn() -> None:
    points = np.array([[0, 0, -1], [10, 0, -1], [0, 10, -1]], np.float32)
    depth, triangle = np.full((12, 12), 1e9, np.float32), np.full((12, 12), -1, np.int32)
    rasterise(points, np.array([[0, 1, 2]], np.int32), depth, triangle, np.zeros((12, 12, 2), np.float32))
    assert (triangle == -1).all()


MATERIALS = [  # place on the mean adult, what covers it there
    ("chest of a closed top", (0.06, -0.12, 0.5), {}, k.TOP),
    ("chest where the jacket is open", (0.0, -0.12, 0.5), {k.OPENING: 0.05}, k.INNER),
    ("its edge", (0.065, -0.12, 0.5), {k.OPENING: 0.05, k.OPEN_BELOW: 1.2, k.EDGE: 0.01}, k.LINING),
    ("beside it", (0.08, -0.12, 0.5), {k.OPENING: 0.05, k.OPEN_BELOW: 1.2, k.EDGE: 0.01}, k.TOP),
    ("the back of it", (0.0, 0.12, 0.5), {k.OPENING: 0.05}, k.TOP),
    ("below what is worn under it", (0.0, -0.12, 0.12), {k.OPENING: 0.05, k.INNER_HEM: 0.15}, k.BOTTOM),
    ("a string of the hood", (0.03, -0.12, 0.6), {k.STRINGS: 0.2}, k.LINING),
    ("a backpack's strap", (0.1, -0.12, 0.6), {k.STRAPS: k.BOTH_SHOULDERS, k.STRAP_AT: 0.1}, k.STRAP),
    ("its other strap", (-0.1, -0.12, 0.6), {k.STRAPS: k.BOTH_SHOULDERS, k.STRAP_AT: 0.1}, k.STRAP),
    ("no strap on the back", (0.1, 0.12, 0.6), {k.STRAPS: k.BOTH_SHOULDERS, k.STRAP_AT: 0.1}, k.TOP),
    ("the left shoulder", (0.1, 0.12, 0.7), {k.STRAPS: k.LEFT_SHOULDER, k.STRAP_AT: 0.1}, k.STRAP),
    ("the right shoulder", (-0.1, 0.12, 0.7), {k.STRAPS: k.LEFT_SHOULDER, k.STRAP_AT: 0.1}, k.TOP),
    ("across to the left hip", (0.16, -0.1, 0.3), {k.STRAPS: k.ACROSS}, k.STRAP),
    ("thigh in trousers", (0.1, -0.05, -0.1), {}, k.BOTTOM),
    ("thigh below shorts", (0.1, -0.05, -0.3), {k.LEG_END: -0.2}, k.SKIN),
    ("sock", (0.15, 0.0, -0.65), {k.LEG_END: -0.5, k.SOCK_TOP: -0.6}, k.SOCK),
    ("shoe", (0.2, -0.1, -0.77), {}, k.SHOE),
    ("sole", (0.2, -0.1, -0.81), {}, k.SOLE),
]


@pytest.mark.parametrize(
    ("name", "place", "measures", "expected"), MATERIALS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_clothes_end_where_they_are_cut(
    name: str, place: tuple[float, float, float], measures: dict[int, float], expected: int
) -> None:
    cut = np.zeros(k.MEASURES, np.float32)
    cut[k.HEM], cut[k.LEG_END], cut[k.SHOE_TOP], cut[k.SOCK_TOP] = 0.08, -0.75, -0.72, -0.9
    cut[k.NECK], cut[k.COLLAR], cut[k.SLEEVE_END], cut[k.STRAP_HALF] = 0.72, 0.6, 1.05, 0.02
    for measure, value in measures.items():
        cut[measure] = value
    foot = 1.0 if place[2] < -0.75 else 0.0
    assert k.material(*place, 0.0, 0.0, 0.0, foot, cut) == expected


def test_stripes_alternate() -> None:
    row = np.zeros(k.COLUMNS, np.float32)
    row[k.PATTERN], row[k.SCALE], row[k.SHARE] = PATTERNS.index("stripes"), 10, 0.5
    assert [k.blend(0.0, 0.0, z, 0.0, row) for z in (0.02, 0.07, 0.12, 0.17)] == [1, 0, 1, 0]
