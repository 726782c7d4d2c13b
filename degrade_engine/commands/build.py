"""`degrade-engine build`: a bundle in, an engine for one LR size, batch and number of candidates out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from degrade_engine.engine import backends
from degrade_engine.engine.build import Built, build
from degrade_engine.engine.engine_spec import Parity
from degrade_engine.engine.spec import Precision
from degrade_engine.models.ready import bundle_of

AHEAD = " or ".join(one.name for one in backends.BACKENDS.values() if one.builds_with)
BF16 = " or ".join(backends.named(name).title for name in backends.with_precision("bf16"))


@click.command("build", short_help="Build an engine from a bundle, a checkpoint or a model's name.")
@click.argument("source", type=click.Path(path_type=Path), metavar="NAME|BUNDLE|CHECKPOINT")
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="The engine folder.")
@click.option("--backend", type=click.Choice(("auto", *backends.BACKENDS)), default="auto", show_default=True,
              help="What runs the networks; auto takes the best that is here.")  # fmt: skip
@click.option("--target", metavar="SM",
              help=f"GPU to build for, such as sm_89 ({AHEAD}, on any machine). [default: the GPU that is here]"
              )  # fmt: skip
@click.option("--precision", type=click.Choice(get_args(Precision)), default="fp32", show_default=True,
              help="Of the networks. On a CPU, fp16 computes in FP32 and says so; bf16 is for processors with AMX or "
              f"AVX-512 BF16, by {BF16}, about three times as fast.")  # fmt: skip
@click.option("--lr-size", type=click.IntRange(1), default=128, show_default=True, help="Side of an LR image, pixels.")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Pairs computed at a time.")
@click.option("--candidates", type=click.IntRange(1),
              help="Candidates a pair, of which the filter keeps one. [default: 3; 1 without a filter]")  # fmt: skip
@click.option("--rebuild", is_flag=True, help="Build again even where nothing has changed.")
@click.option("--threads", type=click.IntRange(1), help="Threads of the parity run. [default: one a physical core]")
def command(source: Path, out: Path, **options: Any) -> None:
    """Build an engine from a bundle, from a model by its name (`degrade-engine models`), or, where torch is installed,
    straight from a checkpoint, whose bundle then stays in the cache.

    The engine is valid for this bundle, these sizes and this machine's runtime; it is refused elsewhere,
    with the reason. Before it is accepted, it must agree with FP32 ONNX Runtime on real photographs, part
    by part and as a whole; one that does not is kept aside as OUT.quarantine. One that this machine can build
    and cannot run (tensorrt-rtx without a GPU) needs `degrade-engine verify` on the machine that will use it.
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
        lines.append(f"plans: {half} of {whole} convolutions in Half, {mib:.1f} MiB")
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
