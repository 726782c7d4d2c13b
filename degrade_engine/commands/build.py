"""`degrade-engine build`: a bundle in, an engine for one LR size, batch and number of candidates out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from degrade_engine.engine import backends
from degrade_engine.engine.build import Built, build
from degrade_engine.engine.engine_spec import Parity
from degrade_engine.engine.spec import Precision, PrecisionChoice
from degrade_engine.models.ready import bundle_of

NAMES = ("auto", *backends.BACKENDS)
AHEAD = " or ".join(one.name for one in backends.BACKENDS.values() if one.builds_with)


def _titles(precision: Precision, gpu: bool) -> str:
    able = [backends.named(name) for name in backends.with_precision(precision)]
    return " or ".join(one.title for one in able if one.gpu == gpu)


BF16, INT8, EIGHT_BITS = _titles("bf16", gpu=False), _titles("int8", gpu=False), _titles("fp8", gpu=True)


@click.command("build", short_help="Build an engine for this machine and one LR size.")
@click.argument("source", type=click.Path(path_type=Path), metavar="NAME|BUNDLE|CHECKPOINT")
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="Folder for the engine.")  # fmt: skip
@click.option("--backend", type=click.Choice(NAMES), default="auto", show_default=True, metavar="NAME",
              help="What runs the networks: " + ", ".join(NAMES) + ". auto takes the fastest that works here."
              )  # fmt: skip
@click.option("--target", metavar="SM",
              help=f"GPU to build for, such as sm_89. {AHEAD} can build for a GPU that is not here. "
              "[default: the GPU of this machine]")  # fmt: skip
@click.option("--precision", type=click.Choice(get_args(PrecisionChoice)), default="fp32", show_default=True,
              help=f"Precision of the networks. bf16 needs {BF16} and a CPU with AMX or AVX-512 BF16; it is about "
              f"three times as fast as fp32. int8 needs {INT8} and, to build, the package onnx; it is for CPUs without "
              f"bf16. On a GPU, int8 and fp8 need {EIGHT_BITS} and a bundle of `export --precision`. auto takes bf16, "
              "int8 where there is VNNI and no AMX, or fp32, and says why. On a CPU, fp16 computes in FP32."
              )  # fmt: skip
@click.option("--lr-size", type=click.IntRange(1), metavar="PX", default=128, show_default=True,
              help="Side of the LR images in pixels.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1), metavar="N", default=16, show_default=True, help="Pairs per batch.")
@click.option("--candidates", type=click.IntRange(1), metavar="K",
              help="Candidates per pair, of which the filter keeps the best. [default: 3; 1 without a filter]"
              )  # fmt: skip
@click.option("--rebuild", is_flag=True, help="Build again, although nothing has changed.")
@click.option("--threads", type=click.IntRange(1), metavar="N",
              help="Threads of the comparison with the reference. [default: one per core]")  # fmt: skip
def command(source: Path, out: Path, **options: Any) -> None:
    """Build an engine for this machine and one LR size.

    \b
    Example:
      degrade-engine build realdgen-tiny -o engine --lr-size 128

    The source is a model's name (`degrade-engine models`), a bundle, or a checkpoint (needs torch). `generate --model`
    builds its engine by itself; `build` is for more control.

    The engine is compared with FP32 ONNX Runtime on real photographs before it is accepted. One that differs too much
    is renamed to OUT.quarantine. An engine works only with the runtime version and the machine that it was built for;
    elsewhere it is refused, with the reason. One built for a GPU that is not here needs `degrade-engine verify` there.
    """

    def say(text: str) -> None:
        click.echo(f"{text} …", err=True)

    built = build(bundle_of(source, say=say), out, say=say, **options)
    for note in built.notes:
        click.echo(note, err=True)
    click.echo(summary(built))


def summary(built: Built) -> str:
    """What the engine is, what its plans prove, and how near the reference it came: two or three lines."""
    key, plans = built.spec.key, built.spec.plans.values()
    target = f" for {key.target}" if key.target else ""
    lines = [
        f"{built.folder}: {key.runtime} {key.version}{target}, {key.precision_computed}, "
        f"LR {key.lr_size}x{key.lr_size}, {key.batch} pairs x {key.candidates} candidates, "
        f"key {built.spec.key_sha256[:12]}"
    ]
    if plans:
        half, whole = sum(plan.half for plan in plans), sum(plan.convolutions for plan in plans)
        mib = sum(plan.plan_bytes for plan in plans) / 2**20
        eight = sum(plan.quantised for plan in plans)
        more = f", {eight} in {key.precision_computed}" if eight else ""
        lines.append(f"plans: {half} of {whole} convolutions in Half{more}, {mib:.1f} MiB")
    return "\n".join([*lines, gate_line(built.spec.parity)])


def gate_line(report: Parity) -> str:
    """What the parity gate found, in one line."""
    if report.state == "not run":
        return f"parity: not run, {report.reason}"
    whole = next(m for m in report.measures if m.part == "end to end")
    return (
        f"parity: {len(report.measures)} comparisons {report.state}; end to end the worst value is "
        f"{whole.error.max:.2g} of 255 grey levels off (allowed {whole.tolerance.max:g})"
    )
