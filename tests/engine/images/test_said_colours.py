"""Colours and channels that a file describes without an ICC profile, and how much memory they may take."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401, lets Pillow write JPEG XL
import pytest
import pyvips
from PIL import Image

from degrade_engine.engine.images import BadImage, Encoded, boxes, cicp, read_rgb, read_size

from ..inputs.odd_bytes import ADOBE, P3, chunk, png
from ..inputs.odd_parts import HEIGHT, WIDTH, over_white, scene

GRAY = np.repeat(scene(9)[..., 2:], 3, axis=-1)


def encoded(pixels, kind, **options):
    file = io.BytesIO()
    if kind == "HEIC":
        pillow_heif.from_pillow(Image.fromarray(pixels)).save(file, quality=-1, chroma=444, **options)
    else:
        Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def read(data, name="a.png", **options):
    return read_rgb(Encoded(name, data), **options).astype(int)


def refused(data, name="a.png", **options):
    """For the same reason when only its header is read."""
    with pytest.raises(BadImage) as error:
        read(data, name, **options)
    with pytest.raises(BadImage) as by_header:
        read_size(Encoded(name, data))
    assert error.value.reason == by_header.value.reason
    return error.value


def to_srgb(pixels, matrix, decode):
    """Pixels of another space by its definition: to linear light, to sRGB's primaries, to sRGB's curve."""
    linear = np.clip(decode(pixels / 255) @ np.transpose(matrix), 0, 1)
    return np.rint(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def srgb_curve(v):
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


# Published matrices to linear sRGB, from linear Display P3, Adobe RGB (1998) and BT.2020, all of D65.
FROM_P3 = [[1.2249401763, -0.2249401763, 0], [-0.0420569547, 1.0420569547, 0],
           [-0.0196375546, -0.0786360456, 1.0982736]]  # fmt: skip
FROM_ADOBE = [[1.39836, -0.39836, 0], [0, 1, 0], [0, -0.04293, 1.04293]]
FROM_2020 = [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]


# ---- CICP: numbers for primaries and transfer ----


def says(data, primaries, transfer):
    """An AVIF or HEIC with other numbers."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def with_numbers(pixels, *numbers, extra=b""):
    """A PNG that says them."""
    colour = 2 if pixels.ndim == 3 else 0
    rows = [row.tobytes() for row in pixels]
    return png(rows, pixels.shape[1], 8, colour, extra=extra + chunk(b"cICP", bytes(numbers)))


def in_kind(kind, pixels, primaries, transfer):
    if kind == "PNG":
        return with_numbers(pixels, primaries, transfer, 0, 1)
    options = {"quality": 100, "subsampling": "4:4:4"} if kind == "AVIF" else {}
    return says(encoded(pixels, kind, **options), primaries, transfer)


@pytest.mark.parametrize("kind, bound", [("PNG", 0.1), ("AVIF", 2), ("HEIC", 2)])
def test_wide_colours_are_brought_to_srgb(kind, bound):
    pixels = np.clip(scene(10), 40, 250)
    for primaries, matrix in ((12, FROM_P3), (9, FROM_2020)):
        wanted = to_srgb(pixels, matrix, srgb_curve)
        assert np.abs(wanted - pixels).mean() > 5
        assert np.abs(read(in_kind(kind, pixels, primaries, 13)) - wanted).mean() < bound
    linear = to_srgb(pixels, np.eye(3), lambda v: v)
    assert np.abs(read(in_kind(kind, pixels, 1, 8)) - linear).mean() < bound + 0.5
    gamma = to_srgb(pixels, np.eye(3), lambda v: v**2.2)
    assert np.abs(read(in_kind(kind, pixels, 1, 4)) - gamma).mean() < bound + 0.5


@pytest.mark.parametrize("kind", ["PNG", "AVIF", "HEIC"])
def test_what_is_srgb_or_says_nothing_is_left_as_it_is(kind):
    pixels = scene(11)
    plain = read(encoded(pixels, kind, **({"quality": 100, "subsampling": "4:4:4"} if kind == "AVIF" else {})))
    for primaries, transfer in ((1, 13), (2, 2), (1, 1), (1, 6), (1, 2), (2, 13)):
        assert np.array_equal(read(in_kind(kind, pixels, primaries, transfer)), plain)


@pytest.mark.parametrize("kind", ["PNG", "AVIF", "HEIC"])
def test_hdr_is_refused_by_name(kind):
    for transfer, name in ((16, "PQ"), (18, "HLG"), (17, "SMPTE ST 428")):
        for primaries in (9, 12, 1):
            bad = refused(in_kind(kind, scene(12), primaries, transfer), f"a.{kind.lower()}")
            assert bad.reason == "unsupported" and name in bad.fact and "sRGB" in bad.mend


def jpeg_xl_that_says(pixels, primaries, transfer):
    """A lossless one with other numbers in its header (ISO/IEC 18181-1, D.3 and E.2), whose bits are moved for them."""
    data = encoded(pixels, "JXL", lossless=True)
    bits, at = "".join(f"{byte:08b}"[::-1] for byte in data[2:]), 0

    def passed(count, wanted=None):
        nonlocal at
        at += count
        value = int(bits[at - count : at][::-1], 2)
        assert wanted is None or value == wanted
        return value

    def length(small):
        passed(5 if small else (9, 13, 18, 30)[passed(2)])

    def number(value):
        return {0: "00", 1: "10"}.get(value) or ("01" + f"{value - 2:04b}"[::-1] if value < 18 else "11000000")

    small = passed(1)
    length(small)
    if passed(3) == 0:
        length(small)
    for field in (1, 1, 1, 2):  # what is all default; orientation and more; bits a value: whole, 8
        passed(field, 0)
    passed(1)
    passed(3)  # no more channels; values as they are
    passed(1, 1)  # sRGB
    start, rest = at - 1, bits[at : at + 3]
    frames = bits[at + 3 + -(at + 3) % 8 :]
    head = bits[:start] + "00" + number(0) + number(1) + number(primaries) + "0" + number(transfer) + number(1) + rest
    bits = head + "0" * (-len(head) % 8) + frames
    return data[:2] + bytes(int(bits[n : n + 8][::-1], 2) for n in range(0, len(bits), 8))


def test_colours_of_jpeg_xl():
    """Its decoder says them by a profile, which has the numbers too."""
    pixels = np.clip(np.random.default_rng(17).integers(0, 256, (40, 64, 3), dtype=np.uint8), 40, 250)
    assert np.array_equal(read(jpeg_xl_that_says(pixels, 1, 13)), pixels)
    wanted = to_srgb(pixels, FROM_P3, srgb_curve)
    assert np.abs(read(jpeg_xl_that_says(pixels, 11, 13)) - wanted).mean() < 0.1
    for transfer, name in ((16, "PQ"), (18, "HLG")):
        with pytest.raises(BadImage, match=name):
            read(jpeg_xl_that_says(pixels, 9, transfer))


def test_gray_and_deep_pictures_are_refused_too():
    assert "PQ" in refused(with_numbers(scene(13)[..., 2], 9, 16, 0, 1)).fact
    rows = [(row.astype(">u2") * 257).tobytes() for row in scene(13)]
    data = png(rows, WIDTH, 16, 2, extra=chunk(b"cICP", bytes((9, 18, 0, 1))))
    assert "HLG" in refused(data).fact
    assert "video-range" in refused(with_numbers(scene(13), 1, 13, 0, 0)).fact


def test_deep_wide_colours():
    pixels = np.clip(scene(14), 40, 250)
    rows = [(row.astype(">u2") * 257).tobytes() for row in pixels]
    data = png(rows, WIDTH, 16, 2, extra=chunk(b"cICP", bytes((12, 13, 0, 1))))
    assert np.abs(read(data) - to_srgb(pixels, FROM_P3, srgb_curve)).max() <= 2


def test_numbers_and_a_profile():
    """In a PNG the numbers come first, elsewhere the profile; a profile may say numbers itself."""
    pixels = scene(15)
    embedded = chunk(b"iCCP", b"icc\0\0" + zlib.compress(ADOBE))
    assert np.array_equal(read(with_numbers(pixels, 1, 13, 0, 1, extra=embedded)), pixels)
    wide = {"quality": 100, "subsampling": "4:4:4", "icc_profile": P3}
    data = encoded(pixels, "AVIF", **wide)
    if b"colrnclx" in data:
        assert np.array_equal(read(says(data, 9, 13)), read(data))
    hdr = bytearray(cicp.profile(cicp.PRIMARIES[9], None))
    at = hdr.index(b"cprt")  # a text becomes the numbers
    place = int.from_bytes(hdr[at + 4 : at + 8], "big")
    hdr[at : at + 4], hdr[place : place + 12] = b"cicp", b"cicp\0\0\0\0" + bytes((9, 16, 0, 1))
    for kind in ("PNG", "JPEG", "TIFF", "WEBP"):
        assert "PQ" in refused(encoded(pixels, kind, icc_profile=bytes(hdr))).fact


def test_a_torn_chunk_says_nothing():
    data = with_numbers(scene(16), 9, 16, 0, 1)
    at = data.index(b"cICP")
    assert np.array_equal(read(data[: at + 9] + b"\x0d" + data[at + 10 :]), scene(16))


def test_only_the_pictures_own_numbers_count():
    """Not those of a gain map or of its transparency."""

    def box(kind, data):
        return struct.pack(">I", 8 + len(data)) + kind + data

    def nclx(primaries, transfer):
        return box(b"colr", b"nclx" + struct.pack(">HHHB", primaries, transfer, 0, 128))

    def file(own, other, wide=False):
        properties = box(b"ipco", nclx(9, 16) + box(b"pixi", bytes(8)) + nclx(12, 13))
        index = (lambda n: struct.pack(">H", 0x8000 | n)) if wide else (lambda n: bytes([0x80 | n]))
        pairs = [struct.pack(">HB", item, 2) + index(2) + index(at) for item, at in ((7, own), (8, other))]
        pairs = box(b"ipma", bytes([0, 0, 0, wide]) + struct.pack(">I", 2) + b"".join(pairs))
        meta = bytes(4) + box(b"pitm", bytes(4) + b"\0\7") + box(b"iprp", properties + pairs)
        return box(b"ftyp", b"avif" + bytes(4)) + box(b"meta", meta)

    for wide in (False, True):
        assert boxes.cicp(file(3, 1, wide)) == cicp.Said(12, 13)
        assert boxes.cicp(file(1, 3, wide)) == cicp.Said(9, 16)
    assert boxes.cicp(file(3, 1)[:60]) is None and boxes.cicp(b"") is None


# ---- Adobe RGB, said by EXIF alone ----


def adobe_exif(space=0xFFFF, index="R03"):
    exif = Image.Exif()
    exif[0x0112] = 1
    exif.get_ifd(0x8769)[0xA001] = space
    exif.get_ifd(0x8769)[0xA005] = {1: index}
    return exif


@pytest.mark.parametrize("kind, bound", [("JPEG", 2), ("PNG", 0.6), ("WEBP", 0.6), ("HEIC", 2)])
def test_adobe_rgb_by_exif_alone(kind, bound):
    pixels = np.clip(scene(20), 40, 215)
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    wanted = to_srgb(pixels, FROM_ADOBE, lambda v: v ** (563 / 256))
    assert np.abs(wanted - pixels).mean() > 4
    for exif in (adobe_exif(), adobe_exif(2, "")):
        data = encoded(pixels, kind, exif=exif.tobytes(), **options)
        if kind == "HEIC":  # which says sRGB by its numbers, and they come first
            assert np.array_equal(read(data), read(encoded(pixels, kind)))
            data = says(data, 2, 2)
        assert np.abs(read(data) - wanted).mean() < bound
    plain = read(encoded(pixels, kind, **options))
    for exif in (adobe_exif(1, "R98"), adobe_exif(0xFFFF, "R98"), adobe_exif(1, "R03")):
        assert np.array_equal(read(encoded(pixels, kind, exif=exif.tobytes(), **options)), plain)
    profiled = read(encoded(pixels, kind, icc_profile=P3, **options))
    both = encoded(pixels, kind, icc_profile=P3, exif=adobe_exif().tobytes(), **options)
    assert np.array_equal(read(both), profiled)


def test_adobe_rgb_in_a_tiff():
    pixels = np.clip(scene(21), 40, 215)
    exif = struct.pack("<HHHIIHHIII", 2, 0xA001, 3, 1, 0xFFFF, 0xA005, 4, 1, 0, 0)
    index = struct.pack("<HHHI4sI", 1, 1, 2, 4, b"R03\0", 0)
    data = bytearray(tiff_of(pixels, 2, more=[(0x8769, 4, (0,))]))
    at = data.index(struct.pack("<HHI", 0x8769, 4, 1)) + 8
    data[at : at + 4] = struct.pack("<I", len(data))
    exif = exif[:22] + struct.pack("<I", len(data) + len(exif)) + exif[26:]
    wanted = to_srgb(pixels, FROM_ADOBE, lambda v: v ** (563 / 256))
    assert np.abs(read(bytes(data) + exif + index) - wanted).mean() < 0.6
    assert np.array_equal(read(bytes(data)), pixels)  # the block is not there


# ---- a TIFF's channels beyond its colours ----


def tiff_of(pixels, photometric, extra=None, more=()):
    """An uncompressed one, uint8 or uint16 [H, W, bands]. extra: what the channels beyond the colours are."""
    height, width, bands = pixels.shape
    entries = [(256, 4, (width,)), (257, 4, (height,)), (258, 3, (8 * pixels.itemsize,) * bands), (259, 3, (1,)),
               (262, 3, (photometric,)), (273, 4, (0,)), (277, 3, (bands,)), (278, 4, (height,)),
               (279, 4, (pixels.nbytes,)), (284, 3, (1,)), *more]  # fmt: skip
    entries += [] if extra is None else [(338, 3, extra)]
    entries.sort()
    tail = b""
    for _ in range(2):  # once for how long it gets
        body, start = struct.pack("<H", len(entries)), 8 + 2 + 12 * len(entries) + 4
        end = start + len(tail)
        tail = b""
        for tag, kind, values in entries:
            values = (end,) if tag == 273 else values
            data = struct.pack(f"<{len(values)}{'HI'[kind == 4]}", *values)
            inline = data if len(data) <= 4 else struct.pack("<I", start + len(tail))
            tail += b"" if len(data) <= 4 else data
            body += struct.pack("<HHI", tag, kind, len(values)) + inline.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", 8) + body + bytes(4) + tail + pixels.astype(f"<u{pixels.itemsize}").tobytes()


def joined(*parts):
    return np.concatenate([part if part.ndim == 3 else part[..., None] for part in parts], axis=-1)


COLOUR, INFRARED, OPACITY = scene(30), scene(31)[..., 2], scene(32)[..., 2]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("extra, parts, seen", [
    (None, (INFRARED,), None), ((0,), (INFRARED,), None), ((2,), (OPACITY,), OPACITY),
    ((0, 0), (INFRARED, OPACITY), None), ((0, 2), (INFRARED, OPACITY), OPACITY), ((2, 0), (OPACITY, INFRARED), OPACITY),
    ((0, 0, 0), (INFRARED, OPACITY, INFRARED), None),
])  # fmt: skip
def test_what_lies_beyond_the_colours_of_a_tiff(extra, parts, seen, deep):
    """Transparency is what is said to be it; infrared, a mask or a channel of no name is passed over."""
    for colours, photometric, wanted in ((COLOUR, 2, COLOUR), (GRAY[..., 0], 1, GRAY)):
        pixels = joined(colours, *parts)
        data = tiff_of(pixels.astype(np.uint16) * 257 if deep else pixels, photometric, extra)
        if seen is not None:
            wanted = over_white(wanted, seen[..., None])
        assert np.abs(read(data) - wanted).max() <= (1 if deep and seen is not None else 0)
        if seen is None:
            assert np.array_equal(read(data, alpha="refuse"), wanted)


def test_premultiplied_transparency_of_a_tiff():
    opacity = np.clip(OPACITY, 60, 255)
    stored = np.rint(COLOUR * (opacity[..., None] / 255.0)).astype(np.uint8)
    wanted = stored.astype(int) + 255 - opacity[..., None]
    assert np.abs(read(tiff_of(joined(stored, opacity), 2, (1,))) - wanted).max() <= 2
    both = joined(stored, INFRARED, opacity)
    assert np.abs(read(tiff_of(both, 2, (0, 1))) - wanted).max() <= 2


def test_cmyk_with_a_mask():
    inks = joined(255 - COLOUR, INFRARED // 4)
    assert np.array_equal(read(tiff_of(joined(inks, OPACITY), 5, (0,))), read(tiff_of(inks, 5)))


# ---- memory ----

PEAK = """
import sys
from degrade_engine.engine import images
def high():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])
images.read_rgb(sys.argv[2])
before = high()
try:
    said = images.read_rgb(sys.argv[1]).shape
except images.BadImage as bad:
    said = bad.reason
print(1024 * (high() - before), said)
"""
SIDE = 2400


def peak(tmp_path, path):
    """Bytes that reading a file adds to what reading another one takes."""
    (tmp_path / "small.png").write_bytes(encoded(scene(40), "PNG"))
    argv = [sys.executable, "-c", PEAK, str(path), str(tmp_path / "small.png")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    count, _, said = done.stdout.strip().partition(" ")
    return int(count), said


def deep(bands):
    colours = "rgb16" if bands > 2 else "grey16"
    return pyvips.Image.black(SIDE, SIDE, bands=bands).cast("ushort").copy(interpretation=colours)


@pytest.mark.parametrize("name, image, options", [
    ("rgba.png", lambda: deep(4), {}), ("interlaced.png", lambda: deep(4), {"interlace": True}),
    ("rgba.tif", lambda: deep(4), {"compression": "deflate", "tile": True}),
    ("gray.png", lambda: deep(1), {}),
])  # fmt: skip
def test_a_deep_image_takes_at_most_16_bytes_a_pixel(tmp_path, name, image, options):
    path = tmp_path / name
    image().write_to_file(str(path), **options)
    count, said = peak(tmp_path, path)
    assert said == f"({SIDE}, {SIDE}, 3)" and count <= 16 * SIDE * SIDE


def test_many_channels_are_refused_before_they_take_memory(tmp_path):
    path = tmp_path / "bands.tif"
    many = pyvips.Image.black(SIDE, SIDE, bands=40).copy(interpretation="b-w")
    many.tiffsave(str(path), compression="deflate", tile=True)
    assert path.stat().st_size < 2_000_000
    count, said = peak(tmp_path, path)
    assert said == "too_large" and count < SIDE * SIDE
    bad = refused(path.read_bytes(), "bands.tif")
    assert "of 40 bytes" in bad.fact and f"{16 * 200_000_000} bytes" in bad.wanted
    few = pyvips.Image.black(SIDE, SIDE, bands=16).copy(interpretation="b-w")
    few.tiffsave(str(path), compression="deflate", tile=True)
    count, said = peak(tmp_path, path)
    assert said == f"({SIDE}, {SIDE}, 3)" and count <= 16 * SIDE * SIDE


def test_the_limit_is_of_pixels_and_bytes():
    data = encoded(scene(41), "PNG")
    bad = refused_with(data, HEIGHT * WIDTH - 1)
    assert bad.reason == "too_large" and f"{16 * (HEIGHT * WIDTH - 1)} bytes" in bad.wanted and "cut it" in bad.mend


def refused_with(data, limit):
    with pytest.raises(BadImage) as error:
        read_rgb(Encoded("a.png", data), pixel_limit=limit)
    return error.value
