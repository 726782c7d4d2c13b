"""The development corpus as the training commands want it, with its split: Canon 001 to 020 may be trained on.

Its folder holds pairs_realsr_canon_x4/HR and LR (Canon_001_LR4.png to Canon_050_LR4.png, RealSR's), and what some
measurements need: pairs_polyu_noise, pairs_city100_nikond5500, hr_* (sharp photographs) and lr_* (real LR photographs).

    python -m degrade_engine.bench.papers.corpus DATA -o pairs.csv

writes the table of true pairs for `train realdgen --pairs`. City100 is left for the report (the only pairs at scale 2).
"""

from __future__ import annotations

import csv
from pathlib import Path

import click

CORPUS = (
    "Folder of the development corpus: RealSR's Canon pairs in pairs_realsr_canon_x4/HR and LR, and other folders "
    "that the source file bench/papers/corpus.py lists."
)
TRAINED, CHOSEN, REPORTED = range(1, 21), range(21, 31), range(31, 51)  # Canon numbers


def canon(data: Path, numbers: range) -> list[tuple[Path, Path]]:
    """(HR, LR) of the Canon pairs `numbers`."""
    folder = data / "pairs_realsr_canon_x4"
    return [(folder / "HR" / f"Canon_{n:03d}_LR4.png", folder / "LR" / f"Canon_{n:03d}_LR4.png") for n in numbers]


def drealsr(data: Path, part: str) -> dict[str, list[tuple[Path, Path]]]:
    """(HR, LR) of DRealSR's development pairs by camera, which nothing is trained on. part: "tune", whose LR may be
    references, or "report"."""
    folder, found = data / "pairs_drealsr_dev", dict[str, list[tuple[Path, Path]]]()
    for row in csv.DictReader((folder / "split.tsv").read_text().splitlines(), delimiter="\t"):
        if row["part"] == part:
            found.setdefault(row["camera"], []).append((folder / "HR" / row["name"], folder / "LR" / row["lr"]))
    return found


def training_pairs(data: Path) -> list[tuple[Path, Path, str, float, int]]:
    """(clean, real, group, weight, quiet). PolyU's groups are its cameras at their settings, its clean images the means
    of many shots, so what differs is noise; all of PolyU weighs as much as half of Canon, whose blur is what the model
    must learn."""
    rows: list[tuple[Path, Path, str, float, int]] = [(hr, lr, "canon", 1.0, 0) for hr, lr in canon(data, TRAINED)]
    for real in sorted((data / "pairs_polyu_noise").glob("*_real.JPG")):
        mean = real.with_name(real.name.replace("_real", "_mean"))
        rows.append((mean, real, "_".join(real.stem.split("_")[:4]), 0.2, 1))
    return rows


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True,
    help="File for the table (CSV). An existing file is overwritten.")  # fmt: skip
def main(data: Path, out: Path) -> None:
    """Write the table of true pairs that the tiny checkpoint was trained on.

    \b
    Example:
      python -m degrade_engine.bench.papers.corpus corpus -o pairs.csv

    DATA is the folder of the development corpus. `train realdgen --pairs` reads the table.
    """
    with out.open("w", newline="") as f:
        table = csv.writer(f)
        table.writerow(["hr", "lr", "group", "weight", "quiet"])
        table.writerows((str(hr.resolve()), str(lr.resolve()), *rest) for hr, lr, *rest in training_pairs(data))


if __name__ == "__main__":
    main()
