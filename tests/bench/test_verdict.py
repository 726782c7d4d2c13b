"""The verdict on synthetic timings whose answer is known, and on rows before and after."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("scipy", reason="needs the extra metrics")

from degrade_engine.bench import compare  # noqa: E402
from degrade_engine.bench.commits import Version  # noqa: E402
from degrade_engine.bench.verdict import changes, order, timings  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402


def run(ratio: float, noise: float, seed: int, rounds: int = 10, drift: float = 0.0) -> tuple[list[float], list[float]]:
    """Seconds of A (1 s) and B (ratio s) in the order of `order`, with log-normal noise and a machine that drifts."""
    dice, times = np.random.default_rng(seed), {"A": [], "B": []}  # type: ignore[var-annotated]
    for at, letter in enumerate(order(rounds)):
        base = (1.0 if letter == "A" else ratio) * (1 + drift * at / (2 * rounds))
        times[letter].append(base * float(np.exp(dice.normal(0, noise))))
    return times["A"], times["B"]


def test_order_meets_drift_alike() -> None:
    assert order(4) == "ABBAABBA"
    places = {letter: [i for i, l in enumerate(order(10)) if l == letter] for letter in "AB"}  # noqa: E741
    assert sum(places["A"]) == sum(places["B"])


@pytest.mark.parametrize(("ratio", "said"), [(0.8, "faster"), (1.25, "slower")])
def test_a_difference_larger_than_the_noise_is_seen(ratio: float, said: str) -> None:
    for seed in range(20):
        found = timings(*run(ratio, noise=0.05, seed=seed))
        assert found.said == said and found.low <= found.ratio <= found.high
        assert found.ratio == pytest.approx(ratio, rel=0.1)


def test_no_difference_is_called_one_in_about_one_of_twenty() -> None:
    wrong = sum(timings(*run(1.0, noise=0.1, seed=seed)).said != "no difference to be seen" for seed in range(400))
    assert 6 <= wrong <= 36, f"{wrong} of 400, where 20 are expected (99.9 % of draws lie within 6..36)"


def test_a_difference_smaller_than_the_noise_is_not_claimed() -> None:
    seen = sum(timings(*run(0.98, noise=0.2, seed=seed)).said != "no difference to be seen" for seed in range(100))
    assert seen <= 15


def test_a_machine_that_slows_down_by_half_decides_nothing() -> None:
    said = [timings(*run(1.0, noise=0.02, seed=seed, drift=0.5)).said for seed in range(100)]
    assert sum(one != "no difference to be seen" for one in said) <= 15


def test_what_is_no_timing_is_refused() -> None:
    with pytest.raises(DegradeError, match="3 times of A and 3 of B"):
        timings([1, 1, 1], [1, 1, 1])
    with pytest.raises(DegradeError, match="not above 0"):
        timings([1, 1, 1, 0], [1, 1, 1, 1])


def row(psnr: float, interval: list[float], **more: Any) -> dict[str, Any]:
    return {"generator": "realdgen", "setting": {"tau": 30}, "psnr_db": psnr, "psnr_interval": interval} | more


def test_rows_are_matched_and_judged_by_their_intervals(tmp_path: Path) -> None:
    before = [row(30, [29, 31], split="a"), row(30, [29, 31], split="b"), row(30, [29, 31], split="gone")]
    after = [row(30.5, [29.5, 31.5], split="b"), row(27, [26, 28], split="a", frechet_random=0.1)]
    found, alone = changes(before, after)
    assert [(change.after, change.said) for change in found] == [
        (27, "worse, beyond both intervals"), (30.5, "better, within the intervals"),
    ]  # fmt: skip
    assert len(alone) == 1 and "split gone" in alone[0]
    for name, rows in (("a.jsonl", before), ("b.jsonl", after)):
        (tmp_path / name).write_text("".join(json.dumps(one) + "\n" for one in rows))
    said = CliRunner().invoke(compare.main, [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")])
    assert "psnr_db: 30 -> 27, worse, beyond both intervals" in said.output
    assert "2 figures in both files: 0 the same, 2 changed" in said.output


def test_rows_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(DegradeError, match="two rows of A measure the same"):
        changes([row(30, [29, 31]), row(31, [30, 32])], [])


def test_a_faster_value_is_better_where_less_is_better() -> None:
    slow, quick = ({"name": "engine", "precision": "fp32", "p50_s_a_pair": s} for s in (2.0, 1.0))
    assert [change.said for change in changes([slow], [quick])[0]] == ["better"]


def test_commits_without_a_measurement_are_a_sentence() -> None:
    with pytest.raises(DegradeError, match="Nothing says what to measure"):
        CliRunner().invoke(compare.main, ["HEAD", "HEAD"], catch_exceptions=False)


def version(letter: str, folder: Path) -> Version:
    (folder / letter).mkdir()
    return Version(f"commit-{letter}", folder, Path(sys.executable), folder / letter)


def test_commits_run_in_turn_and_the_first_round_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    @contextmanager
    def built(a: str, b: str, folder: Path) -> Iterator[tuple[Version, Version]]:
        yield version("a", tmp_path), version("b", tmp_path)

    def once(which: Version) -> float:
        ran.append(which.work.name.upper())
        slow_start = 50 if len(ran) <= 2 else 0
        return slow_start + (1.0 if ran[-1] == "A" else 2.0) + 0.01 * (len(ran) % 3)

    monkeypatch.setattr(compare, "versions", built)
    monkeypatch.setattr(compare, "timer", lambda *args: once)
    out = tmp_path / "rows.jsonl"
    words = ["x", "y", "--run", "true", "--rounds", "5", "-o", str(out)]
    said = CliRunner().invoke(compare.main, words, catch_exceptions=False)
    assert "".join(ran) == order(6)
    row = json.loads(out.read_text())
    assert row["verdict"]["said"] == "slower" and row["verdict"]["ratio"] == pytest.approx(2, rel=0.02)
    assert len(row["seconds_a"]) == 5 and max(row["seconds_a"]) < 2 and row["commit"]
    assert "B is slower: it takes 1.988 times as long" in said.output


def test_a_version_runs_its_own_package_and_not_the_worktrees_half(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the folder that it runs in hid the library')")
    one = version("a", tmp_path)
    printed, seconds = one.run([sys.executable, "-c", "import json, os; print(os.environ['WORK'])"])
    assert printed.strip() == str(tmp_path / "a") and seconds > 0
    with pytest.raises(DegradeError, match="commit-a: .* ended with 3: no such luck"):
        one.run([sys.executable, "-c", "import sys; print('no such luck'); sys.exit(3)"])
