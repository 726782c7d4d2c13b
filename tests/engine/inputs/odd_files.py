"""Files that are broken, foreign, dangerous or strangely named, and what is no file at all."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from . import odd_bytes as by_hand
from .odd_bytes import chunk, patched, png, tiff_of
from .odd_parts import BROKEN, WIDTH, Case, Cases, encoded, scene


def whole() -> dict[str, bytes]:
    """One file of each kind, of pixels that do not compress to nothing."""
    noise = np.random.default_rng(600).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    return {
        "a.png": encoded(noise, "PNG"),
        "b.jpg": encoded(noise, "JPEG"),
        "c.jpg": encoded(noise, "JPEG", progressive=True),
        "d.webp": encoded(noise, "WEBP"),
        "e.webp": encoded(noise, "WEBP", lossless=True),
        "f.tif": encoded(noise, "TIFF"),
        "g.tif": encoded(noise, "TIFF", compression="tiff_lzw"),
        "h.gif": encoded(Image.fromarray(noise).quantize(256), "GIF"),
        "i.bmp": encoded(noise, "BMP"),
        "j.avif": encoded(noise, "AVIF"),
    }


def cut() -> Cases:
    """Files that end early: in their first bytes, in the header, in the pixels, near the end."""
    for name, data in whole().items():
        for part in (0.001, 0.02, 0.5, 0.97):
            stem, ending = name.split(".")
            yield Case(f"cut/{stem}-{part}.{ending}", BROKEN), data[: max(int(len(data) * part), 17)]


def flipped() -> Cases:
    """One bit in four places of each kind. A PNG's checksums see it; elsewhere it may be seen or not."""
    for n, (name, data) in enumerate(whole().items()):
        for place in np.random.default_rng(n).integers(40, len(data) - 20, 4).tolist():
            stem, ending = name.split(".")
            bad = patched(data, place, bytes([data[place] ^ 1 << place % 8]))
            reasons = BROKEN if ending == "png" else (*BROKEN, "unsupported", "too_large", "missing", "either")
            yield Case(f"flipped/{stem}-{place}.{ending}", reasons), bad


def foreign() -> Cases:
    """Nothing, text, and other kinds of files under an image's ending; images under the ending of another kind."""
    for n, ending in enumerate(("avif", "bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp")):
        yield Case(f"foreign/text.{ending}", ("not_an_image",)), f"{n} words and no picture".encode()
        if n < 4:
            yield Case(f"foreign/zeros-{n}.{ending}", ("not_an_image",)), bytes(500 + n)
    yield Case("foreign/empty.png", ("empty",)), b""
    heads = {
        "psd": b"8BPS\0\1", "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        "pdf": b"%PDF-1.7", "heic": b"\0\0\0\x18ftypheic", "jp2": b"\0\0\0\x0cjP  \r\n\x87\n",
        "jxl": b"\xff\x0a\xfa\x7f", "ico": b"\0\0\1\0\1\0", "ppm": b"P6 4 4 255\n", "zip": b"PK\3\4",
        "html": b"<!doctype html>", "exr": b"\x76\x2f\x31\x01", "pickle": b"\x80\x04",
    }  # fmt: skip
    for name, head in heads.items():
        known = {"psd", "jp2", "exr"}  # by their first bytes, and not read
        reasons = (f"unsupported_{name}",) if name in known else ("not_an_image", *BROKEN)
        yield Case(f"foreign/{name}.png", reasons), head + bytes(200)
    inside = {"JPEG": "png", "PNG": "jpg", "WEBP": "jpg", "TIFF": "png", "GIF": "bmp", "BMP": "webp", "AVIF": "jpeg"}
    for n, (kind, ending) in enumerate(inside.items()):
        yield Case(f"foreign/{kind}-inside.{ending}", bound=20), encoded(scene(620 + n), kind)
    yield Case("foreign/ENDING.JPG", bound=12), encoded(scene(630), "JPEG")


def bombs() -> Cases:
    """Headers that promise more pixels than anyone means, and chunks that unpack to much."""
    rows = [row.tobytes() for row in scene(640)]
    huge = png(rows, 60000, 8, 2, height=60000)
    yield Case("bomb/pixels.png", ("too_large",)), huge
    yield Case("bomb/limit.png", ("too_large", *BROKEN)), png(rows, 2**31 - 1, 8, 2, height=2**31 - 1)
    jpeg = encoded(scene(641), "JPEG")
    yield Case("bomb/pixels.jpg", ("too_large",)), patched(jpeg, by_hand.frame_at(jpeg) + 5, b"\xff\xdc\xff\xdc")
    gif = encoded(Image.fromarray(scene(642)).quantize(16), "GIF")
    # libvips takes the frame's own size for the canvas's where that is beyond belief
    yield Case("bomb/pixels.gif", ("too_large", "either")), patched(gif, 6, b"\xff\xff\xff\xff")
    yield Case("bomb/pixels.tif", ("too_large", *BROKEN)), tiff_of(scene(643)[..., 2], width=10**6, height=10**6)
    bmp = encoded(scene(644), "BMP")
    yield Case("bomb/pixels.bmp", ("too_large",)), patched(bmp, 18, struct.pack("<ii", 60000, 60000))
    yield Case("bomb/more-pixels.bmp", ("too_large",)), patched(bmp, 18, struct.pack("<ii", 2**30, 2**30))
    webp = b"VP8X" + struct.pack("<IB", 10, 0) + bytes(3) + b"\xff\xff\xff" * 2 + b"VP8L" + struct.pack("<I", 0)
    yield Case("bomb/pixels.webp", ("too_large", *BROKEN)), b"RIFF" + struct.pack("<I", len(webp) + 4) + b"WEBP" + webp
    avif = encoded(scene(645), "AVIF")
    size = avif.index(b"ispe") + 8
    yield Case("bomb/pixels.avif", ("too_large", *BROKEN)), patched(avif, size, struct.pack(">II", 60000, 60000))
    packed_text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000), 1))
    yield Case("bomb/text.png", (*BROKEN, "either"), wanted=scene(640)), png(rows, WIDTH, 8, 2, extra=packed_text)
    profile = chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(100_000_000), 1))
    yield Case("bomb/profile.png", (*BROKEN, "either"), wanted=scene(640)), png(rows, WIDTH, 8, 2, extra=profile)


def sizes() -> Cases:
    """As thin as can be."""
    for height, width in ((1, 1), (1, 500), (500, 1), (2, 3)):
        pixels = scene(650 + height, height, width)
        for ending, kind, how in (("png", "PNG", {}), ("tif", "TIFF", {}), ("webp", "WEBP", {"lossless": True})):
            yield Case(f"thin/{width}x{height}.{ending}", wanted=pixels), encoded(pixels, kind, **how)
        yield Case(f"thin/{width}x{height}.jpg", bound=12), encoded(pixels, "JPEG", subsampling=0)


def names(root: Path) -> list[Case]:
    """Names that shells, libvips, JSON or another system could take for something else."""
    odd = ["été.png", "写真.jpg", "\u00e9-nfc.png", "e\u0301-nfd.png", "\u00e9.png", "e\u0301.png", "two words.png",
           "new\nline.png", "a.png[page=1].png", "a[page=1].png", "-leading.png", "x" * 251 + ".png", "Case.png",
           "case.png", "per%20cent.png", "quote'\".png", "back\\slash.png", "smile😀.png", "trailing .png", "CON.png",
           "a.b.c.png", "$(touch x).png", "~.png", "#.png", "tab\t.png", "*.png", "[a-z].png"]  # fmt: skip
    (root / "name").mkdir()
    cases = []
    for n, name in enumerate(odd):
        pixels = scene(700 + n)
        (root / "name" / name).write_bytes(encoded(pixels, "PNG"))
        cases.append(Case(f"name/{name}", wanted=pixels))
    try:
        (root / "name" / os.fsdecode(b"not-\xff-utf8.png")).write_bytes(encoded(scene(740), "PNG"))
        cases.append(Case("name/not-\\xff-utf8.png", ("bad_name",)))
    except OSError:
        pass  # this file system takes only UTF-8 names
    for hidden in (".hidden.png", "notes.txt", "no-ending"):
        (root / "name" / hidden).write_bytes(encoded(scene(741), "PNG"))
    return cases


def no_files(root: Path) -> list[Case]:
    """Links, pipes and folders where files are looked for."""
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "far.png").write_bytes(encoded(scene(750), "PNG"))
    (outside / "single.dat").write_bytes(encoded(scene(751), "PNG"))
    links = root / "link"
    (links / "folder.png").mkdir(parents=True)
    (links / "folder.png" / "in.png").write_bytes(encoded(scene(752), "PNG"))
    (links / "loop").symlink_to(root)
    (links / "self").symlink_to(".")
    (links / "itself.png").symlink_to("itself.png")
    (links / "gone.png").symlink_to("nowhere.png")
    (links / "to-file.png").symlink_to(outside / "single.dat")
    (links / "to-folder").symlink_to(outside)
    os.mkfifo(links / "pipe.png")
    cases = [
        Case("link/folder.png/in.png", wanted=scene(752)), Case("link/itself.png", ("missing",)),
        Case("link/gone.png", ("missing",)), Case("link/to-file.png", wanted=scene(751)),
        Case("link/to-folder/far.png", wanted=scene(750)), Case("link/pipe.png", ("unreadable",)),
    ]  # fmt: skip
    if os.geteuid():  # root reads everything
        (links / "locked.png").write_bytes(encoded(scene(753), "PNG"))
        (links / "locked.png").chmod(0)
        cases.append(Case("link/locked.png", ("no_access",)))
    return cases
