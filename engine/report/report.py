"""A run as one HTML page: what was made, how it scored, and what it looks like, up close.

The page is a single file: images are data URIs, figures are inline SVG, there is no script, and its policy
forbids it to load anything. A pair's zooms show the same region in every image, the most textured one of the
HR at LR size, so that blur, noise and compression can be compared; the reference, another scene, shows its
own most textured region.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from ..artefact import write_bytes_atomic
from ..errors import DegradeError
from ..sinks import pairs
from ..spec import not_commercial
from .cards import card, contact_sheet, counted, start_name
from .charts import charts
from .figures import figure
from .finished import Run, open_run

INTRODUCTION = (
    "Below each image, the same region enlarged: the most textured one of the scene. The reference shows a "
    "region of its own."
)
FOOTNOTE = (
    "Errors are normalised squared distances between features, to the reference for degradation and to "
    "the HR for content; the score is their weighted sum, and the smallest is kept."
)
ABOUT_NETWORKS = ("Preset", "Start step τ", "Network calls", "Solver", "Candidates", "Useful row-steps")
SHEET_COLUMNS = 8
SHEET = 48  # LR images of the contact sheet, at most
CONTENT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write(folder: Path, out: Path, limit: int) -> None:
    """Write the page of the run in `folder` to `out`, with a card for each of its first `limit` pairs."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(out, html(open_run(folder, limit), limit).encode("utf-8", "xmlcharrefreplace"))


def to_json(run: Run) -> dict[str, Any]:
    """The same facts for a program: the plan's page and the run's."""
    return {"format": "degrade-engine/report/1"} | run.facts


def html(run: Run, limit: int) -> str:
    """The page. limit: pairs that get a card with images; facts and figures cover all of them."""
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    shown = run.rows[:limit]
    found = pairs.pick(run.folder, pairs.kind_of(run.folder), [row.name for row in shown])
    if len(found) < len(shown):
        gone = next(row.name for row in shown if row.name not in found)
        fact = f"The pair {gone} of the manifest is not in {run.folder}"
        raise DegradeError(fact, mend="repeat the generate command")
    cards = "\n".join(card(run.folder, row, found[row.name]) for row in shown)
    pairs_made = run.page.pairs
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
<footer>{FOOTNOTE} Made by degrade-engine, engine <code>{escape(run.page.engine)}</code>.{terms(run)}</footer>
</main>
</body>
</html>
"""


def header(run: Run) -> str:
    """Title and facts."""
    plan, page = run.plan, run.page
    low, _, high = plan.tau.partition(":")
    speed = page.pairs_per_second
    facts = [
        ("Pairs", f"{page.pairs}" + _small(f"of {page.pairs_asked}")),
        ("Size", f"{plan.lr_size} px" + _small(f"LR, ×{plan.scale}")),
        ("Preset", escape(page.preset)),
        ("Start step τ", low if low == high else f"{low}–{high}"),
        (
            "Network calls",
            "every step" if plan.steps == "full" else f"{plan.steps}" + _small(f"{plan.spacing}, a candidate"),
        ),
        (
            "Solver",
            escape(plan.solver) + (_small(f"η {plan.eta:g}") if plan.solver == "ddim" else ""),
        ),
        ("Start image", start_name(plan.start)),
        ("Candidates", f"{plan.candidates}" + _small("one kept" if plan.filter else "no filter")),
        ("Time", _duration(page.seconds["wall"])),
        ("Speed", "–" if speed is None else figure(speed) + _small("pairs/s, of one process")),
        ("Engine busy", f"{100 * (page.busy_share or 0):.0f} %" + _small("of the time")),
        ("Useful row-steps", f"{100 * page.useful_share:.1f} %"),
        (
            "Left out",
            str(sum(page.rejects.values())) + _small("inputs and pairs" if page.rejects else "nothing"),
        ),
    ]
    if plan.noise:
        facts.insert(8, ("Noise", f"{plan.noise:g}" + _small("grey levels, white, on each LR")))
    sharp, real = counted(plan.hr.images, "sharp photograph"), plan.reference.images
    title = f"{counted(page.pairs, 'pair')}, content from {sharp}"
    if real:
        title += f", degradation from {real} real ones"
    if plan.tau == "0:0":  # no network ran, so there is nothing to say of one
        facts = [(name, value) for name, value in facts if name not in ABOUT_NETWORKS]
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f"""<div class="over">degrade-engine</div>
<h1>{title}</h1>
<p>Seed {plan.seed}, batches of {plan.batch} pairs. The photographs, crops and scores of each are in
<code>manifest.jsonl</code>.</p>
<dl class="facts">{listed}</dl>"""


def terms(run: Run) -> str:
    """The licence of the weights, where the run names it."""
    if run.page.licence is None:
        return ""
    said = not_commercial(run.page.licence, run.page.commercial) or f"Licence of the weights: {run.page.licence}"
    return f" {escape(said)}"


def rejected(run: Run) -> str:
    """What was left out, by reason."""
    if not run.page.rejects:
        return ""
    role = {"hr": "HR", "reference": "reference", "pair": "pair"}
    named = {key: key.partition(": ")[::2] for key in run.page.rejects}
    lines = "".join(
        f"<tr><td>{escape(role.get(kind, kind))}</td><td>{escape(reason.replace('_', ' '))}</td>"
        f"<td>{run.page.rejects[key]}</td></tr>"
        for key, (kind, reason) in named.items()
    )
    return f"<h2>Left out</h2>\n<p>Each is named in <code>rejects.jsonl</code>.</p>\n<table>{lines}</table>"


def sheet(run: Run) -> str:
    """LR images from all over the run, side by side, in one picture."""
    if run.page.pairs <= len(run.rows):
        return ""  # each has a card
    stems = [row.name for row in run.sample[:: -(-len(run.sample) // SHEET)]]
    stems = stems[: len(stems) // SHEET_COLUMNS * SHEET_COLUMNS or None]  # whole rows
    found = pairs.pick(run.folder, pairs.kind_of(run.folder), stems)
    picture = contact_sheet({stem: found[stem].lq for stem in stems if stem in found}, SHEET_COLUMNS)
    return f"""<h2>Contact sheet</h2>
<p>{counted(len(stems), "LR image")}, evenly from all {run.page.pairs}, from <code>{stems[0]}</code> to
<code>{stems[-1]}</code>.</p>
<img class="sheet" src="{picture}" alt="LR images from all over the run">"""


def _small(text: str) -> str:
    return f" <small>{escape(text)}</small>"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f}" + _small("s")
    minutes = seconds / 60
    return f"{minutes:.0f}" + _small("min") if minutes < 120 else f"{minutes / 60:.1f}" + _small("h")
