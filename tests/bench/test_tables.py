"""Tables and pictures of the README and of docs/ are in step with the committed rows."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
from click.testing import CliRunner

from degrade_engine.bench import tables
from degrade_engine.bench.papers import baselines, curve
from degrade_engine.bench.papers import tables as quality_tables
from degrade_engine.bench.rows import RESULTS, rows_of
from degrade_engine.engine.errors import DegradeError


@pytest.mark.parametrize("page", tables.PAGES)
def test_pages_are_in_step_with_the_rows(root: Path, page: str) -> None:
    text = (root / page).read_text()
    assert tables.filled(text) == text, "run `make tables`"


def test_every_table_stands_on_a_page(root: Path) -> None:
    pages = "".join((root / page).read_text() for page in tables.PAGES)
    for name in tables.TABLES:
        assert pages.count(f"<!-- table {name} -->") == 1, f"no page, or more than one, has the table {name}"


@pytest.mark.parametrize("picture", tables.PICTURES)
def test_pictures_are_in_step_with_the_rows(root: Path, picture: str) -> None:
    assert (root / picture).read_text() == tables.PICTURES[picture](RESULTS), "run `make tables`"


def test_every_row_says_where_it_was_measured() -> None:
    found = {name: rows_of(RESULTS, name) for name in ("quality", "references", "speed", "latency")}
    for name, rows in found.items():
        for row in rows:
            wanted = {"machine", "commit", "date", "lr_size", "candidates"}
            wanted |= {"engine", "batch"} - ({"engine", "batch"} if row.get("generator") in baselines.NAMES else set())
            assert wanted <= set(row), (name, row)


def test_the_readme_has_a_line_for_every_contender() -> None:
    """What issue 6 wants to see, each by the references that it reads."""
    shown = quality_tables.contenders(RESULTS)
    measured = {row["generator"] for row in rows_of(RESULTS, "quality")}.intersection(baselines.NAMES)
    assert {"bicubic", "bicubic, Gaussian sigma 0.5", "BSRGAN", "BSRGAN+", "Real-ESRGAN"} <= measured
    for name in (*measured, "SynDiff", "UDDM"):
        assert shown.count(f"| {name} |  |") == 1, name
    for name in ("RealDGen", "LWay"):
        for protocol in quality_tables.REFERENCES.values():
            assert shown.count(f"| {name} | {protocol} |") == 1, (name, protocol)


def test_the_curve_draws_a_point_a_row() -> None:
    def row(tau: int, steps: int, solver: str, psnr: float) -> dict:
        setting = {"tau": tau, "steps": steps, "solver": solver}
        return {"setting": setting, "psnr_db": psnr, "frechet_random": 1 / psnr}

    rows = [row(tau, steps, solver, 30 + steps) for tau in (30, 100) for steps in (1, 4) for solver in ("ddim", "ddpm")]
    start = {"setting": {"tau": 0}, "psnr_db": 28.0, "frechet_random": 0.2}
    drawn = xml.fromstring(curve.draw(rows, start))
    circles = drawn.findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 2 * (len(rows) + 4), "two figures; each of the four lines begins at the start image"
    heights = {c[0].text: float(c.get("cy", 0)) for c in circles}
    assert heights["4 calls: PSNR, dB 34"] < heights["1 calls: PSNR, dB 31"] < heights["0 calls: PSNR, dB 28"]
    assert curve.draw([], None).startswith("<svg"), "no rows, no error"


def test_a_page_of_the_rows_that_a_folder_has(tmp_path: Path) -> None:
    for name in ("speed", "table12"):
        rows = rows_of(RESULTS, name)
        changed = [row | ({"psnr_db": None} if name == "table12" else {"commit": "c0ffee"}) for row in rows]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    (tmp_path / "worth.jsonl").write_text("")
    words = ["--rows", str(tmp_path), "-o", str(tmp_path / "new" / "page.md")]
    done = CliRunner().invoke(tables.main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "new" / "page.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Measured", "## The engine beside PyTorch", "## RealDGen's Table 12"
    ]  # fmt: skip
    assert tables.TABLES["speed"](RESULTS) in text and "commit c0ffee." in text
    last = text.splitlines()[-1].split(" | ")
    assert last[0] == "| RealDGen, original, tau 30" and last[5:] == ["", "4 V100", "0.6086", "26.16 |"], "no PSNR"


def test_every_section_is_drawn_of_the_committed_rows() -> None:
    text = tables.page(RESULTS)
    blocks = re.findall(r"^## (.+)\n\n.+\n\n((?:.+\n)+)", text, re.M)
    assert [heading for heading, _ in blocks] == [section.heading for section in tables.SECTIONS]
    for heading, body in blocks[1:]:
        header, _, *lines = body.splitlines()
        assert len(lines) > 1 and {line.count(" | ") for line in lines} == {header.count(" | ")}, heading


def test_a_folder_without_rows_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "tiles.jsonl").write_text("{}\n")
    with pytest.raises(DegradeError, match=r"holds no rows.*speed\.jsonl, table12\.jsonl"):
        tables.page(tmp_path)
    alone = CliRunner().invoke(tables.main, ["--rows", str(tmp_path)])
    assert alone.exit_code == 2 and "go together" in alone.output
