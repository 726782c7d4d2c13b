"""A run as one HTML page: what was made, how it scored, and what it looks like, up close.

The page is a single file: images are data URIs, figures are inline SVG, there is no script, and its policy
forbids it to load anything. A pair's zooms show the same region in every image, the most textured one of the
HR at LR size, so that blur, noise and compression can be compared; the reference, another scene, shows its
own most textured region.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import figures
from .artefact import parse_json, read_bytes, write_bytes_atomic
from .errors import DegradeError
from .figures import figure, score
from .images import encode_png, read_rgb, resize_bicubic

Pixels = NDArray[np.uint8]
ZOOM = 32  # side of the zoomed region, LR pixels
HR_VIEW = 320  # side of the HR thumbnail; its zoom is at full size
STARTS = {"bicubic": "bicubic", "reconstruction": "Rec_lr", "realesrgan": "second-order D"}
INTRODUCTION = (
    "Below each image, the same region enlarged: the most textured one of the scene. The reference shows a "
    "region of its own."
)
FOOTNOTE = (
    "Errors are normalised squared distances between features, to the reference for degradation and to "
    "the HR for content; the score is their weighted sum, and the smallest is kept."
)
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
    cards = "\n".join(card(run, row) for row in shown)
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
            "every step" if plan["steps"] == "full" else f"{plan['steps']}" + _small("a candidate"),
        ),
        (
            "Solver",
            escape(plan["solver"]) + (_small(f"η {plan['eta']:g}") if plan["solver"] == "ddim" else ""),
        ),
        ("Start image", escape(STARTS.get(plan["start"], plan["start"]))),
        ("Candidates", f"{plan['candidates']}" + _small("one kept" if plan["filter"] else "no filter")),
        ("Time", _duration(page["seconds"]["wall"])),
        ("Speed", "–" if speed is None else figure(speed) + _small("pairs/s")),
        ("Useful row-steps", f"{100 * page['useful_share']:.1f} %"),
        (
            "Left out",
            str(sum(page["rejects"].values())) + _small("inputs and pairs" if page["rejects"] else "nothing"),
        ),
    ]
    sharp, real = _count(plan["hr"]["images"], "sharp photograph"), plan["reference"]["images"]
    title = f"{_count(len(run.rows), 'pair')}, content from {sharp}, degradation from {real} real ones"
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f"""<div class="over">degrade-engine</div>
<h1>{title}</h1>
<p>Seed {plan["seed"]}, batches of {plan["batch"]} pairs. The photographs, crops and scores of each are in
<code>manifest.jsonl</code>.</p>
<dl class="facts">{listed}</dl>"""


def charts(run: Run) -> str:
    """The figures: tau, and where there are scores, how the filter chose."""
    if not run.rows:
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


def card(run: Run, row: dict[str, Any]) -> str:
    """One pair: its images, the candidates with their scores, and the same region of each enlarged."""
    name, size, scale = row["name"], run.plan["lr_size"], row["scale"]
    gt = read_rgb(run.folder / "gt" / f"{name}.png")
    bicubic = resize_bicubic(gt, (size, size))
    top, left, side = textured(bicubic, ZOOM)
    region = (top, left, side)

    tiles = [
        _tile(
            "HR",
            f"{gt.shape[1]} px",
            _jpeg(resize_bicubic(gt, (HR_VIEW, HR_VIEW)) if gt.shape[0] > HR_VIEW else gt),
            _png(gt[top * scale : (top + side) * scale, left * scale : (left + side) * scale]),
            _box(region, size),
        )
    ]
    extra = run.folder / "extra"
    start = _read(extra / "start" / f"{name}.png")
    if run.plan["start"] != "bicubic" or start is None:
        tiles.append(_lr_tile("HR, bicubic", "no degradation", bicubic, region))
    if start is not None:
        tiles.append(
            _lr_tile("Start", escape(STARTS.get(row["start"]["kind"], row["start"]["kind"])), start, region)
        )
    for k, scores in enumerate(row["candidates"]):
        pixels = _read(extra / f"candidate{k}" / f"{name}.png")
        if k == row["kept"]:
            pixels = read_rgb(run.folder / "lq" / f"{name}.png")
        if pixels is not None:
            tiles.append(_candidate_tile(k, k == row["kept"], scores, pixels, region))
    reference = _read(extra / "reference" / f"{name}.png")
    if reference is not None:
        own = textured(reference, ZOOM)
        tiles.append(_lr_tile("Reference", "real LR", reference, own, _box(own, size)))
    unseen = (
        ""
        if start is not None
        else " · start, reference and other candidates were not saved (--save-candidates)"
    )
    said = f"τ {row['tau']} · {_count(row['steps'], 'step')} · {escape(row['solver'])}{unseen}"
    return f"""<article class="pair">
<header><h3>{escape(name)}</h3><span>{said}</span></header>
<div class="tiles" style="--columns:{min(8, max(7, len(tiles)))}">{"".join(tiles)}</div>
<div class="sources"><span>HR <code>{_source(row["hr"])}</code></span>
<span>reference <code>{_source(row["reference"])}</code></span></div>
</article>"""


def textured(pixels: Pixels, side: int) -> tuple[int, int, int]:
    """(top, left, side) of the most textured square: the largest sum of squared differences of neighbouring
    gray pixels.
    """
    side = min(side, *pixels.shape[:2])
    gray = pixels.astype(np.float32).mean(axis=2)
    energy = np.zeros_like(gray)
    energy[:, 1:] += np.diff(gray, axis=1) ** 2
    energy[1:, :] += np.diff(gray, axis=0) ** 2
    np.minimum(energy, 60.0**2, out=energy)  # texture, not one hard edge
    total = np.pad(energy, ((1, 0), (1, 0))).cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return int(top), int(left), side


def _lr_tile(title: str, note: str, pixels: Pixels, region: tuple[int, int, int], box: str = "") -> str:
    top, left, side = region
    return _tile(title, note, _png(pixels), _png(pixels[top : top + side, left : left + side]), box)


def _candidate_tile(
    k: int, kept: bool, scores: dict[str, Any], pixels: Pixels, region: tuple[int, int, int]
) -> str:
    top, left, side = region
    title = f"Candidate {k + 1}" + (' <span class="tag">kept</span>' if kept else "")
    note = "not scored"
    if scores["score"] is not None:
        parts = f"deg {score(scores['degradation_error'])} </span><span>cont {score(scores['content_error'])}"
        note = f"score {score(scores['score'])}</span><span>{parts}"
    return _tile(title, note, _png(pixels), _png(pixels[top : top + side, left : left + side]), "", kept=kept)


def _tile(title: str, note: str, image: str, zoom: str, box: str, *, kept: bool = False) -> str:
    return (
        f'<figure class="tile{" kept" if kept else ""}">'
        f'<span class="view"><img src="{image}" alt="" loading="lazy">{box}</span>'
        f'<img class="zoom" src="{zoom}" alt="">'
        f"<figcaption><b>{title}</b><span>{note}</span></figcaption></figure>"
    )


def _box(region: tuple[int, int, int], size: int) -> str:
    top, left, side = (100 * value / size for value in region)
    return f'<i class="box" style="top:{top:.2f}%;left:{left:.2f}%;width:{side:.2f}%;height:{side:.2f}%"></i>'


def _figure(title: str, note: str, body: str) -> str:
    return f'<figure class="figure"><figcaption>{title}<span>{note}</span></figcaption>{body}</figure>'


def _read(path: Path) -> Pixels | None:
    return read_rgb(path) if path.is_file() else None


def _png(pixels: Pixels) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(np.ascontiguousarray(pixels))).decode()


def _jpeg(pixels: Pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _source(one: dict[str, Any]) -> str:
    top, left, height, width = one["crop"]
    return escape(f"{one['path']}  {width}×{height} at {left}, {top}")


def _small(text: str) -> str:
    return f" <small>{escape(text)}</small>"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f}" + _small("s")
    minutes = seconds / 60
    return f"{minutes:.0f}" + _small("min") if minutes < 120 else f"{minutes / 60:.1f}" + _small("h")
