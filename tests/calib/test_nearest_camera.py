"""The fit of a synthetic camera without pairs finds what the camera did; the photographs held out are always the same;
contents are like the camera's; one odd photograph does not decide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from degrade_engine.calib import camera, held_out
from degrade_engine.calib.held_out import Sharp, content_of, crops, sharp_crops, side_of, split
from degrade_engine.calib.nearness import nearness
from degrade_engine.engine.classical.camera import apply, draw, shot
from degrade_engine.engine.classical.dice import throw
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import read_rgb, resize_bicubic
from degrade_engine.engine.report.measures import measure

Pixels = np.ndarray


@pytest.fixture(scope="module")
def hr(samples: Path) -> list[Pixels]:
    return [read_rgb(path) for path in sorted((samples / "hr").iterdir())]


def taken(hr: list[Pixels], index: int, side: int = 64, count: int = 24) -> list[Pixels]:
    """LR of one synthetic camera, of crops of other places than the fit looks at."""
    one, dice = draw(5, index), np.random.default_rng(99)
    found = []
    for at in range(count):
        image = hr[at % len(hr)]
        top, left = (int(dice.integers(0, n - 4 * side + 1)) for n in image.shape[:2])
        found.append(apply(image[top : top + 4 * side, left : left + 4 * side], shot(one, throw(at, 7)), scale=4,
                           noise_seed=at))  # fmt: skip
    return found


def test_the_nearest_camera_is_nearer_than_bicubic_and_than_the_first_ones(
    hr: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "MOST", 40)
    real = taken(hr, 3)
    sharp = sharp_crops(hr, real, 24, seed=0)
    tried: list[int] = []
    found = camera.fit(real, sharp, len(hr), seconds=1e6, seed=0, on_camera=tried.append)
    partners = [measure(real[one.partner]) for one in sharp]

    def apart(make: Pixels | None, index: int = 0) -> float:
        made = [apply(one.pixels, draw(0, index), scale=one.scale, noise_seed=1) for one in sharp]
        plain = [resize_bicubic(one.pixels, (64, 64)) for one in sharp]
        return nearness([measure(x) for x in (plain if make is None else made)], partners, len(hr))

    chance = np.median([apart(real[0], index) for index in range(6)])
    assert tried[-1] == found.tried == 40
    assert list(found.distance) == sorted(found.distance) and 1 < len(found.cameras) <= camera.KEPT
    assert found.distance[0] < 0.6 * min(chance, apart(None))
    assert len({repr(one.lens) for one in found.cameras}) == len(found.cameras)
    monkeypatch.setattr(camera, "MOST", 3)
    again = [camera.fit(real, sharp[:12], len(hr), seconds=1e6, seed=0, workers=workers) for workers in (1, 2)]
    assert again[0] == again[1]


def test_several_searches_share_the_tries_and_each_gives_its_part(
    hr: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FIRST", 6), ("ENOUGH", 8)):
        monkeypatch.setattr(camera, name, value)
    one_search, searched, cameras = camera.search, list[range](), list[list[camera.Camera]]()

    def search(*given: object) -> list[camera.Found]:
        found = one_search(*given)
        searched.append(given[1])
        cameras.append([one for *_, one in found])
        return found

    monkeypatch.setattr(camera, "search", search)
    real = taken(hr, 3, count=12)
    sharp = sharp_crops(hr, real, 12, seed=0)
    found = camera.fit(real, sharp, len(hr), seconds=np.inf, seed=0, most=26)
    assert searched == [range(8), range(8, 17), range(17, 26)] and found.tried == 26
    assert [sum(one in found.cameras for one in each) for each in cameras] == [2, 2, 2]
    assert list(found.distance) == sorted(found.distance)
    searched.clear()
    assert camera.fit(real, sharp, len(hr), seconds=1e-6, seed=0, most=26).tried == 6  # time for one search
    assert searched == [range(8)]


def test_what_is_bred_lies_between_its_parents() -> None:
    elite = [(0.0, at, draw(0, at)) for at in range(6)]
    dice = throw(0, 1)
    for index in range(200):
        one = camera.bred(elite, dice, 7, index)
        lenses = [c.lens for c in (*(b for *_, b in elite), draw(7, index))]
        widths = [lens.sigma_x for lens in lenses if lens]
        assert one.lens is None or min(widths) - 1e-9 <= one.lens.sigma_x <= max(widths) + 1e-9
        assert one.jpeg is None or 1 <= one.jpeg.quality <= 100 and isinstance(one.jpeg.quality, int)


def photographs(count: int, side: int = 64) -> list[held_out.Photograph]:
    dice = np.random.default_rng(0)
    return [(Path(f"{at}.png"), dice.integers(0, 256, (side, side, 3), dtype=np.uint8)) for at in range(count)]


def test_the_same_photographs_are_held_out_whatever_their_names_and_order() -> None:
    some = photographs(12)
    tuned, held = split(some)
    again = split([(Path(f"other-{path}"), pixels) for path, pixels in reversed(some)] + some[:3])
    assert len(held) == 4 and len(tuned) == 8
    for one, other in zip((tuned, held), again, strict=True):
        assert [pixels.tobytes() for _, pixels in one] == [pixels.tobytes() for _, pixels in other]
    assert not {path for path, _ in tuned} & {path for path, _ in held}
    assert len(split(photographs(300))[1]) == held_out.MOST


def test_too_few_photographs_are_counted() -> None:
    few = photographs(5)
    with pytest.raises(DegradeError, match="5 different photographs.*6 or more"):
        split([*few, few[0]])


def test_contents_are_like_the_cameras(hr: list[Pixels]) -> None:
    flat = [np.full((64, 64, 3), level, np.uint8) for level in (40, 200)]
    rough = crops([(Path("x"), hr[0])], 64, 8, 0)
    pixels = [one.pixels for one in sharp_crops(hr, flat, 12, seed=0)]
    other = [one.pixels for one in sharp_crops(hr, rough, 12, seed=0)]
    quiet = [np.median([content_of(resize_bicubic(x, (64, 64)))[3] for x in some]) for some in (pixels, other)]
    assert quiet[0] < 0.5 * quiet[1]
    assert {one.scale for one in sharp_crops([x[:128, :128] for x in hr], flat, 4, 0)} == {2}
    with pytest.raises(DegradeError, match="no sharp photograph is 64 px"):
        sharp_crops([hr[0][:60]], flat, 4, 0)


def test_one_odd_photograph_does_not_decide(hr: list[Pixels]) -> None:
    real = [measure(one) for one in crops([(Path("x"), one) for one in hr], 96, 20, 0)]
    odd = [*real[:-1], measure(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8))]
    assert nearness(real, real, 9) == 0
    assert nearness(odd, real, 9) < 0.15
    soft = [measure(resize_bicubic(resize_bicubic(x, (48, 48)), (96, 96)))
            for x in crops([(Path("x"), one) for one in hr], 96, 20, 0)]  # fmt: skip
    assert nearness(soft, real, 9) > 1
    assert np.isnan(nearness([None] * 5, real[:5], 9))


def test_small_photographs_are_measured_in_small_crops() -> None:
    assert side_of(photographs(3, 128)) == 64 and side_of(photographs(3, 512)) == 128
    assert len(crops(photographs(3, 128), 64, 48, 0)) == 12
    assert Sharp(np.zeros((4, 4, 3), np.uint8), 1, 0).partner == 0
