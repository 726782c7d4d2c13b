"""A run, or two of one seed, as one HTML page that answers "is it good?": the pairs, a verdict, numbers, telemetry.

The page is a single file: images are data URIs, figures are inline SVG. Its policy forbids it to load anything, and to
run any script but its own, which it names by hash; without that script it shows the same pairs, one below the other.
What a run's pages say is shown as text (`report.html.jinja` escapes it).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..artefact import write_bytes_atomic
from ..errors import DegradeError
from ..recipe_file import why_of
from ..schedule import LEARNED, SOLVERS
from ..spec import not_commercial
from . import figures, verdict
from .cards import Card, card, contact_sheet, counted, start_name
from .charts import choices, spectra, telemetry
from .figures import figure
from .finished import Finished, open_run
from .looked import LOOKED, Pair, look, spread
from .measures import MEASURES, Mean, Measure
from .verdict import Verdict, judge

ABOUT_NETWORKS = (
    "Preset", "Start step τ", "Network calls", "Solver", "Candidates", "Engine busy", "Useful row-steps",
)  # fmt: skip
SHEET_COLUMNS = 8
SHEET = 48  # LR images of the contact sheet, at most
HERE = Path(__file__).parent
PAGES = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined,
                    trim_blocks=True, lstrip_blocks=True, auto_reload=False)  # fmt: skip
ROLES = {"hr": "HR", "reference": "reference", "pair": "pair"}
ORDERS = (
    ("score", -1, "Worst score first"), ("score", 1, "Best score first"), ("near", 1, "Least like bicubic first"),
    ("near", -1, "Most like bicubic first"), ("sharpness", 1, "Softest first"), ("sharpness", -1, "Sharpest first"),
    ("noise", -1, "Noisiest first"), ("noise", 1, "Least noisy first"), ("name", 1, "By name"),
)  # fmt: skip
Fact = tuple[str, str, str]  # name, value, and what stands small behind it


@dataclass(frozen=True)
class Report:
    """What a page shows. second: another run of the same seed; looked: pairs that were measured, others: the same
    pairs of the second run."""

    run: Finished
    second: Finished | None
    looked: list[Pair]
    others: list[Pair]
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """The page's figures for a program: the pages of plan and run, the measures, the verdict."""
        page = {"format": "degrade-engine/report/1"} | self.run.facts
        if self.second:
            page["second"] = self.second.facts
        return page | {"pairs_measured": len(self.looked), "verdict": self.verdict.to_json()}


def open_report(folder: Path, second: Path | None = None, limit: int = 24) -> Report:
    """Read a run (and another one of the same seed) and measure some of its pairs, `limit` at least. Raises
    DegradeError where there is no finished run, or where the two do not show the same crops."""
    run = open_run(folder, limit)
    looked = look(run, max(LOOKED, limit))
    if second is None:
        return Report(run, None, looked, [], judge(run, looked))
    other = open_run(second, limit, {one.row.name for one in looked})
    _same_crops(run, other)
    there = {row.name for row in other.sample}
    looked = [one for one in looked if one.row.name in there]
    others = look(other, len(looked))
    return Report(run, other, looked, others, judge(run, looked, (other, others)))


def write(report: Report, out: Path, limit: int) -> None:
    """Write the page to `out`, with a card for each of `limit` pairs."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(out, html(report, limit).encode("utf-8", "xmlcharrefreplace"))


def html(report: Report, limit: int) -> str:
    """The page. limit: pairs that get a card with images: of all that were looked at the worst and the best, and some
    from between."""
    run, second, said = report.run, report.second, report.verdict
    script = (HERE / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    cards = _cards(report, limit)
    known = {key for one in cards for key in one.keys} | {"name"}
    spectrum = spectra(said.columns)
    return PAGES.get_template("report.html.jinja").render(
        run=run, second=second, title=title(run, second), verdict=said, table=table(said), cards=cards,
        orders=[one for one in ORDERS if one[0] in known], facts=[facts(run), *([facts(second)] if second else [])],
        spectrum=spectrum, choices=[] if second else choices(run), telemetry=[] if second else telemetry(run),
        left_out=left_out(run), sheet=sheet(report, len(cards)), terms=terms(run), script=script, digest=digest,
        why=[] if second else why(run), looked=len(report.looked), real=said.column("real") is not None,
    )  # fmt: skip


def _same_crops(run: Finished, other: Finished) -> None:
    """DegradeError unless two runs show the same crops of the same photographs."""
    for name, one, two in (("seed", run.plan.seed, other.plan.seed), ("LR size", run.plan.lr_size, other.plan.lr_size),
                           ("scale", run.plan.scale, other.plan.scale)):  # fmt: skip
        if one != two:
            raise DegradeError(f"{other.folder} has the {name} {two}, and {run.folder} has {one}",
                               wanted="two runs of one seed, LR size, scale and --hr",
                               mend="repeat one of the generate commands so that they agree")  # fmt: skip
    crops = {row.name: row.hr for row in run.sample}
    both = [row for row in other.sample if row.name in crops]
    differ = next((row for row in both if row.hr != crops[row.name]), None)
    if differ or not both:
        fact = (f"Pair {differ.name} shows {crops[differ.name].path[:60]} in {run.folder} and {differ.hr.path[:60]} in "
                f"{other.folder}, or another crop of it" if differ else
                f"{run.folder} and {other.folder} have no pair of one name")  # fmt: skip
        raise DegradeError(fact, wanted="two runs of the same HR photographs and the same seed",
                           mend="generate both with one --hr, --seed and --lr-size")  # fmt: skip


def _cards(report: Report, limit: int) -> list[Card]:
    """Worst first: by score, or where there is none, the least like bicubic."""
    others = {one.row.name: one for one in report.others}
    scored = all(one.score is not None for one in report.looked)
    ordered = sorted(report.looked, key=lambda one: -(one.score or 0) if scored else one.near)
    return [card(one, others.get(one.row.name)) for one in spread(ordered, limit)]


def title(run: Finished, second: Finished | None) -> str:
    """What was made, of what."""
    if second:
        return f"A: {run.folder.name} · B: {second.folder.name}"
    said = f"{counted(run.page.pairs, 'pair')} from {counted(run.plan.hr.images, 'sharp photograph')}"
    return f"{said} and {counted(real, 'reference')}" if (real := run.plan.reference.images) else said


@dataclass(frozen=True)
class Line:
    """A measure in the table. cells: by column its label, value and interval; drawn: the same as SVG; said: what LR
    are beside the others."""

    name: str
    unit: str
    how: str
    cells: list[tuple[str, str, str, str]]
    drawn: str
    said: list[str]


def table(said: Verdict) -> list[Line]:
    """The measures side by side; none where nothing could be measured."""
    lines, two = [], said.column("second") is not None
    for of in MEASURES:
        means = {one.key: one.means[of.key] for one in said.columns}
        if not any(means.values()):
            continue
        cells = [(one.key, one.label, *verdict.shown(one.means[of.key])) for one in said.columns]
        marks = {key: _mark(one) for key, one in means.items() if one}
        outcomes = [(pair, found[of.key]) for pair, found in said.outcomes.items() if of.key in found]
        drawn = figures.whiskers(marks, f"{of.name} of each, with its 95 % interval")
        lines.append(Line(of.name, of.unit, of.how, cells, drawn, [_beside(of, *one, two) for one in outcomes]))
    return lines


def _mark(one: Mean) -> tuple[float, float, float]:
    return (one.value, *(one.interval or (one.value, one.value)))


def _beside(of: Measure, pair: tuple[str, str], outcome: verdict.Outcome, two: bool) -> str:
    """Such as "LR are softer than bicubic"."""
    names = {"lr": "A" if two else "LR", "second": "B", "real": "the references", "bicubic": "bicubic"}
    one, other = (names[key] for key in pair)
    verb = "is" if two else "are"
    return {
        "low": f"{one} {verb} {of.low} than {other}",
        "same": f"{one} {verb} {of.same} as {other}",
        "high": f"{one} {verb} {of.high} than {other}",
        "unsure": f"{one} and {other}: too few photographs to tell",
    }[outcome]


def facts(run: Finished) -> list[Fact]:
    """How, how long and how well."""
    plan, page = run.plan, run.page
    low, _, high = plan.tau.partition(":")
    spacing = "found" if plan.solver == LEARNED else plan.spacing
    has_eta = plan.solver in SOLVERS and SOLVERS[plan.solver].has_eta
    speed, wall, full = page.pairs_per_second, page.seconds["wall"], plan.steps == "full"
    time = (f"{wall:.1f}", "s") if wall < 100 else (f"{wall / 60:.0f}", "min")
    found: list[Fact] = [
        ("Pairs", f"{page.pairs}", f"of {page.pairs_asked}"),
        ("Size", f"{plan.lr_size} px", f"LR, ×{plan.scale}"),
        ("Seed", f"{plan.seed}", f"batches of {plan.batch}"),
        ("Preset", page.preset, ""),
        ("Start step τ", low if low == high else f"{low}–{high}", ""),
        ("Network calls", "every step" if full else f"{plan.steps}", "" if full else f"{spacing}, per candidate"),
        ("Solver", plan.solver, f"η {plan.eta:g}" if has_eta else ""),
        ("Start image" if plan.tau != "0:0" else "Degrader", start_name(plan.start), ""),
        ("Candidates", f"{plan.candidates}", "one kept" if plan.filter else "no filter"),
        *([("Variety", f"{plan.variety:g}", "factor on the draw of F_deg")] if plan.variety != 1 else []),
        *([("Temperature", f"{plan.temperature:g}", "factor on the noise of x_τ")] if plan.temperature != 1 else []),
        *([("Noise", f"{plan.noise:g}", "grey levels, white, on each LR")] if plan.noise else []),
        ("Time", *(time if wall < 7200 else (f"{wall / 3600:.1f}", "h"))),
        ("Speed", "–" if speed is None else figure(speed), "" if speed is None else "pairs/s, of one process"),
        ("Engine busy", f"{100 * (page.busy_share or 0):.0f} %", "of the time"),
        ("Useful row-steps", f"{100 * page.useful_share:.1f} %", ""),
        ("Left out", f"{sum(page.rejects.values())}", "inputs and pairs" if page.rejects else "nothing"),
    ]
    # where no network ran, there is nothing to say of one
    return [one for one in found if plan.tau != "0:0" or one[0] not in ABOUT_NETWORKS]


def terms(run: Finished) -> str:
    """The licence of the weights, where the run names it."""
    name = run.page.licence
    return "" if name is None else not_commercial(name, run.page.commercial) or f"Licence of the weights: {name}"


def why(run: Finished) -> list[str]:
    """Why this recipe, where `calibrate recipe` or `calibrate solver` made it."""
    said = why_of(run.folder, run.facts["plan"])
    found = run.plan.solver == LEARNED
    by = "The sampler was found by `calibrate solver`." if found else "The recipe was chosen by `calibrate recipe`."
    return [f"{by} {said}"] if said else []


def left_out(run: Finished) -> list[tuple[str, str, int]]:
    """Role, reason and count of what was."""
    named = ((*key.partition(": ")[::2], count) for key, count in run.page.rejects.items())
    return [(ROLES.get(role, role), reason.replace("_", " "), count) for role, reason, count in named]


def sheet(report: Report, cards: int) -> dict[str, str] | None:
    """LR images from all over the run, side by side, in one picture; None where each pair has a card."""
    if report.run.page.pairs <= cards or not report.looked:
        return None
    some: Sequence[Pair] = report.looked[:: -(-len(report.looked) // SHEET)]
    some = some[: len(some) // SHEET_COLUMNS * SHEET_COLUMNS or None]  # whole rows
    picture = contact_sheet([one.lq for one in some], SHEET_COLUMNS)
    said = counted(len(some), "LR image")
    return {"said": said, "first": some[0].row.name, "last": some[-1].row.name, "picture": picture}
