"""What E_deg is worth for choosing references, and what `degrade-engine references` finds.

    degrade-engine bench papers embedding --data DATA -o bench/results/embedding.jsonl

Two cameras of DRealSR and RealSR's Canon 031 to 050, whose photographs no model was trained on; LR of 128 x 128 pixels,
four crops of 64 each. A row "neighbour": how often a crop's nearest neighbour in F_deg is of the same photograph, and
of those of other photographs, of the same camera; and what chance gives. A row "planted": three of one camera's
photographs are spoilt in one way, and looked for.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np
from PIL import Image

from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.embedding import Embedding
from degrade_engine.engine.images import Pixels, encode_png, read_rgb
from degrade_engine.engine.inputs.inventory import scan
from degrade_engine.engine.references.findings import Judged, judge
from degrade_engine.engine.references.look import Shot, look

from ..machine import machine
from ..options import FOLDER, ROWS_WRITTEN
from ..rows import Row, markdown, rows_of, write_rows
from .corpus import CORPUS, REPORTED, canon, drealsr

SIDE, CROPS, SPOILT = 64, 4, 3
BUNDLES = Path(__file__).resolve().parents[2] / "originals" / "bundles"
NEAR = ("same_photograph", "same_camera")
MODELS = ("realdgen-tiny", "realdgen-small")


def cameras(data: Path) -> dict[str, list[Path]]:
    """The LR of each camera."""
    found = {"Canon": [lr for _, lr in canon(data, REPORTED)]}
    for part in ("tune", "report"):
        for camera, pairs in drealsr(data, part).items():
            found.setdefault(camera, []).extend(lr for _, lr in pairs)
    return {camera: sorted(paths) for camera, paths in found.items()}


def looked(photographs: dict[str, Pixels], embed: Embedding) -> list[Shot]:
    """As the command looks at a folder of them."""
    with tempfile.TemporaryDirectory() as folder:
        for name, pixels in photographs.items():
            (Path(folder) / f"{name}.png").write_bytes(encode_png(np.ascontiguousarray(pixels)))
        return look(scan(folder, (SIDE, SIDE), role="reference"), embed, CROPS)[0]


def neighbours(shots: dict[str, list[Shot]]) -> Row:
    """Shares of crops, and what chance gives."""
    rows = [(camera, shot.path, crop) for camera, some in shots.items() for shot in some for crop in shot.features]
    of, photo = (np.array([row[at] for row in rows]) for at in (0, 1))
    photo = np.char.add(np.char.add(of, "/"), photo)
    features = np.stack([row[2] for row in rows]).astype(np.float64)
    features /= np.maximum(features.std(axis=0), 1e-9)
    apart = np.square(features[:, None] - features[None]).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    same = photo[:, None] == photo[None]
    nearest, elsewhere = apart.argmin(axis=1), np.where(same, np.inf, apart).argmin(axis=1)
    alike = (of[:, None] == of[None]) & ~same
    return {
        "crops": len(rows), "photographs": len(set(photo)), "cameras": len(shots),
        "same_photograph": round(float((photo[nearest] == photo).mean()), 4),
        "same_photograph_chance": round(float(((same.sum(axis=1) - 1) / (len(rows) - 1)).mean()), 4),
        "same_camera": round(float((of[elsewhere] == of).mean()), 4),
        "same_camera_chance": round(float((alike.sum(axis=1) / (~same).sum(axis=1)).mean()), 4),
    }  # fmt: skip


def saved(image: Pixels) -> Pixels:
    """As a JPEG of nine tenths of the size, at 85."""
    file, side = io.BytesIO(), int(0.9 * image.shape[0])
    Image.fromarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)).save(file, "JPEG", quality=85)
    return np.array(Image.open(file).convert("RGB"))


def larger(times: float) -> Callable[[Pixels], Pixels]:
    """Bicubic, in the size that it had."""

    def apply(image: Pixels) -> Pixels:
        side = image.shape[0]
        small = Image.fromarray(image[: int(side / times), : int(side / times)])
        return np.array(small.resize((side, side), Image.Resampling.BICUBIC))

    return apply


def blurred(sigma: float) -> Callable[[Pixels], Pixels]:
    """A Gaussian of so many pixels."""
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def sky(image: Pixels) -> Pixels:
    """A gradient with noise."""
    ramp = 120 + np.linspace(0, 40, image.shape[0])[:, None, None]
    return np.clip(ramp + np.random.default_rng(int(image.sum())).normal(0, 3, image.shape), 0, 255).astype(np.uint8)


FAULTS: dict[str, tuple[str, Callable[[Pixels], Pixels]]] = {
    "sky": ("flat", sky),
    "three times the light": ("clipped", lambda image: np.minimum(255, 3 * image.astype(int)).astype(np.uint8)),
    "made larger 2x": ("empty", larger(2)),
    "made larger 1.5x": ("empty", larger(1.5)),
    "blurred by 0.8 px": ("blurred empty", blurred(0.8)),
    "blurred by 1.5 px": ("blurred empty", blurred(1.5)),
    "saved again beside itself": ("duplicate", saved),
}
"""By name: the words for it, and how it is done."""


def planted(camera: str, images: dict[str, dict[str, Pixels]], embed: Embedding) -> list[Row]:
    """A row a fault of this camera's folder."""
    own, rows = images[camera], list[Row]()
    clean = judge(looked(own, embed))
    base = {"photographs": len(own), "camera": camera, "accused": sum(bool(one.found) for one in clean)}
    spare = list(own)[:: len(own) // SPOILT][:SPOILT]
    for fault, (word, spoil) in FAULTS.items():
        twins = word == "duplicate"
        spoilt = {f"~{name}" if twins else name: spoil(own[name]) for name in spare}
        rows.append({"fault": fault, **base, **counted(judge(looked(own | spoilt, embed)), spoilt, word)})
    for other, there in images.items():
        if other != camera:
            strange = {f"~{name}": there[name] for name in list(there)[:: len(there) // SPOILT][:SPOILT]}
            result = counted(judge(looked(own | strange, embed)), strange, "unlike")
            rows.append({"fault": f"of {other}", **base, **result})
    return rows


def counted(judged: list[Judged], spoilt: dict[str, Pixels], word: str) -> Row:
    """How many of the spoilt ones were found, by any word and by the right one, and of the others; the clusters of what
    is left."""
    found = {one.shot.path.removesuffix(".png"): one for one in judged}
    kinds = {name: {each.kind for each in one.found} for name, one in found.items()}
    return {
        "planted": len(spoilt), "found": sum(bool(kinds[name]) for name in spoilt),
        "named": sum(bool(kinds[name] & set(word.split())) for name in spoilt),
        "others_found": sum(bool(some) for name, some in kinds.items() if name not in spoilt),
        "clusters": len({one.cluster for one in judged if one.cluster}),
    }  # fmt: skip


# ---- tables of docs/references.md ----


def neighbours_table(folder: Path) -> str:
    """How often a crop's nearest neighbour is of its photograph, and of its camera."""
    rows = [row for row in rows_of(folder, "embedding") if row["what"] == "neighbour"]
    body = [[row["model"], *(f"{100 * row[key]:.0f} % ({100 * row[f'{key}_chance']:.0f} %)" for key in NEAR)]
            for row in rows]  # fmt: skip
    return markdown(
        ["E_deg of", "the same photograph (chance)", "another photograph of the same camera (chance)"], body
    )


def found_table(folder: Path) -> str:
    """Of all planted photographs, over cameras: how many are found."""
    rows = [row for row in rows_of(folder, "embedding") if row["what"] == "planted"]
    totals: dict[str, dict[str, list[int]]] = {}
    for row in rows:
        fault = "another camera's, without EXIF" if row["fault"].startswith("of ") else row["fault"]
        total = totals.setdefault(fault, {}).setdefault(row["model"], [0, 0])
        total[0] += row["found"]
        total[1] += row["planted"]
    clean = {(row["model"], row["camera"]): (row["accused"], row["photographs"]) for row in rows}
    totals["nothing was done to it"] = {
        model: [sum(both[at] for (of, _), both in clean.items() if of == model) for at in (0, 1)] for model in MODELS
    }
    body = [[fault, *(f"{found} of {of}" for found, of in (some[model] for model in MODELS))]
            for fault, some in totals.items()]  # fmt: skip
    return markdown(["photograph", *(f"found, {model}" for model in MODELS)], body)


TABLES = {"embedding_neighbours": neighbours_table, "embedding_found": found_table}


@click.command()
@click.option("--data", type=FOLDER, required=True, help=CORPUS)
@ROWS_WRITTEN
def main(data: Path, out: Path) -> None:
    """Measure what E_deg tells of photographs, and what `references` finds.

    \b
    Example:
      degrade-engine bench papers embedding --data corpus -o embedding.jsonl

    How often is a crop's nearest neighbour in F_deg of the same photograph, and of the same camera? Then photographs
    are spoilt in known ways, and looked for. Rows are of the bundled RealDGen models.
    """
    images = {camera: {path.stem: read_rgb(path) for path in paths} for camera, paths in cameras(data).items()}
    rows = list[Row]()
    for model in MODELS:
        embed = Embedding.open(BUNDLES / model, SIDE)
        about = {"model": model, "bundle": open_bundle(BUNDLES / model).sha256, "side": SIDE, "crops_each": CROPS}
        shots = {camera: looked(some, embed) for camera, some in images.items()}
        found = [{"what": "neighbour", **neighbours(shots)}]
        found += [{"what": "planted", **row} for camera in images for row in planted(camera, images, embed)]
        rows += [row | about | machine(1) for row in found]
        for row in found:
            click.echo(" ".join(f"{key} {value}" for key, value in row.items() if key != "what"))
    write_rows(out, rows)
