"""The tables of `bench papers worth`: what an SR network learnt from each set of pairs, best first."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, stdev

from ...rows import Row, markdown
from .data import TRUE
from .pairs import without_noise

BICUBIC = "bicubic"
GENERATORS = {"bicubic enlargement", BICUBIC, "bicubic, Gaussian sigma 0.5", "bsrgan", "realdgen", "onecall", TRUE,
              "lway", "realesrgan", "syndiff", "syndiff, start binned", "uddm", "binned"}  # fmt: skip
"""Of the committed rows, those of generators as they are. The others differ from one of these in one thing."""
FIGURES = (("psnr_db", 2), ("psnr_y_db", 2), ("ssim", 4))
HEADER = ["trained on", "PSNR dB", "PSNR of Y", "SSIM", "over bicubic, dB", "sharpness", "noise", "detail", "seeds"]
NOISES = {
    "lway": ["lway, without noise", "lway", "lway, noise 2", "lway, noise 3"],
    "realdgen": ["realdgen", "realdgen, noise 1 added", "realdgen, noise 2 added"],
}
"""Of a kind, the set whose LR have noise of 0, 1, 2, ... grey levels."""
LIKENESS = (("psnr_db", 2), ("laplacian_gap", 2), ("noise_gap", 2), ("spectrum_db", 2), ("frechet_e_deg", 2))


@dataclass(frozen=True)
class Line:
    """A generator with an amount of added noise. rows: one a seed; chosen: whether the noise was, among others."""

    name: str
    noise: float
    rows: list[Row]
    chosen: bool

    def mean(self, key: str) -> float | None:
        """Over the seeds that have the figure."""
        found = [row[key] for row in self.rows if key in row]
        return fmean(found) if found else None


def best_noise(rows: list[Row], name: str) -> float | None:
    """The added noise with which a generator's first seed does best on the pairs that choose; None where none do."""
    known = {}
    for row in rows:
        found, noise = without_noise(row["generator"])
        if found == name and row["seed"] == 0 and "chosen_psnr_db" in row:
            known[noise] = row["chosen_psnr_db"]
    return max(known, key=lambda noise: known[noise]) if known else None


def standing(rows: list[Row]) -> list[Line]:
    """Every generator at its best noise, best first; at each noise where no pairs choose."""
    groups: dict[tuple[str, float], list[Row]] = {}
    for row in rows:
        if row["seed"] is not None:
            groups.setdefault(without_noise(row["generator"]), []).append(row)
    lines = []
    for (name, noise), group in groups.items():
        best = best_noise(rows, name)
        if best in (None, noise):
            lines.append(Line(name, noise, group, best is not None))
    return sorted(lines, key=lambda line: -(line.mean("psnr_db") or 0))


def line_of(lines: list[Line], name: str) -> Line | None:
    """A generator's: that of no added noise where none was chosen."""
    return next((line for line in lines if line.name == name and (line.chosen or not line.noise)), None)


def shares(lines: list[Line], key: str) -> list[float | None]:
    """How far each line is on the way from bicubic's pairs to true pairs; None where these or the figure are not
    there."""
    low, high = (end.mean(key) if (end := line_of(lines, name)) else None for name in (BICUBIC, TRUE))
    if low is None or high is None or low == high:
        return [None] * len(lines)
    return [None if (found := line.mean(key)) is None else (found - low) / (high - low) for line in lines]


def leaderboard(rows: list[Row]) -> str:
    """PSNR as it is and without exposure, and each as a share of the way from bicubic's pairs to true pairs; means over
    seeds. sharpness, noise: of the LR, shares of those of its HR's bicubic."""
    lines, columns = standing(rows), []
    for key in ("psnr_db", "psnr_exposed_db"):
        columns += [[_cell(line.mean(key)) for line in lines], [_cell(share) for share in shares(lines, key)]]
    body = []
    for line, *figures in zip(lines, *columns, strict=True):
        first = line.rows[0]
        lq = [_cell(first.get("lq", {}).get(key)) for key in ("sharpness", "noise")]
        body.append([line.name, f"{line.noise:g}", *figures, *lq, str(first["pairs"]), str(len(line.rows))])
    return markdown(["trained on", "noise added", "PSNR dB", "share", "PSNR without exposure, dB", "share",
                     "LR's sharpness", "LR's noise", "pairs", "seeds"], body)  # fmt: skip


def without_shares(rows: list[Row]) -> str:
    """The leaderboard without the way to true pairs, where there are too few of these to be an end."""
    body = [[line.name, *(_cell(line.mean(key)) for key in ("psnr_db", "psnr_exposed_db")),
             *(_cell(line.rows[0].get("lq", {}).get(key)) for key in ("sharpness", "noise")),
             str(line.rows[0]["pairs"]), str(len(line.rows))] for line in standing(rows)]  # fmt: skip
    return markdown(["trained on", "PSNR dB", "PSNR without exposure, dB", "LR's sharpness", "LR's noise", "pairs",
                     "seeds"], body)  # fmt: skip


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def worth(rows: list[Row]) -> str:
    """The committed rows of the generators as they are."""
    return table(rows, [row for row in rows if row["generator"] in GENERATORS])


def why(rows: list[Row]) -> str:
    """The sets that differ from a generator's in one thing."""
    return table(rows, [row for row in rows if row["generator"] not in GENERATORS])


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
    plain = {row["seed"]: row["psnr_db"] for row in rows if row["generator"] == BICUBIC}
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
