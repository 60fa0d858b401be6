"""What counts as a picture, and what is left of one."""

import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.partners import images
from marketplace.partners.images import ImageInvalid
from tests.support.pictures import chunk, jpeg, png, segment, webp

MAX = 500_000
SCRIPT = b"<script>alert(1)</script>"
MAKERS = [pytest.param(make, id=make.__name__) for make in (png, jpeg, webp)]


def refused(raw: bytes) -> str:
    with pytest.raises(ImageInvalid) as error:
        images.read(raw, bytes_max=MAX)
    assert error.value.details["field"] == "image"
    return error.value.message


@pytest.mark.parametrize("make", MAKERS)
def test_a_whole_one_is_read(make: Callable[..., bytes]) -> None:
    picture = images.read(make(40, 24), bytes_max=MAX)
    assert (picture.media_type, picture.width, picture.height) == (f"image/{make.__name__}", 40, 24)
    # Put together again it is a whole one still, and nothing more is taken from it.
    assert images.read(picture.content, bytes_max=MAX) == picture


@pytest.mark.parametrize("make", MAKERS)
def test_each_side_is_bounded(make: Callable[..., bytes]) -> None:
    for side in (images.SIDE_MIN, images.SIDE_MAX):
        images.read(make(side, 32), bytes_max=MAX)
        images.read(make(32, side), bytes_max=MAX)
    for side in (images.SIDE_MIN - 1, images.SIDE_MAX + 1):
        assert f"{side} × 32" in refused(make(side, 32))
        assert f"32 × {side}" in refused(make(32, side))


def test_bytes_are_bounded() -> None:
    raw = png()
    images.read(raw, bytes_max=len(raw))
    with pytest.raises(ImageInvalid):
        images.read(raw, bytes_max=len(raw) - 1)


def test_what_does_not_draw_is_gone() -> None:
    noisy = [
        png(extra=chunk(b"tEXt", SCRIPT), behind=SCRIPT),
        jpeg(extra=segment(0xE1, b"Exif\0\0" + SCRIPT) + segment(0xFE, SCRIPT), behind=SCRIPT),
        webp(extra=((b"EXIF", SCRIPT), (b"XMP ", SCRIPT)), flags=0x0C) + SCRIPT,
    ]
    for raw, plain in zip(noisy, (png(), jpeg(), webp()), strict=True):
        assert SCRIPT in raw
        assert images.read(raw, bytes_max=MAX).content == plain


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GIF89a" + b"\0" * 60,
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b"<html><script>alert(1)</script>",
        b"%PDF-1.7",
        b"PK\x03\x04",
        SCRIPT + png(),
    ],
)
def test_other_files_are_no_pictures(raw: bytes) -> None:
    assert refused(raw) == "This file is no PNG, JPEG or WebP picture."


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x89PNG\r\n\x1a\n" + SCRIPT * 20, id="only a signature"),
        pytest.param(png()[:-13], id="cut"),
        pytest.param(png().replace(b"IDAT", b"IDAX"), id="checksum"),
        pytest.param(png()[:8] + chunk(b"tEXt", b"x") + png()[8:], id="no header first"),
        pytest.param(
            png()[:8]
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 1999, 1999, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0" * 97))
            + chunk(b"IEND", b""),
            id="fewer pixels than it says",
        ),
        pytest.param(
            png()[:8]
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0" * 100_000_000))
            + chunk(b"IEND", b""),
            id="more pixels than it says",
        ),
        pytest.param(jpeg(frame=0xC3), id="lossless jpeg"),
        pytest.param(b"\xff\xd8\xff" + SCRIPT * 20, id="only the start of a jpeg"),
        pytest.param(jpeg()[:-2], id="jpeg cut"),
        pytest.param(jpeg()[: jpeg().index(b"\xff\xda")] + b"\xff\xd9", id="jpeg without a scan"),
        pytest.param(webp()[:-4], id="webp cut"),
        pytest.param(webp().replace(b"VP8L", b"VP9L"), id="webp without a frame"),
        pytest.param(webp(flags=0x02), id="webp that says it moves"),
        pytest.param(webp(extra=((b"VP8L", b"\x2f\0\0\0\0"),)), id="webp with two frames"),
    ],
)
def test_broken_ones_are_refused(raw: bytes) -> None:
    assert refused(raw) == "This file is not a whole picture, or of a kind that is not taken."


def test_moving_ones_are_refused() -> None:
    assert refused(webp(extra=((b"ANMF", b"\0" * 24),))) == "Moving pictures are not taken."


def test_an_interlaced_one_with_a_palette() -> None:
    # Two bits a pixel: the seven passes of 17 × 16 and their filter bytes.
    size = sum(
        rows * (1 + (columns * 2 + 7) // 8)
        for columns, rows in ((3, 2), (2, 2), (5, 2), (4, 4), (9, 4), (8, 8), (17, 8))
    )
    raw = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 17, 16, 2, 3, 0, 0, 1))
        + chunk(b"PLTE", bytes(12))
        + chunk(b"IDAT", zlib.compress(bytes(size)))
        + chunk(b"IEND", b"")
    )
    assert images.read(raw, bytes_max=MAX).content == raw


@given(st.sampled_from([png(), jpeg(), webp()]), st.data())
def test_whatever_comes_is_read_or_refused(raw: bytes, data: st.DataObject) -> None:
    """Cut anywhere, one byte changed anywhere."""
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:at] + bytes((data.draw(st.integers(0, 255)),)) + raw[at + 1 :]
    for each in (changed, raw[:at]):
        try:
            picture = images.read(each, bytes_max=MAX)
        except ImageInvalid:
            continue
        assert images.read(picture.content, bytes_max=MAX).content == picture.content
