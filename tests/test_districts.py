from __future__ import annotations

import dataclasses
import unicodedata
from pathlib import Path

import pytest

from indexer.districts import DISTRICTS_FILE, load_districts
from reid.errors import InputError, UnknownNameError
from reid.tables import read_table

ACTIVE = (
    "jung yongsan gwangjin dongdaemun jungnang seongbuk dobong nowon eunpyeong seodaemun mapo yangcheon"
    " gangseo guro geumcheon yeongdeungpo seocho songpa gangdong"
)
CODES = {
    "jongno": "11110", "jung": "11140", "yongsan": "11170", "seongdong": "11200", "gwangjin": "11215",
    "dongdaemun": "11230", "jungnang": "11260", "seongbuk": "11290", "gangbuk": "11305", "dobong": "11320",
    "nowon": "11350", "eunpyeong": "11380", "seodaemun": "11410", "mapo": "11440", "yangcheon": "11470",
    "gangseo": "11500", "guro": "11530", "geumcheon": "11545", "yeongdeungpo": "11560", "dongjak": "11590",
    "gwanak": "11620", "seocho": "11650", "gangnam": "11680", "songpa": "11710", "gangdong": "11740",
}  # fmt: skip


def test_seoul_has_25_districts_of_which_19_take_part() -> None:
    districts = load_districts()
    assert {district.slug: district.code for district in districts.all} == CODES
    assert {district.slug for district in districts.active} == set(ACTIVE.split())
    assert len(districts.active) == 19
    assert len({district.name_ko for district in districts.all}) == 25
    assert all(district.name_ko.endswith("구") for district in districts.all)
    assert all(district.name_en.lower() == f"{district.slug}-gu" for district in districts.all)


def test_how_sure_we_are() -> None:
    sure: dict[str, set[str]] = {}
    for district in load_districts().active:
        sure.setdefault(district.confidence, set()).add(district.slug)
    assert {word: len(slugs) for word, slugs in sure.items()} == {
        "certain": 11,
        "likely": 2,
        "by subtraction": 6,
    }
    assert sure["likely"] == {"dobong", "gangseo"}
    assert load_districts().find("songpa").since == 2023
    assert load_districts().find("gangdong").since is None


def test_centroids_lie_in_seoul_and_apart() -> None:
    places = {(district.latitude, district.longitude) for district in load_districts().all}
    assert len(places) == 25
    assert all(37.43 < latitude < 37.70 and 126.76 < longitude < 127.19 for latitude, longitude in places)
    # north of the river and south of it, west and east
    assert load_districts().find("dobong").latitude > load_districts().find("geumcheon").latitude
    assert load_districts().find("gangseo").longitude < load_districts().find("gangdong").longitude


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        *((name, "songpa") for name in ("songpa", "Songpa", "SONGPA", "Songpa-gu")),
        *((name, "songpa") for name in ("songpagu", "songpa gu", " songpa", "song_pa")),
        *((name, "songpa") for name in ("송파", "송파구", "송파구 ", "11710")),
        # macOS hands out decomposed file names
        (unicodedata.normalize("NFD", "송파구"), "songpa"),
        (unicodedata.normalize("NFD", "중랑"), "jungnang"),
        # near in name, far apart in place
        ("Jung-gu", "jung"), ("junggu", "jung"), ("중구", "jung"), ("중", "jung"),
        ("Jungnang-gu", "jungnang"), ("jungnang", "jungnang"), ("중랑구", "jungnang"),
        # Statistics Korea's 11230 is Gangnam; ours is the Ministry's
        ("11230", "dongdaemun"),
    ],
)  # fmt: skip
def test_find(name: str, slug: str) -> None:
    assert load_districts().find(name).slug == slug


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("sonpa", "songpa"),
        ("Songpaa-gu", "songpa"),
        ("gangnm", "gangnam"),
        ("jungnan", "jungnang"),
        ("송피구", "송파구"),
        ("중량구", "중랑구"),  # the usual misspelling; letter by letter 중구 is further away
        (unicodedata.normalize("NFD", "송퍄구"), "송파구"),
        ("11711", "11710"),
    ],
)
def test_unknown_names_get_the_nearest_in_the_same_script(name: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown district") as caught:
        load_districts().find(name)
    assert caught.value.suggestions[0] == nearest


@pytest.mark.parametrize("name", ["", " ", "-", "busan!", "../songpa\x00", "구", "gu", "서울", "x" * 10_000])
def test_nonsense_is_unknown(name: str) -> None:
    with pytest.raises(UnknownNameError):
        load_districts().find(name)


def test_districts_cannot_be_changed() -> None:
    districts = load_districts()
    assert load_districts() is districts
    with pytest.raises(dataclasses.FrozenInstanceError):
        districts.all = ()  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        districts.all[0].slug = "x"  # type: ignore[misc]


HEADER, JONGNO, JUNG = DISTRICTS_FILE.read_text("utf-8").splitlines()[:3]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_an_operator_may_replace_the_file(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(f"{HEADER}\r\n\r\n{JUNG}\r\n".encode(encoding))
    assert [district.name_ko for district in load_districts(path).all] == ["중구"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "header line"),
        (HEADER, "one district a line"),
        (HEADER.replace("code", "kode") + "\n" + JONGNO, "line 1: expected the columns"),
        (f"{HEADER},slug\n{JONGNO},x", "line 1: expected the columns"),
        (f"{HEADER}\n{JUNG}\n{JUNG}", "line 3: expected unique names"),
        (
            f"{HEADER}\n{JUNG}\n{JONGNO.replace('11110', '11140')}",
            "line 3: expected unique names and codes, got '11140'",
        ),
        (
            f"{HEADER}\n{JONGNO.replace('11110', '1111')}",
            "line 2: expected a code of five digits, got '1111'",
        ),
        (f"{HEADER}\n{JONGNO.replace(',no,', ',maybe,')}", "active to be yes or no, got 'maybe'"),
        (f"{HEADER}\n{JONGNO.replace('certain', 'sure')}", "confidence to be one of certain, likely"),
        (f"{HEADER}\n{JONGNO.replace('37.5949,126.9773', '126.9773,37.5949')}", "seem swapped"),
        (f"{HEADER}\n{JONGNO.replace('37.5949', 'north')}", "got 'north'"),
        (f"{HEADER}\n{JONGNO.replace('37.5949', 'nan')}", "expected a place in Korea"),
        (f"{HEADER}\n{JONGNO.replace('jongno', '../x')}", "expected a slug"),
        (f"{HEADER}\n{JUNG.replace(',2024,', ',24,')}", "since to be a year or empty, got '24'"),
        (f"{HEADER}\n{JONGNO},surplus", "line 2: expected 10 fields"),
        (f'{HEADER}\n"{JONGNO}', "line 2: expected comma-separated text"),
    ],
)
def test_malformed_files_name_line_and_expectation(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        load_districts(path)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    for path in (tmp_path, tmp_path / "absent.csv", binary):
        with pytest.raises(InputError) as caught:
            read_table(path, ("slug",))
        assert str(path) in str(caught.value)
