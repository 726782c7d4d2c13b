"""The promises of the README, kept by the trained model through the commands, on the bundled photographs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images


def call(*words: object) -> None:
    assert not main([str(word) for word in words])


@pytest.fixture(scope="module")
def runs(realdgen_bundle: Path, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The same 18 pairs by engines of batch 1 and 16 (which ends on a batch of two): LR size 64, 3 candidates."""
    folder = tmp_path_factory.mktemp("trained")
    for batch in (1, 16):
        engine, out = folder / f"engine-{batch}", folder / f"pairs-{batch}"
        call("build", realdgen_bundle, "-o", engine, "--lr-size", 64, "--batch", batch, "--candidates", 3)
        call("generate", "--engine", engine, "--hr", samples / "hr", "--reference", samples / "reference", "--out", out,
             "--pairs", 18, "--tau", "10:100", "--seed", 3)  # fmt: skip
    return {batch: folder / f"pairs-{batch}" for batch in (1, 16)}


def test_batch_1_and_16_make_the_same_pairs(runs: dict[int, Path]) -> None:
    """No pixel is off by more than one grey level, and at most one in a thousand is off at all."""
    off = []
    for path in sorted((runs[1] / "lq").iterdir()):
        one, sixteen = (images.read_rgb(runs[batch] / "lq" / path.name).astype(int) for batch in (1, 16))
        off.append(np.abs(one - sixteen))
        assert (runs[1] / "gt" / path.name).read_bytes() == (runs[16] / "gt" / path.name).read_bytes()
    share = float((np.array(off) > 0).mean())
    assert len(off) == 18 and np.max(off) <= 1 and share <= 1e-3, f"{np.max(off)}, {100 * share:.3f} % off"


def test_the_references_differ_and_so_do_the_pairs(runs: dict[int, Path]) -> None:
    """The model is no identity: every LR differs from its start, and the candidates of a pair from each other."""
    for line in (runs[16] / "manifest.jsonl").read_text().splitlines():
        row = json.loads(line)
        lr = images.read_rgb(runs[16] / "lq" / f"{row['name']}.png").astype(int)
        start = images.read_rgb(runs[16] / "extra" / "start" / f"{row['name']}.png").astype(int)
        assert np.abs(lr - start).mean() > 0.2
        assert len({candidate["score"] for candidate in row["candidates"]}) == 3
