"""What a pair costs, stage by stage: the files, the networks, the kernels, the scores, and the files again.

One batch of a preset in the middle of a plan, from decoding to written PNGs, one stage after another in one thread but
for the engine's own. In a run, decoding, encoding and writing overlap the engine; here each is seen for itself.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from degrade_engine.engine import plan
from degrade_engine.engine.images import Pixels, encode_png
from degrade_engine.engine.inputs import loading, sources
from degrade_engine.engine.inputs.decoded import Decoded
from degrade_engine.engine.pipeline.batches import assemble
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.sinks import open_sink
from degrade_engine.engine.sinks.sink import Sink
from degrade_engine.engine.spec import hr_scale

from .. import rig
from ..ledger import Ledger
from ..rig import Source
from ..timing import clocked

STAGES = ("decode", "start image", "features", "condition", "denoiser", "kernels", "re-extraction", "scores", "rest",
          "encode", "write")  # fmt: skip
"""In the order of a run. decode: read and crop; start image: bring the HR to LR size and degrade it; features: once a
reference and pair; condition: all that the denoiser reads, Rec_lr, P-DDM; kernels: noise, updates, bytes to planes and
back; rest: Python, tables and copies on the host; encode: both PNGs; write: the two files."""
FEATURES, SCORES = ("degradation", "content"), ("select", "keep_first", "gather")
REPEATS, SLOW = 5, 15.0  # batches, and seconds after which two have to do
SCALE, PAIRS = 4, 60


@dataclass(frozen=True)
class Measured:
    """Seconds per pair of each stage (median over the batches), seconds of each batch without I/O, steps of a batch."""

    stages: dict[str, float]
    batches: list[float]
    steps: int


def measure(source: Source, recipe: Recipe, samples: Path, ledger: Ledger, threads: int) -> Measured:
    """samples: hr/ and reference/. The ledger then holds the entries of all batches but the first, which warms up."""
    scale = hr_scale(source.parts) or SCALE
    made = the_plan(source, recipe, samples, scale)
    middle = made[0].batches[len(made[0].batches) // 2]
    found: dict[str, list[float]] = {name: [] for name in STAGES}
    batches: list[float] = []
    size = {"batch": source.batch, "candidates": recipe.candidates, "lr_size": source.lr_size, "threads": threads}
    with rig.opened(source, ledger, **size) as sampler, tempfile.TemporaryDirectory() as folder:
        sink = open_sink("folder", Path(folder))
        for repeat in range(REPEATS + 1):
            if repeat > 2 and sum(batches) > SLOW:
                break
            loaded = [loading.load(made[0], made[1].folders, Decoded(0), pair) for pair in middle]
            batch = assemble(made[0], source.schedule, loaded, reads_hr=hr_scale(source.parts) is not None)
            before = len(ledger.entries)
            result, whole = clocked(lambda: sampler.run(batch, filter=recipe.filter, inspect=False))  # noqa: B023
            gts = [outcome.inputs.gt for outcome in loaded if outcome.inputs]
            pairs = list(zip(gts, result.lr, strict=True))
            _, encode = clocked(lambda: [encode_png(image) for pair in pairs for image in pair])  # noqa: B023
            _, stored = clocked(lambda: all_written(sink, pairs))  # noqa: B023
            if repeat == 0:
                ledger.clear()
                continue
            batches.append(whole)
            this = inside(Ledger(ledger.entries[before:]), whole)
            this |= {"decode": sum(outcome.decode_s for outcome in loaded), "encode": encode,
                     "start image": sum(outcome.degrade_s for outcome in loaded),
                     "write": max(0.0, stored - encode)}  # fmt: skip
            for name, seconds in this.items():
                found[name].append(seconds / len(middle))
    steps = max((len(one) for one in batch.tables), default=0)
    return Measured({name: float(np.median(times)) for name, times in found.items()}, batches, steps)


def all_written(sink: Sink, pairs: list[tuple[Pixels, Pixels]]) -> None:
    """GT and LQ of a batch, as a run stores them: encoded, written, renamed."""
    for i, (gt, lq) in enumerate(pairs):
        sink.write(f"p{i}", gt, lq)


def inside(batch: Ledger, whole: float) -> dict[str, float]:
    """The stages of one batch in the engine; they add up to `whole`."""
    calls = [entry for entry in batch.entries if entry.act == "network"]
    denoising = [at for at, entry in enumerate(calls) if entry.name == "denoiser"] or [len(calls)]
    early, late = calls[: denoising[0]], calls[denoising[-1] + 1 :]
    found = {
        "features": sum(call.seconds for call in early if call.name in FEATURES),
        "condition": sum(call.seconds for call in early if call.name not in FEATURES),
        "denoiser": batch.seconds("network", "denoiser"),
        "re-extraction": sum(call.seconds for call in late),
        "scores": batch.seconds("launch", *SCORES),
    }
    found["kernels"] = batch.seconds("launch") - found["scores"]
    return found | {"rest": whole - sum(found.values())}


def the_plan(source: Source, recipe: Recipe, samples: Path, scale: int) -> tuple[plan.Plan, sources.Sources]:
    """PAIRS pairs of the bundled photographs: enough that the middle batch is one of middling taus."""
    size, reads = source.lr_size, source.model_kind.reads_reference
    reference = samples / "reference" if reads else None
    found = sources.from_folders(samples / "hr", reference, hr_size=scale * size, reference_size=size)
    options = plan.Options(seed=0, pairs=PAIRS, scale=scale, recipe=recipe, shard_pairs=PAIRS, save_candidates=False)
    made = plan.make(options, lr_size=size, batch=source.batch, engine=source.sha256, hr=found.hr,
                     reference=found.reference if reads else None)  # fmt: skip
    return made, found
