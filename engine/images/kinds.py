"""The kinds of image files: how each is known, what reads it, and what to say where nothing does.

The one table of them: the scan of a folder goes by its endings, reading by its signatures, sentences by its names. A
file is what its first bytes say, whatever its ending; where they say nothing, an ending of a kind that is not read
still gives it a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import BadImage
from . import tiff

DEVELOP = "develop it to a 16-bit TIFF or PNG first, with darktable or RawTherapee for instance"
EXPORT = "export it as PNG"


@dataclass(frozen=True)
class FileKind:
    """word: what rejects are counted by. loader: libvips's operation, or "pillow"; "": it is not read. package: what
    decodes it, where that is an extra of its own."""

    word: str
    name: str
    endings: tuple[str, ...]
    loader: str = ""
    package: str = ""
    extra: str = ""
    advice: str = EXPORT

    @property
    def readable(self) -> bool:
        """Whether this installation reads it."""
        return bool(self.loader) and (not self.package or find_spec(self.package) is not None)


def _raw(word: str, name: str, *endings: str) -> FileKind:
    return FileKind(word, name, endings, advice=DEVELOP)


KINDS = (
    FileKind("jpeg", "a JPEG", (".jpg", ".jpeg", ".jfif", ".jpe", ".mpo"), "jpegload_source"),
    FileKind("png", "a PNG", (".png", ".apng"), "pngload_source"),
    FileKind("webp", "a WebP", (".webp",), "webpload_source"),
    FileKind("tiff", "a TIFF", (".tif", ".tiff"), "tiffload_source"),
    FileKind("gif", "a GIF", (".gif",), "gifload_source"),
    FileKind("avif", "an AVIF", (".avif", ".avifs"), "heifload_source"),
    FileKind("bmp", "a BMP", (".bmp", ".dib"), "pillow"),
    FileKind("heic", "a HEIC photograph", (".heic", ".heif", ".hif"), "pillow", "pillow_heif", "heif"),
    FileKind("jxl", "a JPEG XL", (".jxl",), "pillow", "pillow_jxl", "jxl"),
    _raw("dng", "a raw photograph (DNG)", ".dng"),
    _raw("cr2", "a Canon raw photograph (CR2)", ".cr2"),
    _raw("cr3", "a Canon raw photograph (CR3)", ".cr3"),
    _raw("nef", "a Nikon raw photograph (NEF)", ".nef", ".nrw"),
    _raw("arw", "a Sony raw photograph (ARW)", ".arw", ".sr2", ".srf"),
    _raw("raf", "a Fujifilm raw photograph (RAF)", ".raf"),
    _raw("orf", "an Olympus raw photograph (ORF)", ".orf"),
    _raw("rw2", "a Panasonic raw photograph (RW2)", ".rw2", ".rwl"),
    _raw("pef", "a Pentax raw photograph (PEF)", ".pef"),
    _raw("raw", "a raw photograph, or a TIFF that begins with a thumbnail",
         ".3fr", ".crw", ".dcr", ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mef",
         ".mos", ".mrw", ".raw", ".srw", ".x3f"),
    FileKind("jp2", "a JPEG 2000", (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jph", ".jpx")),
    FileKind("psd", "a Photoshop document", (".psd", ".psb")),
    FileKind("svg", "a vector drawing (SVG)", (".svg", ".svgz")),
    FileKind("exr", "an OpenEXR", (".exr",)),
    FileKind("hdr", "a Radiance HDR", (".hdr",)),
    FileKind("pnm", "a Netpbm image", (".pnm", ".ppm", ".pgm", ".pbm", ".pam", ".pfm")),
    FileKind("tga", "a Targa image", (".tga",)),
    FileKind("ico", "an icon", (".ico", ".icns", ".cur")),
    FileKind("other", "an image of a kind", (".dds", ".jxr", ".pcx", ".qoi", ".sgi", ".wdp", ".xcf")),
)  # fmt: skip
_BY_WORD = {kind.word: kind for kind in KINDS}
_BY_ENDING = {ending: kind for kind in KINDS for ending in kind.endings}
ENDINGS = tuple(sorted(_BY_ENDING))  # what looks like a picture
HEAD = 64  # bytes that say a kind, but for raw photographs in a TIFF's clothes

_SIGNATURES = (
    ("jpeg", 0, b"\xff\xd8\xff"), ("png", 0, b"\x89PNG\r\n\x1a\n"),
    ("gif", 0, b"GIF87a"), ("gif", 0, b"GIF89a"),
    ("jxl", 0, b"\xff\x0a"), ("jxl", 0, b"\0\0\0\x0cJXL \r\n\x87\n"),
    ("cr2", 0, b"II*\0\x10\0\0\0CR"), ("raf", 0, b"FUJIFILMCCD-RAW"), ("rw2", 0, b"IIU\0"),
    ("orf", 0, b"IIRO"), ("orf", 0, b"IIRS"), ("orf", 0, b"MMOR"),
    ("raw", 0, b"FOVb"), ("raw", 0, b"\0MRM"), ("raw", 0, b"II\x1a\0\0\0HEAPCCDR"),
    ("tiff", 0, b"II*\0"), ("tiff", 0, b"MM\0*"), ("tiff", 0, b"II+\0"), ("tiff", 0, b"MM\0+"),
    ("jp2", 0, b"\0\0\0\x0cjP  \r\n\x87\n"), ("jp2", 0, b"\xff\x4f\xff\x51"), ("psd", 0, b"8BPS"),
    ("exr", 0, b"v/1\x01"), ("hdr", 0, b"#?RADIANCE"),
)  # fmt: skip
_BMP_HEADERS = [bytes([size, 0, 0, 0]) for size in (12, 16, 40, 52, 56, 64, 108, 124)]  # the lengths that they say
MOST_BRANDS = 1024  # bytes of a box of brands
_BRANDS = (("cr3", (b"crx ",)), ("avif", (b"avif", b"avis")), ("jxl", (b"jxl ",)),
           ("heic", (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1",
                     b"msf1")))  # fmt: skip


def kind_of(name: str, data: bytes) -> FileKind:
    """What a file is, by its first bytes (`HEAD` of them, or more), and its ending where they are of no kind. Raises
    BadImage for what is not read here: an empty file, no image, a kind that is not read.
    """
    if not data:
        raise BadImage("empty", f"{name} is empty")
    kind = _BY_WORD.get(_word(data)) or _BY_ENDING.get(name[name.rfind(".") :].lower())
    if kind is None or (kind.loader and kind.word != _word(data)):
        raise BadImage("not_an_image", f"{name} is not an image, or of a kind that is not read", wanted=readable())
    if not kind.readable:
        mend = f"pip install 'degrade-engine[{kind.extra}]'" if kind.extra else kind.advice
        raise BadImage(f"unsupported_{kind.word}", f"{name} is {kind.name}, which is not read", mend=mend)
    return kind


def readable() -> str:
    """The kinds that this installation reads, for sentences."""
    names = [kind.name for kind in KINDS if kind.readable]
    return ", ".join(names[:-1]) + " or " + names[-1]


def readable_endings() -> tuple[str, ...]:
    """Those of the kinds that this installation reads."""
    return tuple(ending for kind in KINDS if kind.readable for ending in kind.endings)


def _word(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:2] == b"BM" and data[14:18] in _BMP_HEADERS:
        return "bmp"
    if data[4:8] == b"ftyp" and 12 <= int.from_bytes(data[:4], "big") <= MOST_BRANDS:
        brands = set(_brands(data))
        return next((word for word, known in _BRANDS if brands.intersection(known)), "")
    word = next((word for word, at, magic in _SIGNATURES if data.startswith(magic, at)), "")
    return tiff.raw_kind(data) or word if word == "tiff" else word


def _brands(data: bytes) -> Iterator[bytes]:
    """The major brand, then the compatible ones (ISO/IEC 14496-12, 4.3)."""
    yield data[8:12]
    for at in range(16, min(int.from_bytes(data[:4], "big"), len(data)), 4):
        yield data[at : at + 4]


def photographs_in(folders: Sequence[Path]) -> list[Path]:
    """The files in folders, and below, that look like photographs; a file stands for itself."""
    return sorted(p for d in folders for p in ([d] if d.is_file() else d.rglob("*")) if p.suffix.lower() in ENDINGS)
