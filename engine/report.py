"""A run as one HTML page: what was made, how it scored, and what it looks like, up close.

The page is a single file: images are data URIs, figures are inline SVG, there is no script, and its policy
forbids it to load anything. A pair's zooms show the same region in every image, the most textured one of the
HR at LR size, so that blur, noise and compression can be compared; the reference, another scene, shows its
own most textured region.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from . import figures, pairs
from .artefact import parse_json, read_bytes, write_bytes_atomic
from .cards import STARTS, card, counted
from .errors import DegradeError
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
CONTENT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Run:
    """What a finished run left in its folder."""

    folder: Path
    plan: dict[str, Any]
    page: dict[str, Any]  # run.json
    rows: list[dict[str, Any]]
    rejects: list[dict[str, Any]]


def open_run(folder: Path) -> Run:
    """Read a finished run. Raises DegradeError where there is none."""
    for name, said in (("plan.json", "holds no run"), ("run.json", "holds a run that is not finished")):
        if not (folder / name).is_file():
            raise DegradeError(
                f"{folder} {said} ({name} is missing)",
                wanted="the --out folder of a finished `degrade-engine generate`",
                mend="repeat the generate command: it goes on where it stopped",
            )
    plan, page = (parse_json(read_bytes(folder / name), name) for name in ("plan.json", "run.json"))
    rows, rejects = (
        [parse_json(line, name) for line in read_bytes(folder / name).splitlines()]
        for name in ("manifest.jsonl", "rejects.jsonl")
    )
    return Run(folder, plan, page, rows, rejects)


def write(folder: Path, out: Path, limit: int) -> None:
    """Write the page of the run in `folder` to `out`, with a card for each of its first `limit` pairs."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(out, html(open_run(folder), limit).encode())


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
    more = f"The first {len(shown)} of {len(run.rows)}. " if len(shown) < len(run.rows) else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">
<title>{len(run.rows)} pairs · degrade-engine</title>
<style>
{style}</style>
</head>
<body>
<main>
{header(run)}
{charts(run)}
{rejected(run)}
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
        ("Pairs", f"{len(run.rows)}" + _small(f"of {page['pairs_asked']}")),
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
        ("Speed", "–" if speed is None else figure(speed) + _small("pairs/s")),
        ("Useful row-steps", f"{100 * page['useful_share']:.1f} %"),
        (
            "Left out",
            str(sum(page["rejects"].values())) + _small("inputs and pairs" if page["rejects"] else "nothing"),
        ),
    ]
    sharp, real = counted(plan["hr"]["images"], "sharp photograph"), plan["reference"]["images"]
    title = f"{counted(len(run.rows), 'pair')}, content from {sharp}"
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
    """The figures: tau, and where there are scores, how the filter chose."""
    if not run.rows or run.plan["tau"] == "0:0":
        return ""
    parts = [
        _figure(
            "Start steps",
            "How much noise each pair's start image got",
            figures.histogram([r["tau"] for r in run.rows], "τ"),
        )
    ]
    scored = [row for row in run.rows if row["candidates"][row["kept"]]["score"] is not None]
    if scored:
        kept, others, points, rest = [], [], [], []
        for row in scored:
            best = row["candidates"][row["kept"]]
            left = [
                c for at, c in enumerate(row["candidates"]) if at != row["kept"] and c["score"] is not None
            ]
            kept.append(best["score"])
            others.append([c["score"] for c in left])
            points.append((best["degradation_error"], best["content_error"]))
            rest += [(c["degradation_error"], c["content_error"]) for c in left]
        legend = '<div class="legend"><span><i class="kept"></i>kept</span><span><i></i>not kept</span></div>'
        parts.append(
            _figure(
                "Scores",
                "Each pair's candidates; smaller is better",
                figures.ranked(kept, others, "pairs, best first") + legend,
            )
        )
        parts.append(
            _figure(
                "Two errors",
                "Each dot a candidate; content error upwards",
                figures.scatter(points, rest, "degradation error", "content error") + legend,
            )
        )
    return f'<div class="figures">{"".join(parts)}</div>'


def rejected(run: Run) -> str:
    """What was left out, by reason."""
    if not run.rejects:
        return ""
    counts = Counter((one["role"], one["reason"]) for one in run.rejects)
    role = {"hr": "HR", "reference": "reference", "pair": "pair"}
    lines = "".join(
        f"<tr><td>{escape(role.get(kind, kind))}</td><td>{escape(reason.replace('_', ' '))}</td>"
        f"<td>{count}</td></tr>"
        for (kind, reason), count in sorted(counts.items())
    )
    return f"<h2>Left out</h2>\n<p>Each is named in <code>rejects.jsonl</code>.</p>\n<table>{lines}</table>"


def _figure(title: str, note: str, body: str) -> str:
    return f'<figure class="figure"><figcaption>{title}<span>{note}</span></figcaption>{body}</figure>'


def _small(text: str) -> str:
    return f" <small>{escape(text)}</small>"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f}" + _small("s")
    minutes = seconds / 60
    return f"{minutes:.0f}" + _small("min") if minutes < 120 else f"{minutes / 60:.1f}" + _small("h")
