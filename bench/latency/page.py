"""The tables and the picture of docs/latency.md, from the rows of `bench latency`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

from degrade_engine.engine import svg
from degrade_engine.engine.report.figures import figure

from ..rows import Row, markdown, read_rows
from .stages import STAGES

Table = tuple[list[str], list[list[str]]]  # header, body
WIDTH, LEFT, BAR, NAMES = 1000.0, 14.0, 34.0, 26.0  # pixels: of the picture, its margin, a bar's height, its labels'
WIDE = WIDTH - 2 * LEFT
COLOURS = {"decode": "#8c6bb1", "start image": "#bcbddc", "features": "#41ab5d", "condition": "#a1d99b",
           "denoiser": "#2f6db3", "kernels": "#f3b183", "re-extraction": "#d4540b", "scores": "#fdd0a2",
           "rest": "#bdbdbd", "encode": "#9e9ac8", "write": "#cbc9e2"}  # fmt: skip
STYLE = ("svg{font:12px system-ui,sans-serif;background:#fff}text{fill:#222}.small{fill:#666}"
         ".title{font-size:15px;font-weight:600}.inside{fill:#fff;font-weight:600}.rays{fill:#eee}")  # fmt: skip


def of(rows: list[Row], what: str) -> list[Row]:
    """The rows of one sort."""
    return [row for row in rows if row["what"] == what]


def measured(folder: Path) -> list[Row]:
    """The rows of a folder; none before the first measurement."""
    path = folder / "latency.jsonl"
    return read_rows(path) if path.is_file() else []


# ------------------------------------------------------------------------------------------------- tables


def parts(rows: list[Row], kind: str | None = None, brief: bool = False) -> Table:
    """Each network at its batch. kind: of one kind of model alone; brief: without the bytes."""
    header = ["network", "rows", "GFLOP", "p50 ms", "GFLOP/s", "% of a matrix product"]
    header += [] if brief else ["p95 ms", "weights MB", "in, out MB", "moved MB", "FLOP a byte"]
    body = []
    for r in of(rows, "part"):
        if kind in (None, r["kind"]):
            name = r["part"] if kind else f"{r['kind']}: {r['part']}"
            name += "" if r["backend"] == "onnxruntime" else f" ({r['backend']}, {r['computed_in']})"
            line = [name, str(r["rows"]), figure(r["gflop"]), figure(r["p50_ms"]), figure(r["gflop_s"]),
                    f"{100 * r['of_ceiling']:.0f}"]  # fmt: skip
            more = ("p95_ms", "weight_mb", "in_and_out_mb", "moved_mb", "flop_a_byte")
            body.append(line + ([] if brief else [figure(r[name]) for name in more]))
    return header, body


def kernels(rows: list[Row]) -> Table:
    """Each kernel, the most bytes first; each once, as it was launched in the first setting that launches it."""
    once = {r["kernel"]: r for r in reversed(of(rows, "kernel"))}
    body = [
        [r["kernel"], figure(r["mb"]), figure(r["p50_ms"]), figure(r["p95_ms"]), figure(r["gb_s"]),
         f"{100 * r['of_copy']:.0f}"] for r in sorted(once.values(), key=lambda r: -r["mb"])
    ]  # fmt: skip
    return ["kernel", "MB moved", "p50 ms", "p95 ms", "GB/s", "% of a copy"], body


def stages(rows: list[Row]) -> Table:
    """ms per pair of each stage, a column a setting, and what share of it."""
    settings = list(dict.fromkeys(r["setting"] for r in of(rows, "stage")))
    found = {(r["setting"], r["stage"]): r["ms_a_pair"] for r in of(rows, "stage")}
    whole = {setting: sum(ms for (of_setting, _), ms in found.items() if of_setting == setting) for setting in settings}
    header = ["stage"] + [f"{name}: {unit}" for name in settings for unit in ("ms per pair", "%")]
    body = []
    for stage in STAGES:
        values = [found[setting, stage] for setting in settings]
        cells = [(figure(ms), f"{100 * ms / whole[s]:.1f}") for ms, s in zip(values, settings, strict=True)]
        body.append([stage, *(text for cell in cells for text in cell)])
    return header, body


def batches(rows: list[Row]) -> Table:
    """Each setting without I/O."""
    body = [
        [r["setting"], str(r["batch"]), str(r["candidates"]), str(r["steps_run"]), f"{r['p50_ms'] / 1e3:.3f}",
         f"{r['p95_ms'] / 1e3:.3f}", figure(r["images_a_second"])] for r in of(rows, "batch")
    ]  # fmt: skip
    return ["setting", "pairs per batch", "K", "steps run", "p50 s per batch", "p95", "images per second"], body


def scaling(rows: list[Row]) -> Table:
    """Each series, and its line: milliseconds fixed and for each more."""
    fits = {"lr_size" if r["over"] == "pixels" else r["over"]: r for r in of(rows, "fit")}
    body = []
    for over in dict.fromkeys(r["over"] for r in of(rows, "scaling")):
        series = [r for r in of(rows, "scaling") if r["over"] == over]
        said = ", ".join(f"{r['value']}: {figure(r['p50_ms'])}" for r in series)
        fit = fits.get(over)
        unit = "megapixel" if over == "lr_size" else {"steps": "step", "batch": "pair"}.get(over, "candidate")
        line = ""
        if fit:
            each = fit["each_ms"] * (1e6 if over == "lr_size" else 1)
            line = f"{figure(fit['fixed_ms'])} + {figure(each)} a {unit}, within {100 * fit['largest_error']:.0f} %"
        r = series[0]
        other = {"batch": "B", "candidates": "K", "lr_size": "size", "steps": "steps"}
        fixed = ", ".join(f"{short} = {r[name]}" for name, short in other.items() if name != over)
        body.append([over.replace("lr_size", "LR size"), fixed, said, line])
    return ["over", "with", "value: p50 ms per batch", "least squares, ms"], body


def operators(rows: list[Row]) -> Table:
    """The denoiser's, by time; those of less than a percent are gathered."""
    found, rest = of(rows, "operator"), [0, 0.0, 0.0]
    body = []
    for r in found:
        if r["share"] >= 0.01:
            body.append([r["operator"], str(r["nodes"]), figure(r["ms"]), f"{100 * r['share']:.1f}"])
        else:
            rest = [rest[0] + r["nodes"], rest[1] + r["ms"], rest[2] + r["share"]]
    if rest[0]:
        body.append(["all others", str(rest[0]), figure(rest[1]), f"{100 * rest[2]:.1f}"])
    return ["operator", "nodes", "ms per row", "%"], body


def ceiling(rows: list[Row]) -> str:
    """The machine in a sentence."""
    r = of(rows, "ceiling")[0]
    bf16 = f", {figure(r['bf16_gflop_s'])} in bf16" if r["bf16_gflop_s"] else ""
    size = f"LR {r['lr_size']}x{r['lr_size']}, {r['batch']} pairs x {r['candidates']} candidates per batch"
    return (
        f"{r['devices']}, {r['threads']} threads; {r['kind']}, {r['backend']}, {size}. The machine makes "
        f"{figure(r['gflop_s'])} GFLOP/s in FP32{bf16} (a matrix product of side {r['side']}), "
        f"{figure(r['copy_gb_s'])} GB/s (a copy of {r['copy_mb'] / 2:.0f} MB, read and written); {r['date']}, commit "
        f"{r['commit']}."
    )


def machine(folder: Path) -> str:
    """The machine in a sentence, by the rows of a folder."""
    return ceiling(rows) if (rows := measured(folder)) else NOT_YET


def table(make: Callable[[list[Row]], Table]) -> Callable[[Path], str]:
    """A table of a folder's rows as Markdown."""
    return lambda folder: markdown(*make(rows)) if (rows := measured(folder)) else NOT_YET


NOT_YET = "Not measured yet: `degrade-engine bench latency ENGINE -o bench/results/latency.jsonl`."
TABLES: dict[str, Callable[[Path], str]] = {
    "latency": table(lambda rows: parts(rows, of(rows, "ceiling")[0]["kind"], brief=True)),
    "latency_machine": machine,
    "latency_parts": table(parts),
    "latency_stages": table(stages),
    "latency_batches": table(batches),
    "latency_operators": table(operators),
    "latency_kernels": table(kernels),
    "latency_scaling": table(scaling),
}


# ------------------------------------------------------------------------------------------------ picture


def picture(rows: list[Row]) -> str:
    """For each setting a bar of a pair's whole time, and below it, enlarged, all of it but the denoiser."""
    settings = list(dict.fromkeys(r["setting"] for r in of(rows, "stage")))
    machine = ceiling(rows).split(" (a ")[0] if rows else "Not measured yet"
    body = [svg.text(LEFT, 24, "Where the time of a pair goes, ms", "title"),
            svg.text(LEFT, 42, machine + ". One stage after another; in a run, decode, encode and "
                   "write overlap the networks.", "small")]  # fmt: skip
    y = 58.0
    for setting in settings:
        found = {r["stage"]: r["ms_a_pair"] for r in of(rows, "stage") if r["setting"] == setting}
        body += _setting(setting, {stage: found[stage] for stage in STAGES if found[stage] > 0}, y)
        y += 4 * NAMES + 2 * BAR + 30
    return svg.picture(WIDTH, y, body, style=STYLE)


def picture_of_rows(folder: Path) -> str:
    """docs/latency.svg."""
    return picture(measured(folder))


def _setting(name: str, found: dict[str, float], y: float) -> Iterator[str]:
    """The two bars of a setting, from y on."""
    whole, denoiser = sum(found.values()), found.get("denoiser", 0.0)
    yield svg.text(LEFT, y + 18, f"{name}: {figure(whole)} ms per pair", "title")
    yield from _bar(found, y + NAMES, whole, [stage for stage in found if stage == "denoiser"])
    others = {stage: ms for stage, ms in found.items() if stage != "denoiser"}
    if not denoiser:
        return
    lower, said = y + NAMES + BAR + 22, sum(others.values())
    yield svg.text(LEFT, lower + 2, f"all but the denoiser: {figure(said)} ms, {100 * said / whole:.1f} %", "small")
    yield from _bar(others, lower + 8, said, list(others))


def _bar(found: dict[str, float], y: float, whole: float, named: list[str]) -> Iterator[str]:
    """Stacked from left to right. named: those whose name and time are written, inside or, in two lines, below."""
    x, free = LEFT, [LEFT, LEFT]
    for stage, ms in found.items():
        width = WIDE * ms / whole
        yield (f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{BAR}" fill="{COLOURS[stage]}">'
               f"<title>{escape(stage)}: {figure(ms)} ms, {100 * ms / whole:.1f} %</title></rect>")  # fmt: skip
        label = f"{stage} {figure(ms)}"
        wide = 6.6 * len(label) + 8
        if stage in named and width > wide:
            kind = "inside" if stage in ("denoiser", "decode", "re-extraction", "features") else ""
            yield svg.text(x + 5, y + BAR / 2 + 4, label, kind)
        elif stage in named:
            line = 0 if x >= free[0] else 1
            at = max(min(x, LEFT + WIDE - wide), free[line])
            yield svg.text(at, y + BAR + 15 + 15 * line, label, "small")
            free[line] = at + wide
        x += width
