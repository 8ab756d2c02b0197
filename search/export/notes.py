"""What a reader of an export must know of a sighting, in English and Korean. Owns the wording."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """One remark.

    Attributes:
        code: a short stable word for machines.
        en, ko: for people.
        lacks: something is missing because of it.
    """

    code: str
    en: str
    ko: str
    lacks: bool = False


CAUTION = Note(
    "caution",
    "Confirmed by a person comparing pictures. That is not proof of identity.",
    "사람이 사진을 비교하여 확인한 것이며, 동일인이라는 증명은 아닙니다.",
)
BLURRING = Note(
    "blurring",
    "Bystanders were painted over automatically. The detector misses people: a person must look at every"
    " picture and clip before it is passed on.",
    "주변 사람은 자동으로 가려졌습니다. 검출기가 놓친 사람이 있을 수 있으므로, 외부에 전달하기 전에"
    " 반드시 사람이 모든 사진과 영상을 확인해야 합니다.",
)


def footage_note(state: str, path: str, detail: str = "") -> Note | None:
    """Why the original could not be used, or that it lies elsewhere; None for one that is in its place."""
    shown = f" ({detail})" if detail else ""
    texts = {
        "moved": (
            f"The original clip was moved and is now {path}; its sha256 is the same.",
            f"원본 영상의 위치가 바뀌었습니다: {path}. sha256은 같습니다.",
        ),
        "missing": (
            f"The original clip is not where it was ({path}). If it was moved, run reid index on its new"
            " place, which knows it by its bytes, and export again.",
            f"원본 영상이 있던 자리에 없습니다({path}). 옮겨졌다면 새 위치에 reid index를 실행한 뒤 다시"
            " 내보내십시오.",
        ),
        "changed": (
            f"The file {path} is not the clip that was indexed: its sha256 is another. It was not used.",
            f"파일 {path}은(는) 색인된 영상이 아닙니다: sha256이 다릅니다. 사용하지 않았습니다.",
        ),
        "unreadable": (
            f"The original clip {path} cannot be read{shown}.",
            f"원본 영상 {path}을(를) 읽을 수 없습니다{shown}.",
        ),
    }
    if state not in texts:
        return None
    return Note(f"footage_{state}", *texts[state], lacks=state != "moved")


def encoded_note(reason: str) -> Note:
    """The cut is not the packets of the original."""
    return Note(
        "clip_encoded",
        f"The clip was encoded anew: {reason}.",
        f"영상을 다시 인코딩했습니다: {reason}.",
    )


def not_cut_note(message: str) -> Note:
    """There is no cut although there is an original."""
    return Note(
        "no_clip", f"No clip could be cut: {message}", f"영상을 잘라 내지 못했습니다: {message}", True
    )


THUMBNAIL_ONLY = Note(
    "thumbnail_only",
    "The only picture is the small one that the archive kept.",
    "남아 있는 사진은 색인에 저장된 작은 사진뿐입니다.",
)
PICTURE_DIFFERS = Note(
    "picture_differs",
    "The frame at this moment of the original does not look like the picture that the archive kept: the times"
    " of this clip are not sure. No still was made from it; check the clip by eye.",
    "원본의 해당 시각 화면이 색인에 저장된 사진과 다릅니다. 이 영상의 시각은 확실하지 않습니다. 정지 화면은"
    " 만들지 않았으니 영상을 눈으로 확인하십시오.",
    True,
)
ALL_BLURRED = Note(
    "all_blurred",
    "It was not sure which of the people found is the person, so everybody is blurred.",
    "검출된 사람 중 누가 대상자인지 확실하지 않아 모든 사람을 가렸습니다.",
    True,
)
CLOCK_UNCHECKED = Note(
    "clock_unchecked",
    "Nobody checked this camera's clock: how far its times are off is not known.",
    "이 카메라의 시계는 확인되지 않았습니다. 시각 오차를 알 수 없습니다.",
)


def followed_note(since_s: float, until_s: float) -> Note:
    """Outside of this part of the clip nobody is spared; seconds from the beginning of the cut."""
    span = f"{since_s:.1f}–{until_s:.1f} s"
    return Note(
        "followed_in_part",
        f"The person could be told from others in {span} of the clip only; else everybody is blurred.",
        f"대상자는 영상의 {span} 구간에서만 구별되었습니다. 그 앞뒤에서는 모든 사람을 가렸습니다.",
    )


def covered_note(frames: int, of: int) -> Note:
    """Bystanders before the person are blurred, and the person with them."""
    return Note(
        "person_covered",
        f"In {frames} of {of} frames most of the person is blurred with somebody beside or before them.",
        f"{of}개 화면 중 {frames}개에서 대상자 대부분이 옆 또는 앞 사람과 함께 가려졌습니다.",
    )


def erased_note(when: str) -> Note:
    """The archive forgot it; the case did not."""
    return Note(
        "erased",
        f"The archive erased this sighting on {when}; only the case kept it. Check that it may be passed on.",
        f"이 목격 기록은 {when}에 색인에서 삭제되었고 사건 기록에만 남아 있습니다."
        " 전달해도 되는지 확인하십시오.",
    )


def start_note(source: str) -> Note | None:
    """Where the clip's start is known from, when that may mislead."""
    if source != "container":
        return None
    return Note(
        "start_from_container",
        "The clip's start was taken from the file's metadata, which may be the time of an export.",
        "영상 시작 시각은 파일 메타데이터에서 가져왔으며, 내보낸 시각일 수 있습니다.",
    )
