"""Pictures made from nothing: whole ones, and their parts to break."""

from __future__ import annotations

import struct
import zlib


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int = 32,
    height: int = 32,
    *,
    colour: tuple[int, int, int] = (11, 99, 73),
    extra: bytes = b"",
    behind: bytes = b"",
) -> bytes:
    """8-bit RGB, of one colour. ``extra`` are chunks behind the header, ``behind`` is what follows the end."""
    rows = (b"\0" + bytes(colour) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts + behind


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def jpeg(width: int = 32, height: int = 32, *, extra: bytes = b"", behind: bytes = b"", frame: int = 0xC0) -> bytes:
    """The frame of a grey picture: what a decoder would draw of its few coded bytes does not matter here."""
    size = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    return (
        b"\xff\xd8"
        + segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0")
        + extra
        + segment(0xDB, b"\0" + b"\x10" * 64)
        + segment(frame, size)
        + segment(0xC4, b"\0" + b"\0" * 16)
        + segment(0xDA, b"\x01\x01\0\0\x3f\0")
        + b"\x12\xff\x00\x34\xff\xd0\x56"
        + b"\xff\xd9"
        + behind
    )


def webp(width: int = 32, height: int = 32, *, extra: tuple[tuple[bytes, bytes], ...] = (), flags: int = 0) -> bytes:
    """Lossless WebP's frame in an extended file; ``extra`` are chunks behind it."""
    bits = (width - 1) | (height - 1) << 14
    canvas = bytes((flags, 0, 0, 0)) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = ((b"VP8X", canvas), (b"VP8L", b"\x2f" + struct.pack("<I", bits) + b"\x07" * 5), *extra)
    body = b"".join(kind + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for kind, part in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
