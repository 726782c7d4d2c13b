"""What a file is: by whole signatures, one table for all, and a sentence for each kind that is not read."""

import io
import random
import struct
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401, lets Pillow write JPEG XL
import pytest
import pyvips
from PIL import Image

from degrade_engine.engine import images
from degrade_engine.engine.images import BadImage, Encoded, holes, kinds, read_rgb, read_size

from ..inputs.odd_parts import scene

SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='300' height='300'><rect width='300' height='300'/></svg>"


def encoded(pixels, kind, **options):
    file = io.BytesIO()
    if kind == "HEIC":
        pillow_heif.from_pillow(Image.fromarray(pixels)).save(file, quality=95, chroma=444, **options)
    else:
        Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def refused(data, name="a.jpg", **options):
    with pytest.raises(BadImage) as error:
        read_rgb(Encoded(name, data), **options)
    with pytest.raises(BadImage) as by_header:
        read_size(Encoded(name, data), **options)
    assert by_header.value.reason == error.value.reason
    return error.value


def test_one_table():
    endings = [ending for kind in kinds.KINDS for ending in kind.endings]
    assert len(set(endings)) == len(endings) and all(one == one.lower() and one[0] == "." for one in endings)
    assert len({kind.word for kind in kinds.KINDS}) == len(kinds.KINDS)
    assert {".jfif", ".jpg", ".heic", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf"} <= set(images.ENDINGS)
    root = Path(kinds.__file__).parents[2]
    for file in (*root.glob("engine/**/*.py"), *root.glob("originals/**/*.py"), *root.glob("degrade_engine/**/*.py")):
        text = file.read_text()
        assert file.name == "kinds.py" or '".jpeg"' not in text, f"{file} has endings of its own"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "BMP", "HEIC", "JXL"])
def test_what_is_read_whatever_its_name(kind):
    pixels, ending = scene(3), kind.lower()
    options = {"lossless": True} if kind in ("WEBP", "JXL") else {}
    data = encoded(pixels, kind, **options)
    for name in (f"a.{ending}", "a.psd", "a.dng", "a"):
        assert kinds.kind_of(name, data).word == ending
        assert read_size(Encoded(name, data)) == pixels.shape[:2]
        off = np.abs(read_rgb(Encoded(name, data)).astype(int) - pixels)
        assert off.mean() < 8


@pytest.mark.parametrize("head", [
    b"<svg a='WEBP' ", b"<svg ftypavif", b"<svgftypavif ", b"<svgftypheic ", b"<svg GIF89a ", b"<?xml  PNG ",
    b"<svg\xff\xd8\xff ", b"<svg II*\0 ", b"<svg  JXL ", b"RIFF<svg ", b"GIF8<svg ", b"BM<svg a='", b"<svg BM",
])  # fmt: skip
def test_a_drawing_in_disguise_reaches_no_renderer(head):
    """A part of a signature, or one in another place, is none. By any name, and with the drawing whole."""
    body = SVG.removeprefix(b"<svg") if head.startswith(b"<svg") else SVG
    for name in ("a.webp", "a.svg", "a.png", "a"):
        reason = refused(head + b" " + body, name).reason
        assert reason == ("unsupported_svg" if name == "a.svg" else "not_an_image")


def test_other_loaders_are_shut():
    """Were one called, it would refuse: libvips draws no SVG in this process."""
    assert pyvips.type_find("VipsOperation", "svgload_buffer")
    for call in (lambda: pyvips.Image.svgload_buffer(SVG), lambda: pyvips.Image.new_from_buffer(SVG, "")):
        with pytest.raises(pyvips.Error, match="blocked|known format"):
            call()


@pytest.mark.parametrize("word, package, extra", [("HEIC", "pillow_heif", "heif"), ("JXL", "pillow_jxl", "jxl")])
def test_a_kind_of_an_extra_is_named_with_it(monkeypatch, word, package, extra):
    data = encoded(scene(4), word)
    monkeypatch.setattr(kinds, "find_spec", lambda name: None if name == package else find_spec(name))
    bad = refused(data, "IMG_0001.HEIC")
    assert bad.reason == f"unsupported_{word.lower()}" and f"'degrade-engine[{extra}]'" in str(bad)
    assert f".{word.lower()}" not in images.readable_endings()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_is_upright(orientation):
    """libheif turns by the file's own boxes; EXIF, which says the same, must not turn again."""
    pixels, exif = scene(5), Image.Exif()
    exif[0x0112] = orientation
    data = encoded(pixels, "HEIC", exif=exif.tobytes())
    wanted = np.rot90(pixels, {1: 0, 3: 2, 6: -1, 8: 1}[orientation])
    assert read_size(Encoded("a.heic", data)) == wanted.shape[:2]
    assert np.abs(read_rgb(Encoded("a.heic", data)).astype(int) - wanted).mean() < 2


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_jpeg_packed_as_jpeg_xl_is_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(scene(6)).save(tmp_path / "a.jpg", quality=95, exif=exif)
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(tmp_path / "a.jxl", lossless_jpeg=True)
    wanted = read_rgb(tmp_path / "a.jpg")
    assert read_size(tmp_path / "a.jxl") == wanted.shape[:2]
    assert np.abs(read_rgb(tmp_path / "a.jxl").astype(int) - wanted).max() <= 2


def test_jpeg_xl_is_measured_before_it_is_decoded():
    for height, width in ((48, 64), (37, 51), (300, 400), (8, 264), (77, 154), (1, 1)):
        for container in (False, True):
            data = encoded(np.zeros((height, width, 3), np.uint8), "JXL", use_container=container)
            assert read_size(Encoded("a.jxl", data)) == (height, width)
            assert refused(data, pixel_limit=height * width - 1).reason == "too_large"
    # 2^30 by 2^30 pixels: no small size, the widest form of a number twice
    bits = 0 | 3 << 1 | (2**30 - 1) << 3 | 0 << 33 | 3 << 36 | (2**30 - 1) << 38
    assert refused(b"\xff\x0a" + bits.to_bytes(40, "little")).reason == "too_large"


def tiff(tags, below=(), thumbnail=b"\x80" * 256):
    """A 16 x 16 gray TIFF with more tags, and directories below it that hold tags alone."""
    entries = {256: (4, (16,)), 257: (4, (16,)), 258: (3, (8,)), 259: (3, (1,)), 262: (3, (1,)), 273: (4, (0,)),
               277: (3, (1,)), 278: (4, (16,)), 279: (4, (256,)), **tags}  # fmt: skip
    if below:
        entries[330] = (4, (0,) * len(below))
    sizes = {1: "B", 2: "B", 3: "H", 4: "I"}

    def directory(at, entries, after):
        body, tail = struct.pack("<H", len(entries)), b""
        for tag, (kind, values) in sorted(entries.items()):
            data = struct.pack(f"<{len(values)}{sizes[kind]}", *values)
            body += struct.pack("<HHI", tag, kind, len(values))
            if len(data) > 4:
                body += struct.pack("<I", at + 2 + 12 * len(entries) + 4 + len(tail))
                tail += data
            else:
                body += data.ljust(4, b"\0")
        return body + struct.pack("<I", after) + tail

    lower = [{256: (4, (6000,)), 257: (4, (4000,)), **one} for one in below]
    end = 8 + len(directory(8, entries, 0))
    places = []
    for one in lower:
        places.append(end)
        end += len(directory(end, one, 0))
    if below:
        entries[330] = (4, tuple(places))
    entries[273] = (4, (end,))
    parts = [directory(place, one, 0) for place, one in zip(places, lower, strict=True)]
    return b"II*\0" + struct.pack("<I", 8) + directory(8, entries, 0) + b"".join(parts) + thumbnail


SENSOR, SMALL = {262: (3, (32803,))}, {254: (4, (1,))}
RAW = {
    "dng": tiff({50706: (1, (1, 4, 0, 0)), **SMALL}, [SENSOR]),
    "nef": tiff({271: (2, tuple(b"NIKON CORPORATION\0")), **SMALL}, [SMALL, SENSOR]),
    "arw": tiff({271: (2, tuple(b"SONY\0")), **SMALL}, [SENSOR]),
    "pef": tiff({271: (2, tuple(b"PENTAX\0")), **SENSOR}),
    "raw": tiff(SMALL, [{262: (3, (34892,))}]),
    "cr2": b"II*\0\x10\0\0\0CR\2\0" + bytes(300),
    "cr3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(300),
    "raf": b"FUJIFILMCCD-RAW 0201FF129502" + bytes(300),
    "orf": b"IIRO\x08\0\0\0" + bytes(300),
    "rw2": b"IIU\0\x18\0\0\0" + bytes(300),
}


@pytest.mark.parametrize("word", RAW)
def test_a_raw_photograph_is_named_and_not_read_as_its_thumbnail(word):
    """Whatever it is called: libvips would read the small image that the TIFF among them begin with."""
    if word in ("dng", "nef", "arw"):
        assert pyvips.Image.tiffload_buffer(RAW[word]).width == 16
    for name in (f"a.{word}", "a.tif", "a.jpg"):
        bad = refused(RAW[word], name)
        assert bad.reason == f"unsupported_{word}" and "raw" in bad.fact and "darktable" in str(bad)


def test_a_tiff_that_begins_with_a_thumbnail_is_not_read_as_it():
    pages = [Image.new("RGB", (size, size)) for size in (16, 300)]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:], tiffinfo={254: 1})
    assert "thumbnail" in str(refused(file.getvalue(), "scan.tif"))


def test_an_ordinary_tiff_is_no_raw_photograph():
    """By its ending, its maker or the smaller images below it, all of which others have too."""
    plain = {"a.dng": tiff({}), "a.tif": tiff({271: (2, tuple(b"NIKON\0"))}), "b.tif": tiff({}, [SMALL]),
             "c.tif": tiff(SMALL)}  # fmt: skip
    for name, data in plain.items():
        assert read_rgb(Encoded(name, data)).shape == (16, 16, 3)
    made = bytes(pyvips.Image.black(64, 64).tiffsave_buffer(tile=True, tile_width=16, tile_height=16, pyramid=True,
                                                            subifd=True))  # fmt: skip
    assert read_rgb(Encoded("pyramid.tif", made)).shape == (64, 64, 3)


@pytest.mark.parametrize("ending", ["psd", "svg", "jp2", "exr", "tga", "ico", "crw", "x3f", "qoi"])
def test_kinds_without_a_reader_are_known_by_their_ending(ending):
    bad = refused(bytes(range(1, 200)), f"A.{ending.upper()}")
    assert bad.reason.startswith("unsupported_") and "A." in bad.fact and bad.mend


def test_heif_brands():
    """A HEIC is one by any of its brands; an AVIF is one before that."""

    def box(major, *others):
        return struct.pack(">I", 16 + 4 * len(others)) + b"ftyp" + major + bytes(4) + b"".join(others) + bytes(40)

    wanted = {box(b"mif1", b"heic"): "heic", box(b"mif1", b"avif"): "avif", box(b"heix"): "heic", box(b"avis"): "avif",
              box(b"msf1", b"hevc"): "heic"}  # fmt: skip
    assert [kinds.kind_of("a", data).word for data in wanted] == list(wanted.values())
    assert refused(box(b"isom", b"mp42"), "a.jpg").reason == "not_an_image"


def test_any_bytes_are_read_or_refused():
    """Torn headers, wild numbers and short ends, of every kind: no other exception, whatever the bytes."""
    dice = random.Random(7)
    noise = np.random.default_rng(8).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    whole = [encoded(noise, kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "BMP", "HEIC", "JXL")]
    whole += [encoded(noise, "JPEG", progressive=True), encoded(noise, "JPEG", restart_marker_blocks=3)]
    whole += [encoded(noise, "TIFF", compression=one) for one in ("jpeg", "tiff_adobe_deflate")]
    whole += [RAW["dng"], RAW["nef"]]
    for _ in range(600):
        data = bytearray(dice.choice(whole))
        for _ in range(dice.choice((1, 2, 5))):
            at = dice.randrange(min(len(data), dice.choice((60, 400, len(data)))))
            wild = dice.choice((b"\xff\xff\xff\xff", bytes(8), b"\x7f\xff\xff\xff", dice.randbytes(4)))
            data[at : at + len(wild)] = wild
            if dice.random() < 0.1:
                del data[at + 1 :]
        for read in (read_size, read_rgb):
            try:
                read(Encoded("a.bin", bytes(data)))
            except BadImage:
                pass


def test_parts_that_share_their_bytes_take_no_time():
    """A file of 300 KB could ask for the same bytes a hundred thousand times."""
    data = tiff({259: (3, (8,)), 273: (4, (8,) * 20000), 279: (4, (4_000_000,) * 20000)}, thumbnail=bytes(100_000))
    began = time.process_time()
    with pytest.raises(BadImage):
        read_rgb(Encoded("a.tif", data))
    list(holes.tiff.parts(data))
    assert time.process_time() - began < 5
