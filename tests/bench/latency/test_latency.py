"""`bench latency` in small: every row is there and consistent, and what is drawn from the rows is well-formed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.bench import rig  # noqa: E402
from degrade_engine.bench.latency import latency, scaling
from degrade_engine.bench.latency import page as latency_page
from degrade_engine.bench.latency.operators import by_operator  # noqa: E402
from degrade_engine.bench.latency.stages import STAGES, inside  # noqa: E402
from degrade_engine.bench.ledger import Entry, Ledger  # noqa: E402
from degrade_engine.bench.rows import Row  # noqa: E402
from degrade_engine.engine.build import build  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402

from ...engine import tiny_bundle  # noqa: E402

Rows = list[Row]


@pytest.fixture(scope="module")
def rows(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Of an engine of RealDGen's kind, and of an LWay bundle's networks."""
    folder = tmp_path_factory.mktemp("latency")
    engine = build(tiny_bundle.make(folder / "a"), folder / "engine", lr_size=16, batch=2, candidates=3, threads=1)
    lway = tiny_bundle.make(folder / "b", kind="lway")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(latency.ceiling, "COPY_BYTES", 2**22)
        patched.setattr(latency.ceiling, "SIDE", 128)
        patched.setattr(scaling, "SCALES", {**scaling.SCALES, "lr_size": (16, 24, 32)})
        patched.setattr(latency.rig, "LR_SIZE", 16)
        words = [engine.folder, lway, "--samples", samples, "--threads", 1, "-o", folder / "rows.jsonl"]
        done = CliRunner().invoke(latency.main, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def test_every_network_has_its_work_and_its_time(rows: Rows) -> None:
    found = latency_page.of(rows, "part")
    assert [(r["kind"], r["part"], r["rows"]) for r in found] == [
        ("realdgen", "degradation", 2), ("realdgen", "content", 2), ("realdgen", "modulation", 2),
        ("realdgen", "reconstruction", 2), ("realdgen", "denoiser", 6), ("lway", "degradation", 4),
        ("lway", "reconstruction", 4),
    ]  # fmt: skip
    products = 2 * 6 * 16 * 16 * 9 * (8 * (3 + 6) + 3 * 8) + 2 * 6 * 8  # two convolutions, and time's Gemm
    assert found[4]["gflop_of_products"] == pytest.approx(products / 1e9, rel=1e-3)
    for r in found:
        assert 0 < r["gflop_of_products"] <= r["gflop"] and r["in_and_out_mb"] < r["moved_mb"]
        assert 0 < r["p50_ms"] <= r["p95_ms"]
        assert r["gflop_s"] == pytest.approx(1e3 * r["gflop"] / r["p50_ms"], rel=0.01)


def test_kernels_move_what_their_sources_say(rows: Rows) -> None:
    moved = {r["kernel"]: r["mb"] * 1e6 for r in latency_page.of(rows, "kernel")}
    planes = 3 * 16 * 16
    assert {"update, with noise", "update, without noise", "select", "kept_to_bytes"} <= set(moved)
    assert moved["update, with noise"] == pytest.approx(6 * planes * 20, rel=1e-3)
    assert moved["kept_to_bytes"] == pytest.approx(2 * planes * 5, rel=1e-3)
    assert moved["normals, within update and start"] == pytest.approx(6 * planes * 4, rel=1e-3)


def test_the_stages_of_both_presets(rows: Rows) -> None:
    batches = {r["setting"]: r for r in latency_page.of(rows, "batch")}
    assert {name: r["steps_run"] for name, r in batches.items()} == {"paper": 16, "recommended": 5}
    for setting in batches:
        found = {r["stage"]: r["ms_a_pair"] for r in latency_page.of(rows, "stage") if r["setting"] == setting}
        assert tuple(found) == STAGES
        assert all(found[name] > 0 for name in STAGES if name != "write")
        assert found["denoiser"] < batches[setting]["p95_ms"]


def test_each_series_has_its_line(rows: Rows) -> None:
    series: dict[str, list[int]] = {}
    for r in latency_page.of(rows, "scaling"):
        series.setdefault(r["over"], []).append(r["value"])
    assert series == {name: list(values) for name, values in (scaling.SCALES | {"lr_size": (16, 24, 32)}).items()}
    assert [r["over"] for r in latency_page.of(rows, "fit")] == ["steps", "batch", "candidates", "pixels"]


def test_one_candidate_fills_the_rows_with_pairs(rows: Rows) -> None:
    one, all_of_them = latency_page.of(rows, "packing")
    assert (one["made"], one["pairs"]) == (1, all_of_them["pairs"] * all_of_them["made"])
    assert one["ms_a_pair"] == pytest.approx(one["p50_ms"] / one["pairs"], rel=0.01)


def test_operators_add_up(rows: Rows) -> None:
    found = {r["operator"]: r for r in latency_page.of(rows, "operator")}
    assert found["Conv"]["nodes"] == 2 and sum(r["share"] for r in found.values()) == pytest.approx(1, abs=1e-3)


def test_a_profile_is_of_the_median_run() -> None:
    """Two nodes of one operator over a first and three more runs, two rows a call."""

    def event(node: str, dur: int, cat: str = "Node") -> dict[str, Any]:
        return {"cat": cat, "name": f"{node}_kernel_time", "dur": dur, "args": {"op_name": node[:4]}}

    events = [event("Conv1", dur) for dur in (99_000, 4000, 6000, 50_000)]
    events += [event("Conv2", dur) for dur in (99_000, 2000, 2000, 2000)]
    events += [event("Add_1", 2000) for _ in range(4)] + [event("Conv1", 10**9, cat="Session")]
    assert by_operator(events, rows=2) == [
        {"operator": "Conv", "nodes": 2, "ms": 4.0, "share": 0.8}, {"operator": "Add_", "nodes": 1, "ms": 1.0,
                                                                   "share": 0.2}]  # fmt: skip


def test_tables_and_picture_are_drawn_from_them(rows: Rows) -> None:
    for table in (latency_page.parts, latency_page.kernels, latency_page.stages, latency_page.scaling,
                  latency_page.batches, latency_page.operators):  # fmt: skip
        header, body = table(rows)
        assert body and all(len(line) == len(header) for line in body)
    assert len(latency_page.parts(rows, "realdgen", brief=True)[1]) == 5
    drawn = ElementTree.fromstring(latency_page.picture(rows))
    titles = [title.text or "" for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert {title.split(":")[0] for title in titles} >= set(STAGES) - {"write"}
    assert "GFLOP/s in FP32" in latency_page.ceiling(rows)


def test_without_rows_the_pages_say_so(tmp_path: Path) -> None:
    assert {make(tmp_path) for make in latency_page.TABLES.values()} == {latency_page.NOT_YET}
    assert "Not measured yet" in latency_page.picture_of_rows(tmp_path)


def test_a_batchs_entries_are_sorted_into_stages() -> None:
    """The extractors' calls before the loop are features, after it re-extraction; the rest is what nobody noted."""

    def call(name: str, seconds: float) -> Entry:
        return Entry("network", name, 0, seconds)

    def launch(name: str) -> Entry:
        return Entry("launch", name, 8, 0.5)

    entries = [launch("to_planar"), call("degradation", 1), call("content", 2), call("modulation", 4), launch("start"),
               call("denoiser", 8), call("denoiser", 8), call("degradation", 3), call("content", 3),
               launch("select"), launch("kept_to_bytes")]  # fmt: skip
    assert inside(Ledger(entries), 32.0) == {
        "features": 3, "condition": 4, "denoiser": 16, "re-extraction": 6, "scores": 0.5, "kernels": 1.5, "rest": 1.0
    }  # fmt: skip


def test_a_folder_that_is_neither_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DegradeError, match=r"holds no bundle\.json"):
        rig.read(tmp_path)


def test_an_engine_whose_launches_do_not_wait_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was built on a GPU: its seconds would be those of the launches."""
    engine = build(tiny_bundle.make(tmp_path / "a"), tmp_path / "engine", lr_size=16, batch=2, threads=1)
    on_a_gpu = replace(engine.spec, key=replace(engine.spec.key, gpu="a GPU"))
    monkeypatch.setattr(rig, "open_engine_spec", lambda folder: on_a_gpu)
    with pytest.raises(DegradeError, match="bench gpu"):
        rig.read(engine.folder)
