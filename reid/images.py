"""Pictures: reading a photo safely, resizing, JPEG.

The only module that imports OpenCV and Pillow. Pictures are (H, W, 3) uint8 in BGR order.
"""

from __future__ import annotations

import stat
import warnings
from io import BytesIO
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from reid.errors import PhotoError

Picture = NDArray[np.uint8]
"""(H, W, 3) uint8, BGR."""
Grey = NDArray[np.uint8]
"""(H, W) uint8, brightness."""

MAX_PIXELS = 120_000_000
"""Larger photos are refused before they are decoded: a small file can claim a huge picture."""
MIN_SIDE = 16
_PAINT = 96  # grey of what is hidden
_MAX_BYTES = 500_000_000

cv2.setNumThreads(1)  # our callers run in parallel themselves


def read_photo(path: Path) -> Picture:
    """Decode a photo file, upright (EXIF orientation applied), transparency on white.

    Raises:
        PhotoError: missing, no permission, empty, not an image, cut off, too large or too small.
    """
    return decode_photo(photo_bytes(path), f"photo {path}")


def photo_bytes(path: Path) -> bytes:
    """What is in a photo file, not decoded.

    Raises:
        PhotoError: missing, no permission, no file, or far too large.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PhotoError(f"photo {path}: expected an image file, got a folder, device or pipe")
        if status.st_size > _MAX_BYTES:
            raise PhotoError(f"photo {path}: {status.st_size:,} bytes, at most {_MAX_BYTES:,} are accepted")
        return path.read_bytes()
    except FileNotFoundError:
        raise PhotoError(f"photo {path}: no such file; check the path") from None
    except (OSError, ValueError) as error:
        raise PhotoError(
            f"photo {path}: cannot be read ({error}); check the path and its permissions"
        ) from None


def decode_photo(data: bytes, name: str) -> Picture:
    """Decode the bytes of a photo; `name` is used in messages. See `read_photo`."""
    if not data:
        raise PhotoError(f"{name}: the file is empty (0 bytes); copy it again")
    try:
        # What Pillow warns of (odd tags, large pictures) is either harmless or checked here.
        with warnings.catch_warnings(action="ignore"), Image.open(BytesIO(data)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise PhotoError(
                    f"{name}: {width} x {height} pixels, at most {MAX_PIXELS:,} are accepted; scale it down"
                )
            if min(width, height) < MIN_SIDE:
                raise PhotoError(f"{name}: {width} x {height} pixels, at least {MIN_SIDE} a side are needed")
            image.load()
            upright = ImageOps.exif_transpose(_eight_bits(image)).convert("RGBA")
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError(f"{name}: too large ({error}); scale it down") from None
    except UnidentifiedImageError:
        raise PhotoError(
            f"{name}: expected an image (JPEG, PNG, WebP, BMP, TIFF), got something else;"
            " convert it to JPEG first"
        ) from None
    except Exception as error:  # noqa: BLE001  Pillow's decoders raise errors of every kind on damaged files
        raise PhotoError(
            f"{name}: the image is damaged or cut off ({error}); copy it again or use another photo"
        ) from None
    flat = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
    return np.ascontiguousarray(np.asarray(flat, np.uint8)[..., ::-1])


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey pictures of more than 8 bits scaled to 8; Pillow's own conversion would clip them to white."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, np.float64))
    low, high = float(values.min()), float(values.max())
    return Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))


def resize(picture: Picture, width: int, height: int) -> Picture:
    """Scale to exactly `width` x `height`: area averaging down, bilinear up."""
    shrinks = picture.shape[0] * picture.shape[1] > width * height
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cast(Picture, cv2.resize(picture, (width, height), interpolation=method))


def resize_grey(grey: Grey, width: int, height: int) -> Grey:
    """Scale down by area averaging."""
    return cast(Grey, cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA))


def resize_labels(labels: Grey, width: int, height: int) -> Grey:
    """Scale (H, W) numbers that name what a pixel is: each is taken from one pixel, none is mixed."""
    return cast(Grey, cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST))


def grow(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """(H, W) mask with all that lies at most `by` pixels, sideways and up or down, from it."""
    square = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    return cast("NDArray[np.bool_]", cv2.dilate(mask.astype(np.uint8), square).astype(bool))


def islands(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """The connected parts of a mask, corners included.

    Returns:
        (H, W) int32 number of each pixel's part, 0 outside, (N, 4) boxes of the parts 1 to N, and how many
        pixels each has, (N,).
    """
    _, labels, rows, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    corners = rows[1:, : cv2.CC_STAT_AREA]
    boxes = np.hstack([corners[:, :2], corners[:, :2] + corners[:, 2:]])
    return (
        np.asarray(labels, np.int32), np.asarray(boxes, np.int32),
        np.asarray(rows[1:, cv2.CC_STAT_AREA], np.int32),
    )  # fmt: skip


def resize_bilinear(picture: Picture, width: int, height: int) -> Picture:
    """Scale with plain bilinear sampling, the way most public detectors were trained."""
    return cast(Picture, cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR))


def rotate(picture: Picture, degrees: int) -> Picture:
    """Turn clockwise by 0, 90, 180 or 270 degrees."""
    turns = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    code = turns.get(degrees % 360)
    return picture if code is None else cast(Picture, cv2.rotate(picture, code))


def crop(picture: Picture, box: NDArray[np.float32]) -> Picture:
    """The part inside `box` ([x1, y1, x2, y2] pixels, (4,)), clipped; at least 1 x 1 pixel."""
    height, width = picture.shape[:2]
    x1, y1 = int(np.clip(np.floor(box[0]), 0, width - 1)), int(np.clip(np.floor(box[1]), 0, height - 1))
    x2, y2 = int(np.clip(np.ceil(box[2]), x1 + 1, width)), int(np.clip(np.ceil(box[3]), y1 + 1, height))
    return picture[y1:y2, x1:x2]


def sharpness(picture: Picture) -> float:
    """Variance of the Laplacian of the grey picture: low for blur (Pech-Pacheco et al. 2000)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def encode_jpeg(picture: Picture, quality: int = 85) -> bytes:
    """JPEG bytes of `picture`; `quality` 1..100."""
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"expected a picture that JPEG can hold, got shape {picture.shape}")
    return bytes(data)


def decode_jpeg(data: bytes) -> Picture:
    """A picture that `encode_jpeg` made.

    Raises:
        PhotoError: no such picture.
    """
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None:
        raise PhotoError(f"expected a JPEG picture, got {len(data)} bytes of something else")
    return cast(Picture, picture)


def fit_within(picture: Picture, width: int, height: int) -> Picture:
    """Scale down, keeping the proportions, until it fits `width` x `height`; never up."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    if scale >= 1:
        return picture
    return resize(picture, max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))


def blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur; `sigma` in pixels, 0 or less changes nothing."""
    return picture if sigma <= 0 else cast(Picture, cv2.GaussianBlur(picture, (0, 0), sigma))


def blur_floats(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Gaussian blur of an (H, W) or (H, W, 3) float32 map; `sigma` in pixels."""
    if sigma <= 0:
        return values
    return cast("NDArray[np.float32]", cv2.GaussianBlur(values, (0, 0), sigma))


def resize_floats(values: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Scale an (H, W) or (H, W, 3) float32 map: area averaging down, bilinear up."""
    shrinks = values.shape[0] * values.shape[1] > width * height
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cast("NDArray[np.float32]", cv2.resize(values, (width, height), interpolation=method))


def sharpen(picture: Picture, amount: float, sigma: float = 1.2) -> Picture:
    """Unsharp mask as cameras apply it, halos included; 0 changes nothing."""
    if amount <= 0:
        return picture
    return cast(Picture, cv2.addWeighted(picture, 1 + amount, blur(picture, sigma), -amount, 0))


def add_signed(picture: Picture, more: Picture, less: Picture) -> Picture:
    """`picture` + `more` - `less`, both of its shape, kept within 0..255."""
    return cast(Picture, cv2.subtract(cv2.add(picture, more), less))


def through_jpeg(picture: Picture, quality: int) -> Picture:
    """What is left of `picture` after JPEG of this quality, 1..100."""
    data = np.frombuffer(encode_jpeg(picture, quality), np.uint8)
    return cast(Picture, cv2.imdecode(data, cv2.IMREAD_COLOR))


def write_text(picture: Picture, text: str, left: int, top: int, height: int) -> None:
    """Burn ASCII `text` into `picture` in place, white on a dark rim; `height` of a capital in pixels."""
    scale = height / 22  # the font's capitals are 22 pixels high at scale 1
    foot = (left, top + height)
    font = cv2.FONT_HERSHEY_SIMPLEX
    thick = max(1, round(scale * 2))
    for x, y in ((-1, -1), (1, -1), (-1, 1), (1, 1)):  # a thicker font would be wider too, and not fit
        cv2.putText(picture, text, (left + x, foot[1] + y), font, scale, (20, 20, 20), thick, cv2.LINE_AA)
    cv2.putText(picture, text, foot, font, scale, (240, 240, 240), thick, cv2.LINE_AA)


def draw_box(picture: Picture, box: NDArray[np.float32]) -> Picture:
    """A copy with the rim of `box` ([x1, y1, x2, y2] pixels, (4,)) drawn around it, light in dark."""
    drawn = picture.copy()
    thick = max(1, round(picture.shape[0] / 360))
    x1, y1, x2, y2 = (round(float(edge)) for edge in box)
    for out, colour, width in ((thick, (20, 20, 20), 3 * thick), (thick, (40, 230, 255), thick)):
        cv2.rectangle(drawn, (x1 - 2 * out, y1 - 2 * out), (x2 + 2 * out, y2 + 2 * out), colour, width)
    return drawn


def paint_out(
    picture: Picture, boxes: NDArray[np.float32], spared: NDArray[np.float32] | None = None
) -> Picture:
    """A copy in which the boxes are grey: of what was there nothing can be brought back.

    Coarse cells or a blur, followed over the frames of a clip, give more away than they do in one frame.

    Args:
        boxes: (N, 4) `[x1, y1, x2, y2]` pixels; may leave the picture.
        spared: (4,) box that is left as it is.
    """
    painted = picture.copy()
    for box in boxes:
        if box[0] < picture.shape[1] and box[1] < picture.shape[0] and box[2] > 0 and box[3] > 0:
            crop(painted, box)[:] = _PAINT
    if spared is not None:
        crop(painted, spared)[:] = crop(picture, spared)
    return painted


def draw_lines(
    shape: tuple[int, int], ends: NDArray[np.int32], levels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """(H, W) uint8 black map with lines: (N, 4) x1, y1, x2, y2 pixels in (N,) grey levels."""
    drawn = np.zeros(shape, np.uint8)
    for (x1, y1, x2, y2), level in zip(ends.tolist(), levels.tolist(), strict=True):
        cv2.line(drawn, (x1, y1), (x2, y2), level, 1, cv2.LINE_AA)
    return drawn
