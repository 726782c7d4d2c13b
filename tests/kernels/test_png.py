"""The fast PNG writer: other readers get the pixels, and numpy writes the same bytes."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from degrade_engine.engine.images import encode_png
from degrade_engine.kernels import loader, png

Pixels = NDArray[np.uint8]


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> Pixels:
    """As a photograph is: waves with a little noise."""
    y, x = np.mgrid[:height, :width][..., None]
    waves = 90 * np.sin(y / 37 + np.arange(3)) + 30 * np.cos(x / 11) + 128
    return (waves + np.random.default_rng(1).normal(0, 2, (height, width, 3))).clip(0, 255).astype(np.uint8)


def flat(height: int, width: int) -> Pixels:
    """As a drawing is: areas of one colour."""
    image = np.zeros((height, width, 3), np.uint8)
    image[height // 3 :, width // 4 :] = (200, 30, 7)
    image[:, width // 2 : width // 2 + 2] = 255
    return image


def steep(height: int, width: int) -> Pixels:
    """Of which what the filter leaves has counts like Fibonacci's, so that the longest codes have to be cut."""
    counts = [1, 1]
    while sum(counts) < 3 * height * width:
        counts.append(counts[-1] + counts[-2])
    left = np.random.default_rng(2).permutation(np.repeat(np.arange(len(counts)) + 1, counts)[: 3 * height * width])
    rows = np.zeros((height, 1, 3), np.int64)
    out = np.zeros((height, width, 3), np.int64)
    for x in range(width):
        for y in range(height):
            above = out[y - 1, x] if y else 0
            out[y, x] = (left[3 * (y * width + x) : 3 * (y * width + x) + 3] + (rows[y, 0] + above) // 2) % 256
        rows[:, 0] = out[:, x]
    return out.astype(np.uint8)


IMAGES: dict[str, Pixels] = {
    **{f"noise {h}x{w}": noise(h, w) for h, w in ((1, 1), (1, 2), (7, 1), (5, 3), (3, 200), (150, 333))},
    **{f"black {h}x{w}": np.zeros((h, w, 3), np.uint8) for h, w in ((1, 1), (2, 3), (1, 86), (300, 500))},
    "smooth": smooth(400, 512),
    "flat": flat(311, 402),
    "wide": smooth(3, 30000),  # a row is longer than a block
    "steep": steep(60, 120),
}


def by_zlib(data: bytes) -> Pixels:
    """Chunk by chunk, by the standard: nothing is passed over."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = list[tuple[bytes, bytes]](), 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + content).to_bytes(4, "big") == data[at + 8 + length : at + 12 + length]
        found.append((kind, content))
        at += 12 + length
    (_, head), (_, packed), (_, nothing) = found
    assert [kind for kind, _ in found] == [b"IHDR", b"IDAT", b"IEND"] and at == len(data) and not nothing
    width, height = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
    assert head[8:] == bytes([8, 2, 0, 0, 0])
    stream = zlib.decompressobj()
    rows = np.frombuffer(stream.decompress(packed), np.uint8).reshape(height, 1 + 3 * width)
    assert stream.eof and not stream.unused_data and (rows[:, 0] == 3).all()
    out = np.zeros((height + 1, width + 1, 3), np.uint16)
    left_over = rows[:, 1:].reshape(height, width, 3)
    for y in range(height):
        for x in range(width):
            out[y + 1, x + 1] = (left_over[y, x] + (out[y + 1, x] + out[y, x + 1]) // 2) % 256
    return out[1:, 1:].astype(np.uint8)


def by_pillow(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        assert image.mode == "RGB" and not image.info
        return np.asarray(image)


def by_opencv(data: bytes) -> Pixels:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1]


def by_libvips(data: bytes) -> Pixels:
    image = pyvips.Image.pngload_buffer(data, fail_on="warning")
    assert image.interpretation == "srgb" and image.bands == 3
    return image.numpy()


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("read", [by_pillow, by_opencv, by_libvips])
def test_other_readers_get_the_pixels(name: str, read: Callable[[bytes], Pixels]) -> None:
    np.testing.assert_array_equal(read(png.encode(IMAGES[name])), IMAGES[name])


@pytest.mark.parametrize("name", [name for name, image in IMAGES.items() if image.size < 10**5])
def test_the_standard_is_kept_to_the_letter(name: str) -> None:
    np.testing.assert_array_equal(by_zlib(png.encode(IMAGES[name])), IMAGES[name])


@pytest.mark.parametrize("name", IMAGES)
def test_numpy_writes_the_same_bytes(name: str) -> None:
    assert loader.available()
    assert png.encode(IMAGES[name]) == png.encode_twin(IMAGES[name])


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 999), levels=st.integers(1, 256),
    empty=st.floats(0, 1),
)  # fmt: skip
def test_any_image(height: int, width: int, seed: int, levels: int, empty: float) -> None:
    dice = np.random.default_rng(seed)
    image = dice.integers(0, levels, (height, width, 3)).astype(np.uint8)
    image[dice.random(height) < empty] = 0
    data = png.encode(image)
    assert data == png.encode_twin(image) and len(data) <= png.most_bytes(height, width)
    np.testing.assert_array_equal(by_opencv(data), image)


def test_copies_of_every_length() -> None:
    """The symbols of DEFLATE's lengths, by the table of RFC 1951, 3.2.5."""
    firsts = [
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        13,
        15,
        17,
        19,
        23,
        27,
        31,
        35,
        43,
        51,
        59,
        67,
        83,
        99,
        115,
        131,
        163,
        195,
        227,
    ]
    bits = [0] * 8 + [n for n in range(1, 6) for _ in range(4)]
    for length in range(3, 258):
        at = max(n for n, first in enumerate(firsts) if first <= length)
        assert png.copy_of(length) == (257 + at, length - firsts[at], bits[at] + 1)
    assert png.copy_of(258) == (285, 0, 1)
    for groups in range(1, 140):  # zeros that lie between other bytes
        row = np.full((1, 8 * groups + 96, 3), 255, np.uint8)
        row[0, 40 : 40 + 3 * groups] = 0
        image = np.concatenate([row, np.zeros_like(row)])
        data = png.encode(image)
        assert data == png.encode_twin(image)
        np.testing.assert_array_equal(by_pillow(data), image)


def test_long_codes_are_cut_and_stay_whole() -> None:
    counts = [1, 1]
    while len(counts) < 40:
        counts.append(counts[-1] + counts[-2])
    lengths = png.code_lengths(counts + [0] * (png.SYMBOLS - 40))
    assert max(lengths) == png.LONGEST and sum(2.0**-length for length in lengths if length) == 1


def test_an_image_of_another_order_of_bytes() -> None:
    image = IMAGES["smooth"]
    assert png.encode(np.asfortranarray(image)) == png.encode(image)
    assert png.encode(image[:, ::2]) == png.encode(np.ascontiguousarray(image[:, ::2]))


def test_the_bytes_are_those_of_every_release() -> None:
    """A set that is half made goes on with the same bytes. This sum may change only with a new name for the writer."""
    y, x = np.mgrid[:300, :400]
    image = np.stack([(x * x + 3 * y) // 7 % 256, (x * y) // 50 % 256, (x // 60 + y // 50) * 20], axis=2)
    assert hashlib.sha256(png.encode(image.astype(np.uint8))).hexdigest() == BYTES


BYTES = "2bd38f97bba3c5020ed06101af77d55b79ead0843e6537522abf4b0c940f5047"


def test_files_are_about_as_small_as_with_zlib() -> None:
    image = IMAGES["smooth"]
    assert len(png.encode(image)) < 1.05 * len(encode_png(image, 2))
    assert len(png.encode(np.zeros((512, 512, 3), np.uint8))) < 8000  # 786432 bytes of nothing


def test_what_is_no_image_is_refused() -> None:
    for bad in (np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 0, 3), np.uint8)):
        with pytest.raises(ValueError, match="Expected: uint8"):
            png.encode(bad)  # type: ignore[arg-type]
