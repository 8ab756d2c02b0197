"""Photos: what a family, a phone or an accident can hand in."""

import contextlib
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reid import images
from reid.errors import PhotoError


def picture(width: int = 60, height: int = 90) -> Image.Image:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2] = (250, 10, 10)  # red above
    pixels[height // 2 :] = (10, 10, 250)  # blue below
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def huge_png() -> bytes:
    """A few bytes that claim 60,000 x 60,000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


JPEG = encoded(picture(400, 600), "JPEG")
BAD = [
    # (name, bytes, what the message must say)
    ("empty", b"", "empty"),
    ("text", b"hello, I am no picture", "expected an image"),
    ("a clip's beginning", b"\0\0\0\x18ftypmp42" + bytes(200), "expected an image"),
    ("random", np.random.default_rng(0).bytes(5000), "expected an image"),
    ("cut JPEG", JPEG[: len(JPEG) // 2], "damaged or cut off"),
    ("JPEG header only", JPEG[:60], "expected an image|damaged"),
    ("cut PNG", encoded(picture(400, 600), "PNG")[:300], "damaged or cut off"),
    ("bomb", huge_png(), "pixels|expected an image"),
    ("one pixel", encoded(picture(1, 2), "PNG"), "at least 16"),
]


@pytest.mark.parametrize(("name", "data", "message"), BAD, ids=[case[0] for case in BAD])
def test_bad_photos_are_one_clear_error(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(PhotoError, match=message) as caught:
        images.read_photo(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folder_and_forbidden_photos(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no such file"):
        images.read_photo(tmp_path / "absent.jpg")
    with pytest.raises(PhotoError, match="folder"):
        images.read_photo(tmp_path)


@pytest.mark.parametrize("cut", range(20, len(JPEG), 97))
def test_a_jpeg_cut_anywhere_never_crashes(cut: int) -> None:
    with contextlib.suppress(PhotoError):
        assert images.decode_photo(JPEG[:cut], "photo").shape == (600, 400, 3)


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_never_crash(seed: int) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(encoded(picture(), ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"][seed % 6]))
    for place in random.integers(0, len(data), 12):
        data[place] = random.integers(256)
    with contextlib.suppress(PhotoError):
        assert images.decode_photo(bytes(data), "photo").dtype == np.uint8


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_the_order_of_colours(kind: str) -> None:
    shown = images.decode_photo(encoded(picture(), kind), "photo")
    assert shown.shape == (90, 60, 3)
    assert shown[10, 30, 2] > 200 > 60 > shown[10, 30, 0]


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_every_colour_mode_becomes_bgr(mode: str) -> None:
    source = picture().convert("L") if mode == "I;16" else picture()
    kind = "TIFF" if mode in ("CMYK", "I;16") else "PNG"
    assert images.decode_photo(encoded(source.convert(mode), kind), "photo").shape == (90, 60, 3)


def test_a_phone_held_sideways_gives_an_upright_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate a quarter clockwise to see it upright
    shown = images.decode_photo(encoded(picture(90, 60), "JPEG", exif=exif), "photo")
    assert shown.shape == (90, 60, 3)
    assert shown[45, 50, 2] > 200  # red, once above, is now on the right
    assert shown[45, 10, 0] > 200


def test_transparency_becomes_white() -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert images.decode_photo(encoded(clear, "PNG"), "photo").min() == 255


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((10, 20, 30, 60), (40, 20)),
        ((-5, -5, 10, 10), (10, 10)),
        ((50, 80, 500, 500), (10, 10)),
        ((1000, 1000, 2000, 2000), (1, 1)),
        ((10.2, 20.7, 10.3, 20.8), (1, 1)),
    ],
)
def test_crops_stay_inside(box: tuple[float, ...], shape: tuple[int, int]) -> None:
    source = np.zeros((90, 60, 3), np.uint8)
    assert images.crop(source, np.array(box, np.float32)).shape[:2] == shape


def test_scaling_down_keeps_proportions_and_never_scales_up() -> None:
    assert images.fit_within(np.zeros((400, 100, 3), np.uint8), 192, 200).shape == (200, 50, 3)
    assert images.fit_within(np.zeros((40, 10, 3), np.uint8), 192, 200).shape == (40, 10, 3)


def test_blur_lowers_sharpness() -> None:
    sharp = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    blurred = images.resize(images.resize(sharp, 8, 8), 64, 64)
    assert images.sharpness(sharp) > 10 * images.sharpness(blurred)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_eight_bits_are_scaled_and_not_clipped(mode: str) -> None:
    values = np.linspace(1000, 60_000, 60 * 90).reshape(90, 60)
    kinds = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
    shown = images.decode_photo(encoded(Image.fromarray(values.astype(kinds[mode])), "TIFF"), "photo")
    assert (int(shown.min()), int(shown.max())) == (0, 255)
    assert 120 < shown.mean() < 135
