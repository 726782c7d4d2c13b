"""The code on docs/extending.md, run: a solver, degrader, backend and kind of one file each, and an entry in one list.
The command line, the manifest, check, the report and doctor follow without a change.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from .pair_sets import photographs

ROOT = Path(__file__).parents[2]


def example(entry: str) -> str:
    """The code on docs/extending.md that adds to this list."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(encoding="utf-8"), re.S)
    return next(block for block in blocks if f"\n{entry}" in block)


DEGRADER, SOLVER, BACKEND, KIND = (example(entry) for entry in ("DEGRADERS[", "SOLVERS[", "BACKENDS[", "KINDS["))


def run(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    """The command line of a package that has this file as well."""
    code += "\nimport sys\nfrom degrade_engine.cli import main\nsys.exit(main(sys.argv[1:]))\n"
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=120)


def make(code: str, out: Path, *words: object) -> list[dict[str, object]]:
    """Pairs, checked and reported; the manifest's rows."""
    for command in (
        ("generate", "--out", out, "--pairs", 6, "--threads", 1, *words),
        ("check", out),
        ("report", out, "-o", out.with_suffix(".html")),
    ):
        done = run(code, *command)
        assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def hr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("hr") / "photos", 150)


def test_a_degrader_is_one_file(hr: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs"
    rows = make(DEGRADER, out, "--degrader", "fade", "--hr", hr, "--lr-size", 32)
    assert len(rows) == 6 and {row["start"]["kind"] for row in rows} == {"fade"}  # type: ignore[index]
    assert len({row["start"]["parameters"]["contrast"] for row in rows}) == 6  # type: ignore[index]
    assert "Faded" in out.with_suffix(".html").read_text()
    for command in ("generate", "bench"):
        assert "fade" in run(DEGRADER, command, *(["check"] if command == "bench" else []), "--help").stdout
    replayed = run(
        DEGRADER
        + f"""
import json, sys
from degrade_engine.engine.classical.degraders import replay
from degrade_engine.engine.images import read_rgb
for line in open({str(out / "manifest.jsonl")!r}):
    row = json.loads(line)
    gt, lq = (read_rgb({str(out)!r} + f"/{{one}}/{{row['name']}}.png") for one in ("gt", "lq"))
    assert np.array_equal(replay(row["start"], gt, scale=4), lq)
sys.exit(0)
"""
    )
    assert replayed.returncode == 0, replayed.stderr


def test_it_is_a_start_of_an_engine_as_well(hr: Path, tiny_engine: Path, tmp_path: Path) -> None:
    words = ("--engine", tiny_engine, "--hr", hr, "--reference", hr, "--candidates", 2, "--start", "fade", "--tau", 3)
    rows = make(DEGRADER, tmp_path / "pairs", *words)
    assert {row["start"]["kind"] for row in rows} == {"fade"}  # type: ignore[index]


def test_a_solver_is_one_file(hr: Path, tiny_engine: Path, tmp_path: Path) -> None:
    words = ("--engine", tiny_engine, "--hr", hr, "--reference", hr, "--candidates", 2, "--tau", 9, "--steps", 3)
    out = tmp_path / "pairs"
    rows = make(SOLVER, out, *words, "--solver", "straight")
    assert {row["solver"] for row in rows} == {"straight"} and len(rows) == 6
    assert "straight" in out.with_suffix(".html").read_text() and "straight" in run(SOLVER, "generate", "--help").stdout
    other = make("", tmp_path / "other", *words, "--solver", "ddim")
    assert [row["tau"] for row in other] == [row["tau"] for row in rows]
    for path in (out / "lq").iterdir():
        assert path.read_bytes() != (tmp_path / "other" / "lq" / path.name).read_bytes()
    refused = run(SOLVER, "generate", *words, "--solver", "straight", "--eta", 1, "--pairs", 2, "--out", tmp_path / "x")
    assert refused.returncode == 2 and "eta is 1 with the solver straight" in refused.stderr


def test_a_backend_is_one_file(hr: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    name, engine = "onnxruntime-plain", tmp_path / "engine"
    sizes = ("--lr-size", 16, "--batch", 4, "--candidates", 2, "--threads", 1)
    built = run(BACKEND, "build", tiny_bundle, "-o", engine, "--backend", name, *sizes)
    assert built.returncode == 0 and "comparisons passed" in built.stdout, built.stderr
    assert json.loads((engine / "engine.json").read_text())["key"]["backend"] == name
    words = ("--engine", engine, "--hr", hr, "--reference", hr, "--candidates", 2)
    assert len(make(BACKEND, tmp_path / "pairs", *words)) == 6
    line = next(one for one in run(BACKEND, "doctor", "--all").stdout.splitlines() if name in one)
    assert "runs on the CPU" in line
    elsewhere = run("", "generate", *words, "--pairs", 2, "--out", tmp_path / "x")
    assert elsewhere.returncode == 2 and f"The backend is '{name}'" in elsewhere.stderr
    refused = run(BACKEND, "build", tiny_bundle, "-o", tmp_path / "e", "--backend", name, "--precision", "bf16", *sizes)
    assert refused.returncode == 2 and "does not compute in bf16" in refused.stderr


def test_a_kind_is_a_page(hr: Path, tiny_bundle_module: ModuleType, tmp_path: Path) -> None:
    bundle: Path = tiny_bundle_module.make(tmp_path / "bundle", kind="syndiff")
    page = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(page | {"kind": "plain", "starts": ["bicubic"]}))
    built = run(KIND, "build", bundle, "-o", tmp_path / "engine", "--lr-size", 16, "--batch", 4, "--threads", 1)
    assert built.returncode == 0, built.stderr
    rows = make(KIND, tmp_path / "pairs", "--engine", tmp_path / "engine", "--hr", hr)
    assert {(row["tau"], row["steps"], row["start"]["kind"]) for row in rows} == {(20, 3, "bicubic")}  # type: ignore[index]
    refused = run(KIND, "generate", "--engine", tmp_path / "engine", "--hr", hr, "--reference", hr, "--pairs", 2,
                  "--out", tmp_path / "x")  # fmt: skip
    assert refused.returncode == 2 and "of the kind plain reads no reference" in refused.stderr
    elsewhere = run("", "build", bundle, "-o", tmp_path / "e", "--lr-size", 16)
    assert elsewhere.returncode == 2 and "the kind is 'plain'" in elsewhere.stderr


def test_without_the_entry_there_is_neither(hr: Path, tmp_path: Path) -> None:
    for words in (("--degrader", "fade"), ("--solver", "straight")):
        done = run("", "generate", *words, "--hr", hr, "--pairs", 2, "--out", tmp_path / "out")
        assert done.returncode == 2 and words[1] in done.stderr
