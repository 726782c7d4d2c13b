"""What an image is like: its edges, its detail, its noise, JPEG's blocks, clipping. One number each, and how sure their
mean over photographs is.

LR and references show different scenes, so each measure keeps as much of the content out as it can: edges are divided
by their own height, fine structure by coarse structure, steps at block borders by all other steps, and noise is read
where an image is quietest. What is left of the content is in the interval over photographs.

Images are uint8 RGB [h, w, 3].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]
Floats = NDArray[np.float64]

SMALLEST = 32  # pixels of the shorter side: a smaller image shows too little
LEVEL = 0.95  # of every interval
DRAWS = 2000  # of a bootstrap
FEWEST = 5  # photographs: an interval of fewer would be far too narrow
BANDS = 16  # of a spectrum, up to half a cycle per pixel
COARSE, MIDDLE, FINE = slice(2, 4), slice(4, 8), slice(8, 16)  # 1/16 to 1/8 cycles per pixel, to 1/4, to 1/2
REACH = 4  # pixels on either side of an edge, between which its height is measured
EDGE = 32.0  # grey levels: the height of an edge that noise does not make
FEWEST_EDGES = 30
WINDOW = 8  # side of a window, pixels
QUIETEST = 0.1  # share of the windows
CLIPPED = (12.0, 243.0)  # grey levels: beyond them noise is cut off
LIGHTS = (
    ("dark", CLIPPED[0], 85.0, "shadows"),
    ("middle", 85.0, 170.0, "middle tones"),
    ("bright", 170.0, CLIPPED[1], "bright places"),
)  # mean of a window, above and up to
FEWEST_WINDOWS = 20  # of one light
HEARD = 0.5  # grey levels of noise in luma: below, its colour and grain are rounding's
COLOURED = 10.0  # times the power that rounding gives: below, an image has too little colour to tell its detail
ENDS = (1, 254)  # at and beyond them a value is clipped
STEP = 8.0  # grey levels: a larger step is an edge's, and counts as this


@dataclass(frozen=True)
class Measure:
    """One of them. how: it is measured; low, same, high: what LR are beside others, by it; alike: the difference that
    still passes for none, in its unit, or as a share of the other value where that is more; first: one of the few that
    a report's sentence speaks of."""

    key: str
    name: str
    unit: str
    how: str
    low: str
    same: str
    high: str
    alike: float
    share: float
    first: bool = False


MEASURES = (
    Measure("sharpness", "Sharpness", "%",
            f"Edge slope: the largest step from one pixel to the next, as a share of the edge's whole height; the "
            f"median over edges of at least {EDGE:.0f} grey levels. 100 % is an edge within one pixel. "
            "Strong noise raises it where edges are soft.",
            "softer", "as sharp", "sharper", 3.0, 0.08, first=True),
    Measure("halo", "Halo", "%",
            "How far values run back on both sides of such an edge, as a share of its height. Sharpening raises it.",
            "less haloed", "as haloed", "more haloed", 3.0, 0.2),
    Measure("middle", "Middle detail", "dB",
            "Power of structure of 1/8 to 1/4 cycle per pixel over that of coarse structure (1/16 to 1/8). Sharpening "
            "raises it, wide blur lowers it.",
            "poorer in middle detail", "as rich in middle detail", "richer in middle detail", 1.5, 0.0),
    Measure("spectrum", "Fine detail", "dB",
            "Power of fine structure (1/4 to 1/2 cycle per pixel) over that of coarse structure (1/16 to 1/8). Blur "
            "lowers it; noise and sharpening raise it.",
            "poorer in fine detail", "as rich in fine detail", "richer in fine detail", 2.0, 0.0, first=True),
    Measure("colour", "Detail in colour", "dB",
            "Fine detail of Cb and Cr less that of luma. Mosaics and JPEG's halved colour lower it; noise in colour "
            "raises it.",
            "poorer in colour detail", "as rich in colour detail", "richer in colour detail", 2.0, 0.0),
    Measure("noise", "Noise", "grey levels",
            f"Standard deviation around a fitted plane in the quietest tenth of the {WINDOW} × {WINDOW} windows. Where "
            "nothing is flat, some texture counts as noise.",
            "less noisy", "as noisy", "noisier", 0.4, 0.2, first=True),
    *(
        Measure(f"noise_{light}", f"Noise in {where}", "grey levels",
                f"The same in windows whose mean is {low:.0f} to {high:.0f}.",
                f"less noisy in {where}", f"as noisy in {where}", f"noisier in {where}", 0.4, 0.2)
        for light, low, high, where in LIGHTS
    ),
    Measure("chroma", "Noise in colour", "grey levels",
            "The same of Cb and Cr together, in the quietest tenth of all windows.",
            "less noisy in colour", "as noisy in colour", "noisier in colour", 0.4, 0.2, first=True),
    Measure("tint", "Colour of noise", "× luma",
            "Noise in colour over noise. White noise of R, G and B has 1.35; noise of a camera's JPEG has less.",
            "less coloured in their noise", "as coloured in their noise", "more coloured in their noise", 0.15, 0.2),
    Measure("grain", "Grain", "correlation",
            "Correlation of the noise of neighbouring pixels, in the same windows. White noise has none; a resize and "
            "denoising raise it.",
            "finer in grain", "as fine in grain", "coarser in grain", 0.08, 0.2),
    Measure("blocks", "Blockiness", "%",
            f"How much larger the steps at one phase in {WINDOW} pixels are than the others, wherever that grid lies: "
            "JPEG. Chance alone gives a few percent; bicubic shows how many.",
            "less blocky", "as blocky", "blockier", 4.0, 0.2, first=True),
    Measure("clipped", "Clipped", "%",
            "Share of the pixels with R, G or B at an end of the scale.",
            "less clipped", "as clipped", "more clipped", 1.0, 0.5),
)  # fmt: skip
BY_KEY = {of.key: of for of in MEASURES}


@dataclass(frozen=True)
class Measured:
    """Of one image: each measure by its key, nan where the image cannot tell; its spectrum in dB over the coarse bands,
    [BANDS]; its edges, [2 REACH + 1], as `edge_profile` has them."""

    values: dict[str, float]
    spectrum: Floats
    edges: Floats


def measure(image: Pixels) -> Measured | None:
    """None for an image that is too small."""
    if min(image.shape[:2]) < SMALLEST:
        return None
    luma, bands = gray(image), banded(spectrum(image))
    bands -= bands[COARSE].mean()
    edges, fine = edge_profile(luma), float(bands[FINE].mean())
    far = np.abs(np.arange(-REACH, REACH + 1)) >= 2
    values = {
        "sharpness": float(edges[REACH]), "halo": float(-edges[far].sum()), "middle": float(bands[MIDDLE].mean()),
        "spectrum": fine, "colour": colour_detail(image) - fine, **quiet_noise(image), "blocks": blocks(luma),
        "clipped": 100 * float(((image <= ENDS[0]) | (image >= ENDS[1])).any(axis=2).mean()),
    }  # fmt: skip
    return Measured({of.key: values[of.key] for of in MEASURES}, bands, edges)


def gray(image: Pixels) -> Plane:
    """ITU-R 601 luma, float32 [h, w]."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)


def edge_profile(luma: Plane) -> Floats:
    """How an edge rises, % of its height: the step at its steepest place, in the middle, and at REACH places on either
    side. The medians over strong edges; nan where there are few.

    Along rows and columns; an edge is where a step is the largest within REACH pixels and the values there span at
    least EDGE. Under a Gaussian of sigma pixels a lone edge has 100 erf(0.5 / (sqrt(2) sigma)) % in the middle.
    """
    found = []
    size = 2 * REACH + 1
    for plane in (luma, luma.T):
        step = np.diff(plane, axis=1)
        steep, along = np.abs(step), np.ones((1, size), np.uint8)
        height = (cv2.dilate(plane, along) - cv2.erode(plane, along))[:, :-1]
        at = (steep >= cv2.dilate(steep, along)) & (height >= EDGE)
        at[:, :REACH] = at[:, -REACH:] = False
        y, x = np.nonzero(at)
        near = step[y[:, None], x[:, None] + np.arange(-REACH, REACH + 1)]
        found.append(near * np.sign(step[y, x, None]) / height[y, x, None])
    rises = np.concatenate(found)
    if len(rises) < FEWEST_EDGES:
        return np.full(size, np.nan)
    return np.asarray(100 * np.median(rises, axis=0), np.float64)


def colour_detail(image: Pixels) -> float:
    """Fine over coarse power of Cb and Cr together, dB; nan where there is hardly any colour."""
    planes = np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2YCrCb) * 255, np.float32)
    red, blue = (10 ** (rings(planes[..., channel]) / 10) for channel in (1, 2))
    bands = banded(np.asarray(10 * np.log10(red + blue)))
    heard = bands[COARSE].mean() > 10 * np.log10(2 * COLOURED / 12)
    return float(bands[FINE].mean() - bands[COARSE].mean()) if heard else np.nan


def quiet_noise(image: Pixels) -> dict[str, float]:
    """Of the quietest windows: luma's noise, over all and by light, chroma's, both in grey levels; chroma's over
    luma's; luma's correlation from pixel to pixel. nan where all windows are clipped, or too few of one light.

    Windows are chosen by their luma, so that white noise reads a few percent low, in every image alike.
    """
    planes = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2YCrCb) * 255
    height, width = (side // WINDOW for side in image.shape[:2])
    cut = planes[: height * WINDOW, : width * WINDOW].reshape(height, WINDOW, width, WINDOW, 3)
    windows = cut.swapaxes(1, 2).reshape(height * width, WINDOW * WINDOW, 3).astype(np.float64)
    light = windows[..., 0].mean(axis=1)
    kept = (light > CLIPPED[0]) & (light < CLIPPED[1])
    windows, light = windows[kept], light[kept]
    ramp = np.arange(WINDOW) - (WINDOW - 1) / 2
    ramp /= np.sqrt(WINDOW * np.square(ramp).sum())
    flat = np.full(WINDOW * WINDOW, 1 / WINDOW)
    plane = np.stack([flat, np.repeat(ramp, WINDOW), np.tile(ramp, WINDOW)])  # orthonormal
    rest = windows - np.einsum("kp,nkc->npc", plane, np.einsum("kp,npc->nkc", plane, windows))
    variance = np.square(rest).sum(axis=1) / (WINDOW * WINDOW - len(plane))
    order = np.argsort(variance[:, 0], kind="stable")

    def quietest(some: NDArray[np.intp], fewest: int) -> Floats:
        few = some[: max(1, round(QUIETEST * len(some)))]
        return np.sqrt(variance[few].mean(axis=0)) if len(some) >= fewest else np.full(3, np.nan)

    lit = ((name, order[(light[order] > low) & (light[order] <= high)]) for name, low, high, _ in LIGHTS)
    by_light = {f"noise_{name}": float(quietest(some, FEWEST_WINDOWS)[0]) for name, some in lit}
    luma, *both = quietest(order, 1)
    chroma = float(np.hypot(*both))
    heard = luma >= HEARD
    quiet = rest[order[: max(1, round(QUIETEST * len(order)))], :, 0].reshape(-1, WINDOW, WINDOW)
    return {"noise": float(luma), **by_light, "chroma": chroma, "tint": chroma / float(luma) if heard else np.nan,
            "grain": _neighbours(quiet) if heard else np.nan}  # fmt: skip


def _neighbours(rest: Floats) -> float:
    """Correlation of neighbours along rows and columns, of values whose mean is 0, [n, h, w]."""
    together = [(a * b).mean() for a, b in ((rest[:, 1:], rest[:, :-1]), (rest[:, :, 1:], rest[:, :, :-1]))]
    return float(np.mean(together) / np.square(rest).mean())


def blocks(luma: Plane) -> float:
    """By how many percent the steps at the strongest of eight phases exceed the others, mean of rows and columns."""
    total = 0.0
    for plane in (luma, luma.T):
        step = np.minimum(np.abs(np.diff(plane, axis=1)), STEP).mean(axis=0)
        whole = step[: len(step) // WINDOW * WINDOW].reshape(-1, WINDOW).mean(axis=0)
        at = int(np.argmax(whole))
        others = np.delete(whole, at).mean()
        total += float(whole[at] / others - 1) if others > 0 else 0.0
    return 100 * total / 2


def spectrum(a: Pixels) -> Floats:
    """Radially averaged power spectrum of the gray image in dB, one value per ring of 1 cycle per image, from 1 to half
    the shorter side (Durall et al., CVPR 2020, section 3)."""
    return rings(gray(a))


def rings(g: Plane) -> Floats:
    """The same of a plane.

    A Hann window keeps the image's borders from passing for edges. To every ring the power of rounding to whole grey
    levels is added (a variance of 1/12), so that what is below it counts as nothing.
    """
    h, w = g.shape
    window = np.outer(np.hanning(h), np.hanning(w))
    power = np.square(np.abs(np.fft.fft2((g - g.mean()) * window))) / np.square(window).sum()
    y, x = np.fft.fftfreq(h) * min(h, w), np.fft.fftfreq(w) * min(h, w)
    ring = np.rint(np.hypot(y[:, None], x[None])).astype(int).ravel()
    mean = np.bincount(ring, power.ravel()) / np.bincount(ring)
    return np.asarray(10 * np.log10(mean[1 : min(h, w) // 2 + 1] + 1 / 12))


def banded(rings: Floats) -> Floats:
    """The mean of a spectrum in each of BANDS bands of equal width."""
    return np.array([band.mean() for band in np.array_split(rings, BANDS)])


# ---- over photographs ----


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % interval, of so many images and photographs. interval: None for less than FEWEST
    photographs; drawn: the bootstrap's means; spread: standard deviation over images."""

    value: float
    interval: tuple[float, float] | None
    images: int
    photographs: int
    drawn: Floats
    spread: float = 0.0

    def against(self, other: Mean) -> tuple[float, float] | None:
        """95 % interval of this mean less another's."""
        return bounds(self.drawn - other.drawn) if self.interval and other.interval else None

    def ratio(self, other: Mean) -> tuple[float, tuple[float, float] | None]:
        """This mean over another, which is above 0, and its interval."""
        both = self.interval and other.interval
        return self.value / other.value, bounds(self.drawn / other.drawn) if both else None


def mean(values: Sequence[float], photographs: Sequence[str], seed: int) -> Mean | None:
    """Of a value per image and the photograph it is cut from; None where there is none. Photographs are drawn with
    replacement, all images of one together: crops of one photograph tell less than as many photographs. The same seed
    and photographs give the same draws, so that differences are of pairs."""
    if not values:
        return None
    names, value = sorted(set(photographs)), float(np.mean(values))
    n, place = len(names), {name: at for at, name in enumerate(names)}
    at = [place[one] for one in photographs]
    sums, counts = np.bincount(at, values), np.bincount(at)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), DRAWS)
    drawn = value + ((weights @ sums) / (weights @ counts) - value) * np.sqrt(n / max(1, n - 1))
    return Mean(value, bounds(drawn) if n >= FEWEST else None, len(values), n, drawn, float(np.std(values)))


def bounds(drawn: Floats) -> tuple[float, float]:
    """The middle 95 % of what was drawn."""
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def distances(one: Sequence[Measured | None], other: Sequence[Measured | None]) -> dict[str, float]:
    """How far two sets of images are apart, by measure: the Fréchet distance of the values over images (means and
    spreads), over the other set's spread and what passes for none. Without measures that fewer than FEWEST images of
    one set can tell.

    A set whose images differ from one another more than a camera's do is far from it, even where its mean is right.
    """
    found = {}
    for of in MEASURES:
        a, b = (np.array([image.values[of.key] for image in some if image]) for some in (one, other))
        a, b = a[~np.isnan(a)], b[~np.isnan(b)]
        if min(len(a), len(b)) >= FEWEST:
            unit = np.hypot(b.std(), max(of.alike, of.share * abs(b.mean())))
            found[of.key] = float(np.hypot(a.mean() - b.mean(), a.std() - b.std()) / unit)
    return found
