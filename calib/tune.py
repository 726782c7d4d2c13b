"""`tune`: a checkpoint of RealDGen fitted to one camera, from photographs of it and without pairs.

1. Of the user's LR every third is held out.
2. Synthetic cameras are fitted to the others (fitting.py).
3. The base is tuned on what they take, on the user's LR and on the base's own synthetic rows
   (originals/realdgen/tuning.py), by the loop that every training has.
4. Now and then its LR are compared with the held-out photographs. The nearest state is kept.
5. At the end base and tuned model are compared once more, on other content. Where the tuned one is not nearer, the
   base's weights are the result.

A folder beside the result holds what a stopped tuning goes on with.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.artefact import from_json, parse_json, read_bytes, sha256_json, write_bytes_atomic, write_json_atomic
from ..engine.errors import DegradeError
from ..engine.images import encode_png
from ..engine.kinds import KINDS
from . import camera
from .fitting import LEAST, LONGEST, Material, Progress, Say, fit, read
from .held_out import Judge, Make, Pixels, Standing, medians

if TYPE_CHECKING:
    from ..originals.checkpoint import Checkpoint
    from ..originals.realdgen.model import RealDGen

FITTING = 0.15  # share of the time that goes into the fit of the cameras
CHECKS, PATIENCE = 12, 6  # looks at the held-out part; so many without a nearer one end the training
MARGIN = 0.03  # the tuned model's distance by measures has to be less by this share, of fine detail not more by it
ENDING = 5.0  # seconds to write the result in
WARMUP, EMA, SAVED = 20, 0.995, 60.0  # steps; decay; seconds from one state on disk to the next
CROP, REFERENCE = 48, 64  # LR pixels a side of the crops in training
BEGUN, BEST = "begun.json", "best.safetensors"


@dataclass(frozen=True)
class Asked:
    """What the command was given. hr: empty for the LR's own photographs at half their size."""

    base: Path
    lr: tuple[Path, ...]
    hr: tuple[Path, ...]
    pairs: tuple[Path, ...]
    out: Path
    minutes: float
    batch: int
    seed: int
    bf16: bool
    threads: int
    workers: int

    @property
    def work(self) -> Path:
        """The folder of the state."""
        return self.out.with_suffix(".tune")


@dataclass(frozen=True)
class Begun:
    """What is found out before training: written down, since a tuning that goes on has to repeat it. seconds: spent so
    far; check: seconds that a look at the held-out part takes."""

    asked: dict[str, Any]
    fitted: camera.Fitted
    seconds: float
    check: float


@dataclass(frozen=True)
class Tuned:
    """before, after: base and tuned model on the same content; real: the held-out photographs' medians; nearer: which
    weights the result has."""

    before: Standing
    after: Standing
    real: dict[str, float]
    nearer: bool
    steps: int
    best_step: int
    held_out: int
    tuned_on: int


def tune(asked: Asked, say: Say, progress: Progress) -> Tuned:
    """Tune, and write OUT (.safetensors), its .json and its .curves.jsonl. Raises DegradeError for a base of another
    kind, and for photographs that do not do."""
    from ..originals.runs import use_threads

    began = time.monotonic()
    use_threads(asked.threads)
    model, record = open_base(asked.base)
    material = read(asked.lr, asked.hr, say)
    tuned, held, hr = (len(some) for some in (material.tuned, material.held, material.hr))
    say(f"{tuned} LR photographs to tune on, {held} held out; {hr} sharp photographs")
    judge = judge_of(material, model, asked.seed + 1)
    begun = begin(asked, model, record, material, judge, began, say, progress)
    keeper = Keeper(asked, model, judge, begun, say)
    made = train(asked, record, material, keeper, begun)
    return finish(asked, record, made, material, keeper)


def open_base(path: Path) -> tuple[RealDGen, Checkpoint]:
    """The model and its record. Raises DegradeError for another kind, and for a model without one of its extractors."""
    from ..originals.checkpoint import load
    from ..originals.realdgen.model import RealDGen

    model, record = load(path, RealDGen)
    if model.config.without:
        fact = f"{path} is a model without its extractor of {' and '.join(model.config.without)}"
        raise DegradeError(fact, wanted="a whole model", mend="give --model another checkpoint")
    return model, record


def judge_of(material: Material, model: RealDGen, seed: int) -> Judge:
    """Of LR with as many references as the model's recipe has."""
    kind = KINDS["onecall" if model.config.unet.sample else "realdgen"]
    return material.judge(kind.recipes["recommended"].references, seed)


def written(images: Sequence[Pixels], folder: Path) -> Path:
    """Images as files, for the loop that reads folders."""
    folder.mkdir(parents=True, exist_ok=True)
    for at, pixels in enumerate(images):
        write_bytes_atomic(folder / f"{at:05d}.png", encode_png(pixels))
    return folder


def begin(
    asked: Asked, model: RealDGen, record: Checkpoint, material: Material, judge: Judge, began: float, say: Say,
    progress: Progress,
) -> Begun:  # fmt: skip
    """The fitted cameras: those of a tuning that was begun in the folder, or new ones."""
    from ..originals.state import differences

    listing = [sha256_json([pixels.shape, pixels.tobytes().hex()]) for _, pixels in (*material.tuned, *material.held)]
    wanted = {"base_sha256": record.weights_sha256, "lr": sha256_json(listing), "minutes": asked.minutes,
              "seed": asked.seed, "batch": asked.batch, "bf16": asked.bf16}  # fmt: skip
    path = asked.work / BEGUN
    if path.is_file():
        found: Begun = from_json(Begun, parse_json(read_bytes(path), path.name), path.name)
        if changed := differences(found.asked, wanted):
            raise DegradeError(f"{asked.work} was begun otherwise: {'; '.join(changed)}",
                               wanted="the options and photographs that it was begun with",
                               mend="give them, or another -o, or delete that folder")  # fmt: skip
        say("going on with what was begun")
        return found
    at = time.monotonic()
    row = judge(maker(model))
    check = time.monotonic() - at
    budget = FITTING * 60 * asked.minutes
    say(f"the base's LR lie {row.distance:.3f} from the held-out photographs; cameras are fitted for {budget:.0f} s")
    fitted = fit(material, seconds=budget, seed=asked.seed, workers=asked.threads, progress=progress)
    begun = Begun(wanted, fitted, time.monotonic() - began, check)
    asked.work.mkdir(parents=True, exist_ok=True)
    Keeper.note(asked.work, {"step": 0, "seconds": 0.0, "distance": row.distance, "detail": row.detail})
    write_json_atomic(path, begun)
    near = ", ".join(f"{far:.2f}" for far in fitted.distance)
    say(f"{fitted.tried} synthetic cameras tried; the nearest lie {near} from the photographs to tune on")
    return begun


def maker(model: RealDGen) -> Make:
    """The model as `Judge` calls it."""
    from ..originals.realdgen.tuning import generated

    return partial(generated, model)


class Keeper:
    """Watches a training: looks at the held-out part now and then, keeps the nearest state, and ends what has not come
    nearer for long."""

    def __init__(self, asked: Asked, model: RealDGen, judge: Judge, begun: Begun, say: Say) -> None:
        self.work, self.model, self.judge, self.say = asked.work, model, judge, say
        self.deadline = max(1.0, 60 * asked.minutes - begun.seconds - 3 * begun.check - ENDING)
        self.every = max(self.deadline / (CHECKS + 0.5), 4 * begun.check)
        self.rows = self.read(self.work)

    def __call__(self, step: int, seconds: float, ema: dict[str, Any]) -> bool:
        if seconds < self.rows[-1]["seconds"] + self.every and seconds < self.deadline:
            return False
        from ..originals.weights import write_tensors

        weights = {key.removeprefix("model."): value for key, value in ema.items()}
        self.model.load_state_dict(weights)
        found = self.judge(maker(self.model))
        row = {"step": step, "seconds": round(seconds, 1), "distance": found.distance, "detail": found.detail}
        if self.keeps(row):
            write_tensors(weights, self.work / BEST, {"step": str(step)})
        self.note(self.work, row)
        self.rows.append(row)
        base = self.rows[0]["distance"]
        self.say(f"step {step}: {found.distance:.3f} from the held-out photographs, the base {base:.3f}; "
                 f"of fine detail {found.detail:.3f}, the base {self.rows[0]['detail']:.3f}")  # fmt: skip
        return len(self.rows) - 1 - self.best > PATIENCE

    def score(self, row: dict[str, Any]) -> float:
        """Both distances as shares of the base's, their mean: each alone is noisy, of few photographs."""
        base = self.rows[0]
        return float(row["distance"] / base["distance"] + row["detail"] / base["detail"]) / 2

    def keeps(self, row: dict[str, Any]) -> bool:
        """Whether a state is nearer than all before."""
        return self.score(row) < min(map(self.score, self.rows))

    @property
    def best(self) -> int:
        """The place of the nearest row."""
        return min(range(len(self.rows)), key=lambda at: self.score(self.rows[at]))

    @staticmethod
    def note(work: Path, row: dict[str, Any]) -> None:
        with (work / "held-out.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    @staticmethod
    def read(work: Path) -> list[dict[str, Any]]:
        """The rows so far; half a line, of a call that was killed, is left out."""
        found = []
        for line in (work / "held-out.jsonl").read_text().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found


def train(asked: Asked, record: Checkpoint, material: Material, keeper: Keeper, begun: Begun) -> Checkpoint:
    """Tune, going on with what was begun. The record of the state that it ended with."""
    from ..originals.checkpoint import load, read_sidecar
    from ..originals.realdgen.model import RealDGen
    from ..originals.realdgen.tuning import data_for, options_for, stage_of
    from ..originals.runs import Machine, Setup, Source, train_one
    from ..originals.trainer import TrainOptions

    config = keeper.model.config
    options = options_for(config, asked.batch)
    data = data_for(config, begun.fitted.cameras, CROP, REFERENCE)
    hr = asked.hr or (written(material.hr, asked.work / "hr"),)
    source = Source(hr, asked.pairs, (), tuple(path for path, _ in material.tuned), LONGEST)
    training = TrainOptions(10**6, seed=asked.seed, warmup=WARMUP, ema=EMA, bf16=asked.bf16, save_every_s=SAVED,
                            deadline_s=keeper.deadline)  # fmt: skip
    path = train_one(
        "tune", lambda: stage_of(config)(load(asked.base, RealDGen)[0], options), config,
        {"options": options, "base_sha256": record.weights_sha256}, data, asked.batch,
        Setup(source, training, asked.work, Machine(asked.workers, asked.threads)), least=LEAST,
        history=record.training, watch=keeper,
    )  # fmt: skip
    return read_sidecar(path)


def finish(asked: Asked, record: Checkpoint, made: Checkpoint, material: Material, keeper: Keeper) -> Tuned:
    """Compare the base and the nearest state on content that the choice did not see, and write the nearer one."""
    from ..originals.checkpoint import save
    from ..originals.weights import read_tensors

    model, _ = open_base(asked.base)
    weights = model.state_dict()
    judge = judge_of(material, model, asked.seed + 2)
    before = after = judge(maker(model))
    best = keeper.rows[keeper.best]
    if best["step"]:
        keeper.model.load_state_dict(read_tensors(asked.work / BEST))
        after = judge(maker(keeper.model))
    nearer = helps(before, after)
    tuned = Tuned(before, after, medians(judge.measured), nearer, made.training[-1]["steps_done"], best["step"],
                  len(material.held), len(material.tuned))  # fmt: skip
    entry = made.training[-1] | {"kept": "tuned" if nearer else "base", "best_step": best["step"]}
    card = record.card | {
        "name": asked.out.stem,
        "tuned_from": {"name": record.card.get("name", asked.base.stem), "weights_sha256": record.weights_sha256},
        "tuned_on": {"lr": len(material.tuned), "held_out": len(material.held), "hr": len(material.hr)},
        "weights": "tuned" if nearer else "the base's: tuning did not come nearer",
        "from_held_out": {
            name: {"distance": one.distance, "detail": one.detail}
            for name, one in (("before", before), ("after", after))
        },
    }
    chosen = keeper.model.state_dict() if nearer else weights
    save(chosen, record.config, asked.out, [*record.training, entry], card)
    curve = [(asked.work / name).read_text() for name in ("held-out.jsonl", "tune.jsonl")]
    write_bytes_atomic(asked.out.with_suffix(".curves.jsonl"), "".join(curve).encode())
    return tuned


def helps(before: Standing, after: Standing) -> bool:
    """Whether the tuned model is the nearer one, by more than a little: by measures, and not farther in fine detail."""
    return after.distance < (1 - MARGIN) * before.distance and after.detail < (1 + MARGIN) * before.detail
