"""An LR shows its HR, or another form of it, or another picture; what cannot be told is not accused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from degrade_engine.engine.classical.degraders import open_degrader
from degrade_engine.engine.images import read_rgb, resize_bicubic
from degrade_engine.engine.sinks.alignment import bring_down
from degrade_engine.engine.sinks.likeness import likeness

SAMPLES = Path(__file__).resolve().parents[3] / "samples" / "hr"
SIDE = 96
HARD = ("realesrgan", "bsrgan", "bsrgan-plus")


@pytest.fixture(scope="module")
def right() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(degrader, HR at LR size, LR): a crop of each bundled photograph, degraded by each of some."""
    found = []
    for pair, path in enumerate(sorted(SAMPLES.glob("*.png"))):
        hr = np.ascontiguousarray(read_rgb(path)[60 : 60 + 4 * SIDE, 80 : 80 + 4 * SIDE])
        for kind in ("bicubic", *HARD):
            lq, _ = open_degrader(kind).degrade(hr, scale=4, seed=5, pair=pair, noise_seed=pair)
            found.append((kind, bring_down(hr, lq), lq))
    return found


FORMS = {
    "turned by 180 degrees": lambda image: image[::-1, ::-1],
    "mirrored left to right": lambda image: image[:, ::-1],
    "mirrored top to bottom": lambda image: image[::-1],
    "turned left by 90 degrees": lambda image: np.rot90(image),
    "turned right by 90 degrees": lambda image: np.rot90(image, -1),
    "with rows and columns swapped": lambda image: image.swapaxes(0, 1),
    "with rows and columns swapped, turned by 180 degrees": lambda image: image[::-1, ::-1].swapaxes(0, 1),
}


def test_right_pairs_are_not_accused(right):
    for kind, sharp, lq in right:
        found = likeness(sharp, lq)
        assert (found.turned, found.order, found.foreign) == ("", "RGB", False), kind


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_named_by_its_name(right, form):
    named = [likeness(sharp, np.ascontiguousarray(FORMS[form](lq))).turned == form for _, sharp, lq in right]
    clean = [one for one, (kind, _, _) in zip(named, right, strict=True) if kind == "bicubic"]
    assert all(clean) and np.mean(named) >= 0.9


@pytest.mark.parametrize(("order", "share"), [("BGR", 0.95), ("GBR", 0.95), ("BRG", 0.95), ("RBG", 0.85), ("GRB", 0.8)])
def test_each_order_of_channels_is_named(right, order, share):
    """Of pictures with colours; where red and green, or green and blue, are much alike, nothing tells these two."""
    channels = ["RGB".index(letter) for letter in order]
    named = [
        likeness(sharp, np.ascontiguousarray(lq[..., channels])).order == order
        for _, sharp, lq in right
        if np.ptp(sharp.astype(int), axis=-1).std() > 2
    ]
    assert len(named) >= 28 and np.mean(named) >= share


@pytest.mark.parametrize("photograph", ["city", "flowers", "nyc", "waves"])
def test_the_smaller_the_images_the_nearer_another_order_has_to_be(photograph):
    """Colours of which a little more is swapped than is not: few pixels may show that by chance."""
    whole = read_rgb(SAMPLES / f"{photograph}.png")[60:444, 80:464]
    named = []
    for side in (24, SIDE):
        sharp = resize_bicubic(whole, (side, side))
        lq = np.rint(0.4 * sharp + 0.6 * sharp[..., ::-1]).astype(np.uint8)
        named += [likeness(sharp, lq).order, likeness(sharp, np.ascontiguousarray(sharp[..., ::-1])).order]
    assert named == ["RGB", "BGR", "BGR", "BGR"]


def test_the_lr_of_another_photograph_is_foreign(right):
    found = [likeness(sharp, right[n - 8][2]) for n, (_, sharp, _) in enumerate(right)]
    assert all(one.foreign and one.doubtful for one in found)


def test_what_shows_nothing_is_not_accused():
    dice = np.random.default_rng(0)
    flat = np.full((SIDE, SIDE, 3), 120, np.uint8)
    ramp = np.clip(flat + np.linspace(-3, 3, SIDE)[:, None, None], 0, 255).astype(np.uint8)
    for sharp in (flat, ramp):
        for sigma in (0, 3, 25, 60):
            lq = np.clip(sharp + dice.normal(0, sigma, sharp.shape), 0, 255).astype(np.uint8)
            found = likeness(sharp, lq)
            assert (found.turned, found.order, found.foreign) == ("", "RGB", False), sigma
    assert likeness(flat[:15, :40], flat[:15, :40]) is None  # too small


def test_gray_pictures_have_no_order_and_casts_do_not_look_like_one(right):
    for kind, sharp, lq in right:
        gray = [np.repeat(image.mean(-1, keepdims=True), 3, -1).astype(np.uint8) for image in (sharp, lq)]
        assert likeness(*gray).order == "RGB"
        for cast in ((12, 0, -12), (-12, 0, 12)):
            tinted = np.clip(lq.astype(int) + cast, 0, 255).astype(np.uint8)
            assert likeness(sharp, tinted).order == "RGB", (kind, cast)
            assert likeness(gray[0], np.clip(gray[1].astype(int) + cast, 0, 255).astype(np.uint8)).order == "RGB"


def test_a_picture_that_is_its_own_mirror_image_is_not_accused(right):
    for _, sharp, lq in right:
        both = [np.concatenate([image, image[:, ::-1]], axis=1) for image in (sharp, lq)]
        assert likeness(*both).turned == ""


def test_large_and_oblong_images(right):
    photograph = read_rgb(SAMPLES / "nyc.png")[:480, :560]
    lq = resize_bicubic(photograph, (240, 280))
    sharp = bring_down(photograph, lq)
    assert likeness(sharp, lq).turned == "" and likeness(sharp, lq).order == "RGB"
    assert likeness(sharp, np.ascontiguousarray(lq[:, ::-1])).turned == "mirrored left to right"
