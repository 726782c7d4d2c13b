"""A run as one HTML page: what was made, how it scored, and what it looks like, up close.

The page is a single file: images are data URIs, figures are inline SVG, there is no script, and its policy
forbids it to load anything. A pair's zooms show the same region in every image, the most textured one of the
HR at LR size, so that blur, noise and compression can be compared; the reference, another scene, shows its
own most textured region.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from ..artefact import parse_json, read_bytes, write_bytes_atomic
from ..errors import DegradeError
from ..runners.books import FORMAT
from ..sinks import pairs
from . import figures
from .cards import STARTS, card, contact_sheet, counted
from .figures import figure

INTRODUCTION = (
    "Below each image, the same region enlarged: the most textured one of the scene. The reference shows a "
    "region of its own."
)
FOOTNOTE = (
    "Errors are normalised squared distances between features, to the reference for degradation and to "
    "the HR for content; the score is their weighted sum, and the smallest is kept."
)
ABOUT_NETWORKS = ("Preset", "Start step τ", "Network calls", "Solver", "Candidates", "Useful row-steps")
LEGEND = '<div class="legend"><span><i class="kept"></i>kept</span><span><i></i>not kept</span></div>'
SHEET_COLUMNS = 8
SAMPLE, SHEET = 450, 48  # pairs whose dots are drawn, at least, where there are so many; LR images of the contact sheet
CONTENT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Run:
    """What a finished run left in its folder. Facts and figures of all pairs are in its page; of its rows it holds the
    first ones and some from everywhere, in order, however long the manifest."""

    folder: Path
    plan: dict[str, Any]
    page: dict[str, Any]  # run.json
    rows: list[dict[str, Any]]
    sample: list[dict[str, Any]]


def open_run(folder: Path, first: int = 24) -> Run:
    """Read a finished run with its `first` rows. Raises DegradeError where there is none."""
    for name, said in (("plan.json", "holds no run"), ("run.json", "holds a run that is not finished")):
        if not (folder / name).is_file():
            raise DegradeError(
                f"{folder} {said} ({name} is missing)",
                wanted="the --out folder of a finished `degrade-engine generate`",
                mend="repeat the generate command: it goes on where it stopped",
            )
    plan, page = (parse_json(read_bytes(folder / name), name) for name in ("plan.json", "run.json"))
    if page.get("format") != FORMAT:
        raise DegradeError(f"run.json has the format {page.get('format')!r}", wanted=FORMAT,
                           mend="repeat the generate command: it writes the page anew")  # fmt: skip
    every, rows, sample = max(1, page["pairs"] // SAMPLE), [], []
    try:
        with open(folder / "manifest.jsonl", "rb") as lines:
            for at, line in enumerate(lines):
                if at < first or at % every == 0:
                    row = parse_json(line, "manifest.jsonl")
                    rows += [row] if at < first else []
                    sample += [row] if at % every == 0 else []
    except OSError as error:
        raise DegradeError(f"{error.filename} cannot be read ({error.strerror})") from error
    return Run(folder, plan, page, rows, sample)


def write(folder: Path, out: Path, limit: int) -> None:
    """Write the page of the run in `folder` to `out`, with a card for each of its first `limit` pairs."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(out, html(open_run(folder, limit), limit).encode())


def to_json(run: Run) -> dict[str, Any]:
    """The same facts for a program: the plan's page and the run's."""
    return {"format": "degrade-engine/report/1", "plan": run.plan, "run": run.page}


def html(run: Run, limit: int) -> str:
    """The page. limit: pairs that get a card with images; facts and figures cover all of them."""
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    shown = run.rows[:limit]
    found = pairs.pick(run.folder, pairs.kind_of(run.folder), [row["name"] for row in shown])
    if len(found) < len(shown):
        gone = next(row["name"] for row in shown if row["name"] not in found)
        fact = f"The pair {gone} of the manifest is not in {run.folder}"
        raise DegradeError(fact, mend="repeat the generate command")
    cards = "\n".join(card(run.folder, row, found[row["name"]]) for row in shown)
    pairs_made = run.page["pairs"]
    more = f"The first {len(shown)} of {pairs_made}. " if len(shown) < pairs_made else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">
<title>{pairs_made} pairs · degrade-engine</title>
<style>
{style}</style>
</head>
<body>
<main>
{header(run)}
{charts(run)}
{rejected(run)}
{sheet(run)}
<h2>Pairs</h2>
<p>{more}{INTRODUCTION}</p>
{cards}
<footer>{FOOTNOTE} Made by degrade-engine, engine <code>{run.page["engine"]}</code>.</footer>
</main>
</body>
</html>
"""


def header(run: Run) -> str:
    """Title and facts."""
    plan, page = run.plan, run.page
    low, _, high = plan["tau"].partition(":")
    speed = page["pairs_per_second"]
    facts = [
        ("Pairs", f"{page['pairs']}" + _small(f"of {page['pairs_asked']}")),
        ("Size", f"{plan['lr_size']} px" + _small(f"LR, ×{plan['scale']}")),
        ("Preset", escape(page["preset"])),
        ("Start step τ", low if low == high else f"{low}–{high}"),
        (
            "Network calls",
            "every step" if plan["steps"] == "full" else f"{plan['steps']}" + _small(f"{plan['spacing']}, a candidate"),
        ),
        (
            "Solver",
            escape(plan["solver"]) + (_small(f"η {plan['eta']:g}") if plan["solver"] == "ddim" else ""),
        ),
        ("Start image", STARTS[plan["start"]]),
        ("Candidates", f"{plan['candidates']}" + _small("one kept" if plan["filter"] else "no filter")),
        ("Time", _duration(page["seconds"]["wall"])),
        ("Speed", "–" if speed is None else figure(speed) + _small("pairs/s, of one process")),
        ("Engine busy", f"{100 * (page['busy_share'] or 0):.0f} %" + _small("of the time")),
        ("Useful row-steps", f"{100 * page['useful_share']:.1f} %"),
        (
            "Left out",
            str(sum(page["rejects"].values())) + _small("inputs and pairs" if page["rejects"] else "nothing"),
        ),
    ]
    sharp, real = counted(plan["hr"]["images"], "sharp photograph"), plan["reference"]["images"]
    title = f"{counted(page['pairs'], 'pair')}, content from {sharp}"
    if real:
        title += f", degradation from {real} real ones"
    if plan["tau"] == "0:0":  # no network ran, so there is nothing to say of one
        facts = [(name, value) for name, value in facts if name not in ABOUT_NETWORKS]
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f"""<div class="over">degrade-engine</div>
<h1>{title}</h1>
<p>Seed {plan["seed"]}, batches of {plan["batch"]} pairs. The photographs, crops and scores of each are in
<code>manifest.jsonl</code>.</p>
<dl class="facts">{listed}</dl>"""


def charts(run: Run) -> str:
    """The figures: how fast and by which stage; tau, and where there are scores, how the filter chose."""
    page = run.page
    if not page["pairs"]:
        return ""
    parts = [_speed(page["timeline"]), _stages(page["seconds"])]
    if run.plan["tau"] != "0:0":
        taus = figures.histogram(_counts(page["taus"]), "τ")
        parts.append(_figure("Start steps", "How much noise each pair's start image got", taus))
    kept, others = (_counts(page["scores"][one]) for one in ("kept", "others"))
    if kept:
        bars = figures.two_histograms(kept, others, page["scores"]["bins"], "score")
        parts.append(_figure("Scores", "All candidates; smaller is better, the axis is logarithmic", bars + LEGEND))
        parts += _chosen(run.sample)
    return f'<div class="figures">{"".join(parts)}</div>'


def _speed(timeline: list[dict[str, float]]) -> str:
    walls = [max(one["wall"], 1e-3) for one in timeline]
    rates = [one["pairs"] / wall for one, wall in zip(timeline, walls, strict=True)]
    drawn = figures.steps(walls, rates, "seconds of work")
    return _figure("Speed", "Pairs a second; pairs with more steps come later", drawn)


def _stages(seconds: dict[str, float]) -> str:
    wall = seconds["wall"] or 1.0
    engine = {"Engine at work": "engine", "waits for inputs": "starved", "waits for files": "blocked"}
    threads = {"Reading": "decode", "Start images": "degrade", "Encoding, writing": "write"}
    bars = {name: (seconds[key] / wall, f"{100 * seconds[key] / wall:.1f} %", "bar") for name, key in engine.items()}
    bars |= {name: (seconds[key] / wall, f"{figure(seconds[key])} s", "other") for name, key in threads.items()}
    note = f"Of {figure(wall)} s; the threads beside the engine in their own seconds"
    return _figure("Time by stage", note, figures.lying(bars))


def _chosen(sample: list[dict[str, Any]]) -> list[str]:
    """How the filter chose among the candidates of some pairs."""
    kept, others, points, rest = [], [], [], []
    for row in sample:
        best = row["candidates"][row["kept"]]
        left = [c for at, c in enumerate(row["candidates"]) if at != row["kept"] and c["score"] is not None]
        kept.append(best["score"])
        others.append([c["score"] for c in left])
        points.append((best["degradation_error"], best["content_error"]))
        rest += [(c["degradation_error"], c["content_error"]) for c in left]
    ranks = figures.ranked(kept, others, "pairs, best first")
    dots = figures.scatter(points, rest, "degradation error", "content error")
    return [
        _figure("Choice", "Each pair's candidates", ranks + LEGEND),
        _figure("Two errors", "Each dot a candidate; content error upwards", dots + LEGEND),
    ]


def rejected(run: Run) -> str:
    """What was left out, by reason."""
    if not run.page["rejects"]:
        return ""
    role = {"hr": "HR", "reference": "reference", "pair": "pair"}
    named = {key: key.partition(": ")[::2] for key in run.page["rejects"]}
    lines = "".join(
        f"<tr><td>{escape(role.get(kind, kind))}</td><td>{escape(reason.replace('_', ' '))}</td>"
        f"<td>{run.page['rejects'][key]}</td></tr>"
        for key, (kind, reason) in named.items()
    )
    return f"<h2>Left out</h2>\n<p>Each is named in <code>rejects.jsonl</code>.</p>\n<table>{lines}</table>"


def sheet(run: Run) -> str:
    """LR images from all over the run, side by side, in one picture."""
    if run.page["pairs"] <= len(run.rows):
        return ""  # each has a card
    stems = [row["name"] for row in run.sample[:: -(-len(run.sample) // SHEET)]]
    stems = stems[: len(stems) // SHEET_COLUMNS * SHEET_COLUMNS or None]  # whole rows
    found = pairs.pick(run.folder, pairs.kind_of(run.folder), stems)
    picture = contact_sheet([found[stem].lq for stem in stems if stem in found], SHEET_COLUMNS)
    return f"""<h2>Contact sheet</h2>
<p>{counted(len(stems), "LR image")}, evenly from all {run.page["pairs"]}, from <code>{stems[0]}</code> to
<code>{stems[-1]}</code>.</p>
<img class="sheet" src="{picture}" alt="LR images from all over the run">"""


def _counts(page: dict[str, int]) -> dict[int, int]:
    return {int(key): count for key, count in page.items()}


def _figure(title: str, note: str, body: str) -> str:
    return f'<figure class="figure"><figcaption>{title}<span>{note}</span></figcaption>{body}</figure>'


def _small(text: str) -> str:
    return f" <small>{escape(text)}</small>"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f}" + _small("s")
    minutes = seconds / 60
    return f"{minutes:.0f}" + _small("min") if minutes < 120 else f"{minutes / 60:.1f}" + _small("h")
