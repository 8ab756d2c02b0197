"""What a photo allows: size, sharpness, how much of the body is seen, light, colour, who stands before whom.

The limits are where a search suffers, measured by `benchmarks photo` on photos degraded one way at a time
(benchmarks/LOG.md): `limited` where about a sixth of the right first sightings is lost, `poor` where about a
third is. Owns verdicts and advice, in English and Korean; knows no model and no archive. No detector of body
parts exists here: a person whose box ends at the photo's lower edge and is broad is taken for cut off, and
that is said to be a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reid.boxes import area, intersection
from reid.images import Picture, blur_floats, crop, resize

Box = tuple[float, float, float, float]
"""`[x1, y1, x2, y2]` pixels of the photo."""
Verdict = Literal["good", "limited", "poor"]
Aspect = Literal["size", "sharpness", "body", "light", "colour", "others"]

VERDICTS_KO: Mapping[Verdict, str] = {"good": "양호", "limited": "제한적", "poor": "나쁨"}
ASPECTS_KO: Mapping[Aspect, str] = {
    "size": "크기", "sharpness": "선명도", "body": "보이는 몸", "light": "밝기",
    "colour": "색", "others": "가림",
}  # fmt: skip
INPUT_HEIGHT, INPUT_WIDTH = 128, 64
"""Pixels of a crop as the embedded network sees it; sharper than that helps nobody."""
WHOLE = 2.5
"""Height by width of the box of somebody who stands or walks, typically."""
_BORDER = 2.0  # pixels; a box this near to the photo's edge is probably cut by it
_CALM, _AGAIN = 0.7, 2.0  # sigmas in pixels: against noise, and to see what more blur takes away
_FOOT = 0.05  # of a crop's height; what lies below it is taken to go on

# limited, poor; each from the log.
_HEIGHTS = (32, 20)  # pixels
_CRISPNESS = (0.47, 0.345)
_RATIOS = (1.9, 1.6)  # height by width, cut at the lower edge
_BROAD = 2.3  # height by width below which a cut box is completed
_DARK = 6  # of 255
_GLARE = (0.29, 0.38)  # share of the middle
_COLOUR = (0.018, 0.005)
_COVERED = (0.33, 0.42)  # share

_COLOURS = "add colours that are known: --upper, --lower"
_COLOURS_KO = "알고 있는 옷 색을 더하십시오: --upper, --lower"


@dataclass(frozen=True)
class Finding:
    """What one aspect of a photo allows.

    Attributes:
        aspect: which. verdict: how good it is.
        value: what was measured, in the aspect's own unit; None where nobody can tell.
        reason, reason_ko: in words. advice, advice_ko: what to do; empty when it is good.
    """

    aspect: Aspect
    verdict: Verdict
    value: float | None
    reason: str
    reason_ko: str
    advice: str = ""
    advice_ko: str = ""


@dataclass(frozen=True)
class PhotoQuality:
    """What a photo of a person allows.

    Attributes:
        findings: one for each aspect.
    """

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings."""
        verdicts = {finding.verdict for finding in self.findings}
        return "poor" if "poor" in verdicts else "limited" if "limited" in verdicts else "good"

    @property
    def limits(self) -> tuple[Finding, ...]:
        """The findings that are not good, the worst first."""
        found = [finding for finding in self.findings if finding.verdict != "good"]
        return tuple(sorted(found, key=lambda finding: finding.verdict != "poor"))


def judge(picture: Picture, box: Box, people: Sequence[Box], found: bool) -> PhotoQuality:
    """What the chosen part of a photo allows.

    Args:
        picture: the photo. box: the part that is used.
        people: boxes of all people found, the chosen one among them.
        found: a person was found there, or the user said so; else the whole photo is used unseen.
    """
    shown = crop(picture, np.array(box, np.float32))
    return PhotoQuality((
        _size(box[3] - box[1]), _sharp(crispness(shown)), _body(picture, box, found), _light(shown),
        _colour(colourfulness(shown)), _others(box, people),
    ))  # fmt: skip


def seen_by_network(picture: Picture, box: Box) -> Picture:
    """The crop to embed: of somebody cut off by the photo's lower edge, with room for what is not seen.

    A network squeezes every crop to one shape, so that half a person would come out as a whole one of twice
    the height, with everything in the wrong place. The room is filled with the mean of the lowest rows, as if
    the clothes went on; in the log six times as many are found of those cut at the hips.
    """
    shown = crop(picture, np.array(box, np.float32))
    return completed(shown) if is_cut_off(picture, box) else shown


def is_cut_off(picture: Picture, box: Box) -> bool:
    """Does the box end at the photo's lower edge and is too broad for a whole person?"""
    return _at_lower_edge(picture, box) and _ratio(box) < _BROAD


def completed(shown: Picture) -> Picture:
    """A crop of the upper part of a person, continued below to the shape of a whole one's."""
    height, width = shown.shape[:2]
    missing = round(WHOLE * width) - height
    if missing <= 0:
        return shown
    foot = shown[-max(1, round(height * _FOOT)) :].mean(axis=0)
    below = np.broadcast_to(np.rint(foot).astype(np.uint8), (missing, width, 3))
    return np.concatenate([shown, below])


def crispness(shown: Picture) -> float:
    """Sharpness as the network sees it, 0..1: the share of the Laplacian's energy that more blur takes away,
    much of a sharp picture and little of a blurred one, whatever is in it (after Crete et al. 2007).
    """
    grey = resize(shown, INPUT_WIDTH, INPUT_HEIGHT).mean(axis=2, dtype=np.float32)
    calm = blur_floats(grey, _CALM)
    return 1 - _edges(blur_floats(calm, _AGAIN)) / max(_edges(calm), 1e-6)


def brightness(shown: Picture) -> float:
    """Brightness below which three quarters of a picture lie, 0..255: a dark background hides nobody."""
    return float(np.quantile(shown.max(axis=2), 0.75))


def glare(shown: Picture) -> float:
    """Share of the middle of a picture that is blown out, 0..1; a white wall beside somebody hides nobody."""
    side = shown.shape[1] // 4
    middle = shown[:, side : shown.shape[1] - side]
    return float((middle.min(axis=2) >= 250).mean())


def colourfulness(shown: Picture) -> float:
    """How far a picture is from grey, 0..1, whatever its light: what the strongest colour has more than the
    weakest, as a share of the strongest.
    """
    strongest, weakest = float(shown.max(axis=2).sum()), float(shown.min(axis=2).sum())
    return (strongest - weakest) / max(strongest, 1.0)


def _edges(grey: NDArray[np.float32]) -> float:
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(((4 * grey[1:-1, 1:-1] - around) ** 2).mean())


def _below(value: float, limits: tuple[float, float]) -> Verdict:
    return "poor" if value < limits[1] else "limited" if value < limits[0] else "good"


def _above(value: float, limits: tuple[float, float]) -> Verdict:
    return "poor" if value > limits[1] else "limited" if value > limits[0] else "good"


def _size(height: float) -> Finding:
    verdict = _below(height, _HEIGHTS)
    reason, reason_ko = f"the person is {height:.0f} pixels high", f"사람의 높이가 {height:.0f}픽셀입니다"
    if verdict == "good":
        return Finding("size", verdict, height, reason, reason_ko)
    return Finding(
        "size", verdict, height, f"the person is only {height:.0f} pixels high", reason_ko,
        "use a larger photo, best the original and not a preview",
        "더 큰 사진, 가능하면 미리보기가 아닌 원본을 사용하십시오",
    )  # fmt: skip


def _sharp(value: float) -> Finding:
    verdict = _below(value, _CRISPNESS)
    if verdict == "good":
        return Finding("sharpness", verdict, value, "sharp enough", "선명도가 충분합니다")
    return Finding(
        "sharpness", verdict, value, "the person is blurred", "사람이 흐릿합니다",
        f"use a sharper photo, or {_COLOURS}", f"더 선명한 사진을 사용하거나 {_COLOURS_KO}",
    )  # fmt: skip


def _body(picture: Picture, box: Box, found: bool) -> Finding:
    ratio = _ratio(box)
    advice = f"use a photo that shows the whole body, or {_COLOURS}"
    advice_ko = f"전신이 보이는 사진을 사용하거나 {_COLOURS_KO}"
    verdict = _below(ratio, _RATIOS)
    if _at_lower_edge(picture, box) and verdict != "good":
        part = "head and shoulders" if verdict == "poor" else "the upper body"
        part_ko = "머리와 어깨" if verdict == "poor" else "상반신"
        return Finding(
            "body", verdict, ratio,
            "the person is cut off by the photo's lower edge; by the box's shape probably little more than"
            f" {part} is seen (a guess)",
            "사람이 사진 아래쪽에서 잘렸습니다. 상자 모양으로 보아"
            f" {part_ko} 정도만 보이는 것으로 추정됩니다",
            advice, advice_ko,
        )  # fmt: skip
    if not found:
        return Finding(
            "body", "limited", None,
            "nobody was found in the photo, so nobody knows how much of a body is seen",
            "사진에서 사람을 찾지 못해 몸이 얼마나 보이는지 알 수 없습니다",
            "say where the person is with --box x1,y1,x2,y2",
            "--box x1,y1,x2,y2 로 사람의 위치를 지정하십시오",
        )  # fmt: skip
    return Finding("body", "good", ratio, "no sign that the body is cut off", "몸이 잘린 흔적이 없습니다")


def _light(shown: Picture) -> Finding:
    dark, blown = brightness(shown), glare(shown)
    if dark < _DARK:
        return Finding(
            "light", "limited", dark, "the person is very dark", "사람이 매우 어둡습니다",
            f"use a brighter photo, or {_COLOURS}", f"더 밝은 사진을 사용하거나 {_COLOURS_KO}",
        )  # fmt: skip
    verdict = _above(blown, _GLARE)
    if verdict == "good":
        return Finding("light", verdict, dark, "light enough", "밝기가 충분합니다")
    return Finding(
        "light", verdict, blown, f"{blown:.0%} of the person is white without any detail (overexposed)",
        f"사람의 {blown:.0%}가 과다 노출되어 세부가 보이지 않습니다",
        f"use another photo, or {_COLOURS}", f"다른 사진을 사용하거나 {_COLOURS_KO}",
    )  # fmt: skip


def _colour(value: float) -> Finding:
    verdict = _below(value, _COLOUR)
    if verdict == "good":
        return Finding("colour", verdict, value, "the photo has colours", "색이 있는 사진입니다")
    return Finding(
        "colour", verdict, value, "the photo has no colour, or hardly any", "사진에 색이 거의 없습니다",
        f"use a colour photo, or {_COLOURS}", f"컬러 사진을 사용하거나 {_COLOURS_KO}",
    )  # fmt: skip


def _others(box: Box, people: Sequence[Box]) -> Finding:
    """Others whose feet are lower in the picture stand nearer, and hide what their boxes share."""
    nearer = [other for other in people if other != box and other[3] > box[3]]
    covered = 0.0
    if nearer:
        mine = np.array([box], np.float32)
        covered = float(intersection(mine, np.array(nearer, np.float32)).max() / area(mine)[0])
    verdict = _above(covered, _COVERED)
    if verdict == "good":
        return Finding(
            "others", verdict, covered, "nobody stands before the person", "앞을 가린 사람이 없습니다"
        )
    return Finding(
        "others", verdict, covered,
        f"somebody else's box covers {covered:.0%} of the person's; whether they hide them is a guess",
        f"다른 사람의 상자가 {covered:.0%} 겹칩니다. 실제로 가리는지는 추정입니다",
        "use a photo without others before the person, or narrow it with --box",
        "앞을 가린 사람이 없는 사진을 사용하거나 --box 로 범위를 좁히십시오",
    )  # fmt: skip


def _ratio(box: Box) -> float:
    return (box[3] - box[1]) / max(box[2] - box[0], 1e-6)


def _at_lower_edge(picture: Picture, box: Box) -> bool:
    return bool(box[3] >= picture.shape[0] - _BORDER)
