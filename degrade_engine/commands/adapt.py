"""`degrade-engine adapt`: LWay's self-supervised fine-tuning of an SR model on test images."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from degrade_engine.engine.errors import DegradeError

from .training import FILE, FOLDERS, training_extra

if TYPE_CHECKING:
    from degrade_engine.originals.lway.adapt import AdaptOptions


@click.command("adapt")
@click.option("--sr", type=FILE, required=True,
              help="SR model: an SRResNet of `train srresnet`, or a file that spandrel reads.")  # fmt: skip
@click.option("--lway", type=FILE, required=True, help="Checkpoint of `train lway`.")
@click.option("--lr", "lr_", type=FOLDERS, multiple=True, required=True,
              help="Folder of the LR test images (repeatable).")  # fmt: skip
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True,
              help="File for the adapted model, .safetensors. With --per-image: folder for the models.")  # fmt: skip
@click.option("--per-image", is_flag=True, help="Make one model per test image.")
@click.option("--steps", type=click.IntRange(1), metavar="N", default=300, show_default=True,
              help="Optimiser steps. The paper: 150 to 500.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1), metavar="N", default=6, show_default=True, help="Patches per step.")
@click.option("--crop", type=click.IntRange(35), metavar="PX", default=128, show_default=True,
              help="Side of a patch in LR pixels.")  # fmt: skip
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), metavar="X", default=2e-6, show_default=True,
              help="Learning rate.")  # fmt: skip
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), metavar="0..1", default=0.65, show_default=True,
              help="Share of the parameters that are trained: those of the last layers.")  # fmt: skip
@click.option("--lpips", type=(FILE, FILE), metavar="ALEXNET LINEAR",
              help="Weights of LPIPS, as for `train lway`. [default: a substitute, named in the log]")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), metavar="S", default=0, show_default=True, help="Random seed.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="CPU threads. [default: PyTorch's choice]")
def command(sr: Path, lway: Path, lr_: tuple[Path, ...], out: Path, per_image: bool,
            lpips: tuple[Path, Path] | None, threads: int | None, **given: Any) -> None:  # fmt: skip
    """Fine-tune an SR model on the LR images that it will be used on, without any HR (LWay).

    \b
    Example:
      degrade-engine adapt --sr model.pth --lway training/lway.safetensors \\
        --lr my/camera -o adapted.safetensors

    The SR model's output, reduced to LR again by LWay, should equal the test images. Writes the model, and its losses
    to OUT.jsonl. Needs torch.
    """
    with training_extra("adapting"):
        from degrade_engine.originals.lway.adapt import AdaptOptions
        from degrade_engine.originals.runs import use_threads
    use_threads(threads)
    if not per_image and out.suffix != ".safetensors":
        raise DegradeError(f"-o is {out}", wanted="a file that ends in .safetensors", mend="or give --per-image")
    options = AdaptOptions(steps=given["steps"], batch=given["batch"], lr=given["learning_rate"], share=given["share"],
                           crop=given["crop"], seed=given["seed"])  # fmt: skip
    Adaptation(sr, lway, lpips, options).run(lr_, out, per_image)


class Adaptation:
    """One call of the command: what it reads once, and how it adapts to a set of images."""

    def __init__(self, sr: Path, lway: Path, lpips: tuple[Path, Path] | None, options: AdaptOptions) -> None:
        from degrade_engine.engine.artefact import sha256_file
        from degrade_engine.originals.checkpoint import load
        from degrade_engine.originals.lway.model import LWay
        from degrade_engine.originals.lway.perceptual import INSTEAD, open_distance

        self.sr, self.options = sr, options
        self.lway = load(lway, LWay)[0]
        self.name, self.distance = open_distance(lpips)
        self.parents = {"sr_sha256": sha256_file(sr), "lway_sha256": sha256_file(lway)}
        click.echo(f"perceptual loss: {self.name}{'' if lpips else INSTEAD}")

    def run(self, folders: tuple[Path, ...], out: Path, per_image: bool) -> None:
        """Adapt to all images of the folders at once, or to each alone."""
        from degrade_engine.engine.images import BadImage, photographs_in, read_rgb, readable_endings

        found = {}
        for path in photographs_in(list(folders)):
            try:
                found[path] = read_rgb(path)
            except BadImage as bad:
                click.echo(f"left out: {bad}")
        if not found:
            wanted = f"files ending in {', '.join(readable_endings())}"
            raise DegradeError("no test image can be used", wanted=wanted, mend="check --lr")
        if not per_image:
            self.one(found, out)
            return
        stems = [path.stem for path in found]
        if twice := [stem for stem in stems if stems.count(stem) > 1]:
            raise DegradeError(f"two test images are named {twice[0]}", mend="give them in one folder, or rename one")
        for path, image in found.items():
            self.one({path: image}, out / f"{path.stem}.safetensors")

    def one(self, images: dict[Path, Any], out: Path) -> None:
        """Adapt a fresh copy of the SR model to the images and write it to `out`."""
        from degrade_engine.engine.artefact import write_bytes_atomic
        from degrade_engine.originals.lway.adapt import adapt, prepare
        from degrade_engine.originals.photographs import digest
        from degrade_engine.originals.sr_models import open_sr

        model = open_sr(self.sr)
        smallest = min(min(image.shape[:2]) for image in images.values())
        if smallest < model.least or self.options.crop < model.least:
            raise DegradeError(f"{model.name} needs {model.least} pixels per side, and an image or --crop has fewer",
                               mend="give larger images and a larger --crop")  # fmt: skip
        tests = [prepare(self.lway, image) for image in images.values()]
        began, options, rows = time.monotonic(), self.options, []
        with click.progressbar(length=options.steps, label=out.stem) as bar:

            def log(row: dict[str, float]) -> None:
                rows.append(json.dumps(row | {"perceptual_name": self.name}) + "\n")
                bar.update(1)

            share = adapt(model.net, self.lway, tests, options, self.distance, log, model.multiple)
        entry = {"stage": "adapt", "perceptual": self.name, "options": dataclasses.asdict(options),
                 "share_moved": round(share, 4), "images": sorted(path.name for path in images),
                 "images_sha256": [digest(path) for path in sorted(images, key=lambda path: path.name)],
                 "seconds": round(time.monotonic() - began)} | self.parents  # fmt: skip
        model.save(out, entry)
        write_bytes_atomic(out.with_suffix(".jsonl"), "".join(rows).encode())  # last: a call that fails leaves the old
        click.echo(f"wrote {out}: {share:.0%} of the parameters of {model.name} moved, on {len(images)} images")
