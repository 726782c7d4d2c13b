"""The tables of `bench papers worth`: what an SR network learnt from each set of pairs, best first."""

from __future__ import annotations

from statistics import fmean, stdev

from ...rows import Row, markdown
from .ways import WHY

FIGURES = (("psnr_db", 2), ("psnr_y_db", 2), ("ssim", 4))
HEADER = ["trained on", "PSNR dB", "PSNR of Y", "SSIM", "over bicubic, dB", "sharpness", "noise", "detail", "seeds"]
VARIANTS = {way.name for way in WHY}
NOISES = {
    "lway": ["lway, without noise", "lway", "lway, noise 2", "lway, noise 3"],
    "realdgen": ["realdgen", "realdgen, noise 1 added", "realdgen, noise 2 added"],
}
"""Of a kind, the set whose LR have noise of 0, 1, 2, ... grey levels."""
LIKENESS = (("psnr_db", 2), ("laplacian_gap", 2), ("noise_gap", 2), ("spectrum_db", 2), ("frechet_e_deg", 2))


def worth(rows: list[Row]) -> str:
    """The generators as they are."""
    return table(rows, [row for row in rows if row["generator"] not in VARIANTS])


def why(rows: list[Row]) -> str:
    """The sets that differ from a generator's in one thing."""
    return table(rows, [row for row in rows if row["generator"] in VARIANTS])


def unseen(rows: list[Row]) -> str:
    """On cameras that no model was trained on: PSNR as it is and without exposure, and each as a share of the way from
    bicubic's pairs to true pairs; means over seeds, best first."""
    by_set: dict[str, list[Row]] = {}
    for row in rows:
        if row["seed"] is not None:
            by_set.setdefault(row["generator"], []).append(row)
    body = []
    for name, group in by_set.items():
        cells = []
        for key in ("psnr_db", "psnr_exposed_db"):
            found, low, high = (fmean(row[key] for row in by_set[one]) for one in (name, "bicubic", "true pairs"))
            cells += [f"{found:.2f}", f"{(found - low) / (high - low):.2f}"]
        body.append([name, *cells, str(len(group))])
    body.sort(key=lambda line: -float(line[1]))
    return markdown(["trained on", "PSNR dB", "share", "PSNR without exposure, dB", "share", "seeds"], body)


def noise(rows: list[Row], looked_at: list[Row]) -> str:
    """How much noise each kind's LR may have, on the scenes for choosing, seed 0: PSNR of the SR network that was
    trained on them, and beside it the LR's own figures. looked_at: rows of `bench papers quality` of that split."""
    worth = {row["generator"]: row["chosen_psnr_db"] for row in rows if row["seed"] == 0 and "chosen_psnr_db" in row}
    body = []
    for kind, names in NOISES.items():
        own = {row["setting"].get("noise", 0): row for row in looked_at if row["generator"] == kind}
        for sigma, name in enumerate(names):
            if name in worth and sigma in own:
                figures = [f"{own[sigma][key]:.{digits}f}" for key, digits in LIKENESS]
                body.append([f"{kind}, {sigma}", f"{worth[name]:.2f}", *figures])
    return markdown(["kind, noise", "PSNR of the SR, dB", "PSNR of the LR, dB", "Laplacian gap", "noise gap",
                     "spectrum dB", "Fréchet, E_deg"], body)  # fmt: skip


def table(rows: list[Row], shown: list[Row]) -> str:
    """Mean ± standard deviation over seeds; the gain is over bicubic of the same seeds. sharpness, noise: of the LR,
    shares of bicubic's; detail: standard deviation of the Laplacian of the SR images."""
    plain = {row["seed"]: row["psnr_db"] for row in rows if row["generator"] == "bicubic"}
    by_set: dict[str, list[Row]] = {}
    for row in shown:
        by_set.setdefault(row["generator"], []).append(row)
    body = []
    for name, group in sorted(by_set.items(), key=lambda item: -fmean(row["psnr_db"] for row in item[1])):
        gains = [row["psnr_db"] - plain[row["seed"]] for row in group if row["seed"] in plain]
        gain = f"{fmean(gains):+.2f}" if gains else ""
        lq = [f"{group[0]['lq'][key]:.2f}" if "lq" in group[0] else "" for key in ("sharpness", "noise")]
        figures = [spread([row[key] for row in group], digits) for key, digits in FIGURES]
        detail = f"{fmean(row['detail'] for row in group):.1f}"
        body.append([name, *figures, gain, *lq, detail, str(len(group))])
    return markdown(HEADER, body)


def spread(values: list[float], digits: int) -> str:
    """Mean ± sample standard deviation; a single value has none."""
    mean = f"{fmean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {stdev(values):.{digits}f}"
