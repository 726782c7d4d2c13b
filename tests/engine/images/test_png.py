"""The usual PNG is read without libvips: the same pixels, and nothing that is damaged."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from degrade_engine.engine.images import BadImage, Encoded, encode_png, png, read_rgb
from degrade_engine.kernels import loader
from degrade_engine.kernels import png as kernel

pytest.importorskip("deflate")
Pixels = NDArray[np.uint8]


def scene(height: int = 211, width: int = 173) -> Pixels:
    """Smooth, noisy and flat parts, so that a writer takes every filter."""
    dice = np.random.default_rng(0)
    small = dice.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).copy()
    image[height // 2 :] += dice.integers(0, 9, (height - height // 2, width, 3), dtype=np.uint8)
    image[:20, :50] = 77
    return image


def saved(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def writers(image: Pixels) -> Iterator[bytes]:
    """Files of other writers and all filters."""
    yield from (saved(Image.fromarray(image), compress_level=level) for level in (0, 1, 9))
    yield from (encode_png(image, level) for level in ("fast", 0, 6))
    for strategy in (cv2.IMWRITE_PNG_STRATEGY_DEFAULT, cv2.IMWRITE_PNG_STRATEGY_RLE):
        yield cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_STRATEGY, strategy])[1].tobytes()
    libvips = pyvips.Image.new_from_array(image, interpretation="srgb")
    yield from (libvips.pngsave_buffer(filter=one) for one in ("none", "sub", "up", "avg", "paeth", "all"))


def by_libvips(data: bytes, monkeypatch: pytest.MonkeyPatch) -> Pixels | str:
    with monkeypatch.context() as old:
        old.setattr(png, "sound", lambda _: None)
        return outcome(data)


def outcome(data: bytes) -> Pixels | str:
    try:
        return read_rgb(Encoded("it.png", data))
    except BadImage as bad:
        return bad.reason


def same(one: Pixels | str, other: Pixels | str) -> bool:
    return one == other if isinstance(one, str) or isinstance(other, str) else np.array_equal(one, other)


@pytest.mark.parametrize("size", [(211, 173), (1, 1), (1, 9), (9, 1), (2, 70000)])
def test_every_writers_files_are_read(size: tuple[int, int]) -> None:
    image = scene(*size)
    for data in writers(image):
        found = png.sound(data)
        assert found is not None and np.array_equal(found, image) and np.array_equal(outcome(data), image)


@pytest.mark.parametrize("kind", range(5))
def test_each_filter_is_undone_as_in_numpy(kind: int) -> None:
    rows = np.random.default_rng(kind).integers(0, 256, (23, 1 + 3 * 17), dtype=np.uint8)
    rows[:, 0] = kind
    found, wanted = kernel.unfiltered(rows.tobytes(), 23, 17), kernel.unfiltered_twin(rows)
    assert found is not None and wanted is not None and np.array_equal(found, wanted)


def test_a_filter_that_is_none_is_left_to_libvips(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = kernel.filtered_rows(scene())
    rows[40, 0] = 5
    assert kernel.unfiltered(rows.tobytes(), *scene().shape[:2]) is None and kernel.unfiltered_twin(rows) is None
    data = encode_png(scene())
    packed = kernel.chunk(b"IDAT", zlib.compress(rows.tobytes()))
    torn = data[:33] + packed + kernel.chunk(b"IEND", b"")
    assert png.sound(torn) is None and same(outcome(torn), by_libvips(torn, monkeypatch))


def test_what_is_no_plain_png_is_left_to_libvips(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.fromarray(scene())
    others = [saved(image.convert(mode)) for mode in ("L", "RGBA", "P", "1", "LA")]
    others.append(saved(image, transparency=(1, 2, 3)))
    libvips = pyvips.Image.new_from_array(scene(), interpretation="srgb")
    others += [libvips.pngsave_buffer(interlace=True), libvips.cast("ushort").pngsave_buffer(bitdepth=16)]
    for data in others:
        assert png.sound(data) is None and same(outcome(data), by_libvips(data, monkeypatch))


def test_texts_and_profiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a" * 3000)
    wide = pyvips.Image.new_from_array(scene(), interpretation="srgb").icc_transform("p3", input_profile="srgb")
    for data in (saved(Image.fromarray(scene()), pnginfo=text), wide.pngsave_buffer(keep="icc")):
        assert same(outcome(data), by_libvips(data, monkeypatch))


def test_damage_is_found_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    dice, image = random.Random(3), scene(64, 70)
    whole = saved(Image.fromarray(image))
    for n in range(120):
        at, size = dice.randrange(8, len(whole) - 8), dice.randrange(1, 30)
        torn = (
            whole[:at] + bytes(size) + whole[at + size :], whole[:at] + whole[at + size :], whole[:at],
            whole[:at] + dice.randbytes(size) + whole[at + size :], whole[: at + size] + whole[at:],
        )[n % 5]  # fmt: skip
        found = png.sound(torn)
        assert found is None or np.array_equal(found, image)
        assert same(outcome(torn), by_libvips(torn, monkeypatch)), n


def test_without_a_compiler_libvips_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_png(scene(), 2)
    monkeypatch.setattr(loader, "_load", lambda: (None, loader.Status(None, "none")))
    assert png.sound(data) is None and np.array_equal(outcome(data), scene())
