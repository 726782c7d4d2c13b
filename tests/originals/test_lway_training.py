"""LWay's two trainings and `adapt` as a user calls them: batches, resume, checkpoints, and what is said of mistakes."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from safetensors.torch import load_file  # noqa: E402

from degrade_engine.cli import main  # noqa: E402
from degrade_engine.commands import training  # noqa: E402
from degrade_engine.engine.classical.pipeline import Grain, Jpeg, Scale  # noqa: E402
from degrade_engine.engine.classical.theta import Blur  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.engine.images import encode_png  # noqa: E402
from degrade_engine.originals.checkpoint import load  # noqa: E402
from degrade_engine.originals.lway.data import LWayBatches, LWayData, plain  # noqa: E402
from degrade_engine.originals.lway.model import LWay  # noqa: E402
from degrade_engine.originals.photographs import Photographs, StepDataset  # noqa: E402
from degrade_engine.originals.realdgen.model import RealDGen  # noqa: E402
from degrade_engine.originals.sr_models import open_sr  # noqa: E402
from degrade_engine.originals.srresnet import SRBatches, SRData, SRResNet  # noqa: E402

SHORT = ["--steps", "2", "--batch", "2", "--workers", "0", "--no-bf16"]


@pytest.fixture(scope="module")
def photographs(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Photographs:
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for i in range(2):
        (folder / f"lr{i}.png").write_bytes(encode_png(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)))
    some = sorted((samples / "hr").iterdir())[:2]
    (folder / "pairs.csv").write_text("hr,lr\n" + "".join(f"{p},lr{i}.png\n" for i, p in enumerate(some)))
    return Photographs.read([samples / "hr"], [], [folder / "pairs.csv"], 32, 256, [])


@pytest.fixture(scope="module")
def trained(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with lway.safetensors and srresnet.safetensors, trained for two steps each."""
    out, hr = tmp_path_factory.mktemp("trained"), ["--hr", str(samples / "hr"), "--out"]
    assert main(["train", "lway", *hr, str(out), *SHORT, "--crop", "35"]) == 0
    assert main(["train", "srresnet", *hr, str(out), *SHORT, "--crop", "16"]) == 0
    return out


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small LR images."""
    folder, rng = tmp_path_factory.mktemp("tests"), np.random.default_rng(1)
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes(encode_png(rng.integers(0, 256, (40, 44, 3), dtype=np.uint8)))
    return folder


def adapt_call(trained: Path, tests: Path, out: Path, *more: str) -> list[str]:
    return ["adapt", "--sr", str(trained / "srresnet.safetensors"), "--lway", str(trained / "lway.safetensors"),
            "--lr", str(tests), "-o", str(out), "--steps", "2", "--batch", "2", "--crop", "40", *more]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), [(LWayBatches, LWayData(crop=32)), (SRBatches, SRData(crop=16)),
                                               (SRBatches, SRData("bsrgan", crop=16))])  # fmt: skip
def test_a_batch_depends_on_seed_step_and_rank_alone(
    kind: type[StepDataset], options: LWayData, photographs: Photographs
) -> None:
    make = lambda seed, rank: kind(photographs, options, 3, seed, rank)  # noqa: E731
    first, again = make(1, 0)[5], make(1, 0)[5]
    assert all(torch.equal(first[k], again[k]) for k in first)
    for other in (make(1, 0)[6], make(2, 0)[5], make(1, 1)[5]):
        assert any(not torch.equal(first[k], other[k]) for k in first)


def test_rows_of_lway_are_what_their_shares_say(photographs: Photographs) -> None:
    def rows(**shares: float) -> dict[str, torch.Tensor]:
        return LWayBatches(photographs, LWayData(crop=32, **shares), 8, 0, 0)[0]  # type: ignore[arg-type]

    own = rows(own=1.0, pairs=0.0, clean=0.0, plain=0.0)
    assert torch.equal(own["reference"], own["target"]), "the paper's form: e = E(I_LR)"
    assert all((c - t).abs().mean() > 0.01 for c, t in zip(own["content"], own["target"], strict=True))
    elsewhere = rows(own=0.0, pairs=0.0, clean=1.0)
    assert torch.equal(elsewhere["content"], elsewhere["target"]), "only brought to LR size"
    assert not any(torch.equal(r, t) for r, t in zip(elsewhere["reference"], elsewhere["target"], strict=True))
    places = [(slice(y, y + 32), slice(x, x + 32)) for y in range(17) for x in range(17)]
    crops = {int(lr[place].sum()) for _, lr in photographs.pairs["all"] for place in places}
    true = ((rows(own=1.0, pairs=1.0)["target"] + 1) * 127.5).round()
    assert {int(t.sum()) for t in true} <= crops, "the LR of the true pairs, as they are"


@pytest.mark.parametrize("name", ["lway", "srresnet"])
def test_a_killed_training_resumes_exactly(
    name: str, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = {"lway": LWayBatches, "srresnet": SRBatches}[name]
    options = training.train_options
    monkeypatch.setattr(training, "train_options", lambda given: dataclasses.replace(options(given), save_every_s=0.0))
    call = ["train", name, "--hr", str(samples / "hr"), *SHORT, "--steps", "3", "--crop", "35", "--out"]
    assert main([*call, str(tmp_path / "a")]) == 0
    make, count = kind.make, 0

    def dies(self: StepDataset, rng: np.random.Generator) -> dict:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return make(self, rng)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "make", dies)
    assert main([*call, str(tmp_path / "b")]) == 130
    assert main([*call, str(tmp_path / "b")]) == 0
    assert count == 4, "the second call must go on, not begin again"
    straight, resumed = (tmp_path / folder / f"{name}.safetensors" for folder in "ab")
    assert straight.read_bytes() == resumed.read_bytes()


def test_the_log_and_the_checkpoint_name_the_substitute(trained: Path, samples: Path, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture) -> None:  # fmt: skip
    record = load(trained / "lway.safetensors", LWay)[1]
    assert record.training[0]["perceptual"] == "haar-l1"
    call = ["train", "lway", "--hr", str(samples / "hr"), *SHORT, "--steps", "20", "--crop", "35", "--batch", "1"]
    assert main([*call, "--out", str(tmp_path)]) == 0
    assert "haar-l1, in place of LPIPS" in capsys.readouterr().out
    row = json.loads((tmp_path / "lway.jsonl").read_text().splitlines()[-1])
    assert row["loss"] == pytest.approx(row["l1"] + row["haar-l1"], abs=2e-6)


def test_adapt_writes_a_model_that_opens_and_says_how_it_came(trained: Path, tests: Path, tmp_path: Path) -> None:
    out = tmp_path / "model2.safetensors"
    assert main(adapt_call(trained, tests, out)) == 0
    model, record = load(out, SRResNet)
    entry = record.training[-1]
    assert [e["stage"] for e in record.training] == ["srresnet", "adapt"]
    assert entry["images"] == ["a.png", "b.png"] and entry["perceptual"] == "haar-l1"
    before = load(trained / "srresnet.safetensors", SRResNet)[0].state_dict()
    moved = sum(v.numel() for k, v in model.state_dict().items() if not torch.equal(v, before[k]))
    assert moved / sum(v.numel() for v in before.values()) == pytest.approx(entry["share_moved"], abs=0.02)
    assert len(out.with_suffix(".jsonl").read_text().splitlines()) == 2
    assert open_sr(out).scale == 4


def test_adapt_per_image_makes_a_model_of_each(trained: Path, tests: Path, tmp_path: Path) -> None:
    assert main(adapt_call(trained, tests, tmp_path / "models", "--per-image")) == 0
    a, b = (load(tmp_path / "models" / f"{name}.safetensors", SRResNet) for name in "ab")
    assert a[1].training[-1]["images"] == ["a.png"] and b[1].training[-1]["images"] == ["b.png"]
    assert a[1].weights_sha256 != b[1].weights_sha256


def test_what_spandrel_reads_is_adapted_and_saved_under_its_own_names(
    trained: Path, tests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for spandrel 0.4, which need not be installed: its descriptor's own call lets nothing learn."""
    layers = [torch.nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)]
    net = torch.nn.Sequential(*layers, torch.nn.Upsample(scale_factor=4))

    class ImageModelDescriptor:
        model, scale, input_channels, output_channels = net, 4, 3, 3
        architecture = SimpleNamespace(name="Stand-in")
        size_requirements = SimpleNamespace(multiple_of=8, minimum=0)

        def _call_fn(self, model: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
            assert image.min() >= 0 and image.max() <= 1 and image.shape[2] % 8 == 0
            return model(image)

    class ModelLoader:
        def __init__(self, device: str) -> None: ...

        def load_from_state_dict(self, tensors: dict[str, torch.Tensor]) -> ImageModelDescriptor:
            assert tensors.keys() == net.state_dict().keys()
            return ImageModelDescriptor()

    stand_in = SimpleNamespace(
        ModelLoader=ModelLoader, ImageModelDescriptor=ImageModelDescriptor, canonicalize_state_dict=dict
    )
    monkeypatch.setitem(sys.modules, "spandrel", stand_in)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    foreign = tmp_path / "model.pth"
    torch.save({"params": net.state_dict()}, foreign)
    call = adapt_call(trained, tests, tmp_path / "model2.safetensors")
    call[2] = str(foreign)
    assert main(call) == 0
    made = load_file(tmp_path / "model2.safetensors")
    assert made.keys() == before.keys() and {k for k in made if not torch.equal(made[k], before[k])} == {
        "1.weight", "1.bias", "2.weight", "2.bias"}, "two of three layers are nearest to 65 %"  # fmt: skip
    record = json.loads((tmp_path / "model2.json").read_text())
    assert record["kind"] == "adapted" and record["training"][0]["share_moved"] == pytest.approx(2 / 3, abs=1e-4)
    assert open_sr(tmp_path / "model2.safetensors").name == "Stand-in", "an adapted model is no checkpoint of ours"


def test_mistakes_are_one_sentence(trained: Path, tests: Path, samples: Path, tmp_path: Path,
                                   monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:  # fmt: skip
    def said(call: list[str]) -> str:
        assert main(call) == 2
        return capsys.readouterr().err

    out = tmp_path / "m.safetensors"
    assert "ends in .safetensors" in said(adapt_call(trained, tests, tmp_path / "m.pth"))
    (tmp_path / "empty").mkdir()
    assert "no test image" in said(adapt_call(trained, tmp_path / "empty", out))
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "s.png").write_bytes(encode_png(np.zeros((20, 60, 3), np.uint8)))
    assert "60x20" in said(adapt_call(trained, tmp_path / "small", out))
    swapped = adapt_call(trained, tests, out)
    swapped[4] = str(trained / "srresnet.safetensors")
    assert "of the kind 'srresnet'" in said(swapped) and not out.exists()
    monkeypatch.setitem(sys.modules, "spandrel", None)
    foreign = tmp_path / "foreign.pth"
    foreign.write_bytes(b"weights")
    call = adapt_call(trained, tests, out)
    call[2] = str(foreign)
    assert "degrade-engine[sr]" in said(call)
    table = tmp_path / "pairs.csv"
    train = ["train", "lway", "--hr", str(samples / "hr"), "--out", str(tmp_path / "r"), *SHORT, "--pairs", str(table)]
    table.write_text("sharp,soft\n")
    assert "sharp, soft" in said(train)
    table.write_text(f"hr,lr\n{next((samples / 'hr').iterdir())},{tmp_path / 'small' / 's.png'}\n")
    assert "60x20" in said(train)


@pytest.mark.parametrize(
    "broken",
    ["RuntimeError('operator torchvision::nms does not exist\\nmore')", "ImportError('libcudart.so.13: no such file')",
     "OSError('undefined symbol')", "AttributeError('no attribute extension')", "KeyError()"],
)  # fmt: skip
def test_a_spandrel_that_does_not_import_is_one_sentence(
    broken: str, trained: Path, tests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    """It imports torchvision, which raises anything beside a torch that it was not built for."""
    (tmp_path / "path" / "spandrel").mkdir(parents=True)
    (tmp_path / "path" / "spandrel" / "__init__.py").write_text(f"raise {broken}")
    monkeypatch.delitem(sys.modules, "spandrel", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "path")
    foreign, call = tmp_path / "foreign.pth", adapt_call(trained, tests, tmp_path / "m.safetensors")
    torch.save({"params": {"conv.weight": torch.zeros(1)}}, foreign)
    call[2] = str(foreign)
    assert main(call) == 2
    said = capsys.readouterr().err
    assert "spandrel" in said and f"the torchvision that was built for torch {torch.__version__}" in said
    assert said.count("\n") == 1 and "more" not in said


def test_an_adaptation_that_fails_leaves_the_former_one(
    trained: Path, tests: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "m.safetensors"
    assert main(adapt_call(trained, tests, out)) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.glob("m.*")}
    assert len(before) == 3 and len(json.loads(before["m.json"])["training"][-1]["images_sha256"]) == 2
    assert main([*adapt_call(trained, tests, out), "--learning-rate", "1e8", "--steps", "3"]) == 2
    assert "lower --learning-rate" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.glob("m.*")} == before


def test_a_checkpoint_of_another_kind_is_refused(trained: Path, checkpoint: Path) -> None:
    with pytest.raises(DegradeError, match="kind 'lway'"):
        load(trained / "lway.safetensors", RealDGen)
    with pytest.raises(DegradeError, match="kind 'realdgen'"):
        load(checkpoint, LWay)


def test_plain_degradations_reach_from_nothing_to_strong() -> None:
    """One blur, noise and JPEG at most, each missing in some samples, and the blur in LR pixels whatever the scale."""
    for scale in (2, 4):
        drawn = [plain(np.random.default_rng(n), scale).steps for n in range(400)]
        kinds = [[type(step) for step in steps] for steps in drawn]
        assert all(len(set(kind)) == len(kind) and Scale in kind for kind in kinds)
        for kind, share in ((Blur, 0.8), (Grain, 0.4), (Jpeg, 0.4)):
            assert np.mean([kind in found for found in kinds]) == pytest.approx(share, abs=0.1)
        sigmas = [step.sigma_x / scale for steps in drawn for step in steps if isinstance(step, Blur)]
        assert min(sigmas) < 0.1 and 1.5 < max(sigmas) <= 1.6
