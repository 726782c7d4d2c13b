"""A run as one HTML page: what was made, how it scored, and what it looks like, up close.

The page is a single file: images are data URIs, figures are inline SVG, there is no script, and its policy
forbids it to load anything. What a run's pages say is shown as text (`report.html.jinja` escapes it). A pair's zooms
show the same region in every image, the most textured one of the HR at LR size, so that blur, noise and compression can
be compared; the reference, another scene, shows its own most textured region.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..artefact import write_bytes_atomic
from ..errors import DegradeError
from ..schedule import SOLVERS
from ..sinks import pairs
from ..spec import not_commercial
from .cards import card, contact_sheet, counted, start_name
from .charts import charts
from .figures import figure
from .finished import Finished, open_run

ABOUT_NETWORKS = ("Preset", "Start step τ", "Network calls", "Solver", "Candidates", "Useful row-steps")
SHEET_COLUMNS = 8
SHEET = 48  # LR images of the contact sheet, at most
PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
                    trim_blocks=True, lstrip_blocks=True, auto_reload=False)  # fmt: skip
ROLES = {"hr": "HR", "reference": "reference", "pair": "pair"}
Fact = tuple[str, str, str]  # name, value, and what stands small behind it


def write(folder: Path, out: Path, limit: int) -> None:
    """Write the page of the run in `folder` to `out`, with a card for each of its first `limit` pairs."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(out, html(open_run(folder, limit), limit).encode("utf-8", "xmlcharrefreplace"))


def to_json(run: Finished) -> dict[str, Any]:
    """The same facts for a program: the plan's page and the run's."""
    return {"format": "degrade-engine/report/1"} | run.facts


def html(run: Finished, limit: int) -> str:
    """The page. limit: pairs that get a card with images; facts and figures cover all of them."""
    shown = run.rows[:limit]
    found = pairs.pick(run.folder, pairs.kind_of(run.folder), [row.name for row in shown])
    if len(found) < len(shown):
        gone = next(row.name for row in shown if row.name not in found)
        fact = f"The pair {gone} of the manifest is not in {run.folder}"
        raise DegradeError(fact, mend="repeat the generate command")
    return PAGES.get_template("report.html.jinja").render(
        run=run, title=title(run), facts=facts(run), charts=charts(run), left_out=left_out(run), sheet=sheet(run),
        terms=terms(run),
        cards=[card(run.folder, row, found[row.name]) for row in shown],
    )  # fmt: skip


def title(run: Finished) -> str:
    """What was made, of what."""
    said = f"{counted(run.page.pairs, 'pair')}, content from {counted(run.plan.hr.images, 'sharp photograph')}"
    real = run.plan.reference.images
    return f"{said}, degradation from {real} real ones" if real else said


def facts(run: Finished) -> list[Fact]:
    """How, how long and how well."""
    plan, page = run.plan, run.page
    low, _, high = plan.tau.partition(":")
    has_eta = plan.solver in SOLVERS and SOLVERS[plan.solver].has_eta
    speed, wall, full = page.pairs_per_second, page.seconds["wall"], plan.steps == "full"
    time = (f"{wall:.1f}", "s") if wall < 100 else (f"{wall / 60:.0f}", "min")
    found: list[Fact] = [
        ("Pairs", f"{page.pairs}", f"of {page.pairs_asked}"),
        ("Size", f"{plan.lr_size} px", f"LR, ×{plan.scale}"),
        ("Preset", page.preset, ""),
        ("Start step τ", low if low == high else f"{low}–{high}", ""),
        ("Network calls", "every step" if full else f"{plan.steps}", "" if full else f"{plan.spacing}, a candidate"),
        ("Solver", plan.solver, f"η {plan.eta:g}" if has_eta else ""),
        ("Start image", start_name(plan.start), ""),
        ("Candidates", f"{plan.candidates}", "one kept" if plan.filter else "no filter"),
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


def left_out(run: Finished) -> list[tuple[str, str, int]]:
    """Role, reason and count of what was."""
    named = ((*key.partition(": ")[::2], count) for key, count in run.page.rejects.items())
    return [(ROLES.get(role, role), reason.replace("_", " "), count) for role, reason, count in named]


def sheet(run: Finished) -> dict[str, str] | None:
    """LR images from all over the run, side by side, in one picture; None where each pair has a card."""
    if run.page.pairs <= len(run.rows):
        return None
    stems = [row.name for row in run.sample[:: -(-len(run.sample) // SHEET)]]
    stems = stems[: len(stems) // SHEET_COLUMNS * SHEET_COLUMNS or None]  # whole rows
    found = pairs.pick(run.folder, pairs.kind_of(run.folder), stems)
    picture = contact_sheet({stem: found[stem].lq for stem in stems if stem in found}, SHEET_COLUMNS)
    return {"said": counted(len(stems), "LR image"), "first": stems[0], "last": stems[-1], "picture": picture}
