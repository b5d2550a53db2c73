"""Limits on the time and memory that a picture's file may take, most of them checked before anything is decoded."""

from __future__ import annotations

import math
import mmap
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

MAX_PIXELS = 80_000_000  # 960 MB as a float32 tensor; a larger size in a header may be a decompression bomb
MAX_BYTES = 8 * MAX_PIXELS  # of a file: 4 channels of 16 bits, not compressed
MAX_READS = 20_000  # of parts of a header; some parsers take time with the square of their number
MAX_SCANS = 100  # of a progressive JPEG, which has about 10; each passes over the whole picture
MAX_SEGMENTS = 1_000  # of a JPEG: color profiles and other metadata come in pieces of 64 kB
MAX_EXIF = 128 * 1024  # bytes; every entry of a directory can stand for all of them, so memory grows with the square
SHORT_READ = 64  # bytes; reads of pixels are longer on average
SEVERAL_TIMES = 65_536  # bytes that parsers of headers may read again

START_OF_SCAN, END_OF_IMAGE, APP1 = 0xDA, 0xD9, 0xE1
STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length: TEM, restart, start of image
MARKER = re.compile(rb"\xff[^\x00\xff]")
MARKER_AFTER_A_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # a scan's data hold restart markers


class TooMuch(ValueError):
    """A file is beyond one of the limits; the message says which."""


class Metered:
    """A binary file for a parser of headers, which may read MAX_READS parts and no byte twice.

    `allow_pixels` permits what the pixels need. Raises TooMuch for a read beyond that.
    """

    def __init__(self, file: BinaryIO, length: int):
        self.file, self.length = file, length
        self.reads = MAX_READS
        self.bytes: float = length + SEVERAL_TIMES

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.reads, self.bytes = self.reads - 1, self.bytes - len(data)
        if self.reads < 0 or self.bytes < 0:
            raise TooMuch("there are too many metadata around its pixels")
        return data

    def allow_pixels(self) -> None:
        self.reads, self.bytes = MAX_READS + self.length // SHORT_READ, math.inf

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def check_jpeg(file: BinaryIO) -> None:
    """Raise TooMuch for a JPEG file of more scans, segments or EXIF data than the limits; other files pass.

    >>> from io import BytesIO
    >>> check_jpeg(BytesIO(b"\\xff\\xd8" + 101 * b"\\xff\\xda\\0\\2"))
    Traceback (most recent call last):
    ...
    nstlab.base.files.limits.TooMuch: it is a progressive JPEG of more than 100 scans
    """
    data = contents(file)
    if data[:3] != b"\xff\xd8\xff":
        return
    scans = exif = 0
    for count, (marker, start, end) in enumerate(jpeg_segments(data)):
        scans += marker == START_OF_SCAN
        exif += end - start if marker == APP1 and data[start + 2 : start + 6] == b"Exif" else 0
        if scans > MAX_SCANS:
            raise TooMuch(f"it is a progressive JPEG of more than {MAX_SCANS} scans")
        if count >= MAX_SEGMENTS:
            raise TooMuch("there are too many metadata around its pixels")
        check_exif(exif)


def check_exif(length: int) -> None:
    """Raise TooMuch for more than MAX_EXIF bytes of EXIF data.

    >>> check_exif(65_536)
    """
    if length > MAX_EXIF:
        raise TooMuch(f"it has {length:,} bytes of EXIF data, more than {MAX_EXIF:,}")


def jpeg_segments(data: bytes | mmap.mmap) -> Iterator[tuple[int, int, int]]:
    """The marker, the start (after the marker) and the end of every segment of a JPEG file up to its end of image.

    >>> list(jpeg_segments(b"\\xff\\xd8\\xff\\xfe\\0\\5abc\\xff\\xda\\0\\2scan\\xff\\xd9"))
    [(254, 4, 9), (218, 11, 13)]
    """
    position, pattern = 2, MARKER
    while found := pattern.search(data, position):
        marker, position = found.group()[1], found.end()
        if marker == END_OF_IMAGE:
            return
        start = position
        if marker not in STANDALONE:
            position += int.from_bytes(data[start : start + 2], "big")
        yield marker, start, position
        pattern = MARKER_AFTER_A_SCAN if marker == START_OF_SCAN else MARKER


def contents(file: BinaryIO) -> bytes | mmap.mmap:
    """All bytes of a file, mapped to memory if it is on a disk; its position stays."""
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # it is in memory, or cannot be mapped
        position = file.tell()
        file.seek(0, os.SEEK_SET)
        data = file.read()
        file.seek(position)
        return data
