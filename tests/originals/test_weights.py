"""Weights from files: what is missing, foreign or no number is named; nothing of a file is ever run."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from safetensors.torch import load_file, save_file  # noqa: E402

from degrade_engine.bench.papers import perceptual  # noqa: E402
from degrade_engine.calib.features import open_features  # noqa: E402
from degrade_engine.cli import main  # noqa: E402
from degrade_engine.engine.artefact import sha256_file  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.originals.checkpoint import load, save  # noqa: E402
from degrade_engine.originals.lway.perceptual import open_distance  # noqa: E402
from degrade_engine.originals.sr_models import open_sr  # noqa: E402
from degrade_engine.originals.srresnet import SRResNet, SRResNetConfig  # noqa: E402
from degrade_engine.originals.weights import read_tensors, write_tensors  # noqa: E402

CONFIG = SRResNetConfig("tiny", 8, 1)
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def model() -> SRResNet:
    torch.manual_seed(0)
    return SRResNet(CONFIG)


@pytest.fixture
def write(model: SRResNet, tmp_path: Path) -> Callable[..., Path]:
    """Writes a checkpoint whose record fits its file, whatever is in it."""

    def write(tensors: object, name: str = "m.safetensors") -> Path:
        path = tmp_path / name
        save(model.state_dict(), CONFIG, path.with_suffix(".safetensors"), [], {})
        if path.suffix == ".safetensors":
            save_file({k: v.clone() for k, v in tensors.items()}, path)  # type: ignore[attr-defined]
        else:
            torch.save(tensors, path)
        page = json.loads(path.with_suffix(".json").read_text()) | {"weights_sha256": sha256_file(path)}
        path.with_suffix(".json").write_text(json.dumps(page))
        return path

    return write


def refused(path: Path) -> str:
    with pytest.raises(DegradeError) as error:
        load(path, SRResNet)
    return str(error.value)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_the_prefix_of_a_wrapped_model_goes(prefix: str, model: SRResNet, write: Callable[..., Path]) -> None:
    path = write({f"{prefix}{k}": v for k, v in model.state_dict().items()})
    found = load(path, SRResNet)[0].state_dict()
    assert all(torch.equal(v, found[k]) for k, v in model.state_dict().items())


def test_what_does_not_fit_is_named_in_one_sentence(model: SRResNet, write: Callable[..., Path]) -> None:
    weights = model.state_dict()
    good = dict(weights)
    assert "it lacks out.bias." in refused(write({k: v for k, v in good.items() if k != "out.bias"}))
    said = refused(write({f"unet.{k}": v for k, v in good.items()}))
    assert "it lacks inp.weight, inp.bias, blocks.0.conv1.weight and 9 more; the model knows no unet." in said
    assert "knows no extra" in refused(write(good | {"extra": torch.zeros(1)}))
    said = refused(write(good | {"out.bias": torch.zeros(4)}))
    assert "what does not fit is out.bias (float32 (4,) instead of float32 (3,))" in said
    assert "out.bias (int64 (3,) instead of" in refused(write(good | {"out.bias": torch.zeros(3, dtype=torch.int64)}))
    mixed = {(f"module.{k}" if k == "out.bias" else k): v for k, v in good.items()}
    assert "it lacks out.bias; the model knows no module.out.bias" in refused(write(mixed))
    assert "it lacks" in refused(write({}))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_number_that_is_none_is_named_by_its_tensor(
    value: float, dtype: torch.dtype, model: SRResNet, write: Callable[..., Path]
) -> None:
    weights = {k: v.to(dtype) for k, v in model.state_dict().items()}
    assert torch.equal(load(write(weights), SRResNet)[0].out.bias, model.out.bias.to(dtype).float()), "rounded will do"
    weights["blocks.0.conv2.weight"].view(-1)[5] = value
    assert "NaN or infinite values in blocks.0.conv2.weight." in refused(write(weights))


def test_export_says_which_weights_are_no_numbers(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    weights, path = load_file(checkpoint), tmp_path / "mine.safetensors"
    weights["unet.out.bias"][0] = float("nan")
    save_file(weights, path)
    page = json.loads(checkpoint.with_suffix(".json").read_text()) | {"weights_sha256": sha256_file(path)}
    path.with_suffix(".json").write_text(json.dumps(page))
    assert main(["export", str(path), "-o", str(tmp_path / "bundle")]) == 2
    said = capsys.readouterr().err
    assert "NaN or infinite values in unet.out.bias" in said and "tolerance" not in said
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("wrap", [None, "params", "state_dict", "model"])
def test_a_pth_is_read_as_tensors(wrap: str | None, model: SRResNet, write: Callable[..., Path]) -> None:
    state = dict(model.state_dict())
    path = write({wrap: state, "step": 7} if wrap else state, "m.pth")
    assert torch.equal(load(path, SRResNet)[0].inp.weight, model.inp.weight)


# ---- files that would run code ----


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.sprung),)


class Opened:
    """Attributes of an nn.Module that is pickled whole may be traps as well."""


def nested(trap: Trap) -> bytes:
    """A pickle that calls a function of torch which unpickles what it is given."""
    inner = io.BytesIO()
    torch.save(trap, inner)

    class Loader:
        def __reduce__(self) -> tuple:
            return torch.storage._load_from_bytes, (inner.getvalue(),)

    outer = io.BytesIO()
    torch.save({"a": Loader()}, outer)
    return outer.getvalue()


def zipped(value: object, **how: bool) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **how)
    return file.getvalue()


def tarred(trap: Trap) -> bytes:
    """torch's oldest format, which has a reader of its own."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(trap)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def whole_module(trap: Trap) -> bytes:
    module = torch.nn.Linear(2, 2)
    module.trap = trap  # type: ignore[assignment]
    return zipped(module)


FORMS: dict[str, Callable[[Trap], bytes]] = {
    "zip": lambda trap: zipped({"features.0.weight": trap}),
    "zip, deep": lambda trap: zipped({"params": {"a": [torch.zeros(2), {"b": (trap,)}]}}),
    "zip, as a key": lambda trap: zipped({trap.sprung.name: torch.zeros(1), "x": {"state_dict": trap}}),
    "legacy": lambda trap: zipped({"a": trap}, _use_new_zipfile_serialization=False),
    "tar": tarred,
    **{f"protocol {n}": lambda trap, n=n: pickle.dumps({"a": trap}, n) for n in range(6)},  # type: ignore[misc]
    "nested": nested,
    "module": whole_module,
    "eval": lambda trap: b"cbuiltins\neval\n(S'__import__(\"os\").mkdir(" + repr(str(trap.sprung)).encode()[1:-1].join(
        [b'\"', b'\"']) + b")'\ntR.",
}  # fmt: skip


def with_spandrel(path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A spandrel that would find a model in anything, and whose own reader unpickles."""

    class ModelLoader:
        def __init__(self, device: str) -> None: ...

        def load_from_file(self, path: Path) -> object:
            return torch.load(path, weights_only=False)

    stand_in = SimpleNamespace(ModelLoader=ModelLoader, canonicalize_state_dict=dict)
    monkeypatch.setitem(sys.modules, "spandrel", stand_in)
    return open_sr(path)


def measured(path: Path) -> object:
    """As `bench quality --perceptual` opens a folder of weights."""
    for name in perceptual.NEEDS["lpips"].files:
        path.with_name(name).write_bytes(path.read_bytes())
    return perceptual.measures(path.parent, 3)


READERS: dict[str, Callable[[Path, pytest.MonkeyPatch], object]] = {
    "read_tensors": lambda path, patch: read_tensors(path),
    "LPIPS": lambda path, patch: open_distance((path, path)),
    "features": lambda path, patch: open_features("alexnet", path),
    "adapt": with_spandrel,
    "perceptual": lambda path, patch: measured(path),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("reader", READERS)
def test_no_file_is_run(reader: str, suffix: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each form is proven to be a trap, and each reader to reach the file: it is refused for what is in it."""
    sprung, path = tmp_path / "sprung", tmp_path / f"hostile{suffix}"
    path.write_bytes(FORMS[form](Trap(sprung)))
    with pytest.raises(DegradeError, match="cannot be read as weights") as error:
        READERS[reader](path, monkeypatch)
    assert not sprung.exists()
    assert "weights_only" not in str(error.value) and "\n" not in str(error.value), "no advice to run it all the same"


@pytest.mark.parametrize("form", [form for form in FORMS if form != "tar"])
def test_the_traps_are_real(form: str, tmp_path: Path) -> None:
    """Unpickled as it should not be, each of them springs (torch's reader of tars cannot be told to)."""
    data, sprung = FORMS[form](Trap(tmp_path / "sprung")), tmp_path / "sprung"
    try:
        torch.load(io.BytesIO(data), weights_only=False)
    except Exception:  # whatever it holds besides
        pass
    assert sprung.exists()


def test_a_checkpoint_of_ours_may_be_a_trap_too(model: SRResNet, write: Callable[..., Path], tmp_path: Path) -> None:
    path = write({"out.bias": Trap(tmp_path / "sprung")}, "m.pth")
    assert "nothing of a file is run" in refused(path) and not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("data", [b"", b"\x80", b"PK\x03\x04", b"no weights", b"\x80\x02}q\x00." * 3, b"\xff" * 4096])
def test_a_file_that_is_none_is_one_sentence(data: bytes, tmp_path: Path) -> None:
    for suffix in (".pth", ".safetensors"):
        path = tmp_path / f"f{suffix}"
        path.write_bytes(data)
        with pytest.raises(DegradeError) as error:
            read_tensors(path)
        assert "\n" not in str(error.value)
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(DegradeError, match="holds a list"):
        read_tensors(tmp_path / "list.pth")
    with pytest.raises(DegradeError, match="cannot be read"):
        read_tensors(tmp_path / "none.pth")


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    model: SRResNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    write_tensors(model.state_dict(), path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DegradeError, match="cannot be written .*No space left"):
        write_tensors({"a": torch.zeros(1)}, path)
    assert path.read_bytes() == before and [*tmp_path.iterdir()] == [path]
