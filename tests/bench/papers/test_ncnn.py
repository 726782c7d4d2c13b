"""RRDBNet's weights from ncnn's files, written here byte by byte after ncnn's own description."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra train")

from click.testing import CliRunner  # noqa: E402

from degrade_engine.bench.papers.ncnn import convolutions, main, rrdbnet  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.originals.weights import read_tensors  # noqa: E402

ONE_BLOCK = 21
OUT, INTO, KERNEL = 3, 3, 3  # 81 weights, an odd number: float16 is padded


def write(folder: Path, half: bool, count: int = ONE_BLOCK, tag: int | None = None) -> tuple[Path, Path]:
    """Weight i of convolution c is c + i / 32, exact in float16; its biases are c + 0.1 and so on."""
    size = OUT * INTO * KERNEL * KERNEL
    lines, data = ["7767517", f"{count + 2} {count + 3}", "Input  input  0 1 data"], b""
    for c in range(count):
        lines.append(
            f"Convolution    Conv_{c}   1 1 b{c} b{c + 1} 0={OUT} 1={KERNEL} 4=1 5=1 6={size} -23310=1,2.0e-01"
        )
        weights = [c + i / 32 for i in range(size)]
        if half:
            data += struct.pack("<I", 0x01306B47) + struct.pack(f"<{size}e", *weights) + b"\0\0"
        else:
            data += struct.pack("<I", 0) + struct.pack(f"<{size}f", *weights)
        data += struct.pack(f"<{OUT}f", *(c + 0.1 * k for k in range(OUT)))
    lines.append("Interp  up  1 1 x y 0=1 1=2.0")
    if tag is not None:
        data = struct.pack("<I", tag) + data[4:]
    (folder / "net.param").write_text("\n".join(lines) + "\n")
    (folder / "net.bin").write_bytes(data)
    return folder / "net.param", folder / "net.bin"


@pytest.mark.parametrize("half", [True, False])
def test_weights_come_back_by_their_names(tmp_path: Path, half: bool) -> None:
    param, weights = write(tmp_path, half)
    result = CliRunner().invoke(main, [str(param), str(weights), "-o", str(tmp_path / "net.safetensors")])
    assert result.exit_code == 0, result.output
    found = read_tensors(tmp_path / "net.safetensors")
    assert len(found) == 2 * ONE_BLOCK
    places = {"conv_first": 0, "body.0.rdb1.conv1": 1, "body.0.rdb2.conv5": 10, "body.0.rdb3.conv5": 15,
              "conv_body": 16, "conv_up1": 17, "conv_up2": 18, "conv_hr": 19, "conv_last": 20}  # fmt: skip
    for name, c in places.items():
        weight = found[f"{name}.weight"].numpy()
        assert weight.shape == (OUT, INTO, KERNEL, KERNEL)
        assert weight.dtype == np.float32
        assert weight.ravel() == pytest.approx([c + i / 32 for i in range(81)], abs=0)
        assert found[f"{name}.bias"].numpy() == pytest.approx([c, c + 0.1, c + 0.2], rel=1e-6)


def test_files_that_are_something_else_are_refused(tmp_path: Path) -> None:
    param, weights = write(tmp_path, True, tag=0x000D4B38)  # int8
    with pytest.raises(DegradeError, match="tag 0x000d4b38"):
        convolutions(param, weights)
    param, weights = write(tmp_path, True)
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-2])
    with pytest.raises(DegradeError, match="ends within convolution 20"):
        convolutions(param, weights)
    weights.write_bytes(whole + b"\0\0\0\0")
    with pytest.raises(DegradeError, match="4 bytes after the last convolution"):
        convolutions(param, weights)
    param.write_text(param.read_text().replace(" 5=1 ", " 5=0 "))
    with pytest.raises(DegradeError, match="no bias"):
        convolutions(param, weights)
    param.write_text("of something else")
    with pytest.raises(DegradeError, match="no ncnn model"):
        convolutions(param, weights)


def test_another_number_of_convolutions_is_no_rrdbnet(tmp_path: Path) -> None:
    with pytest.raises(DegradeError, match="20 convolutions"):
        rrdbnet(convolutions(*write(tmp_path, False, count=20)))
