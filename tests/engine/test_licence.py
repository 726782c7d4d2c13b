"""The licence of the weights goes with them: bundle, engine, run, report. Pages of before it still open."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path

import pytest

from degrade_engine.cli import main
from degrade_engine.engine.artefact import from_json, to_json
from degrade_engine.engine.build import build
from degrade_engine.engine.bundle import BUNDLE_JSON, BundleSpec, open_bundle
from degrade_engine.engine.engine_spec import open_engine_spec

RESEARCH = 'for "research" & evaluation'
SMALL = {"lr_size": 16, "batch": 2, "threads": 1}


def with_terms(bundle: Path, folder: Path, terms: dict[str, object]) -> Path:
    """A copy whose page has other words; None takes a word out."""
    shutil.copytree(bundle, folder)
    page = json.loads((folder / BUNDLE_JSON).read_text()) | terms
    (folder / BUNDLE_JSON).write_text(json.dumps({name: value for name, value in page.items() if value is not None}))
    return folder


@pytest.mark.parametrize("workers", [[], ["--processes", "1"]])
def test_what_may_not_be_sold_says_so_all_the_way(
    tiny_bundle: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: list[str]
) -> None:
    bundle = with_terms(tiny_bundle, tmp_path / "bundle", {"licence": RESEARCH, "commercial": False})
    engine, pairs, page = tmp_path / "engine", tmp_path / "pairs", tmp_path / "report.html"
    build_it = ["build", str(bundle), "-o", str(engine), "--lr-size", "16", "--batch", "2", "--threads", "1"]
    assert main(build_it) == 0 and main(build_it) == 0
    said = f"These weights may not be used commercially. Their licence: {RESEARCH}"
    assert capsys.readouterr().err.count(said) == 1, "once, when it is built"
    spec = open_engine_spec(engine)
    assert spec.terms == {"licence": RESEARCH, "commercial": False}
    given = ["--hr", samples / "hr", "--reference", samples / "reference", "--pairs", 2, "--threads", 1]
    words = ["generate", "--engine", engine, "--out", pairs, *given, *workers]
    assert main([str(word) for word in words]) == 0
    facts = json.loads((pairs / "run.json").read_text())
    assert (facts["licence"], facts["commercial"]) == (RESEARCH, False)
    assert main(["report", str(pairs), "-o", str(page)]) == 0
    assert said in html.unescape(page.read_text()) and said not in page.read_text(), "as text, not as markup"


def test_pages_of_before_the_field_still_open(tiny_bundle: Path, tmp_path: Path) -> None:
    old = with_terms(tiny_bundle, tmp_path / "bundle", {"commercial": None})
    assert "commercial" not in json.loads((old / BUNDLE_JSON).read_text())
    assert open_bundle(old).spec.commercial is None
    built = build(old, tmp_path / "engine", **SMALL)
    assert not built.notes
    path = built.folder / "engine.json"
    page = json.loads(path.read_text())
    assert page.pop("commercial") is None
    path.write_text(json.dumps(page))
    assert open_engine_spec(built.folder).terms == {"licence": "Apache-2.0", "commercial": None}


def test_a_word_is_no_answer(tiny_bundle: Path, tmp_path: Path) -> None:
    page = to_json(open_bundle(tiny_bundle).spec) | {"commercial": "no"}
    with pytest.raises(Exception, match='commercial is "no"'):
        from_json(BundleSpec, page, BUNDLE_JSON)
