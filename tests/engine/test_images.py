"""Reading and writing image files, against Pillow, which decodes them independently of libvips."""

import io
import pickle
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms, ImageOps

from degrade_engine.engine.errors import DegradeError, MachineFault
from degrade_engine.engine.images import BadImage, encode_png, read_rgb, read_size, resize_bicubic

HEIGHT, WIDTH = 40, 64


@pytest.fixture(scope="module")
def scene():
    """A smooth colourful scene, uint8 [40, 64, 3]: no two of its eight orientations are alike."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / [[[HEIGHT]], [[WIDTH]]]
    planes = [255 * x, 255 * y, 127 + 120 * np.sin(5 * x + 3 * y * y)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def close(a, b, tolerance):
    b = np.asarray(b)
    return a.shape == b.shape and np.abs(a.astype(int) - b).max() <= tolerance


# ---- kinds ----


@pytest.mark.parametrize("ending, tolerance", [("png", 0), ("tif", 0), ("bmp", 0), ("webp", 1), ("jpg", 1)])
def test_kinds(tmp_path, scene, ending, tolerance):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(scene).save(path)
    pixels = read_rgb(path)
    assert close(pixels, np.asarray(Image.open(path).convert("RGB")), tolerance)
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    assert read_size(path) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, scene, ending, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    Image.fromarray(scene).save(path, exif=exif, **({"lossless": True} if ending == "webp" else {}))
    pixels = read_rgb(path)
    with Image.open(path) as stored:
        assert close(pixels, ImageOps.exif_transpose(stored).convert("RGB"), 1)
    assert read_size(path) == pixels.shape[:2] == ((WIDTH, HEIGHT) if orientation >= 5 else (HEIGHT, WIDTH))


def test_sixteen_bits_are_rounded_not_cut(tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    cv2.imwrite(str(tmp_path / "gray.png"), values)
    cv2.imwrite(str(tmp_path / "colour.png"), np.stack([values, values.T, values[::-1]], -1))
    cv2.imwrite(str(tmp_path / "colour.tif"), np.stack([values, values.T, values[::-1]], -1))
    wanted = np.rint(values / 257.0).astype(np.uint8)
    assert np.array_equal(read_rgb(tmp_path / "gray.png"), np.stack([wanted] * 3, -1))
    colour = np.stack([wanted[::-1], wanted.T, wanted], -1)  # OpenCV writes BGR
    assert np.array_equal(read_rgb(tmp_path / "colour.png"), colour)
    assert np.array_equal(read_rgb(tmp_path / "colour.tif"), colour)


def test_gray_palette_and_one_bit(tmp_path, scene):
    for mode in ("L", "P", "1"):
        path = tmp_path / f"{mode}.png"
        Image.fromarray(scene).convert(mode).save(path)
        assert np.array_equal(read_rgb(path), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_over_white_or_refused(tmp_path, scene, mode):
    opacity = Image.fromarray(np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1)))
    path = tmp_path / "a.png"
    image = Image.fromarray(scene).convert({"LA": "L"}.get(mode, "RGB"))
    if mode == "P":
        image.quantize(16).save(path, transparency=3)
    else:
        image.putalpha(opacity)
        image.save(path)
    with Image.open(path) as stored:
        over = stored.convert("RGBA")
        wanted = Image.new("RGBA", over.size, "white")
        wanted.alpha_composite(over)
    assert close(read_rgb(path), wanted.convert("RGB"), 1)
    with pytest.raises(BadImage) as refused:
        read_rgb(path, alpha="refuse")
    assert refused.value.reason == "alpha"


def test_sixteen_bit_alpha_and_an_opaque_alpha(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 4, 4), [0, 0, 65535, 32768], np.uint16))
    assert read_rgb(tmp_path / "a.png")[0, 0].tolist() == [255, 127, 127]
    cv2.imwrite(str(tmp_path / "b.png"), np.full((4, 4, 4), [9, 8, 7, 255], np.uint8))
    assert read_rgb(tmp_path / "b.png", alpha="refuse")[0, 0].tolist() == [7, 8, 9]


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue", "lime")]
    for ending in ("gif", "webp", "tif"):
        path = tmp_path / f"a.{ending}"
        frames[0].save(
            path, save_all=True, append_images=frames[1:], **({"lossless": True} if ending == "webp" else {})
        )
        assert read_size(path) == (10, 20)
        assert close(read_rgb(path), np.asarray(frames[0]), 2)


# ---- colour ----


def wide_gamut_profile(gray=False):
    """An ICC v2 matrix profile with the primaries of Adobe RGB (1998) and gamma 563/256; or gray."""

    def fixed(value):
        return struct.pack(">i", round(value * 65536))

    def xyz(*values):
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563) + b"\0\0"
    if gray:
        return profile_of(b"GRAY", [(b"wtpt", xyz(0.9642, 1.0, 0.8249)), (b"kTRC", curve)])
    tags = [
        (b"wtpt", xyz(0.9642, 1.0, 0.8249)),
        (b"rXYZ", xyz(0.60974, 0.31111, 0.01947)),
        (b"gXYZ", xyz(0.20528, 0.62567, 0.06087)),
        (b"bXYZ", xyz(0.14919, 0.06322, 0.74457)),
    ]
    return profile_of(b"RGB ", tags + [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")])


def profile_of(space, tags):
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"wide\0" + bytes(79)
    tags = [(b"desc", text), (b"cprt", b"text\0\0\0\0none\0\0\0\0"), *tags]
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags:
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", at + len(body), bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)  # D50
    return head + table + body


def by_pillow(image, profile):
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(
        ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    )


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
def test_a_wide_gamut_profile_is_brought_to_srgb(tmp_path, scene, ending):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(scene).save(path, icc_profile=wide_gamut_profile())
    with Image.open(path) as stored:
        plain = np.asarray(stored.convert("RGB"))
        wanted = by_pillow(stored, stored.info["icc_profile"])
    assert np.abs(plain.astype(int) - wanted).max() > 20
    assert close(read_rgb(path), wanted, 3)


def test_sixteen_bits_with_a_profile_and_alpha(tmp_path, scene):
    deep = np.concatenate([scene, np.full((HEIGHT, WIDTH, 1), 255, np.uint8)], -1).astype(np.uint16) * 257
    deep[: HEIGHT // 2, :, 3] = 32768
    wide = pyvips.Image.new_from_memory(deep.tobytes(), WIDTH, HEIGHT, 4, "ushort").copy(interpretation="rgb16")
    wide.set_type(pyvips.GValue.blob_type, "icc-profile-data", wide_gamut_profile())
    wide.pngsave(str(tmp_path / "a.png"))
    wanted = by_pillow(Image.fromarray(scene), wide_gamut_profile()).astype(np.float64)
    wanted[: HEIGHT // 2] = (wanted[: HEIGHT // 2] + 255) / 2
    found = read_rgb(tmp_path / "a.png")
    assert np.abs(found - wanted).max() <= 3 and np.abs(found - wanted).mean() < 0.5


def test_an_srgb_profile_changes_no_bit(tmp_path, scene):
    path = tmp_path / "a.png"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(scene).save(path, icc_profile=profile)
    assert np.array_equal(read_rgb(path), scene)


def test_gray_profiles(tmp_path):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
    Image.fromarray(ramp).save(tmp_path / "gray.png", icc_profile=wide_gamut_profile(gray=True))
    linear = (np.arange(256) / 255) ** (563 / 256)
    wanted = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    found = read_rgb(tmp_path / "gray.png")[0].astype(float)
    assert np.abs(found - wanted[:, None]).max() < 1.5 and np.abs(wanted - ramp[0]).max() > 4
    Image.fromarray(ramp).save(tmp_path / "misfit.png", icc_profile=wide_gamut_profile())
    assert np.array_equal(read_rgb(tmp_path / "misfit.png")[..., 1], ramp)


def test_a_broken_profile_is_ignored(tmp_path, scene):
    for index, profile in enumerate((b"no profile", wide_gamut_profile()[:200], bytes(400))):
        path = tmp_path / f"{index}.tif"
        Image.fromarray(scene).save(path, icc_profile=profile)
        assert np.array_equal(read_rgb(path), scene)


def test_cmyk(tmp_path, scene):
    inks = np.stack([255 - scene[..., 0], 255 - scene[..., 1], 255 - scene[..., 2], scene[..., 0] // 4], -1)
    image = Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes())
    profile = bytes(pyvips.Image.profile_load("cmyk"))
    image.save(tmp_path / "with.jpg", quality=100, subsampling=0, icc_profile=profile)
    image.save(tmp_path / "without.jpg", quality=100, subsampling=0)
    with Image.open(tmp_path / "with.jpg") as stored:
        assert stored.mode == "CMYK"
        wanted = by_pillow(stored, profile)
    found = read_rgb(tmp_path / "with.jpg")
    assert np.abs(found.astype(int) - wanted).mean() < 1 and close(found, wanted, 12)
    assert close(read_rgb(tmp_path / "without.jpg"), found, 2)
    Image.new("CMYK", (8, 8), (0, 0, 0, 0)).save(tmp_path / "paper.jpg")
    assert read_rgb(tmp_path / "paper.jpg").min() > 245


# ---- what is no image, or not a whole one ----


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "bmp"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.97])
def test_truncated(tmp_path, noise, ending, part):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(BadImage) as error:
        read_rgb(path)
    assert error.value.reason == "truncated" and "a." in error.value.fact


def test_a_hole_in_a_png_and_a_cut_tiff_are_corrupt(tmp_path, noise):
    path = tmp_path / "a.png"
    Image.fromarray(noise).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20] = bytes(20)
    path.write_bytes(data)
    Image.fromarray(noise).save(tmp_path / "a.tif")
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:5000])
    for name in ("a.png", "a.tif"):
        with pytest.raises(BadImage) as error:
            read_rgb(tmp_path / name)
        assert error.value.reason == "corrupt"


def test_what_is_no_image(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a photograph at all, whatever its name says")
    (tmp_path / "drawing.png").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    (tmp_path / "stub.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "folder.png").mkdir()
    pyvips.Image.black(8, 8).cast("float").tiffsave(str(tmp_path / "float.tif"))
    wanted = {
        "empty.jpg": "empty",
        "text.jpg": "not_an_image",
        "drawing.png": "not_an_image",
        "stub.png": "truncated",
        "folder.png": "unreadable",
        "float.tif": "unsupported",
    }
    for name, reason in wanted.items():
        with pytest.raises(BadImage) as error:
            read_rgb(tmp_path / name)
        assert error.value.reason == reason
        assert name in str(error.value) and str(tmp_path) not in str(error.value)


def test_a_file_that_cannot_be_read_is_not_called_bad(tmp_path):
    (tmp_path / "itself.png").symlink_to("itself.png")
    for name, said in {"none.png": "is not there (ENOENT)", "itself.png": "ELOOP"}.items():
        for call in (read_rgb, read_size):
            with pytest.raises(MachineFault) as error:
                call(tmp_path / name)
            assert said in str(error.value) and str(tmp_path / name) in str(error.value)


def test_a_bomb_is_refused_from_its_header(tmp_path):
    def chunk(kind, data=b""):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    small = tmp_path / "a.bmp"
    Image.new("RGB", (30, 20)).save(small)
    for call in (
        lambda: read_size(path),
        lambda: read_rgb(path),
        lambda: read_rgb(small, pixel_limit=599),
        lambda: read_size(small, pixel_limit=599),
    ):
        with pytest.raises(BadImage, match="60000 x 60000|30 x 20") as error:
            call()
        assert error.value.reason == "too_large"
    assert read_rgb(small, pixel_limit=600).shape == (20, 30, 3)


@pytest.mark.parametrize("name", ["été 写真.png", "a[page=1].png", "a.png[access=random]", "x%20y.png", "-a.png"])
def test_odd_names(tmp_path, scene, name):
    Image.fromarray(scene).save(tmp_path / name, format="PNG")
    assert np.array_equal(read_rgb(tmp_path / name), scene)
    assert read_size(tmp_path / name) == (HEIGHT, WIDTH)


def test_an_overwritten_file_is_read_anew(tmp_path, scene):
    path = tmp_path / "a.png"
    Image.fromarray(scene).save(path)
    read_rgb(path)
    Image.fromarray(255 - scene).save(path)
    assert np.array_equal(read_rgb(path), 255 - scene)


def test_nothing_is_printed(tmp_path, noise):
    """libvips and its codecs like to warn on stderr; a run of thousands of files must stay readable."""
    Image.fromarray(noise).save(tmp_path / "a.png", icc_profile=b"nonsense" * 40)
    Image.fromarray(noise).save(tmp_path / "b.tif", icc_profile=wide_gamut_profile()[:300])
    for ending in ("png", "jpg", "webp", "tif", "gif", "avif"):
        path = tmp_path / f"cut.{ending}"
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:-300])
    code = (
        "import sys, pathlib\nfrom degrade_engine.engine.images import BadImage, read_rgb\n"
        "for p in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n        read_rgb(p)\n    except BadImage as e:\n        print(p.name, e.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == ""
    assert len(done.stdout.splitlines()) == 6


def test_libvips_speaks_to_no_logger(tmp_path, noise):
    """Were it heard by Python, an image dropped meanwhile could speak too, and GLib ends the process over that."""
    Image.fromarray(noise).save(tmp_path / "a.jpg", quality=95)
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 300 :])
    code = (
        "import logging, sys\nlogging.basicConfig(level=logging.WARNING)\n"
        "from degrade_engine.engine import images\nimport pyvips\n"
        "print(pyvips.Image.jpegload(sys.argv[1]).avg() > 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.jpg")], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_the_error_crosses_a_process_border():
    error = pickle.loads(pickle.dumps(BadImage("empty", "a.png is empty", mend="fetch it again")))
    assert isinstance(error, DegradeError) and error.reason == "empty"
    assert str(error) == "a.png is empty. Fix: fetch it again."


# ---- out ----


def test_png_is_lossless_bare_and_the_same_every_time(scene):
    data = encode_png(scene)
    assert data == encode_png(scene.copy(order="F")) == encode_png(np.ascontiguousarray(scene))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), scene)
    kinds, at = [], 8
    while at < len(data):
        kinds.append(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    assert set(kinds) <= {b"IHDR", b"pHYs", b"IDAT", b"IEND"}
    assert data[24:26] == b"\x08\x02"  # 8 bits, RGB
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(scene[3:, ::2], level=1)))), scene[3:, ::2])


def test_png_refuses_what_is_not_8_bit_rgb(scene):
    for bad in (scene.astype(np.float32), scene[..., 0], scene[..., :2], scene[:0]):
        with pytest.raises(DegradeError):
            encode_png(bad)


def test_resize_is_antialiased_bicubic(scene):
    fine = np.indices((64, 64)).sum(0)[..., None].repeat(3, 2) % 2 * 255
    assert abs(resize_bicubic(fine.astype(np.uint8), (16, 16)).astype(int) - 128).max() <= 8  # no aliasing
    assert resize_bicubic(scene, (10, 32)).shape == (10, 32, 3)
    assert np.array_equal(resize_bicubic(scene, (HEIGHT, WIDTH)), scene)
