"""Sets read by the trainers' own code, where their packages are installed: `pip install --no-deps basicsr realesrgan`.

Of the packages only the data sets are loaded. Their __init__ pages load all of the rest, which asks for releases of
torchvision that are long gone; torchvision itself is stood in for, since the data sets take a few names of it and call
none of them here.
"""

from __future__ import annotations

import importlib
import logging
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from ..pair_sets import PAIRS, generate, photographs, stored

torch = pytest.importorskip("torch", reason="needs the extra train")


def bare(monkeypatch: pytest.MonkeyPatch, package: str) -> ModuleType:
    """A package with its modules, but without what its __init__ does."""
    top, *inner = package.split(".")
    found = PathFinder.find_spec(top)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"needs the package {top}")
    module = ModuleType(package)
    module.__path__ = [str(Path(found.submodule_search_locations[0], *inner))]
    monkeypatch.setitem(sys.modules, package, module)
    return module


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The data sets of both."""
    for name, names in {
        "torchvision": (), "torchvision.transforms": (), "torchvision.transforms.functional": ("normalize",),
        "torchvision.utils": ("make_grid",),
    }.items():  # fmt: skip
        module = ModuleType(name)
        for one in names:
            setattr(module, one, None)
        monkeypatch.setitem(sys.modules, name, module)
    for package in ("basicsr", "basicsr.data", "realesrgan", "realesrgan.data"):
        bare(monkeypatch, package)
    utils = bare(monkeypatch, "basicsr.utils")
    for module_name, taken in {
        "img_util": ("imfrombytes", "img2tensor"), "file_client": ("FileClient",), "misc": ("scandir",),
        "color_util": ("bgr2ycbcr",),
    }.items():  # fmt: skip
        loaded = importlib.import_module(f"basicsr.utils.{module_name}")
        for one in taken:
            setattr(utils, one, getattr(loaded, one))
    utils.get_root_logger = logging.getLogger  # type: ignore[attr-defined]
    return {
        "basicsr": importlib.import_module("basicsr.data.paired_image_dataset").PairedImageDataset,
        "realesrgan": importlib.import_module("realesrgan.data.realesrgan_paired_dataset").RealESRGANPairedDataset,
    }


@pytest.mark.parametrize("trainer", ["basicsr", "realesrgan"])
@pytest.mark.parametrize("kind", ["folder", "list", "lmdb"])
def test_its_own_data_set_gives_our_pixels(trainers, tmp_path, trainer, kind):
    photos, out = photographs(tmp_path / "hr", 72), tmp_path / "out"
    sink = "lmdb" if kind == "lmdb" else "folder"
    assert generate(sink, photos, out) == generate("folder", photos, tmp_path / "plain") == 0
    ending = ".lmdb" if sink == "lmdb" else ""
    options: dict[str, Any] = {
        "phase": "val", "scale": 4, "filename_tmpl": "{}", "dataroot_gt": f"{out}/gt{ending}",
        "dataroot_lq": f"{out}/lq{ending}", "io_backend": {"type": "lmdb" if ending else "disk"},
    }  # fmt: skip
    if kind == "list" and trainer == "basicsr":
        options["meta_info_file"] = f"{out}/meta_info_GT.txt"
    elif kind == "list":
        options |= {"meta_info": f"{out}/meta_info_pair.txt", "dataroot_gt": str(out), "dataroot_lq": str(out)}
    data = trainers[trainer](options)
    assert len(data) == PAIRS
    for item in (data[n] for n in range(PAIRS)):
        stem = Path(item["gt_path"]).stem
        for role in ("gt", "lq"):
            bgr = cv2.imdecode(
                np.frombuffer(stored(tmp_path / "plain", "folder", stem, role), np.uint8), cv2.IMREAD_COLOR
            )
            wanted = torch.from_numpy(bgr[..., ::-1].astype(np.float32).transpose(2, 0, 1) / 255)
            assert torch.equal(item[role], wanted)
    options |= {"phase": "train", "gt_size": 32, "use_hflip": True, "use_rot": True}
    options["io_backend"] = {"type": "lmdb" if ending else "disk"}  # which the data set empties
    del data  # LMDB lets a process open a database once
    crop = trainers[trainer](options)[0]
    assert crop["gt"].shape == (3, 32, 32) and crop["lq"].shape == (3, 8, 8)


def test_the_list_of_one_is_not_the_other_s(trainers, tmp_path):
    out = tmp_path / "out"
    assert generate("folder", photographs(tmp_path / "hr", 72), out) == 0
    data = trainers["basicsr"]({
        "phase": "val", "scale": 4, "filename_tmpl": "{}", "dataroot_gt": f"{out}/gt", "dataroot_lq": f"{out}/lq",
        "io_backend": {"type": "disk"}, "meta_info_file": f"{out}/meta_info_pair.txt",
    })  # fmt: skip
    with pytest.raises(OSError, match="meta|gt/gt"):
        data[0]
