"""The score is smallest for samples of the truth, F_deg is drawn as its model says, and the stage learns."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.engine.kinds import KINDS  # noqa: E402
from degrade_engine.originals.photographs import Photographs, StepDataset  # noqa: E402
from degrade_engine.originals.realdgen import data, samples  # noqa: E402
from degrade_engine.originals.realdgen.config import SMALL, TINY  # noqa: E402
from degrade_engine.originals.realdgen.model import RealDGen  # noqa: E402
from degrade_engine.originals.realdgen.stages import SMALL_STAGES, STAGES  # noqa: E402
from degrade_engine.originals.realdgen.train import grow, mean_of, train_stage  # noqa: E402

LITTLE = dataclasses.replace(
    SMALL,
    content=dataclasses.replace(SMALL.content, width=8, blocks=1, channels=12, codes=16, groups=2),
    degradation=dataclasses.replace(SMALL.degradation, widths=(8,), blocks=(16,), vector=8, mapping=8),
    modulation=dataclasses.replace(SMALL.modulation, width=8, channels=4),
    unet=dataclasses.replace(SMALL.unet, width=8, multipliers=(1, 2)),
)


@pytest.fixture(scope="module")
def photographs(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Photographs:
    table = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    some = sorted((samples / "hr").iterdir())[:2]
    table.write_text("hr,lr,group\n" + "".join(f"{p},{p},one\n" for p in some))
    return Photographs.read([samples / "hr"], [], [table], 64, 256, [])


def drawn(std: float, content: torch.Tensor, seed: int) -> torch.Tensor:
    noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(seed))
    return content + std * noise


@pytest.mark.parametrize("term", ["local", "whole"])
def test_the_score_is_smallest_for_noise_as_strong_as_the_truths(term: str) -> None:
    content = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(0)) - 0.5
    found = {}
    for std in (0.0, 0.02, 0.04, 0.08):
        made = samples.score(drawn(std, content, 1), drawn(std, content, 2), drawn(0.04, content, 3), content)
        # `local` is divided by its own distances, whose gradient is not followed: undone here
        scale = (made.error + 2) if term == "local" else 1.0
        found[std] = float(getattr(made, term) * scale)
    assert min(found, key=found.__getitem__) == 0.04, found


def test_error_and_spread_agree_where_the_samples_are_the_truths_own() -> None:
    content = torch.zeros(64, 3, 16, 16)
    made = samples.score(drawn(0.05, content, 1), drawn(0.05, content, 2), drawn(0.05, content, 3), content)
    assert float(made.error) == pytest.approx(float(made.spread), rel=0.01)
    assert abs(float(made.off)) < 0.05
    louder = samples.score(drawn(0.1, content, 1), drawn(0.1, content, 2), drawn(0.05, content, 3), content)
    assert 1.1 < float(louder.off) < 2 * math.log(2), "twice the noise; the floor takes a little"


def test_haar_keeps_the_power_and_figures_see_a_blur() -> None:
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    low, high = samples.haar(x)
    assert torch.allclose(x.square().sum(), low.square().sum() + high.square().sum(), rtol=1e-5)
    blurred = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)
    same, less = samples.figures(x, x)[0], samples.figures(blurred, x)[0]
    assert torch.allclose(same, torch.full_like(same, 4.0), rtol=0.01)
    assert (less[:, :3] < 2).all(), "a third of the finest band at most comes through"


def test_readings_are_the_posterior_of_one_more_shot() -> None:
    """Against a simulation: a camera's value, shots around it, crops that read their shots with an error."""
    variety, errors = 0.3, torch.tensor([0.1, 0.5, 2.0])
    readings = samples.Readings(1)
    with torch.no_grad():
        readings.log_variety.fill_(math.log(variety))
    value = torch.tensor([0.4, -1.0, 3.0])
    w = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        f = readings(value[None, :, None], readings.precision(errors.log()[None, :, None]), w)
    precision = 1 / (variety + errors)
    mean = float((precision * value).sum() / precision.sum())
    assert float(f.mean()) == pytest.approx(mean, abs=0.01)
    assert float(f.var()) == pytest.approx(variety + 1 / float(precision.sum()), rel=0.02)


def test_a_sure_reading_counts_and_one_that_says_nothing_does_not() -> None:
    readings = samples.Readings(2)
    value = torch.tensor([[[1.0, 1.0], [5.0, 5.0]]])
    unsure = torch.tensor([[[-9.0, -9.0], [9.0, -9.0]]])
    with torch.no_grad():
        f = readings(value, readings.precision(unsure), torch.zeros(1, 2))[0]
    assert f[0] == pytest.approx(1.0, abs=0.01) and f[1] == pytest.approx(3.0, abs=0.01)


def test_batches_depend_on_seed_and_step_alone(photographs: Photographs) -> None:
    options = data.DataOptions(crop=32, reference_crop=32, camera=0.7)
    make: StepDataset = data.SampleBatches(photographs, options, 4, 3, 0)
    sizes = set()
    for step in range(8):
        batch, again = make[step], make[step]
        assert all(torch.equal(batch[k], again[k]) for k in batch)
        assert batch["content"].shape == batch["target"].shape == (4, 3, 32, 32)
        sizes.add(tuple(batch["references"].shape[1:]))
    assert {m for m, *_ in sizes} > {1} and {side for *_, side in sizes} == {32, 48}


def test_the_stage_learns_to_be_as_noisy_as_its_target(photographs: Photographs) -> None:
    """From nothing, on one kind of row: clean content, a target with white noise. The samples' spread must grow
    towards the error, and all that is trained must get a gradient."""
    torch.manual_seed(0)
    stage = STAGES["sample"](RealDGen(LITTLE), SMALL_STAGES)
    optimiser = torch.optim.Adam([{"params": g["params"], "lr": 3e-3} for g in stage.groups()])
    content = data.SampleBatches(photographs, data.DataOptions(crop=32, reference_crop=32), 4, 0, 0)[0]["content"]
    ratios = []
    for step in range(40):
        noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(step))
        target = content + 0.1 * noise
        batch = {"content": content, "target": target, "references": target.flip(0)[:, None]}
        losses = stage(batch, torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        losses["loss"].backward()
        optimiser.step()
        ratios.append(float((losses["spread"] / losses["error"]).detach()))
    trained = [p for p in stage.parameters() if p.requires_grad]
    assert trained and all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)
    assert 2 * ratios[0] < sum(ratios[-10:]) / 10 < 1.2, ratios


def test_a_preset_without_samples_is_refused() -> None:
    with pytest.raises(DegradeError, match="preset tiny"):
        STAGES["sample"](RealDGen(TINY), SMALL_STAGES)


def test_a_true_pair_loses_its_exposure_and_keeps_its_noise() -> None:
    rng = np.random.default_rng(0)
    content = cv2.resize(rng.integers(40, 200, (8, 8, 3), dtype=np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
    noise = rng.normal(0, 3, content.shape)
    other = np.clip(np.rint(0.9 * content + [5, -4, 12] + noise), 0, 255).astype(np.uint8)
    found = data.exposed(other, content).astype(float) - content
    assert np.abs(found.mean((0, 1))).max() < 0.5
    assert found.std() == pytest.approx(3 / 0.9, rel=0.05)
    flat = np.full((64, 64, 3), 90, np.uint8)
    assert np.abs(data.exposed(flat, flat).astype(int) - flat).max() == 0


def test_the_parts_of_a_bundle_make_what_the_model_makes() -> None:
    """References one after another, as the engine reads them, their readings added up."""
    from degrade_engine.export.kinds.onecall import parts

    torch.manual_seed(0)
    model = RealDGen(LITTLE).eval()
    with torch.no_grad():  # as after a training: errors that differ
        last = model.degradation.last
        last.weight.normal_(std=0.3)
        found = {name: part.module for name, part in parts(model).items()}
        references, content = torch.rand(2, 3, 3, 32, 32) * 2 - 1, torch.rand(2, 3, 32, 32) * 2 - 1
        w = torch.randn(2, LITTLE.degradation.vector)
        reading = sum(found["degradation"](references[:, j]) for j in range(3))
        f_deg = found["draw"](reading, w)
        torch.testing.assert_close(f_deg, model.drawn(references, w), rtol=1e-4, atol=1e-5)
        condition, mu = model.condition(f_deg, model.e_cont(content))
        f_cont = found["content"](content)
        torch.testing.assert_close(found["modulation"](f_cont, f_deg), condition)
        torch.testing.assert_close(found["reconstruction"](f_cont, f_deg), mu)
    assert list(found) == list(KINDS["onecall"].parts)


def test_a_grown_model_begins_as_the_one_that_it_is_grown_from() -> None:
    """Its F_deg is the same, drawn with little noise, and its denoiser says what that one says without its gate."""
    torch.manual_seed(0)
    tiny, model = RealDGen(mean_of(LITTLE)), RealDGen(LITTLE)
    with torch.no_grad():
        for p in tiny.parameters():
            p.add_(0.02 * torch.randn(p.shape))
        grow(model, tiny.state_dict())
        x, t = torch.rand(2, 3, 32, 32) * 2 - 1, torch.tensor([3, 40])
        value, precision = model.read(x)
        torch.testing.assert_close(value, tiny.e_deg(x))
        torch.testing.assert_close(precision, torch.full_like(precision, 0.5 * math.exp(7.5)))
        conditions = [one.condition(one.e_deg(x), one.e_cont(x)) for one in (tiny, model)]
        width = LITTLE.unet.width
        hoisted, others = (condition[:, :width] for condition, _ in conditions)
        torch.testing.assert_close(others, hoisted)
        abar = tiny.unet.abar[t][:, None, None, None]
        mu = conditions[0][1]
        torch.testing.assert_close(model.unet(x, t, conditions[1][0]), tiny.unet.ungated(x, t, hoisted, mu, abar))


def test_other_stages_do_not_start_from_a_finished_model(tmp_path: Path) -> None:
    setup: Any = SimpleNamespace(out=tmp_path)
    with pytest.raises(DegradeError, match="leave out --from"):
        train_stage("ddpm", LITTLE, SMALL_STAGES, data.DataOptions(crop=32), setup, tmp_path / "some.safetensors")
