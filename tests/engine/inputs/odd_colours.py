"""Images that are whole and unusual in how they lie, which colours they mean and how deep they are."""

from __future__ import annotations

import struct

import numpy as np
import pyvips
from PIL import Image, ImageCms

from . import odd_bytes as by_hand
from .odd_bytes import ADOBE, GRAY, P3, PROPHOTO, chunk, packed, patched, png, with_segment
from .odd_parts import HEIGHT, WIDTH, Case, Cases, by_vips, encoded, over_white, scene

TURNED = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
          7: "TRANSVERSE", 8: "ROTATE_90"}  # fmt: skip


def orientations() -> Cases:
    """EXIF 1 to 8 in four kinds; values out of range, and EXIF that is odd or torn, leave the image as it lies."""
    kinds = {"jpg": ("JPEG", {"quality": 95, "subsampling": 0}), "png": ("PNG", {}), "tif": ("TIFF", {}),
             "webp": ("WEBP", {"lossless": True})}  # fmt: skip
    for at, (ending, (kind, options)) in enumerate(kinds.items()):
        for orientation in range(1, 9):
            pixels, tags = scene(10 * at + orientation), Image.Exif()
            tags[0x0112] = orientation
            upright = Image.fromarray(pixels)
            if orientation > 1:
                upright = upright.transpose(Image.Transpose[TURNED[orientation]])
            wanted = None if kind == "JPEG" else np.asarray(upright)
            case = Case(f"orientation/{orientation}.{ending}", wanted=wanted, bound=2 if kind == "JPEG" else 0)
            yield case, encoded(pixels, kind, exif=tags, **options)
    plain = {n: encoded(scene(50 + n), "JPEG", quality=95) for n in range(9)}
    block = b"Exif\0\0" + by_hand.exif(6)
    odd = {
        "zero": with_segment(plain[0], 0xE1, b"Exif\0\0" + by_hand.exif(0)),
        "nine": with_segment(plain[1], 0xE1, b"Exif\0\0" + by_hand.exif(9)),
        "big-endian": with_segment(plain[2], 0xE1, b"Exif\0\0" + by_hand.exif(6, order=">")),
        "behind-a-comment": with_segment(with_segment(plain[3], 0xE1, block), 0xFE, b"a comment"),
        "empty": with_segment(plain[4], 0xE1, b"Exif\0\0"),
        "torn": with_segment(plain[5], 0xE1, block[:19]),
        "points-outside": with_segment(plain[6], 0xE1, block[:10] + struct.pack("<I", 9999)),
        "xmp-only": with_segment(plain[7], 0xE1, b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='6'/>"),
    }
    for name, data in odd.items():
        yield Case(f"orientation/{name}.jpg", bound=2), data
    at = by_hand.frame_at(plain[8])
    at += 2 + int.from_bytes(plain[8][at + 2 : at + 4], "big")
    late = plain[8][:at] + struct.pack(">BBH", 0xFF, 0xE1, len(block) + 2) + block + plain[8][at:]
    yield Case("orientation/behind-the-frame-header.jpg", bound=2), late
    pixels = scene(60)
    rows = [row.tobytes() for row in pixels]
    turned = np.ascontiguousarray(np.rot90(pixels, -1))
    data = png(rows, WIDTH, 8, 2, extra=chunk(b"eXIf", by_hand.exif(6)))
    yield Case("orientation/exif-chunk.png", wanted=turned), data


def profiles() -> Cases:
    """Wide colour spaces are brought to sRGB; what is broken, or of another number of channels, is ignored."""
    spaces = {"adobe": ADOBE, "p3": P3, "prophoto": PROPHOTO}
    kinds = {"png": ("PNG", {}), "jpg": ("JPEG", {"quality": 95, "subsampling": 0}), "tif": ("TIFF", {}),
             "webp": ("WEBP", {"lossless": True}),
             "avif": ("AVIF", {"quality": 100, "subsampling": "4:4:4"})}  # fmt: skip
    for a, (space, profile) in enumerate(spaces.items()):
        for b, (ending, (kind, options)) in enumerate(kinds.items()):
            data = encoded(scene(100 + 10 * a + b), kind, icc_profile=profile, **options)
            # one level of an AVIF decoder becomes many where a colour leaves sRGB and red is near zero
            yield Case(f"profile/{space}.{ending}", bound=20 if ending == "avif" else 3), data
    gray = {ending: kinds[ending] for ending in ("png", "jpg", "tif")}
    for n, (ending, (kind, options)) in enumerate(gray.items()):
        options = {name: value for name, value in options.items() if name != "subsampling"}
        data = encoded(scene(140 + n)[..., 2], kind, icc_profile=GRAY, **options)
        yield Case(f"profile/gray.{ending}", bound=3), data
    clear = np.concatenate([scene(145), scene(146)[..., 2:]], axis=-1)
    yield Case("profile/adobe-alpha.png", bound=3), encoded(clear, "PNG", icc_profile=ADOBE)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    broken = {"text": b"no profile at all", "cut": ADOBE[:200], "zeros": bytes(400), "gray-on-colour": GRAY,
              "tags": patched(ADOBE, 128, b"\x7f\xff\xff\xff"), "size": patched(ADOBE, 0, b"\x7f\xff\xff\xff"),
              "srgb": srgb}  # fmt: skip
    for n, (name, profile) in enumerate(broken.items()):
        for m, ending in enumerate(("png", "tif")):
            pixels = scene(150 + 2 * n + m)
            # a wrong size is the one fault that Little CMS may forgive: the pixels are then Adobe's or as they lie
            reasons = ("either",) if name in ("size", "tags") else ()
            case = Case(f"profile/{name}.{ending}", reasons, wanted=pixels)
            yield case, encoded(pixels, kinds[ending][0], icc_profile=profile)
    inks = np.concatenate([255 - scene(170), scene(171)[..., :1] // 4], axis=-1)
    cmyk, profile = Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes()), bytes(pyvips.Image.profile_load("cmyk"))
    yield Case("profile/cmyk.jpg", bound=14), encoded(cmyk, "JPEG", quality=100, subsampling=0, icc_profile=profile)
    yield Case("profile/cmyk-none.jpg", bound=14), encoded(cmyk, "JPEG", quality=99, subsampling=0)
    yield Case("profile/cmyk.tif", bound=14), encoded(cmyk, "TIFF", icc_profile=profile)
    yield Case("profile/cmyk-rgb-profile.tif", bound=14), encoded(cmyk, "TIFF", compression="tiff_lzw")


def depths() -> Cases:
    """PNG in every depth, with and without transparency."""
    pixels, opacity = scene(200), scene(201)[..., 2]
    white = over_white(pixels, opacity[..., None])
    wide = [(row.astype(">u2") * 257).tobytes() for row in pixels]
    yield Case("png/16.png", wanted=pixels), png(wide, WIDTH, 16, 2)
    rounded = scene(202).astype(np.uint16) * 257 + 140  # rounds up, except at the top
    data = png([row.astype(">u2").tobytes() for row in np.minimum(rounded, 65535)], WIDTH, 16, 2)
    wanted = np.rint(np.minimum(rounded, 65535) * (255 / 65535)).astype(np.uint8)
    yield Case("png/16-rounds.png", wanted=wanted), data
    rgba = np.concatenate([pixels, opacity[..., None]], axis=-1)
    data = png([(row.astype(">u2") * 257).tobytes() for row in rgba], WIDTH, 16, 6)
    yield Case("png/16-alpha.png", wanted=white), data
    yield Case("png/alpha.png", wanted=white), png([row.tobytes() for row in rgba], WIDTH, 8, 6)
    gray = scene(203)[..., 2]
    three = np.repeat(gray[..., None], 3, axis=-1)
    yield Case("png/gray.png", wanted=three), png([row.tobytes() for row in gray], WIDTH, 8, 0)
    rows = [(row.astype(">u2") * 257).tobytes() for row in gray]
    yield Case("png/gray-16.png", wanted=three), png(rows, WIDTH, 16, 0)
    for bits, name, kind in ((8, "gray-alpha", ">u1"), (16, "gray-alpha-16", ">u2")):
        both = np.stack([gray, opacity], -1).astype(kind) * (257 if bits == 16 else 1)
        wanted = over_white(three, opacity[..., None])
        yield Case(f"png/{name}.png", wanted=wanted), png([row.astype(kind).tobytes() for row in both], WIDTH, bits, 4)
    for bits in (1, 2, 4):
        levels = (scene(210 + bits)[..., 2] >> (8 - bits)).astype(np.uint8)
        wanted = np.repeat((levels * (255 // (2**bits - 1)))[..., None], 3, axis=-1).astype(np.uint8)
        yield Case(f"png/gray-{bits}.png", wanted=wanted), png(packed(levels, bits), WIDTH, bits, 0)
    for bits in (1, 2, 4, 8):
        index = (scene(220 + bits)[..., 2] >> (8 - bits)).astype(np.uint8)
        palette = np.random.default_rng(bits).integers(0, 256, (2**bits, 3), dtype=np.uint8)
        colours = chunk(b"PLTE", palette.tobytes())
        rows = packed(index, bits)
        yield Case(f"png/palette-{bits}.png", wanted=palette[index]), png(rows, WIDTH, bits, 3, extra=colours)
        clear = np.linspace(0, 255, 2**bits).astype(np.uint8)
        data = png(rows, WIDTH, bits, 3, extra=colours + chunk(b"tRNS", clear.tobytes()))
        wanted = over_white(palette[index], clear[index][..., None])
        yield Case(f"png/palette-{bits}-alpha.png", wanted=wanted), data
    key = chunk(b"tRNS", struct.pack(">3H", *pixels[5, 7]))
    wanted = np.where((pixels == pixels[5, 7]).all(-1, keepdims=True), 255, pixels).astype(np.uint8)
    yield Case("png/colour-key.png", wanted=wanted), png([row.tobytes() for row in pixels], WIDTH, 8, 2, extra=key)
    yield Case("png/interlaced.png", wanted=scene(230)), by_vips(scene(230), ".png", interlace=True)
    extras = {"gamma": chunk(b"gAMA", struct.pack(">I", 100000)), "dpi": chunk(b"pHYs", bytes(9)),
              "text": chunk(b"tEXt", b"Comment\0" + b"x" * 9000)}  # fmt: skip
    for n, (name, extra) in enumerate(extras.items()):
        pixels = scene(240 + n)
        yield Case(f"png/{name}.png", wanted=pixels), png([row.tobytes() for row in pixels], WIDTH, 8, 2, extra=extra)
    pixels = scene(250)
    data = png([row.tobytes() for row in pixels], WIDTH, 8, 2, late=chunk(b"eXIf", by_hand.exif(6)))
    yield Case("png/exif-after-the-pixels.png", ("either",), wanted=pixels), data
