"""Holes in files that their decoders read all the same, and what looks like damage and is none."""

import io
import random
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import pyvips
import simplejpeg
from PIL import Image

from degrade_engine.engine.images import BadImage, Encoded, jpeg, read_rgb

from ..inputs.odd_bytes import with_segment

SAMPLES = Path(__file__).parents[3] / "samples"
SCENES = ("city", "dog", "flowers")
WAYS = {
    "420": {"quality": 85},
    "444": {"quality": 96, "subsampling": 0},
    "optimised": {"quality": 75, "optimize": True},
    "restarts": {"quality": 90, "restart_marker_rows": 2},
    "rare-restarts": {"quality": 92, "restart_marker_blocks": 100, "subsampling": 0},
    "progressive": {"quality": 90, "progressive": True},
    "progressive-restarts": {"quality": 92, "progressive": True, "restart_marker_rows": 1},
    "gray": {"quality": 95},
    "cmyk": {"quality": 90},
}


@cache
def photograph(name, mode="RGB"):
    with Image.open(SAMPLES / "hr" / f"{name}.png") as image:
        return image.convert("RGB").crop((40, 40, 360, 296)).convert(mode)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photographs(way):
    mode = {"gray": "L", "cmyk": "CMYK"}.get(way, "RGB")
    return [encoded(photograph(name, mode), "JPEG", **WAYS[way]) for name in SCENES]


def scan_of(data):
    """Where the coded bytes begin and end, headers of later scans among them."""
    at = 2
    while data[at + 1] != 0xDA:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"), data.rindex(b"\xff\xd9")


def holed(data, how, size, dice):
    """The photograph with its head and its end, and `size` bytes between them gone or replaced."""
    first, end = scan_of(data)
    size = min(size, (end - first) // 2)
    at = dice.randrange(first + 50, end - size - 50)
    if how == "end":
        at = end - size
    new = {"zeros": bytes(size), "end": bytes(size), "gone": b"", "erased": b"\xff" * size}.get(how)
    if how == "elsewhere":
        other = dice.randrange(first, end - size)
        new = data[other : other + size]
    return data[:at] + new + data[at + size :]


def read(data, name="a.jpg"):
    return read_rgb(Encoded(name, data))


@pytest.mark.parametrize("way", WAYS)
def test_a_hole_in_the_middle_of_a_jpeg_is_seen(way):
    """Most of these decode, with wrong pixels: `decoded` counts them, so that the test cannot pass by libvips alone."""
    dice, seen, decoded = random.Random(way), 0, 0
    mutants = [
        holed(data, how, size, dice)
        for data in photographs(way)
        for how in ("zeros", "end", "gone", "erased", "elsewhere")
        for size in (1000, 4000)
    ]
    for mutant in mutants:
        try:
            pyvips.Image.jpegload_buffer(mutant, fail_on="error").avg()
            decoded += 1
        except pyvips.Error:
            pass
        try:
            read(mutant)
        except BadImage as bad:
            assert bad.reason in ("corrupt", "truncated")
            seen += 1
    assert decoded >= len(mutants) // 2
    assert seen >= len(mutants) - 2, f"{len(mutants) - seen} of {len(mutants)} were read"


def harmless(data):
    """What writers, mailers and downloads add to a JPEG without harm to its picture, by name."""
    first, end = scan_of(data)
    frame = re.search(rb"\xff[\xc0-\xc2]\0", data).start()
    start = data.index(b"\xff\xda")
    icc = b"ICC_PROFILE\0"
    adobe = b"Adobe\0\x64\0\0\0\0" + bytes([7])
    found = {
        "as it is": data,
        "garbage behind": data + b"garbage" * 50,
        "zeros behind": data + bytes(5000),
        "another behind": data + data,
        "no end": data[:end] + b"\xff\xd9\xff\xd9",
        "bytes before the tables": data[:frame] + b"odd" + data[frame:],
        "bytes before the scan": data[:start] + b"\x12\x34" + data[start:],
        "one byte behind the picture": data[:end] + b"\x5a" + data[end:],
        "a few behind the picture": data[:end] + b"end of scan" + data[end:],
        "zeros behind the picture": data[:end] + bytes(300) + data[end:],
        "fill bytes": data[:end] + b"\xff" * 40 + data[end:],
        "fill before a segment": data[:frame] + b"\xff\xff\xff" + data[frame:],
        "a profile out of order": with_segment(with_segment(data, 0xE2, icc + b"\3\2abc"), 0xE2, icc + b"\0\0abc"),
        "torn EXIF": with_segment(data, 0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f"),
        "EXIF that points outside": with_segment(data, 0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\1"),
        "a long comment": with_segment(data, 0xFE, b"\0" * 60000),
        "JFIF of a later version": data.replace(b"JFIF\0\1\1", b"JFIF\0\2\3", 1),
        "two JFIF headers": data[:20] + data[2:20] + data[20:],
        "an unknown Adobe transform": data[:20] + struct.pack(">BBH", 0xFF, 0xEE, len(adobe) + 2) + adobe + data[20:],
        "a restart marker at the end": data[:end] + b"\xff\xd3" + data[end:],
    }
    if data[frame + 1] == 0xC0:  # a baseline scan has one choice of these, so decoders pass over others
        found["odd parameters of the scan"] = data[: first - 3] + b"\0\0\0" + data[first:]
    if not data.startswith(b"\xff\xd8\xff\xe0"):  # no JFIF: Pillow's CMYK
        del found["two JFIF headers"], found["an unknown Adobe transform"]
    if b"\xff\xdd" in data[:first] or data[frame + 1] == 0xC2:
        del found["a restart marker at the end"]
    return found


@pytest.mark.parametrize("way", WAYS)
def test_what_harms_no_pixel_is_read(way):
    for data in photographs(way)[:1]:
        wanted = np.asarray(pyvips.Image.jpegload_buffer(data).numpy())
        for name, file in harmless(data).items():
            got = read(file)
            assert np.array_equal(got, read(data)), name
            if way not in ("gray", "cmyk"):
                assert np.array_equal(got, wanted), name


def test_a_camera_that_ends_its_restarts_with_one_more():
    data = photographs("restarts")[0]
    first, end = scan_of(data)
    count = len(re.findall(rb"\xff[\xd0-\xd7]", data[first:end]))
    more = data[:end] + bytes([0xFF, 0xD0 + count % 8]) + data[end:]
    assert np.array_equal(read(more), read(data))
    early = re.search(rb"\xff[\xd0-\xd7]", data[first:end])
    with pytest.raises(BadImage, match="part of its picture"):
        read(data[: first + early.start()] + data[first + early.end() :])


def test_real_cameras_photographs_are_whole():
    """Files of ten cameras, as they came: they have thumbnails, maker notes, odd headers and odd ends."""
    files = sorted((SAMPLES / "reference").glob("*.jpg"))
    assert len(files) == 10 and not any(jpeg.is_damaged(file.read_bytes()) for file in files)


def test_flat_pictures_are_no_holes():
    """An optimised table may code what is flat as zeros."""
    flat = np.full((1000, 1000, 3), 128, np.uint8)
    flat[300:500, 300:700] = np.asarray(photograph("city"))[:200, :1].repeat(400, 1)
    black = np.zeros_like(flat)
    slope = np.linspace(0, 255, 1000).astype(np.uint8)[None, :, None].repeat(1000, 0).repeat(3, 2)
    for pixels in (flat, black, slope, slope[:, ::-1]):
        for options in ({}, {"optimize": True}, {"optimize": True, "subsampling": 0}, {"progressive": True}):
            read(encoded(Image.fromarray(pixels), "JPEG", quality=80, **options))
        read(encoded(Image.fromarray(pixels), "WEBP", lossless=True), "a.webp")
        read(encoded(Image.fromarray(pixels), "WEBP", quality=80), "a.webp")
        read(encoded(Image.fromarray(pixels).quantize(256), "GIF"), "a.gif")


OTHERS = ("a.heic", "a.webp", "a.gif", "a.png", "a.avif", "jpeg.tif", "lzw.tif", "deflate.tif", "packbits.tif")


@cache
def others():
    image = photograph("city")
    heic = io.BytesIO()
    pillow_heif.from_pillow(image).save(heic, quality=90)
    return {
        "a.heic": heic.getvalue(),
        "a.webp": encoded(image, "WEBP", lossless=True),
        "a.gif": encoded(image.quantize(256), "GIF"),
        "jpeg.tif": encoded(image, "TIFF", compression="jpeg", quality=92),
        "lzw.tif": encoded(image, "TIFF", compression="tiff_lzw"),
        "deflate.tif": encoded(image, "TIFF", compression="tiff_adobe_deflate"),
        "packbits.tif": encoded(image, "TIFF", compression="packbits"),
        "a.png": encoded(image, "PNG"),
        "a.avif": encoded(image, "AVIF"),
    }


@pytest.mark.parametrize("name", OTHERS)
def test_zeros_in_the_middle_of_other_kinds_are_seen(name):
    data, dice = others()[name], random.Random(name)
    read(data, name)
    for size in (600, 3000):
        for _ in range(8):
            at = dice.randrange(len(data) // 4, len(data) - size - 200)
            with pytest.raises(BadImage) as refused:
                read(data[:at] + bytes(size) + data[at + size :], name)
            assert refused.value.reason in ("corrupt", "truncated")


def test_a_damaged_file_is_told_from_others_beside_it():
    """By its own bytes, in many threads at a time."""
    sound = photographs("420")
    dice = random.Random(5)
    bad = [holed(data, "zeros", 4000, dice) for data in sound]
    files = [(data, 1) for data in sound] + [(data, 0) for data in bad]

    def verdict(data):
        try:
            read(data)
        except BadImage:
            return 0
        return 1

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(verdict, [data for data, _ in 8 * files])) == [good for _, good in 8 * files]


def baseline_by_component(size=64):
    """A gray-blue JPEG of three components in scans of their own, as some cameras write them: by hand, since no encoder
    here does. Each block is its mean alone."""
    tables = b"\xff\xdb\0\x43\0" + b"\x10" * 64
    # one table of each class: a DC difference of no bits or of four, and the end of a block
    codes = bytes([0, 2]) + bytes(14) + bytes([0, 4])
    tables += b"\xff\xc4" + struct.pack(">HB", 3 + len(codes), 0) + codes
    codes = bytes([1]) + bytes(15) + b"\0"
    tables += b"\xff\xc4" + struct.pack(">HB", 3 + len(codes), 0x10) + codes
    frame = b"\xff\xc0\0\x11\x08" + struct.pack(">HH", size, size) + b"\3\1\x11\0\2\x11\0\3\x11\0"
    blocks = (size // 8) ** 2
    scans = []
    for component, mean in ((1, 12), (2, 9), (3, -9)):
        bits = "01" + (f"{mean:04b}" if mean > 0 else f"{mean + 15:04b}") + "0" + "000" * (blocks - 1)
        bits += "1" * (-len(bits) % 8)
        data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
        scans.append(b"\xff\xda\0\x08\1" + bytes([component, 0, 0, 63, 0]) + data)
    return b"\xff\xd8" + tables + frame, scans


def test_a_lost_component_is_seen():
    """libjpeg takes one that is not there for gray, and says nothing."""
    head, scans = baseline_by_component()
    colours = read(head + b"".join(scans) + b"\xff\xd9")
    assert np.ptp(colours.reshape(-1, 3), axis=0).max() == 0 and np.ptp(colours[0, 0]) > 30
    for gone in range(3):
        rest = b"".join(scan for at, scan in enumerate(scans) if at != gone)
        assert pyvips.Image.jpegload_buffer(head + rest + b"\xff\xd9", fail_on="error").avg() > 0
        with pytest.raises(BadImage, match="part of its picture"):
            read(head + rest + b"\xff\xd9")


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411"])
def test_a_sound_jpeg_has_the_pixels_that_libvips_gives(subsampling):
    for name, quality in zip(SCENES, (40, 85, 100), strict=True):
        pixels = np.ascontiguousarray(np.asarray(photograph(name))[: 203 - quality, : 211 + quality])
        data = simplejpeg.encode_jpeg(pixels, quality, colorsubsampling=subsampling)
        found = jpeg.sound(data)
        assert found is not None and np.array_equal(found, pyvips.Image.jpegload_buffer(data).numpy())
        assert np.array_equal(found, read_rgb(Encoded("it.jpg", data)))


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_plain_jpeg_is_left_to_libvips(way, monkeypatch):
    for data in photographs(way):
        found = read_rgb(Encoded("it.jpg", data))
        assert (jpeg.sound(data) is not None) == (way in ("420", "444", "optimised"))
        with monkeypatch.context() as old:
            old.setattr(jpeg, "sound", lambda _: None)
            assert np.array_equal(found, read_rgb(Encoded("it.jpg", data)))


def test_what_is_sound_in_one_pass_is_sound_in_two():
    """Bytes that are lost, changed or doubled: nothing is decoded in one pass that was found damaged by two."""
    dice, left = random.Random(7), 0
    for name, way in zip(SCENES, ("420", "444", "optimised"), strict=True):
        whole = encoded(photograph(name), "JPEG", **WAYS[way])
        first, last = scan_of(whole)
        for _ in range(25):
            at, size = dice.randrange(first, last - 60), dice.randrange(1, 60)
            for torn in (
                whole[:at] + bytes(size) + whole[at + size :], whole[:at] + whole[at + size :], whole[:at],
                whole[:at] + dice.randbytes(size) + whole[at + size :], whole[: at + size] + whole[at:],
            ):  # fmt: skip
                found = jpeg.sound(torn)
                if found is not None:
                    left += 1
                    assert not jpeg.is_damaged(torn)
                    assert np.array_equal(found, pyvips.Image.jpegload_buffer(torn).numpy())
    assert 0 < left < 375 / 2  # other codes, of as many blocks: nobody can see that
