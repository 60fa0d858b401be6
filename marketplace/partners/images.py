"""What an uploaded picture is, read from its own bytes: PNG, JPEG or WebP, still, of bounded size. Pure.

Nothing that the sender says of it (name, media type) counts. A file is taken apart by the rules of its format and put
together again from the parts that draw it, so what else was in it or behind it (a script, a place, a camera's number, a
second file) is gone. SVG is a document that can act, and is none of these.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from billing.kernel.errors import Invalid

SIDE_MIN, SIDE_MAX = 16, 2000
_PNG, _SOI = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"sRGB", b"IDAT", b"IEND"}
# Bit depths by colour type, and samples of a pixel (PNG, third edition, 11.2.1).
_PNG_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Of each pass of interlacing: first column and row, distance between columns and rows.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
# Baseline, extended and progressive frames; tables; JFIF and Adobe, which say how to read the colours.
_JPEG_FRAMES = {0xC0, 0xC1, 0xC2}
_JPEG_KEPT = _JPEG_FRAMES | {0xC4, 0xDB, 0xDD, 0xE0, 0xEE}
_JPEG_DROPPED = {*range(0xE1, 0xF0), 0xFE}
_SOS, _EOI = 0xDA, 0xD9
_WEBP_ALPHA, _WEBP_ANIMATED = 0x10, 0x02


class ImageInvalid(Invalid):
    """The upload is no picture of those that are taken."""

    code = "image_invalid"


@dataclass(frozen=True, slots=True)
class Picture:
    """``width`` and ``height`` in pixels."""

    media_type: str
    width: int
    height: int
    content: bytes


def read(raw: bytes, *, bytes_max: int) -> Picture:
    """The picture in ``raw``. Raises ``ImageInvalid`` with a sentence for whoever uploaded it."""
    if len(raw) > bytes_max:
        raise _refused(f"A picture has at most {bytes_max // 1000} kB.")
    try:
        if raw.startswith(_PNG):
            picture = _png(raw)
        elif raw.startswith(_SOI):
            picture = _jpeg(raw)
        elif raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
            picture = _webp(raw)
        else:
            raise _refused("This file is no PNG, JPEG or WebP picture.")
    except (struct.error, IndexError, zlib.error) as error:
        raise _broken() from error
    return picture


def _check_size(width: int, height: int) -> None:
    if not (SIDE_MIN <= width <= SIDE_MAX and SIDE_MIN <= height <= SIDE_MAX):
        raise _refused(f"Each side of a picture has {SIDE_MIN} to {SIDE_MAX} pixels; this one is {width} × {height}.")


def _png(raw: bytes) -> Picture:
    parts, packed, header = [_PNG], bytearray(), b""
    for kind, body in _png_chunks(raw):
        if not header:
            if kind != b"IHDR":
                raise _broken()
            header = body
        elif kind == b"IDAT":
            packed += body
        if kind in _PNG_KEPT:
            parts.append(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
    width, height, depth, colour, compression, filtering, interlaced = struct.unpack(">IIBBBBB", header)
    if depth not in _PNG_DEPTHS.get(colour, ()) or compression or filtering or interlaced > 1:
        raise _broken()
    _check_size(width, height)
    if not _unpacks_to(bytes(packed), _png_size(width, height, depth * _PNG_SAMPLES[colour], interlaced)):
        raise _broken()
    return Picture("image/png", width, height, b"".join(parts))


def _png_chunks(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    while True:
        length, kind = struct.unpack_from(">I4s", raw, at)
        body = raw[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", raw, at + 8 + length)
        if checksum != zlib.crc32(kind + body):
            raise _broken()
        yield kind, body
        if kind == b"IEND":
            return
        at += length + 12


def _unpacks_to(packed: bytes, size: int) -> bool:
    """Whether just so many bytes come out: no more than one piece of them is held, and none beyond the size."""
    machine, total = zlib.decompressobj(), 0
    while packed and not machine.eof and total <= size:
        total += len(machine.decompress(packed, 1 << 16))
        packed = machine.unconsumed_tail
    return machine.eof and total == size


def _png_size(width: int, height: int, bits: int, interlaced: int) -> int:
    """Bytes of all rows, each behind its filter's number."""
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for column, row, across, down in passes:
        columns, rows = -(-(width - column) // across), -(-(height - row) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _jpeg(raw: bytes) -> Picture:
    parts, at, size, scans = [_SOI], len(_SOI), (0, 0), 0
    while True:
        if raw[at] != 0xFF:
            raise _broken()
        while raw[at] == 0xFF:
            at += 1
        marker = raw[at]
        at += 1
        if marker == _EOI:
            break
        (length,) = struct.unpack_from(">H", raw, at)
        if length < 2 or at + length > len(raw):
            raise _broken()
        if marker in _JPEG_FRAMES:
            depth, height, width, components = struct.unpack_from(">BHHB", raw, at + 2)
            if size != (0, 0) or depth != 8 or components not in (1, 3):
                raise _broken()
            _check_size(width, height)
            size = (width, height)
        end = at + length
        if marker == _SOS:
            if size == (0, 0):
                raise _broken()
            end, scans = _jpeg_scan_end(raw, end), scans + 1
        elif marker in _JPEG_DROPPED:
            at = end
            continue
        elif marker not in _JPEG_KEPT:
            raise _broken()
        parts += [bytes((0xFF, marker)), raw[at:end]]
        at = end
    if not scans:
        raise _broken()
    return Picture("image/jpeg", *size, b"".join([*parts, bytes((0xFF, _EOI))]))


def _jpeg_scan_end(raw: bytes, at: int) -> int:
    """Where coded data ends: at a marker that is neither a stuffed byte nor a restart."""
    while True:
        at = raw.find(b"\xff", at)
        if at < 0:
            raise _broken()
        if raw[at + 1] != 0 and not 0xD0 <= raw[at + 1] <= 0xD7:
            return at
        at += 2


def _webp(raw: bytes) -> Picture:
    (riff_size,) = struct.unpack_from("<I", raw, 4)
    at, end = 12, riff_size + 8
    if end > len(raw):
        raise _broken()
    canvas, frame, flags = (0, 0), (0, 0), None
    kept: list[tuple[bytes, bytes]] = []
    while at < end:
        kind, length = struct.unpack_from("<4sI", raw, at)
        body = raw[at + 8 : at + 8 + length]
        if len(body) != length or at + 8 + length > end:
            raise _broken()
        at += 8 + length + length % 2
        if kind in (b"ANIM", b"ANMF"):
            raise _refused("Moving pictures are not taken.")
        if kind == b"VP8X" and flags is None and not kept:
            flags = body[0]
            canvas = (1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
        elif kind in (b"VP8 ", b"VP8L") and frame == (0, 0):
            frame = _vp8_size(body) if kind == b"VP8 " else _vp8l_size(body)
            kept.append((kind, body))
        elif kind == b"ALPH" and flags is not None and not kept:
            kept.append((kind, body))
        elif kind in (b"VP8X", b"VP8 ", b"VP8L", b"ALPH"):
            raise _broken()
    if frame == (0, 0) or (flags is not None and (canvas != frame or flags & _WEBP_ANIMATED)):
        raise _broken()
    _check_size(*frame)
    if flags is not None:
        sides = b"".join((side - 1).to_bytes(3, "little") for side in frame)
        kept.insert(0, (b"VP8X", bytes((flags & _WEBP_ALPHA, 0, 0, 0)) + sides))
    chunks = b"".join(kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in kept)
    return Picture("image/webp", *frame, b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks)


def _vp8_size(body: bytes) -> tuple[int, int]:
    """Of a key frame (RFC 6386, 9.1)."""
    if body[0] & 1 or body[3:6] != b"\x9d\x01\x2a":
        raise _broken()
    width, height = struct.unpack_from("<HH", body, 6)
    return width & 0x3FFF, height & 0x3FFF


def _vp8l_size(body: bytes) -> tuple[int, int]:
    """Of lossless WebP: two numbers of 14 bits behind the signature, and version 0."""
    (bits,) = struct.unpack_from("<I", body, 1)
    if body[0] != 0x2F or bits >> 29:
        raise _broken()
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _broken() -> ImageInvalid:
    return _refused("This file is not a whole picture, or of a kind that is not taken.")


def _refused(sentence: str) -> ImageInvalid:
    return ImageInvalid(sentence, field="image")
