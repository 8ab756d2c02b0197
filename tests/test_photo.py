"""What a photo allows, and photos nobody can search with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.districts import load_districts
from reid.errors import InputError, PhotoError
from reid.images import Picture, blur, encode_jpeg, resize
from reid.quality import picture_quality
from search.photo import Box, completed, is_cut_off, judge, seen_by_network
from search.query import read_query
from search.report import to_html, to_json
from tests.test_search import made, query_for, red, search  # noqa: F401  fixtures
from tests.world import FakeDetector, FakeEmbedder, Walk


def person(height: int = 200, width: int = 80) -> Picture:
    """Light above, dark below, of coloured blocks; sharp at any size."""
    random = np.random.default_rng(3)
    light = np.where(np.arange(25) < 13, 170, 70)[:, None, None]
    blocks = (light + random.integers(-40, 41, (25, 10, 3))).astype(np.uint8)
    return resize(np.repeat(np.repeat(blocks, 8, 0), 8, 1), width, height)


def standing(shown: Picture) -> tuple[Picture, Box]:
    """Somebody in the middle of a photo, nothing cut."""
    height, width = shown.shape[:2]
    photo = np.full((height + 40, width + 40, 3), 90, np.uint8)
    photo[20 : 20 + height, 20 : 20 + width] = shown
    return photo, (20.0, 20.0, 20.0 + width, 20.0 + height)


def grey(shown: Picture) -> Picture:
    return np.asarray(np.repeat(shown.mean(axis=2, keepdims=True), 3, 2), np.uint8)


def times(shown: Picture, gain: float) -> Picture:
    return np.asarray(np.clip(shown * gain, 0, 255), np.uint8)


@pytest.mark.parametrize(
    ("shown", "aspect", "verdict"),
    [
        (person(), None, "good"),
        (person(40, 16), None, "good"),
        (person(28, 11), "size", "limited"),
        (person(18, 8), "size", "poor"),
        (blur(person(512, 205), 13.0), "sharpness", "limited"),
        (blur(person(512, 205), 17.0), "sharpness", "poor"),
        (times(person(), 0.02), "light", "limited"),
        (times(person(), 0.3), None, "good"),
        (times(person(), 20.0), "light", "poor"),
        (grey(person()), "colour", "poor"),
    ],
)
def test_each_aspect_has_its_limits(shown: Picture, aspect: str | None, verdict: str) -> None:
    quality = judge(*standing(shown), (), found=True)
    found: dict[str, str] = {finding.aspect: finding.verdict for finding in quality.findings}
    assert list(found) == ["size", "sharpness", "body", "light", "colour", "others"]
    if aspect is None:
        assert (quality.verdict, quality.limits) == ("good", ())
    else:
        assert found[aspect] == verdict
        for finding in quality.limits:
            assert finding.advice
            assert finding.advice_ko


@pytest.mark.parametrize(
    ("height", "at_edge", "verdict"),
    [
        (200, True, "good"),
        (170, True, "good"),
        (140, True, "limited"),
        (100, True, "poor"),
        (100, False, "good"),
    ],
)
def test_a_body_cut_by_the_photos_edge(height: int, at_edge: bool, verdict: str) -> None:
    photo, box = standing(person()[:height])
    if at_edge:
        photo = photo[: int(box[3])]
    [body] = [one for one in judge(photo, box, (box,), found=True).findings if one.aspect == "body"]
    assert body.verdict == verdict
    assert ("guess" in body.reason) == (verdict != "good")
    assert is_cut_off(photo, box) == (at_edge and height / 80 < 2.3)


def test_somebody_before_the_person_is_told() -> None:
    photo, box = standing(person())
    nearer = (box[0], box[1], box[0] + 35, box[3] + 10)
    behind = (box[0], box[1], box[2], box[3] - 10)
    assert judge(photo, box, (box, behind), found=True).verdict == "good"
    [finding] = judge(photo, box, (box, nearer), found=True).limits
    assert (finding.aspect, finding.verdict) == ("others", "poor")
    assert finding.value == pytest.approx(35 / 80)


def test_half_a_person_is_completed_and_a_whole_one_is_left_alone() -> None:
    photo, box = standing(person())
    assert np.array_equal(seen_by_network(photo, box), person())
    cut = photo[:120]
    box = (*box[:3], 120.0)
    shown = seen_by_network(cut, box)
    assert shown.shape == (200, 80, 3)
    assert np.array_equal(shown[:100], person()[:100])
    below: NDArray[np.uint8] = shown[100:]
    assert np.array_equal(below, np.broadcast_to(below[0], below.shape))
    assert np.abs(below[0] - person()[95:100].mean(axis=0)).max() <= 0.5
    assert np.array_equal(completed(person()), person())


def photo_file(folder: Path, picture: Picture) -> Path:
    path = folder / "photo.jpg"
    path.write_bytes(encode_jpeg(picture, 98))
    return path


def read(path: Path, **choice: object):  # type: ignore[no-untyped-def]
    return read_query(path, FakeDetector(), FakeEmbedder(), **choice)  # type: ignore[arg-type]


def test_a_broad_photo_of_nobody_is_refused(tmp_path: Path) -> None:
    path = photo_file(tmp_path, np.full((192, 320, 3), 110, np.uint8))
    with pytest.raises(PhotoError, match=r"nobody was found .* --box x1,y1,x2,y2, or use another photo"):
        read(path)
    boxed = read(path, box=(10.0, 10.0, 50.0, 110.0))
    assert boxed.person_box == (10.0, 10.0, 50.0, 110.0)
    with pytest.raises(InputError, match="nobody was found"):
        read(path, person=1)


def test_a_cut_out_person_nobody_found_is_used_and_said(tmp_path: Path) -> None:
    query = read(photo_file(tmp_path, np.full((192, 80, 3), 110, np.uint8)))
    assert query.person_box == (0.0, 0.0, 80.0, 192.0)
    assert "taken for one cut-out person" in query.warnings[0]
    assert any("nobody knows how much of a body" in warning for warning in query.warnings)


def test_the_number_is_what_calibrations_are_fitted_with(tmp_path: Path) -> None:
    query = query_for(tmp_path, [Walk("red", 0, 1)])
    x1, y1, x2, y2 = (round(edge) for edge in query.person_box)
    assert query.quality == picture_quality(query.picture[y1:y2, x1:x2])


def test_it_is_shown_everywhere(made, red) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    photo, box = standing(grey(person(100)))
    result = search(made, replace(red, allows=judge(photo, box, (), found=True)))
    quality = to_json(result)["query"]["quality"]
    assert quality["verdict"] == "poor"
    assert {one["aspect"]: one["verdict"] for one in quality["findings"]}["colour"] == "poor"
    page = to_html(result, load_districts())
    assert "사진에 색이 거의 없습니다" in page
    assert "use a colour photo, or add colours that are known: --upper, --lower" in page
