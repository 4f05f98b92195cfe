"""Containers as no program writes them: headers, times, matrices and sizes changed at random, by a seed.

In: the bytes of good files. Out: bytes that some reader may choke on. Knows nothing of livemove.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

Generator = np.random.Generator

BOXES = (b"mvhd", b"tkhd", b"mdhd", b"stts", b"ctts", b"stsz", b"stco", b"stsc", b"elst", b"stss", b"pasp", b"avcC",
         b"avc1", b"esds", b"mp4a", b"hdlr", b"moov", b"trak", b"moof", b"trun", b"tfhd")  # fmt: skip
"""Of MP4 and QuickTime."""
CHUNKS = (b"avih", b"strh", b"strf", b"idx1", b"fmt ", b"data", b"RIFF", b"LIST", b"00dc", b"01wb")
"""Of AVI and WAV."""
ELEMENTS = (b"\x1a\x45\xdf\xa3", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75", b"\xb0\x82", b"\xba\x82", b"\xe0",
            b"\x2a\xd7")  # fmt: skip
"""Of Matroska: header, tracks, cluster, width, height, video, timescale."""

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x10000, 0xFFFF0000)


def _places(content: bytes, marks: tuple[bytes, ...]) -> list[int]:
    return [found.end() for mark in marks for found in re.finditer(re.escape(mark), content)]


def header_fields(content: bytes, random: Generator) -> bytes:
    """A few numbers behind marks become extreme: sizes, times, matrices, counts."""
    places = _places(content, BOXES + CHUNKS + ELEMENTS)
    out = bytearray(content)
    for _ in range(int(random.integers(1, 5))):
        if not places:
            break
        at = int(random.choice(places)) + 4 * int(random.integers(0, 24)) + int(random.integers(-8, 1))
        value = int(random.choice(EXTREMES)) if random.random() < 0.7 else int(random.integers(0, 2**32))
        order = "big" if random.random() < 0.7 else "little"
        if 0 <= at <= len(out) - 4:
            out[at : at + 4] = value.to_bytes(4, order)
    return bytes(out)


def anywhere(content: bytes, random: Generator) -> bytes:
    """Bytes changed in the first kilobytes, where headers are, or all over."""
    out = bytearray(content)
    end = len(out) if random.random() < 0.5 else min(len(out), 4096)
    for at in random.integers(0, max(end, 1), int(random.integers(1, 30))):
        out[int(at) % len(out)] = int(random.integers(0, 256))
    return bytes(out)


def cut_short(content: bytes, random: Generator) -> bytes:
    return content[: int(random.integers(1, len(content)))]


def cut_out(content: bytes, random: Generator) -> bytes:
    """A piece is missing, as after a bad download."""
    first, last = sorted(int(at) for at in random.integers(0, len(content), 2))
    return content[:first] + content[last:]


def said_twice(content: bytes, random: Generator) -> bytes:
    """A piece stands there twice: times begin again."""
    first, last = sorted(int(at) for at in random.integers(0, len(content), 2))
    return content[:last] + content[first:]


MUTATIONS: tuple[Callable[[bytes, Generator], bytes], ...] = (
    header_fields, header_fields, header_fields, anywhere, anywhere, cut_short, cut_out, said_twice
)  # fmt: skip


def mutated(content: bytes, seed: int) -> bytes:
    """One or two mutations of content, always the same for one seed."""
    random = np.random.default_rng(seed)
    for _ in range(int(random.integers(1, 3))):
        content = MUTATIONS[int(random.integers(len(MUTATIONS)))](content, random) or b"\0"
    return content
