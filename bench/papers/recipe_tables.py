"""The table of docs/recipes.md, of trials of `calibrate recipe` and of `bench papers tau`."""

from __future__ import annotations

from pathlib import Path

from degrade_engine.calib.grid import said
from degrade_engine.engine.recipe import Recipe

from ..rows import Row, markdown, rows_of

SHOWN = (
    {"tau": "0:0", "references": None, "noise": None},
    {"tau": "0:0", "references": None, "noise": 2.0},
    {"tau": "200:200", "steps": 5, "start": "bicubic", "solver": "ddim", "candidates": 1, "references": None,
     "noise": None},
    {"tau": "200:200", "steps": 5, "candidates": 3, "noise": None},
    {"tau": "200:200", "steps": 5, "candidates": 3, "noise": 2.0},
)  # fmt: skip
"""Recipes that every trial's table has, beside the chosen and the nearest."""


def trials(folder: Path) -> str:
    """Of each trial the recipe that was chosen, the nearest, and some that are known."""
    body = []
    for row in (row for row in rows_of(folder, "recipes") if "tried" in row):
        nearest = min(row["tried"], key=lambda one: one["measures"]["value"])
        for one in row["tried"]:
            if one["outcome"] == "chosen" or one is nearest or any(_is(one["recipe"], some) for some in SHOWN):
                body.append(_line(row["of"], one, nearest))
    heads = ["camera", "recipe", "calls", "distance (95 %)", "less the nearest's (95 %)", "fine detail", "noise", ""]
    return markdown(heads, body)


def held_out(folder: Path) -> str:
    """The recipes that were chosen, on true pairs of other scenes."""
    keys = {"psnr_db": "PSNR dB (95 %)", "laplacian_gap": "Laplacian gap", "noise_gap": "noise gap",
            "spectrum_db": "spectrum dB"}  # fmt: skip
    body = []
    for row in (row for row in rows_of(folder, "recipes") if "label" in row):
        figures = ["{:.2f} ({:.2f} to {:.2f})".format(*row[key]) for key in keys]
        body.append([row["of"], row["label"], str(row["calls"]), *figures])
    return markdown(["true pairs", "recipe", "calls", *keys.values()], body)


def _is(recipe: Row, some: Row) -> bool:
    return all(recipe.get(key) == value for key, value in some.items())


def _line(camera: str, one: Row, nearest: Row) -> list[str]:
    far, mark = one["measures"], "**" if one["outcome"] == "chosen" else ""
    outcome = one["outcome"] + (", nearest" if one is nearest else "")
    name = said(Recipe.from_json(one["recipe"], "recipes.jsonl"))
    beyond = "–" if one is nearest else "{:+.2f} to {:+.2f}".format(*far["beyond"]).replace("-", "−")
    distance = "{:.2f} ({:.2f} to {:.2f})".format(far["value"], *far["interval"])
    return [camera, f"{mark}{name}{mark}", str(one["calls"]), distance, beyond, f"{one['detail']['value']:.2f}",
            f"{one['means']['noise']:.1f}", outcome]  # fmt: skip


def taus(folder: Path) -> str:
    """What a tau of each pair's own would gain."""
    body = []
    for row in (row for row in rows_of(folder, "tau") if row["what"] == "tau"):
        gains = ["{:+.2f} ({:+.2f} to {:+.2f})".format(*row[key]).replace("-", "−")
                 for key in ("gain_by_f_deg", "gain_of_the_best")]  # fmt: skip
        name = {"spectrum_db": "spectrum, dB", "minus_psnr_db": "−PSNR, dB"}[row["error"]]
        body.append([name, str(row["steps"]), f"{row['one_tau']:.2f}".replace("-", "−"), *gains])
    return markdown(["error", "steps", "one tau for all", "by F_deg, less that", "best of each pair, less that"], body)


def filters(folder: Path) -> str:
    """What the filter does, by tau."""
    body = []
    for row in (row for row in rows_of(folder, "tau") if row["what"] == "filter" and row["error"] == "spectrum_db"):
        gains = ["{:+.3f} ({:+.3f} to {:+.3f})".format(*row[key]).replace("-", "−")
                 for key in ("gain", "gain_of_the_noisy")]  # fmt: skip
        body.append([str(row["steps"]), str(row["tau"]), f"{row['between_candidates']:.3f}", *gains])
    heads = ["steps", "tau", "between candidates, dB", "kept less the mean of three, dB (95 %)", "of the noisier half"]
    return markdown(heads, body)


TABLES = {"recipe_trials": trials, "recipe_held_out": held_out, "recipe_tau": taus, "recipe_filter": filters}
