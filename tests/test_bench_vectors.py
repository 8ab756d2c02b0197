"""Vectors of the benchmarks: the same by seed, unit length, and as alike as the model says."""

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.vector_fit import Cells, arrange, compare, fit
from benchmarks.vectors import MODEL_FILE, Crowd, VectorModel, gallery, people_for
from reid.attributes import COLOURS
from reid.errors import InputError


@pytest.fixture(scope="module")
def model() -> VectorModel:
    return VectorModel.load()


def test_the_model_is_small_and_of_the_default_embedder(model: VectorModel) -> None:
    assert MODEL_FILE.stat().st_size < 1_000_000
    assert model.colours.shape == (len(model.shares), len(COLOURS))
    assert model.fits, "the default embedder changed: run python -m benchmarks vectors"


def test_vectors_are_the_same_by_seed_and_of_unit_length(model: VectorModel) -> None:
    first, second = (np.concatenate(list(gallery(model, 5000, 3)[1])) for _ in range(2))
    assert first.shape == (5000, model.dimension)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    other = np.concatenate(list(gallery(model, 5000, 4)[1]))
    assert not np.array_equal(first, other)


def test_tracklets_have_one_to_three_neighbouring_vectors(model: VectorModel) -> None:
    sample = Crowd(model, people_for(4000), 30, 0).sample(0, 2000)
    assert all(before <= after for before, after in pairwise(sample.tracklets))
    assert set(np.bincount(sample.tracklets)) == {1, 2, 3}
    assert len({(p, c) for p, c in zip(sample.people, sample.cameras, strict=True)}) > len(
        np.unique(sample.people)
    )


def test_a_photo_is_nearer_to_its_person_than_to_others(model: VectorModel) -> None:
    crowd = Crowd(model, 300, 20, 0)
    sample = crowd.sample(0, 2000)
    photos, people = crowd.photos(200)
    cosines = photos @ sample.vectors.T
    own = people[:, None] == sample.people[sample.tracklets][None]
    assert 0.5 < cosines[own].mean() < 0.7
    assert abs(cosines[~own].mean()) < 0.05
    assert abs((crowd.strangers(200) @ sample.vectors.T).mean()) < 0.05


def test_the_fit_finds_again_what_it_sampled(model: VectorModel) -> None:
    blocks = [Crowd(model, 40, 1, seed).pairs(40, cameras=4) for seed in range(4)]
    vectors = np.stack([np.stack(pair, axis=2) for pair in blocks]).astype(np.float64)
    cells = Cells(vectors, np.zeros((4, 40), np.int64))
    for name, (crops, again) in compare(cells, fit(cells, "sha", 40)).items():
        if "mean" in name and "nearest" not in name:
            assert again == pytest.approx(crops, abs=0.05), name


def test_crops_without_two_of_each_are_refused() -> None:
    vectors = np.eye(4, dtype=np.float32)
    ids = np.arange(4)
    with pytest.raises(InputError, match="two crops of each person"):
        arrange(vectors, ids, ids, np.zeros((4, len(COLOURS)), np.int8))
