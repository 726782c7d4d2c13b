"""The rows of `quality` as tables: the contenders, and every setting that was looked at; and those of `references`.

A table is made of the rows in a folder, bench/results or one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import metrics
from ..rows import Row, markdown, rows_of, same
from . import baselines, settings
from .settings import Setting, made, of_preset

REFERENCES = {"other": "another scene's real LR", "paired": "the paired real LR", "clean": "a clean image (control)"}
KINDS = {
    "realdgen": "RealDGen",
    "onecall": "RealDGen in one call",
    "syndiff": "SynDiff",
    "uddm": "UDDM",
    "lway": "LWay",
}
CONTENDERS: list[tuple[str, str, Setting | None]] = [
    *((name, name, None) for name in baselines.NAMES),
    *(
        (KINDS[kind], kind, of_preset(kind, "recommended", protocol))
        for kind in ("syndiff", "uddm", "lway", "realdgen", "onecall")
        for protocol in (REFERENCES if kind in ("lway", "realdgen", "onecall") else ("none",))
    ),
    *(
        ("RealDGen in one call, one reference", "onecall", one)
        for one in settings.table3("onecall")
        if one.recipe.references == 1
    ),
    *(("RealDGen, Rec_lr alone", "realdgen", made(protocol, tau=0)) for protocol in REFERENCES),
]
"""(in words, generator, setting): the table of docs/results.md, each as it is recommended."""
HEADER = ["PSNR dB (95 %)", "Y PSNR", "SSIM", "Laplacian gap", "noise gap", "spectrum dB", "Fréchet, random",
          "Fréchet, E_deg"]  # fmt: skip


def figures(row: Row) -> list[str]:
    """The columns of HEADER; a figure that a row of before does not have is left empty."""

    def said(name: str, digits: int) -> str:
        return f"{row[name]:.{digits}f}" if name in row else ""

    low, high = row["psnr_interval"]
    return [f"{row['psnr_db']:.2f} ({low:.1f} to {high:.1f})", said("psnr_y_db", 2), said("ssim", 3),
            said("laplacian_gap", 2), said("noise_gap", 2), said("spectrum_db", 2), said("frechet_random", 4),
            said("frechet_e_deg", 3)]  # fmt: skip


def in_words(s: dict[str, Any]) -> str:
    """A setting."""
    noise = f", noise {s['noise']:g}" if s.get("noise") else ""
    if s["tau"] == 0:
        start = {"reconstruction": "Rec_lr", "bicubic": "bicubic", "realesrgan": "D(x_hr)"}[s["start"]]
        return f"start alone: {start}{noise}"
    tau = f"{s['tau'][0]}:{s['tau'][1]}" if isinstance(s["tau"], list) else s["tau"]
    spacing = f" {s['spacing']}" if s["spacing"] != "even" else ""
    steps = "every step" if s["steps"] is None else f"{s['steps']}{spacing} step{'s' if s['steps'] > 1 else ''}"
    start = "" if s["start"] == "reconstruction" else f", start {s['start']}"
    unfiltered = "" if s["filter"] or s["reference"] == "none" else ", no filter"
    lost = {None: "", "degradation": ", F_deg zero", "content": ", F_cont zero"}[s.get("without")]
    several = f", {s['references']} references" if s.get("references") else ""
    several += "".join(f", {name} {s[name]:g}" for name in ("variety", "temperature") if name in s)
    return f"tau {tau}, {steps}, {s['solver']}{start}{unfiltered}{lost}{several}{noise}"


def what(row: Row) -> str:
    """A generator in words."""
    if not row["setting"]:
        return str(row["generator"])
    one = ", K = 1" if row["generator"] == "realdgen" and row["candidates"] == 1 else ""
    return f"{KINDS[row['generator']]}: {in_words(row['setting'])}{one}"


def reference(row: Row) -> str:
    """The protocol in words; nothing for a generator that reads none."""
    return REFERENCES.get(row["setting"].get("reference", ""), "")


def table(rows: Sequence[Row], name: Callable[[Row], str] = what) -> str:
    """Fidelity and realism, a line a row."""
    if not rows:
        return "Not measured yet; `make quality` does."
    body = [[name(row), reference(row), *figures(row)] for row in rows]
    return markdown(["generator", "reference", *HEADER], body)


def of_split(folder: Path, split: str) -> list[Row]:
    """The rows of one split."""
    return [row for row in rows_of(folder, "quality") if row["split"] == split]


def recommended(folder: Path) -> list[tuple[str, Row]]:
    """Each generator at its recommended setting, as far as it was measured."""
    found = []
    for name, generator, setting in CONTENDERS:
        wanted = {"generator": generator, "setting": setting.to_json() if setting else {}}
        for row in of_split(folder, "reported"):
            if same(row, wanted, only=("generator", "setting")) and not (generator == "realdgen" and is_alone(row)):
                found.append((name, row))
    return found


def contenders(folder: Path) -> str:
    """Fidelity and realism of each generator."""
    found = recommended(folder)
    names = {id(row): name for name, row in found}
    return table([row for _, row in found], lambda row: names[id(row)])


def spectrum(folder: Path) -> str:
    """By how much each generator's LR is above the real one in each band of frequencies, dB; of those that read a
    reference, with another scene's."""
    body = [
        [name, *(f"{band:+.1f}" for band in row["spectrum_bias_db"])]
        for name, row in recommended(folder)
        if "spectrum_bias_db" in row and row["setting"].get("reference", "other") in ("other", "none")
    ]
    bands = [f"to {(i + 1) / (2 * metrics.BANDS):.3g}" for i in range(metrics.BANDS)]
    return markdown(["cycles per pixel", *bands], body)


def unseen(folder: Path) -> str:
    """RealDGen on cameras that nothing was trained on, with another scene's reference, and bicubic."""
    rows = [row for split in ("dsc", "sony") for row in of_split(folder, split)]
    rows = [row for row in rows if row["setting"].get("reference", "other") in ("other", "clean")]
    return table(rows, lambda row: f"{row['split']}: {what(row)}")


def chance(folder: Path) -> str:
    """realdgen-small at each variety and temperature, on the scenes for choosing."""
    body = [
        [f"{row['setting'].get(name, 1.0):g}" for name in ("variety", "temperature")]
        + [f"{row['psnr_db']:.2f}", f"{row['laplacian_gap']:.2f}", f"{row['noise_gap']:.2f}",
           f"{row['spectrum_db']:.2f}", f"{row['frechet_random']:.4f}", f"{row['frechet_e_deg']:.3f}"]
        for row in rows_of(folder, "onecall_choice") if row["setting"]
    ]  # fmt: skip
    header = ["PSNR dB", "Laplacian gap", "noise gap", "spectrum dB", "Fréchet, random", "Fréchet, E_deg"]
    return markdown(["variety", "temperature", *header], body)


def tuned(folder: Path) -> str:
    """Two cameras, on the half of their pairs that tuning did not see: bicubic, realdgen-small as it is and after
    tuning (all with variety 1), and the synthetic cameras that were fitted for it, alone. Rows of tuned.jsonl say by
    `tune` which run they are of, and whether it was kept."""
    found = []
    for split in ("dsc", "sony"):
        plain = [row for row in of_split(folder, split) if row["generator"] == "bicubic"]
        after = [row for row in rows_of(folder, "tuned") if row["split"] == split]
        found += [row for row in [*plain, *after] if not row["setting"] or row["setting"].get("references") == 4]
    return table([row for row in found if row["setting"].get("reference", "other") != "paired"], tuned_name)


def tuned_name(row: Row) -> str:
    """What a row of `tuned` is."""
    if row["generator"] != "onecall":
        return f"{row['split']}: {row['generator']}"
    run = row.get("tune")
    if run is None:
        return f"{row['split']}: realdgen-small"
    return f"{row['split']}: tuned, {run['minutes']} minutes{'' if run['kept'] else ', refused'}"


def fitted(folder: Path) -> str:
    """The degrader camera by `calibrate camera` on two cameras, a row a seed of the fit, beside bicubic and cameras
    that were not fitted. Rows of fitted_cameras.jsonl say by `fit` which fit they are of."""
    return table(rows_of(folder, "fitted_cameras"), fitted_name)


def fitted_name(row: Row) -> str:
    """What a row of `fitted` is."""
    if "fit" not in row:
        return f"{row['split']}: {row['generator']}"
    fit = row["fit"]
    searches = "one search" if fit["searches"] == 1 else f"{fit['searches']} searches"
    return f"{row['split']}: {row['generator']}, seed {fit['seed']}, {fit['tries']} tries, {searches}"


KNOWN = {"reported": ("Canon 031 to 050", 27.51, 29.18), "dsc": ("dsc", None, None), "sony": ("sony", 30.16, 31.4)}
"""By split: in words, and PSNR of Real-ESRGAN+ before and after in LWay's Table 1, dB; its sony are other photographs
of DRealSR."""


def lway_known(folder: Path) -> str:
    """Real-ESRGAN's published network before and after `adapt`, beside LWay's Table 1."""
    body = []
    for row in rows_of(folder, "lway_known"):
        words, before, after = KNOWN[row["split"]]
        adapted = row.get("adapted")
        rate = f", {adapted['steps']} steps at {adapted['lr']:g}" if adapted else ""
        paper = None if row["model"] == "bicubic" else (after if adapted else before)
        body.append([f"{words}: {row['model']}{rate}", f"{row['psnr_db']:.2f}", f"{row['psnr_y_db']:.2f}",
                     f"{row['psnr_exposed_db']:.2f}", f"{row['ssim']:.3f}", f"{row['detail']:.1f}",
                     f"{row['loss']:.4f}", f"{row['loss_hr']:.4f}",
                     f"{paper:.2f}" if paper else ""])  # fmt: skip
    return markdown(["pairs, model", "PSNR dB", "Y PSNR", "PSNR without exposure", "SSIM", "detail", "L", "L of the HR",
                     "PSNR dB, the paper"], body)  # fmt: skip


def is_alone(row: Row) -> bool:
    """Whether there was one candidate of RealDGen: the rows of `curve` and `table4`."""
    return bool(row["candidates"] == 1)


def of_set(folder: Path, name: settings.Name, *, alone: bool) -> list[Row]:
    """The rows of a set of RealDGen's settings, in its order; alone: with one candidate."""
    reported = of_split(folder, "reported")
    rows = [row for row in reported if row["generator"] == "realdgen" and is_alone(row) == alone]
    wanted = [setting.to_json() for setting in settings.settings_of(name, "realdgen")]
    return [row for one in wanted for row in rows if same(row, {"setting": one}, only=("setting",))]


def everything(folder: Path) -> str:
    """Every other setting that was reported on."""
    curve = of_set(folder, "curve", alone=True)
    return table([row for row in of_split(folder, "reported") if row not in curve])


def whole(folder: Path) -> str:
    """Every row, whichever pairs it was measured on."""
    return table(rows_of(folder, "quality"), lambda row: f"{row['split']}: {what(row)}")


def references(folder: Path) -> str:
    """What the reference looks like and what the output then looks like."""
    body = []
    for row in rows_of(folder, "references"):
        r, o = row["reference"], row["output"]
        s = row["setting"]
        calls = "one call" if s["steps"] == 1 else f"{s['steps']} steps"
        calls += f", temperature {s['temperature']:g}" if "temperature" in s else ""
        body.append([f"{row['kind']}, tau {s['tau']}, {calls}"] + [
            f"{r[k]:.1f} → {o[k]:.1f}" for k in ("laplacian", "noise", "blocks")])  # fmt: skip
    return markdown(["reference", "Laplacian std", "noise std", "blockiness"], body)


TABLES: dict[str, Callable[[Path], str]] = {
    "quality": contenders,
    "spectrum": spectrum,
    "settings": everything,
    "scale2": lambda folder: table(of_split(folder, "scale2")),
    "unseen": unseen,
    "tuned": tuned,
    "fitted": fitted,
    "chance": chance,
    "lway_known": lway_known,
    "table4": lambda folder: table(of_set(folder, "table4", alone=True)),
    "table5": lambda folder: table(of_set(folder, "table5", alone=False)),
    "table7": lambda folder: table(of_set(folder, "table7", alone=False)),
    "curve": lambda folder: table(of_set(folder, "curve", alone=True)),
    "references": references,
}
