"""A set in the layout of a trainer that wants another one.

seesr: the folders of SeeSR's PairedCaptionDataset. gt/NAME.png; sr_bicubic/NAME.png, the LR enlarged to the size of the
GT; tag/NAME.txt, empty, since what an image shows is for a tagger to say.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from ..artefact import make_folder, new_folder, write_json_atomic
from ..errors import DegradeError
from ..images import Encoded, encode_png, read_rgb
from . import pairs
from .linking import is_plain_png, link_or_copy
from .pairs import Problem

Trainer = Literal["seesr"]
TRAINERS: tuple[Trainer, ...] = get_args(Trainer)
FORMAT = "degrade-engine/convert/1"
SIDECAR = "convert.json"


def convert(folder: Path, to: Trainer, out: Path, *, on_pairs: Callable[[int], None] = lambda count: None) -> int:
    """Write the pairs of a finished set into `out` as a trainer reads them; returns how many. Raises DegradeError for a
    set that is not whole, and then leaves nothing.
    """
    kind = pairs.kind_of(folder)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DegradeError(f"{out} holds something", wanted="a new folder, or an empty one")
    count = 0
    with new_folder(out, SIDECAR) as new:
        for role in ("gt", "sr_bicubic", "tag"):
            make_folder(new / role)
        for sample in pairs.stream(folder, kind, _refuse):
            name = f"{sample.stem}.png"
            source = folder / "gt" / name
            if kind == "folder" and source.is_file() and is_plain_png(source):
                link_or_copy(source, new / "gt" / name)
            else:
                (new / "gt" / name).write_bytes(_png(sample.gt))
            gt, lq = (read_rgb(Encoded(name, data)) for data in (sample.gt, sample.lq))
            large = cv2.resize(lq, (gt.shape[1], gt.shape[0]), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
            (new / "sr_bicubic" / name).write_bytes(encode_png(large))
            (new / "tag" / f"{sample.stem}.txt").touch()
            count += 1
            if count % 100 == 0:
                on_pairs(count)
        if not count:
            raise DegradeError(f"{folder} holds no pair")
        write_json_atomic(new / SIDECAR, {"format": FORMAT, "to": to, "pairs": count})
    return count


def _png(data: bytes) -> bytes:
    return data if data.startswith(b"\x89PNG") else encode_png(read_rgb(Encoded("an image", data)))


def _refuse(problem: Problem) -> None:
    raise DegradeError(f"The set is not whole: {problem}", mend="`degrade-engine check` lists what is wrong")
