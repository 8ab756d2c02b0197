"""What training is made of: losses against brute force, batches, augmentation, targets."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from reid.attributes import BY_NAME, COLOURS, COLUMNS, GROUPS
from reid.errors import InputError
from reid.images import through_jpeg
from reid.labelled import LabelledVectors
from reid.people.labels import BAG, HAT, PERSON, CropLabel
from reid.training import losses, quality
from reid.training.augment import Batch as TrainingBatch
from reid.training.augment import augment, normalized, prepare, to_tensor
from reid.training.geometry import sample, whole
from reid.training.recipe import (
    Augment,
    Batch,
)
from reid.training.sampler import Sampler
from reid.training.targets import UNKNOWN, crop_targets, person_targets
from reid.training.trainer import hide
from reid.training.validation import attribute_figures
from tests.coloured import CPU, light_work, made_crops, small  # noqa: F401

NOTHING = Augment(**dict.fromkeys((field.name for field in dataclasses.fields(Augment)), 0.0))
SOMEBODY: dict[str, Any] = {
    "upper_colours": ["red", "white"], "lower_colours": ["blue"], "upper": "tee", "lower": "shorts",
    "sleeves": "short", "coat": False, "upper_pattern": "striped", "lower_pattern": "plain", "hat": "cap",
    "glasses": False, "mask": "white", "bag": "handbag", "aid": "umbrella", "age_group": "elder",
    "male": True,
}  # fmt: skip
CLEAR = CropLabel(
    person_id=0, outfit_id=0, camera_id=0, view_deg=90.0, visibility=1.0, height_px=200.0, bag_seen=0.05,
    hat_seen=0.02, aid_seen=0.1, light="sun", place="alley",
)  # fmt: skip


# Losses


def test_triplet_against_brute_force() -> None:
    torch.manual_seed(1)
    embeddings, people = torch.randn(12, 5), torch.arange(4).repeat_interleave(3)
    standard = (embeddings - embeddings.mean(0)) / (embeddings.std(0) + 1e-5)
    unit = standard / standard.norm(dim=1, keepdim=True)
    wanted = []
    for i in range(12):
        away = [float((unit[i] - unit[j]).norm()) for j in range(12)]
        own = max(away[j] for j in range(12) if people[j] == people[i] and j != i)
        other = min(away[j] for j in range(12) if people[j] != people[i])
        wanted.append(math.log1p(math.exp(6 * (own - other))))
    assert float(losses.batch_hard_triplet(embeddings, people)) == pytest.approx(np.mean(wanted), rel=1e-4)


def test_circle_against_brute_force() -> None:
    torch.manual_seed(2)
    embeddings, people = torch.randn(8, 4), torch.arange(4).repeat_interleave(2)
    standard = (embeddings - embeddings.mean(0)) / (embeddings.std(0) + 1e-5)
    unit = standard / standard.norm(dim=1, keepdim=True)
    wanted = []
    for i in range(8):
        right, wrong = 0.0, 0.0
        for j in range(8):
            s = float(unit[i] @ unit[j])
            if j == i:
                continue
            if people[i] == people[j]:
                right += math.exp(-32 * max(0.0, 1.25 - s) * (s - 0.75))
            else:
                wrong += math.exp(32 * max(0.0, s + 0.25) * (s - 0.25))
        wanted.append(math.log1p(right * wrong))
    assert float(losses.circle(embeddings, people)) == pytest.approx(np.mean(wanted), rel=1e-3)


def test_standardizing_keeps_the_triplet_from_collapsing() -> None:
    """Vectors that are nearly one, as after a collapse, must still be pushed apart."""
    torch.manual_seed(0)
    people = torch.arange(4).repeat_interleave(3)
    embeddings = (torch.ones(12, 6) + 1e-3 * torch.randn(12, 6)).requires_grad_()
    losses.batch_hard_triplet(embeddings, people).backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None
    assert float(embeddings.grad.abs().max()) > 1  # raw unit vectors: about 1e-3


def test_attribute_loss_by_hand() -> None:
    logits, targets = torch.zeros(2, COLUMNS), torch.full((2, COLUMNS), UNKNOWN, dtype=torch.int8)
    coat, lower = BY_NAME["coat"].columns, BY_NAME["lower"].columns
    targets[0, coat], logits[0, coat], logits[1, coat] = 1, 2.0, -9.0  # the second cannot tell
    targets[1, lower] = torch.tensor([0, 1, 0, 0], dtype=torch.int8)
    wanted = (math.log1p(math.exp(-2)) + math.log(4)) / len(GROUPS)
    assert float(losses.attribute_loss(logits, targets)) == pytest.approx(wanted, rel=1e-6)


def test_rare_answers_weigh_as_much_as_frequent_ones() -> None:
    targets = torch.full((100, COLUMNS), UNKNOWN, dtype=torch.int8)
    coat, lower = BY_NAME["coat"].columns, BY_NAME["lower"].columns
    targets[:50, coat] = 0
    targets[:10, coat] = 1  # 10 of 50 that can tell
    targets[:, lower] = torch.tensor([1, 0, 0, 0], dtype=torch.int8)
    targets[:2, lower] = torch.tensor([0, 1, 0, 0], dtype=torch.int8)
    weights = losses.answer_weights(targets)
    assert weights[:, coat].flatten().tolist() == pytest.approx([0.5 / 0.8, 0.5 / 0.2])
    assert weights[1, lower].tolist() == pytest.approx([1 / (4 * 0.98), 8, 8, 8])  # 1 / (4 x .02) is capped
    logits = torch.zeros(2, COLUMNS)
    told = losses.attribute_loss(logits, targets[:2], weights) * len(GROUPS)
    assert float(told) == pytest.approx(2.5 * math.log(2) + 8 * math.log(4), rel=1e-5)


def test_the_gates_loss_is_against_the_share_of_the_person() -> None:
    person = torch.zeros(1, 1, 32, 16)
    person[..., :8, :] = 1  # the upper half of the upper place
    loss = losses.gate_loss(torch.zeros(1, 1, 2, 1), person)
    assert float(loss) == pytest.approx(math.log(2))
    right, wrong = (losses.gate_loss(torch.tensor([0.0, at]).view(1, 1, 2, 1), person) for at in (-9, 9))
    assert right < loss < wrong


def test_cosine_classifier_by_hand() -> None:
    head = losses.CosineClassifier(2, 2, scale=10.0, margin=0.2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
    loss = head(torch.tensor([[3.0, 4.0]]), torch.tensor([0]), 0.0)
    assert loss.item() == pytest.approx(math.log1p(math.exp(10 * (0.8 - (0.6 - 0.2)))), rel=1e-6)


# Sampler


def test_batches_have_the_promised_people_and_cameras() -> None:
    identities = np.repeat(np.arange(40), 8)
    cameras = np.tile(np.array([0, 0, 0, 0, 1, 1, 2, 3]), 40)
    sampler = Sampler(identities, cameras, Batch(8, 4, 4), seed=1)
    assert sampler.steps_per_epoch == 5
    seen: list[int] = []
    for step in range(5):
        rows = sampler.batch(step)
        people = identities[rows].reshape(8, 4)
        assert (people == people[:, :1]).all()
        assert len(set(rows.tolist())) == 32
        for line in rows.reshape(8, 4):
            assert sorted(cameras[line]) == [0, 1, 2, 3]  # each camera once before any twice
        runs = people[:, 0].reshape(2, 4)
        assert ((np.diff(runs) % 40) == 1).all()  # neighbours stand together
        seen += people[:, 0].tolist()
    assert sorted(seen) == list(range(40))
    assert np.array_equal(Sampler(identities, cameras, Batch(8, 4, 4), 1).batch(3), sampler.batch(3))
    assert not np.array_equal(sampler.batch(8), sampler.batch(3))


def test_a_person_with_few_crops_is_repeated() -> None:
    rows = Sampler(np.array([0, 1, 1, 1]), np.zeros(4, np.int64), Batch(2, 4, 1), 0).batch(0)
    counts = np.bincount(rows, minlength=4)
    assert counts[0] == 4
    assert sorted(counts[1:]) == [1, 1, 2]


def test_too_few_people_are_told() -> None:
    with pytest.raises(InputError, match=r"at most 2"):
        Sampler(np.array([0, 1]), np.zeros(2, np.int64), Batch(4, 2), 0)


# Augmentation


def random_crops(count: int = 16) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 80, 40, 3), np.uint8)


def test_augmentation_keeps_shape_and_range_and_follows_its_seed() -> None:
    everything = Augment(
        **{field.name: 0.9 if field.name.endswith("_p") else 0.3 for field in dataclasses.fields(Augment)}
    )
    for settings in (Augment(), everything):
        for size in ((96, 48), (64, 32)):
            first, again, other = (
                augment(
                    random_crops(), np.arange(16) // 2, size, settings, torch.Generator().manual_seed(seed)
                )
                for seed in (1, 1, 2)
            )
            assert first.pixels.shape == (16, 3, *size)
            assert first.pixels.is_contiguous(memory_format=torch.channels_last)
            assert torch.equal(first.pixels, again.pixels)
            assert not torch.equal(first.pixels, other.pixels)
            low, high = normalized(torch.zeros(1, 3, 1, 1)), normalized(torch.ones(1, 3, 1, 1))
            assert bool(((first.pixels >= low - 1e-4) & (first.pixels <= high + 1e-4)).all())


def test_no_augmentation_changes_no_content() -> None:
    crops = np.random.default_rng(1).integers(0, 256, (4, 64, 32, 3), np.uint8)
    got = sample(to_tensor(crops, CPU), whole(4, CPU), (64, 32))
    assert torch.allclose(got, to_tensor(crops, CPU), atol=1e-5)
    assert prepare(crops, (64, 32), CPU).shape == (4, 3, 64, 32)
    red = np.zeros((1, 64, 32, 3), np.uint8)
    red[..., 2] = 255  # BGR
    assert to_tensor(red, CPU)[0, :, 0, 0].tolist() == [1, 0, 0]


def test_flipping_mirrors() -> None:
    crops = np.zeros((8, 64, 32, 3), np.uint8)
    crops[:, :, :16] = 255
    settings = dataclasses.replace(NOTHING, flip_p=1.0)
    pixels = augment(crops, np.arange(8), (64, 32), settings, torch.Generator().manual_seed(0)).pixels
    assert bool((pixels[..., :4] < 0).all())
    assert bool((pixels[..., -4:] > 0).all())


def test_new_surroundings_leave_the_person_and_the_mask_goes_along() -> None:
    crops, masks = random_crops(32), np.zeros((32, 80, 40), np.uint8)
    masks[:, 20:60, :20] = 255  # the left half: mirrored crops show it on the right
    size, someone = (80, 40), slice(22, 58)
    for share in (0.0, 1.0):
        settings = dataclasses.replace(NOTHING, surround_p=share, flip_p=0.5)
        batch = augment(crops, np.arange(32), size, settings, torch.Generator().manual_seed(2), masks)
        plain = augment(
            crops, np.arange(32), size, dataclasses.replace(settings, surround_p=0.0),
            torch.Generator().manual_seed(2), masks,
        )  # fmt: skip
        assert batch.person is not None
        left, right = batch.person[:, 0, someone, 2:18].mean((1, 2)), batch.person[:, 0, someone, -18:-2]
        assert bool(((left > 0.9) ^ (right.mean((1, 2)) > 0.9)).all())
        same = ((batch.pixels - plain.pixels).abs() < 1e-4).all(1, keepdim=True)
        inner = F.avg_pool2d(batch.person, 5, 1, 2) > 0.999  # away from the soft edge
        assert bool(same[inner].all())
        assert bool(same.float().mean() > 0.99) is (share == 0)


def test_what_stands_before_the_person_is_not_the_person() -> None:
    masks = np.full((32, 80, 40), 255, np.uint8)
    settings = dataclasses.replace(NOTHING, occlude_p=1.0)
    batch = augment(
        random_crops(32), np.arange(32), (80, 40), settings, torch.Generator().manual_seed(2), masks
    )
    assert batch.person is not None
    assert bool((batch.person.mean((1, 2, 3)) < 0.95).all())
    assert augment(random_crops(4), np.arange(4), (80, 40), settings, torch.Generator()).person is None


def test_grey_and_cut_crops_hide_their_attributes() -> None:
    settings = dataclasses.replace(NOTHING, grey_p=0.5, truncate_p=0.6)
    batch = augment(random_crops(64), np.arange(64), (64, 32), settings, torch.Generator().manual_seed(1))
    plain = (batch.pixels * torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)) + torch.tensor(
        [0.485, 0.456, 0.406]
    ).view(1, 3, 1, 1)
    spread = (plain.amax(1) - plain.amin(1)).flatten(1).amax(1)
    assert torch.equal(spread < 1e-3, batch.colourless)
    assert 10 < int(batch.colourless.sum()) < 54
    assert 5 < int(batch.legless.sum()) < 54
    targets = hide(torch.ones(64, COLUMNS, dtype=torch.int8), batch)
    assert torch.equal(targets[:, BY_NAME["upper_colours"].start] == UNKNOWN, batch.colourless)
    assert torch.equal(targets[:, BY_NAME["lower"].start] == UNKNOWN, batch.legless)
    assert bool((targets[:, BY_NAME["hat"].columns] == 1).all())


def test_jpeg_loses_more_at_lower_quality_and_nothing_flat() -> None:
    smooth = F.interpolate(
        torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)), (64, 32), mode="bicubic"
    )
    smooth = smooth.clamp(0, 1)
    lost = [
        float((quality.jpeg(smooth, torch.tensor([q])) - smooth).abs().mean()) for q in (95.0, 50.0, 10.0)
    ]
    assert lost[0] < 0.01 < lost[2]
    assert lost[0] < lost[1] < lost[2]
    grey = smooth.mean(1, keepdim=True).expand(-1, 3, -1, -1)  # in colour, OpenCV's halves the resolution
    picture = (grey[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    real = to_tensor(through_jpeg(np.ascontiguousarray(picture), 50)[None], CPU)
    ours = quality.jpeg(to_tensor(picture[None].copy(), CPU), torch.tensor([50.0]))
    assert float((real - ours).abs().mean()) < 0.003


# Targets


def test_targets_say_what_is_known() -> None:
    person = person_targets(SOMEBODY)
    told = {
        group.name: [answer for answer, hit in zip(group.answers, person[group.columns], strict=True) if hit]
        for group in GROUPS
    }
    assert told == {
        "upper_colours": ["white", "red"], "lower_colours": ["blue"], "sleeves": [], "lower": ["shorts"],
        "coat": [], "upper_pattern": ["striped"], "lower_pattern": ["plain"], "hat": ["hat"],
        "face": ["glasses or mask"], "backpack": [], "bag": ["bag"], "umbrella": ["umbrella"],
        "aid": ["none"], "age_group": ["elder"], "gender": ["male"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "unknown"),
    [
        ({}, set()),
        ({"light": "night"}, {"upper_colours", "lower_colours"}),
        ({"light": "infrared"}, {"upper_colours", "lower_colours"}),
        ({"visibility": 0.5}, {"lower", "lower_colours", "lower_pattern"}),
        ({"visibility": 0.4}, {group.name for group in GROUPS} - {"hat", "umbrella"}),
        ({"height_px": 90.0}, {"face"}),
        ({"height_px": 75.0}, {"face", "upper_pattern", "lower_pattern"}),
        ({"view_deg": 180.0}, {"face"}),
        ({"view_deg": 0.0}, set()),
        ({"bag_seen": 0.001}, {"bag"}),
        ({"hat_seen": 0.0}, {"hat"}),
        ({"aid_seen": 0.003}, {"umbrella"}),
    ],
)
def test_a_crop_cannot_tell_everything(change: dict[str, Any], unknown: set[str]) -> None:
    targets = crop_targets(person_targets(SOMEBODY), dataclasses.replace(CLEAR, **change))
    assert {group.name for group in GROUPS if (targets[group.columns] == UNKNOWN).any()} == unknown


def test_bags_and_hats_that_augmentation_took_away_are_unknown() -> None:
    pixels, none = torch.zeros(3, 3, 32, 16), torch.zeros(3, dtype=torch.bool)
    things = torch.zeros(3, 2, 32, 16)
    things[0, :, :4, :4] = 1  # both are there
    things[1, 1, :2, :3] = 1  # six pixels of a hat
    told = np.stack([person_targets({**SOMEBODY, "bag": bag}) for bag in ("backpack", "handbag", "none")])
    hidden = hide(torch.from_numpy(told), TrainingBatch(pixels, none, none, things[:, :1], things))
    backpack, bag, hat = (hidden[:, BY_NAME[name].start].tolist() for name in ("backpack", "bag", "hat"))
    assert backpack == [1, 0, 0]
    assert bag == [0, UNKNOWN, 0]
    assert hat == [1, UNKNOWN, UNKNOWN]


def test_maps_are_wrong_where_they_see_no_bag() -> None:
    targets = torch.from_numpy(np.stack([person_targets({**SOMEBODY, "bag": "backpack"})]))
    things = torch.zeros(1, 2, 32, 16)
    things[0, 0, 8:16, 0:8] = 1  # two by two of eight by four places
    right = torch.full((1, 3, 8, 4), -10.0)
    right[0, 0, 2:4, 0:2] = 10.0
    assert float(losses.found_loss(right, things, targets)) < 0.01
    elsewhere, other_kind = right.roll(2, dims=2), right[:, [1, 0, 2]]
    for wrong in (elsewhere, other_kind, torch.full_like(right, -10.0)):
        assert float(losses.found_loss(wrong, things, targets)) > 0.5
    nobody_knows = targets.clone()
    nobody_knows[:, [BY_NAME["backpack"].start, BY_NAME["bag"].start]] = UNKNOWN
    assert float(losses.found_loss(elsewhere, things, nobody_knows)) < 0.01
    things[0, 0] *= 0.1  # neither a bag nor none
    assert float(losses.found_loss(elsewhere.roll(-2, dims=2), things, targets)) < 0.01


def test_masks_go_along_with_the_crop() -> None:
    masks = np.zeros((4, 64, 32), np.uint8)
    masks[:, 8:60, 8:24] = PERSON
    masks[:, 8:16, 8:24] = HAT
    masks[:, 30:40, 16:24] = BAG
    crops, cameras = np.full((4, 64, 32, 3), 90, np.uint8), np.zeros(4, np.int64)
    crops[masks == BAG] = (0, 0, 255)
    turned = dataclasses.replace(NOTHING, flip_p=1.0)
    for settings in (NOTHING, turned):
        batch = augment(crops, cameras, (64, 32), settings, torch.Generator().manual_seed(1), masks)
        assert batch.person is not None
        assert batch.things is not None
        red = batch.pixels[:, 0] > 1
        assert bool((red == (batch.things[:, 0] > 0.5)).float().mean() > 0.97)
        assert float(batch.things[:, 1].sum()) == pytest.approx(4 * 8 * 16, rel=0.2)
        assert float((batch.person < batch.things.amax(1, keepdim=True)).sum()) == 0
    gone = augment(
        crops,
        cameras,
        (64, 32),
        dataclasses.replace(NOTHING, occlude_p=1.0),
        torch.Generator().manual_seed(2),
        masks,
    )
    assert gone.person is not None
    assert float(gone.person.sum()) < 4 * 52 * 16


def test_the_colours_are_those_of_the_synthetic_people() -> None:
    from reid.people.colours import TERMS

    assert COLOURS == TERMS


def test_attribute_figures_by_hand() -> None:
    logits, targets = np.zeros((20, COLUMNS), np.float32), np.full((20, COLUMNS), UNKNOWN, np.int8)
    coat, colours = BY_NAME["coat"].columns, BY_NAME["upper_colours"].columns
    targets[:, coat] = np.repeat([1, 0], 10)[:, None]
    logits[:, coat] = np.repeat([1, -1, -1, 1], [8, 2, 5, 5])[:, None]  # 8 of 10, 5 of 10
    targets[:10, colours], targets[:10, colours.start + 3] = 0, 1
    logits[:7, colours.start + 3], logits[7:10, colours.start] = 1, 1
    assert attribute_figures(logits, targets) == {
        "upper_colours": pytest.approx(0.7),
        "coat": pytest.approx(0.65),
    }


def test_a_labelled_vector_may_be_empty() -> None:
    """`ValidationSet` holds labels before there are vectors."""
    rows = np.zeros(2, np.int64)
    assert LabelledVectors(np.empty((2, 0), np.float32), rows, rows, rows).vectors.shape == (2, 0)
