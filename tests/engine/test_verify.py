"""`verify`: the gate again, on an engine that is there; its report decides whether the engine may be opened."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from degrade_engine.cli import main
from degrade_engine.engine import engine_spec
from degrade_engine.engine.api import Engine
from degrade_engine.engine.backends import onnxruntime as backend_onnxruntime
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.verify import verify


@pytest.fixture()
def engine(tiny_engine: Path, tmp_path: Path) -> Path:
    """A copy that may be changed, as an engine looks that was built where it could not run."""
    out = Path(shutil.copytree(tiny_engine, tmp_path / "engine"))
    edit(out, lambda page: page["parity"].update(state="not run", reason="no GPU", measures=[], probe=[]))
    return out


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / engine_spec.ENGINE_JSON
    page = json.loads(path.read_text())
    change(page)
    path.write_text(json.dumps(page))


def test_an_engine_that_was_not_through_the_gate_is_not_opened_before_verify(
    engine: Path, tiny_engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        DegradeError, match="has not been compared with its reference yet: no GPU.*degrade-engine verify"
    ):
        Engine.open(engine)
    assert main(["verify", str(engine), "--threads", "1"]) in (0, None)
    assert "comparisons passed" in capsys.readouterr().out
    built, now = (engine_spec.open_engine_spec(folder) for folder in (tiny_engine, engine))
    assert now.key_sha256 == built.key_sha256 and now.parity.measures == built.parity.measures
    with Engine.open(engine, threads=1):
        pass


def test_the_bundle_may_be_given_and_has_to_be_its_own(
    engine: Path, tiny_bundle: Path, tiny_bundle_module: Any, tmp_path: Path
) -> None:
    assert verify(engine, tiny_bundle, threads=1).parity.passed
    other = tiny_bundle_module.make(tmp_path / "other", seed=1)
    with pytest.raises(DegradeError, match="was not made from .*other"):
        verify(engine, other)


def test_an_engine_that_fails_is_put_aside(engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = backend_onnxruntime.OnnxRuntimeCpu.open

    def off(self: Any, device: Any, path: Path, *rest: Any) -> Any:
        executor = honest(self, device, path, *rest)
        if path.stem != "content":
            return executor
        enqueue, buffers, bind = executor.enqueue, {}, executor.bind
        executor.bind = lambda name, buffer: (buffers.update({name: buffer}), bind(name, buffer))  # type: ignore[assignment]

        def wrong(stream: Any = None) -> None:
            enqueue(stream)
            buffers["f_cont"] *= 1.01

        executor.enqueue = wrong  # type: ignore[method-assign]
        return executor

    monkeypatch.setattr(backend_onnxruntime.OnnxRuntimeCpu, "open", off)
    with pytest.raises(DegradeError, match="engine.quarantine(.|\n)*content against reference"):
        verify(engine)
    monkeypatch.undo()
    aside = tmp_path / "engine.quarantine"
    assert aside.is_dir() and not engine.exists()
    with pytest.raises(DegradeError, match="differs too much from its reference"):
        Engine.open(aside)
    assert verify(aside, threads=1).parity.passed  # the fault was the runtime's, and it is gone


def test_a_gate_that_was_passed_on_another_driver_does_not_count(engine: Path) -> None:
    edit(engine, lambda page: page["parity"].update(state="passed", gpu="NVIDIA L4", driver="580.1"))
    with pytest.raises(DegradeError, match="where gpu was 'NVIDIA L4', and it is None here.*verify"):
        Engine.open(engine)


def test_mistakes_are_sentences(engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (engine / "content.onnx").write_bytes(b"")
    for folder, said in ((engine, "content.onnx has 0 bytes"), (tmp_path / "nothing", "holds no engine.json")):
        assert main(["verify", str(folder)]) == 2
        err = capsys.readouterr().err
        assert said in err and "Traceback" not in err
