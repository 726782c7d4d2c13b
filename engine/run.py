"""A whole run as a function: an order in, a folder of pairs out. What the command line and notebooks call."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .artefact import read_bytes, write_bytes_atomic
from .inputs.sources import OnFiles
from .objects import ObjectPath, Out
from .pipeline.progress import Progress
from .planning import Order, Planned, make_plan
from .recipe import is_file
from .recipe_file import RECIPE_JSON
from .runners.workers import Workers
from .sinks import Output, require

if TYPE_CHECKING:
    from .api import Engine
    from .runners.job import Described


@dataclass(frozen=True)
class Generated:
    """What came of a run.

    out                where they lie; `manifest` says how each pair came about, `rejects_file` what was left out
    pairs, asked       how many pairs are there, and how many were to be
    rejects            how many inputs and pairs were left out, by "role: reason"
    seconds            that this call took, without planning
    pairs_per_second   of this call, all processes together; None where all pairs were there already
    page               run.json
    notes              sentences about how the engine ran
    """

    out: Out
    pairs: int
    asked: int
    rejects: dict[str, int]
    seconds: float
    pairs_per_second: float | None
    page: dict[str, Any] = field(repr=False)
    notes: tuple[str, ...]

    @property
    def manifest(self) -> Out:
        """JSON lines, one a pair."""
        return self.out / "manifest.jsonl"

    @property
    def rejects_file(self) -> Out:
        """JSON lines, one for each input or pair that was left out."""
        return self.out / "rejects.jsonl"

    def __str__(self) -> str:
        speed = f", {self.pairs_per_second:.2f} pairs/s" if self.pairs_per_second else ""
        useful = self.page["useful_share"] if self.page["executed_row_steps"] else None
        share = "" if useful is None else f"; {100 * useful:.1f} % of the row-steps useful"
        left = ", ".join(f"{count} {reason}" for reason, count in self.rejects.items())
        gone = self.page["missing"]
        flat = flat_said(self.page)
        missing = f"\nmissing photographs that were skipped (--allow-missing): {gone}" if gone else ""
        return (f"{self.pairs} of {self.asked} pairs in {self.out} ({self.seconds:.1f} s{speed}{share})\n"
                f"left out: {f'{left} (see rejects.jsonl)' if left else 'nothing'}{missing}{flat}")  # fmt: skip


def flat_said(page: Mapping[str, Any]) -> str:
    """A line on flat references, with a line break before it; nothing where there were none."""
    over, flat = page.get("flat_passed_over", 0), page.get("flat_references", 0)
    said = f"\nflat crops of references: {over} gave way to another crop of the same photograph" if over else ""
    alone = f"{flat} are of photographs that are flat all over" if flat else ""
    return f"{said}, {alone}" if said and alone else said or (alone and f"\nflat crops of references: {alone}")


@dataclass(frozen=True)
class Telling:
    """Who is told how a run goes. on_files: see `sources.How`; on_plan: of the plan, before the first pair;
    on_progress: of every batch; on_stop: of a signal, see `stops.listening`; say: takes a sentence;
    warn: one that matters."""

    on_files: OnFiles | None = None
    on_plan: Callable[[Planned], None] = lambda _: None
    on_progress: Callable[[Progress], None] = lambda _: None
    on_stop: Callable[[int], None] | None = None
    say: Callable[[str], None] = lambda _: None
    warn: Callable[[str], None] = lambda _: None


def plan(
    order: Order, out: Out | None = None, *, workers: Workers = Workers(), output: Output = Output(),  # noqa: B008
    rescan: bool = False, telling: Telling = Telling(),  # noqa: B008
) -> Planned:  # fmt: skip
    """What a run would make. out: gets plan.json and inventory.jsonl; None: nothing is written. Raises DegradeError."""
    check_out(out, output)
    with workers.engine(order) as engine:
        planned = _planned(order, engine, out, rescan, telling)
    telling.on_plan(planned)
    if out is not None:
        _open(order, planned, out, output, workers, telling, only_asked=True)
    return planned


def generate(
    order: Order, out: Out, *, workers: Workers = Workers(), output: Output = Output(),  # noqa: B008
    rescan: bool = False, telling: Telling = Telling(),  # noqa: B008
) -> Generated:  # fmt: skip
    """Makes all pairs of the order in `out`; a run that stopped goes on. rescan: look at all photographs again, though
    an inventory of them lies there. Raises DegradeError, runner.Interrupted."""
    check_out(out, output)
    last: Progress | None = None

    def on_progress(now: Progress) -> None:
        nonlocal last
        last = now
        telling.on_progress(now)

    with workers.engine(order) as engine:
        planned = _planned(order, engine, out, rescan, telling)
        workers.check(order.engine)
        telling.on_plan(planned)
        _open(order, planned, out, output, workers, telling)
        began = time.perf_counter()
        page, notes = workers.run(planned, engine, order.engine, out, output, on_progress=on_progress,
                                  on_stop=telling.on_stop, say=telling.say)  # fmt: skip
        seconds = time.perf_counter() - began
    rate = None if last is None else last.pairs_per_second
    return Generated(out, page["pairs"], page["pairs_asked"], page["rejects"], seconds, rate, page, notes)


def check_out(out: Out | None, output: Output) -> None:
    """DegradeError for an object store that cannot hold such an output, before anything is built or looked at."""
    if isinstance(out, ObjectPath):
        require(output.kind, out)


def _planned(
    order: Order, engine: Engine | Described | None, out: Out | None, rescan: bool, telling: Telling
) -> Planned:
    """The plan of a run in `out`, which may have begun."""
    from .runners.run_folder import begun

    before = None if out is None else begun(out)
    return make_plan(order, engine, begun=before, known=None if rescan else out, on_files=telling.on_files)


def _open(
    order: Order, planned: Planned, out: Out, output: Output, workers: Workers, telling: Telling, *,
    only_asked: bool = False,
) -> None:  # fmt: skip
    """Puts the plan, the inventory and the order's recipe.json there; refuses a folder of another run. only_asked: a
    set does not grow."""
    from .runners.run_folder import opening

    with opening(out, planned.plan, output, workers.lease_s, only_asked=only_asked, warn=telling.warn):
        if planned.sources.scanned:
            planned.sources.write_page(out)
        if is_file(order.recipe):
            write_bytes_atomic(out / RECIPE_JSON, read_bytes(Path(order.recipe)))
