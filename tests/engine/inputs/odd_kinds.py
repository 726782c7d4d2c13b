"""Images that are unusual members of their kind: TIFF, JPEG, GIF, WebP, AVIF and BMP."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

from . import odd_bytes as by_hand
from .odd_bytes import packed, patched, tiff_of, with_segment
from .odd_parts import BROKEN, HEIGHT, WIDTH, Case, Cases, by_vips, encoded, over_white, scene


def tiffs() -> Cases:
    """Compressions, tiles, byte orders, sample formats, pages."""
    compressions = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits")
    for n, compression in enumerate(compressions):
        pixels = scene(300 + n)
        yield Case(f"tiff/{compression}.tif", wanted=pixels), encoded(pixels, "TIFF", compression=compression)
    yield Case("tiff/jpeg.tif", bound=3), encoded(scene(310), "TIFF", compression="jpeg", quality=95)
    bits = scene(311)[..., 2] > 127
    two = np.repeat(bits[..., None] * np.uint8(255), 3, axis=-1)
    for n, compression in enumerate(("raw", "group3", "group4")):
        data = encoded(Image.fromarray(np.roll(bits, n, axis=1)), "TIFF", compression=compression)
        yield Case(f"tiff/1-bit-{compression}.tif", wanted=np.roll(two, n, axis=1)), data
    tiled = {"tile": True, "tile_width": 16, "tile_height": 16}
    options = {
        "tiled": tiled,
        "tiled-lzw": {**tiled, "compression": "lzw", "predictor": "horizontal"},
        "big": {"bigtiff": True},
        "pyramid": {**tiled, "pyramid": True},
        "deflate": {"compression": "deflate", "predictor": "horizontal"},
    }
    for n, (name, how) in enumerate(options.items()):
        pixels = scene(320 + n)
        yield Case(f"tiff/{name}.tif", wanted=pixels), by_vips(pixels, ".tif", **how)
    pixels = scene(330)
    yield Case("tiff/16.tif", wanted=pixels), by_vips(pixels.astype(np.uint16) * 257, ".tif", "rgb16")
    gray = scene(331)[..., 2]
    three = np.repeat(gray[..., None], 3, axis=-1)
    for n, (name, order) in enumerate({"little": "<", "big": ">"}.items()):
        wide = np.roll(gray, n, axis=1).astype(np.uint16) * 257
        yield Case(f"tiff/gray-16-{name}.tif", wanted=np.roll(three, n, axis=1)), tiff_of(wide, order=order)
    yield Case("tiff/big-endian.tif", wanted=three), tiff_of(gray, order=">")
    yield Case("tiff/float.tif", ("unsupported",)), tiff_of(gray.astype(np.float32) / 255, kind=3)
    yield Case("tiff/double.tif", ("unsupported", "corrupt")), tiff_of(gray.astype(np.float64) / 255, kind=3)
    yield Case("tiff/signed.tif", ("unsupported",)), tiff_of(gray.astype(np.int16), kind=2)
    yield Case("tiff/32.tif", ("unsupported",)), tiff_of(gray.astype(np.uint32))
    pages = [Image.fromarray(scene(340 + n)) for n in range(3)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    yield Case("tiff/pages.tif", wanted=scene(340)), data
    rgba = np.concatenate([scene(350), scene(351)[..., 2:]], axis=-1)
    yield Case("tiff/alpha.tif", wanted=over_white(rgba[..., :3], rgba[..., 3:])), encoded(rgba, "TIFF")
    palette = Image.fromarray(scene(352)).quantize(64)
    yield Case("tiff/palette.tif", wanted=np.asarray(palette.convert("RGB"))), encoded(palette, "TIFF")
    yield Case("tiff/loop.tif", wanted=three[::-1]), tiff_of(np.ascontiguousarray(gray[::-1]), again=8)
    yield Case("tiff/strip-too-long.tif", (*BROKEN, "either")), tiff_of(gray[:, ::-1].copy(), strip_bytes=2**31)
    yield Case("tiff/no-height.tif", BROKEN), tiff_of(gray, height=0)
    yield Case("tiff/lab.tif", ("unsupported", "corrupt")), encoded(Image.fromarray(scene(353), "LAB"), "TIFF")


def jpegs() -> Cases:
    """Samplings, scans, colour models, markers."""
    options = {"444": {"subsampling": 0}, "422": {"subsampling": 1}, "420": {"subsampling": 2}, "worst": {"quality": 1},
               "progressive": {"progressive": True, "subsampling": 0},
               "optimised": {"optimize": True, "subsampling": 0},
               "restarts": {"restart_marker_blocks": 2, "subsampling": 0}, "rgb": {"keep_rgb": True}}  # fmt: skip
    for n, (name, how) in enumerate(options.items()):
        # decoders smooth halved colour differently at the borders: bounded loosely, and tightly where it is whole
        bound = 2 if how.get("subsampling") == 0 else 12
        yield Case(f"jpeg/{name}.jpg", bound=bound), encoded(scene(400 + n), "JPEG", **({"quality": 92} | how))
    yield Case("jpeg/gray.jpg", bound=1), encoded(scene(410)[..., 2], "JPEG")
    plain = encoded(scene(411), "JPEG", quality=95, subsampling=0)
    odd = {
        "comment": with_segment(plain, 0xFE, b"x" * 20000),
        "long-header": with_segment(with_segment(plain, 0xEF, bytes(65000)), 0xEF, bytes(65000)),
        "longer-header": plain[:2] + (b"\xff\xef" + struct.pack(">H", 65002) + bytes(65000)) * 3 + plain[2:],
        "garbage-behind": plain + b"garbage" * 99,
        "two-in-one": plain + encoded(scene(412), "JPEG"),
        "fill-bytes": plain[:2] + b"\xff\xff" + plain[2:],
    }
    for name, data in odd.items():
        yield Case(f"jpeg/{name}.jpg", bound=2), data
    yield Case("jpeg/garbage-before.jpg", ("not_an_image",)), b"garbage" + plain
    frame = by_hand.frame_at(plain)
    yield Case("jpeg/12-bit.jpg", (*BROKEN, "unsupported")), patched(plain, frame + 4, b"\x0c")
    yield Case("jpeg/lossless.jpg", (*BROKEN, "unsupported")), patched(plain, frame + 1, b"\xc3")
    yield Case("jpeg/no-height.jpg", BROKEN), patched(plain, frame + 5, b"\0\0")
    yield Case("jpeg/no-width.jpg", BROKEN), patched(plain, frame + 7, b"\0\0")
    yield Case("jpeg/five-channels.jpg", BROKEN), patched(plain, frame + 9, b"\x05")
    yield Case("jpeg/no-tables.jpg", BROKEN), plain.replace(b"\xff\xdb", b"\xff\xee", 1)
    inks = np.concatenate([255 - scene(420), scene(421)[..., :1] // 4], axis=-1)
    cmyk = encoded(Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes()), "JPEG", quality=98, subsampling=0)
    adobe = cmyk.index(b"Adobe")
    yield Case("jpeg/ycck.jpg", bound=16), patched(cmyk, adobe + 11, b"\x02")


def others() -> Cases:
    """GIF, WebP, AVIF, BMP; of animations the first frame."""
    frames = [Image.fromarray(scene(500 + n)) for n in range(3)]
    for ending, kind, how in (("gif", "GIF", {}), ("webp", "WEBP", {"lossless": True}), ("png", "PNG", {})):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, **how)
        yield Case(f"animated/three.{ending}"), data
    yield Case("gif/plain.gif"), encoded(Image.fromarray(scene(510)).quantize(200), "GIF")
    yield Case("gif/interlaced.gif"), encoded(Image.fromarray(scene(511)).quantize(200), "GIF", interlace=True)
    clear = Image.fromarray(scene(512)).quantize(100)
    yield Case("gif/transparent.gif"), encoded(clear, "GIF", transparency=int(np.asarray(clear)[3, 3]))
    rgba = np.concatenate([scene(520), scene(521)[..., 2:]], axis=-1)
    white = over_white(rgba[..., :3], rgba[..., 3:])
    yield Case("webp/lossy.webp", bound=2), encoded(scene(522), "WEBP", quality=90)
    yield Case("webp/alpha.webp", wanted=white), encoded(rgba, "WEBP", lossless=True, exact=True)
    yield Case("webp/lossy-alpha.webp", bound=3), encoded(rgba, "WEBP", quality=95)
    full = {"quality": 100, "subsampling": "4:4:4"}
    yield Case("avif/plain.avif", bound=2), encoded(scene(530), "AVIF", quality=90, subsampling="4:4:4")
    yield Case("avif/420.avif", bound=20), encoded(scene(531), "AVIF", quality=90)
    clear = np.concatenate([scene(532), rgba[..., 3:]], axis=-1)
    yield Case("avif/alpha.avif", bound=3), encoded(clear, "AVIF", **full)
    yield (
        Case("avif/10-bit.avif", bound=3),
        by_vips(scene(533).astype(np.uint16) * 257, ".avif", "rgb16", bitdepth=10, Q=95, subsample_mode="off"),
    )
    for orientation in (3, 6):
        tags = Image.Exif()
        tags[0x0112] = orientation
        data = encoded(scene(540 + orientation), "AVIF", exif=tags, **full)
        yield Case(f"avif/orientation-{orientation}.avif", bound=3), data
    pixels = scene(550)
    rows = [row.tobytes() for row in pixels[::-1, :, ::-1]]
    yield Case("bmp/24.bmp", wanted=pixels), by_hand.bmp(rows, WIDTH, 24)
    yield Case("bmp/top-down.bmp", wanted=pixels), by_hand.bmp(rows[::-1], WIDTH, 24, height=-HEIGHT)
    wide = np.concatenate([scene(551)[..., ::-1], np.zeros((HEIGHT, WIDTH, 1), np.uint8)], axis=-1)
    yield Case("bmp/32.bmp", wanted=scene(551)), by_hand.bmp([row.tobytes() for row in wide[::-1]], WIDTH, 32)
    for bits in (1, 4, 8):
        index = (scene(560 + bits)[..., 2] >> (8 - bits)).astype(np.uint8)
        palette = np.random.default_rng(bits).integers(0, 256, (2**bits, 4), dtype=np.uint8)
        data = by_hand.bmp(packed(index, bits)[::-1], WIDTH, bits, palette=palette.tobytes())
        yield Case(f"bmp/palette-{bits}.bmp", wanted=palette[index][..., 2::-1]), data
    run = b"".join(bytes([WIDTH, n % 256, 0, 0]) for n in range(HEIGHT)) + b"\0\1"  # a colour a row, then the end
    palette = np.random.default_rng(9).integers(0, 256, (256, 4), dtype=np.uint8)
    data = by_hand.bmp([run], WIDTH, 8, palette=palette.tobytes(), height=HEIGHT, compression=1)
    wanted = np.repeat(palette[np.arange(HEIGHT)[::-1], None, 2::-1], WIDTH, axis=1)
    yield Case("bmp/run-lengths.bmp", wanted=wanted), data
    yield Case("bmp/no-such-compression.bmp", (*BROKEN, "unsupported")), by_hand.bmp(rows, WIDTH, 24, compression=77)
