"""The page of a run: everything of it, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.build import build
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.report import cards, charts, figures, looked, report
from degrade_engine.engine.report.finished import Candidate, Row, Source, open_run

RECOMMENDED = KINDS["realdgen"].recipes["recommended"]
LR = 48  # larger than a zoomed region


@pytest.fixture(scope="module")
def pairs(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 5 pairs from files whose names HTML must not take for markup; one file is no image."""
    folder = tmp_path_factory.mktemp("report")
    random = np.random.default_rng(0)
    for name, sides in (("hr", (192, 200)), ("reference", (48, 60))):
        (folder / name).mkdir()
        for side in sides:
            pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
            (folder / name / f"<b>{side}&.png").write_bytes(images.encode_png(pixels))
    (folder / "hr" / "broken.png").write_bytes(b"")
    build(tiny_bundle, folder / "engine", lr_size=LR, batch=4, candidates=3, threads=1)
    words = ["generate", "--engine", "engine", "--hr", "hr", "--reference", "reference", "--out", "pairs"]
    words = [word if word.startswith("--") or word == "generate" else str(folder / word) for word in words]
    assert main([*words, "--pairs", "5", "--threads", "1"]) == 0
    return folder / "pairs"


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_shows_every_pair_with_its_scores(pairs, tmp_path):
    out = tmp_path / "deep" / "report.html"
    assert main(["report", str(pairs), "-o", str(out)]) == 0
    page = Page(out.read_text())
    rows = [json.loads(line) for line in (pairs / "manifest.jsonl").read_text().splitlines()]
    assert len(rows) == 5 and sum(tag == "article" for tag, _ in page.tags) == 5
    for row in rows:
        assert row["name"] in page.text
        for scores in row["candidates"]:
            assert figures.score(scores["score"]) in page.text
    assert page.text.count("kept") >= 5 and "5 pairs from 2 sharp photographs" in page.text
    assert "<b>192&.png" in page.text or "<b>200&.png" in page.text  # as text, not as a tag
    assert not any(tag == "b" and attrs for tag, attrs in page.tags)
    assert "HRempty1" in page.text  # the table of what was left out


def shown(folder: Path, limit: int = 24) -> str:
    return report.html(report.open_report(folder, limit=limit), limit)


def test_the_page_loads_nothing_and_runs_its_own_script_alone(pairs):
    text = shown(pairs)
    assert not re.search(r"https?:|//[a-z0-9-]+\.[a-z]|@import|url\(|<link|<iframe", text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = Page(text)
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    views = 7 if RECOMMENDED.start == "bicubic" else 8  # a bicubic start is the bicubic, shown once
    assert len(sources) == 5 * views and all(source.startswith("data:image/") for source in sources)
    assert not any(attr.startswith("on") for _, attrs in page.tags for attr in attrs)
    policy = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy == [f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"]


def test_every_image_says_what_it_shows(pairs):
    page = Page(shown(pairs))
    alts = [attrs["alt"] for tag, attrs in page.tags if tag == "img"]
    assert all(alts) and len(set(alts)) == len(alts)
    assert all(attrs.get("aria-label") for tag, attrs in page.tags if tag == "svg")


def test_the_views_are_the_pairs_own(pairs):
    found = report.open_report(pairs)
    card = cards.card(found.looked[0])
    named = {view.title: view for view in card.views}
    assert list(named) == ["HR", "Bicubic", "LR", "Reference"]
    assert [view.side for view in card.views] == ["", "left", "right", ""]
    lq = images.read_rgb(pairs / "lq" / f"{card.name}.png")
    assert np.array_equal(decode(named["LR"].image), lq)
    gt = images.read_rgb(pairs / "gt" / f"{card.name}.png")
    assert np.array_equal(decode(named["Bicubic"].image), images.resize_bicubic(gt, (LR, LR)))
    real = images.read_rgb(pairs / "extra" / "reference" / f"{card.name}.png")
    assert np.array_equal(decode(named["Reference"].image), real)
    assert [view.title for view in card.more if view.kept] == [f"Candidate {found.looked[0].row.kept + 1}"]


def test_the_worst_pair_comes_first_and_all_can_be_sorted(pairs):
    rows = {row.name: row for row in open_run(pairs).sample}
    scores = {name: row.candidates[row.kept].score for name, row in rows.items()}
    articles = [attrs for tag, attrs in Page(shown(pairs)).tags if tag == "article"]
    names = [attrs["data-name"] for attrs in articles]
    assert names == sorted(scores, key=lambda name: -scores[name])
    assert all(float(attrs["data-score"]) == pytest.approx(scores[attrs["data-name"]], abs=1e-5) for attrs in articles)
    few = [attrs["data-name"] for tag, attrs in Page(shown(pairs, 3)).tags if tag == "article"]
    assert few == [names[0], names[2], names[-1]]  # the worst, one from between, the best


def decode(source: str | None) -> np.ndarray:
    assert source is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))


def test_limit_cuts_cards_and_not_facts(pairs):
    text = shown(pairs, 2)
    assert text.count("<article") == 2 and "2 of 5: of 5 from all over the run" in text and "5 pairs" in text


def test_a_run_without_saved_candidates_is_shown_with_what_there_is(pairs, tmp_path):
    bare = tmp_path / "pairs"
    shutil.copytree(pairs, bare, ignore=shutil.ignore_patterns("extra"))
    found = report.open_report(bare)
    views = [[view.title for view in cards.card(one).views] for one in found.looked]
    assert views == [["HR", "Bicubic", "LR", "Difference"]] * 5
    assert "not in this run's folder" in found.verdict.sentences[0] and "--save-candidates" in Page(shown(bare)).text


def test_an_unfinished_run_is_refused(tmp_path, pairs):
    with pytest.raises(DegradeError, match="holds no run"):
        open_run(tmp_path)
    (tmp_path / "plan.json").write_bytes((pairs / "plan.json").read_bytes())
    with pytest.raises(DegradeError, match="not finished"):
        open_run(tmp_path)


def test_textured_finds_texture_and_copes_with_small_images():
    flat = np.full((64, 64, 3), 90, np.uint8)
    flat[20:40, 30:50] = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    top, left, side = cards.textured(flat, 20)
    assert abs(top - 20) <= 1 and abs(left - 30) <= 1 and side == 20
    assert cards.textured(flat[:16, :16], 32) == (0, 0, 16)


def test_figures_cope_with_what_runs_bring():
    assert figures.histogram({7: 1}, "x").count("<rect") == 1
    bars = figures.histogram(dict.fromkeys(range(1, 301), 1), "x")
    assert 30 <= bars.count("<rect") <= 40 and re.findall(r">(\d+0)<", bars)[-6:] == [
        "50",
        "100",
        "150",
        "200",
        "250",
        "300",
    ]
    many = figures.ranked([0.1] * 5000, [[0.2, 0.3]] * 5000, "x")
    assert many.count("<circle") <= figures.MOST_DOTS
    assert figures.scatter([(0.0, 0.0)], [], "x", "y").count("<circle") == 1
    assert [figures.nice(value) for value in (0, 0.31, 0.8, 7, 1.4, 95)] == [1, 0.4, 0.8, 8, 1.5, 100]
    assert [figures.score(value) for value in (0.07281, 0.31, None)] == ["0.0728", "0.310", "–"]


def test_a_long_run_has_a_contact_sheet_and_figures_of_all_pairs(pairs):
    page = Page(shown(pairs, 2))
    sheets = [attrs["src"] for tag, attrs in page.tags if tag == "img" and attrs.get("class") == "sheet"]
    sheet = decode(sheets[0])
    assert len(sheets) == 1 and sheet.shape == (128, 8 * 128, 3)
    rows = open_run(pairs).sample
    parts = [sheet[:, at * 128 : (at + 1) * 128].astype(int) for at in range(len(rows))]
    for at, row in enumerate(rows):
        lq = images.resize_bicubic(images.read_rgb(pairs / "lq" / f"{row.name}.png"), (128, 128))
        assert int(np.argmin([np.abs(one - lq).mean() for one in parts])) == at
    titles = ("Time by stage", "Scores", "Choice", "Two errors", "Contact sheet", "Spectrum", "Is it good?")
    assert all(title in page.text for title in titles)
    assert "Contact sheet" not in Page(shown(pairs)).text


def test_no_chart_of_a_single_bar(pairs):
    run = open_run(pairs)
    one = replace(run, page=replace(run.page, taus={"200": 5}, timeline=run.page.timeline[:1]))
    assert not {"Start steps", "Speed"} & {each.title for each in (*charts.choices(one), *charts.telemetry(one))}
    two = replace(run, page=replace(run.page, taus={"200": 4, "3": 1}, timeline=2 * run.page.timeline[:1]))
    assert {"Start steps", "Speed"} <= {each.title for each in (*charts.choices(two), *charts.telemetry(two))}


def test_json_says_the_same_facts(pairs, capsys):
    assert main(["report", str(pairs), "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert page["run"]["pairs"] == 5 and page["run"]["rejects"] == {"hr: empty": 1}
    assert page["plan"] == json.loads((pairs / "plan.json").read_text())
    assert sum(page["run"]["taus"].values()) == 5 == sum(page["run"]["scores"]["kept"].values())
    found = report.open_report(pairs)
    assert page["verdict"] == json.loads(json.dumps(found.verdict.to_json()))
    text = Page(report.html(found, 24)).text
    assert page["verdict"]["columns"].keys() == {"bicubic", "lr", "real"}
    for column in page["verdict"]["columns"].values():
        assert figures.figure(column["noise"]["mean"]) in text
    assert all(sentence in text for sentence in page["verdict"]["sentences"])


def test_a_page_of_an_older_version_is_refused(pairs, tmp_path):
    old = tmp_path / "pairs"
    shutil.copytree(pairs, old)
    (old / "run.json").write_text('{"format": "degrade-engine/run/1"}')
    with pytest.raises(DegradeError, match="degrade-engine/run/1"):
        open_run(old)


def test_bars_of_scores_stand_where_their_bins_are():
    drawn = figures.two_histograms({-20: 3, 0: 1}, {-40: 2}, 20, "score")
    said = dict(re.findall(r"<title>([^:]+): (\d)</title></rect>(?!.*<title>\1: [1-9])", drawn))
    assert drawn.count("<rect") == 2 * 21 and said["0.01 to 0.0126"] == "0"
    assert re.findall(r"<title>0.1 to 0.126: (\d)", drawn) == ["0", "3"]
    assert figures.steps([1.0, 3.0], [2.0, 1.0], "s").count("<polyline") == 1


def test_a_degrader_that_the_page_knows_no_name_for_is_shown_by_its_own():
    assert cards.start_name("bsrgan-plus") == "BSRGAN+" and cards.start_name("one of tomorrow") == "one of tomorrow"


def test_of_many_pairs_the_ends_and_some_from_between_are_shown():
    assert looked.spread(range(5), 9) == [0, 1, 2, 3, 4]
    assert looked.spread(range(100), 9)[::2] == [0, 2, 49, 97, 99]
    for most in range(12):
        some = looked.spread(range(100), most)
        assert len(some) == most == len(set(some)) and some == sorted(some)
        assert not some or (some[0] == 0 and (most == 1 or some[-1] == 99))


def test_twenty_four_pairs_of_pure_noise_stay_below_three_megabytes():
    dice = np.random.default_rng(0)
    row = Row("0", Source("a.png", (0, 0, 512, 512)), None, 4, 0, 0, "ddpm", {"kind": "camera"},
              3 * (Candidate(None, None, 0.1),), 0)  # fmt: skip
    lrs = [dice.integers(0, 256, (128, 128, 3), dtype=np.uint8) for _ in range(6)]
    gt = images.encode_png(dice.integers(0, 256, (512, 512, 3), dtype=np.uint8))
    extra = {"start": lrs[0], "candidate1": lrs[1], "candidate2": lrs[2]}
    card = cards.card(looked.Pair(row, gt, *lrs[3:], extra))
    assert len(card.views) == 4 and len(card.more) == 4
    size = sum(len(view.image) for view in (*card.views, *card.more))
    assert 24 * size < 2.7e6, "room for figures and a contact sheet"
    small = decode(card.views[0].image)
    assert small.shape[0] == small.shape[1] >= 32
