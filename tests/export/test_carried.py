"""A bundle that the package carries is what an export of its checkpoint gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")

from degrade_engine.engine.bundle import Bundle, open_bundle  # noqa: E402
from degrade_engine.engine.spec import Precision  # noqa: E402
from degrade_engine.export.kinds import kind_of, page_of  # noqa: E402
from degrade_engine.export.parity import rms, run_onnx  # noqa: E402
from degrade_engine.export.trials import trials  # noqa: E402
from degrade_engine.models.catalogue import bundled  # noqa: E402
from degrade_engine.originals.checkpoint import load  # noqa: E402
from degrade_engine.originals.realdgen.model import RealDGen  # noqa: E402

AGAIN = "degrade-engine export {0} -o originals/bundles/{0}"
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")
EXPORTERS = ("torch", "onnx", "onnxscript")


def carried(name: str) -> Bundle:
    folder = bundled()[name].bundle
    assert folder is not None, f"it is not of these weights; {AGAIN.format(name)}"
    return open_bundle(folder)


def test_its_page_says_what_a_fresh_export_says(exported: Path) -> None:
    tiny, fresh, again = carried("realdgen-tiny"), open_bundle(exported).spec, AGAIN.format("realdgen-tiny")

    def said(bundle: Bundle) -> object:
        spec = bundle.spec
        parts = {name: replace(part, files={}) for name, part in spec.parts.items()}
        about = {name: value for name, value in spec.card.items() if name != "parity"}
        return (
            [(name, value) for name, value in vars(spec).items() if name not in ("parts", "card", "tools")],
            parts,
            about,
        )

    assert said(tiny) == said(replace(tiny, spec=fresh)), again
    if all(tiny.spec.tools.get(name) == fresh.tools.get(name) for name in EXPORTERS):
        for name, part in fresh.parts.items():
            assert part.files == tiny.spec.parts[name].files, f"{name}: other bytes by the same versions; {again}"


@pytest.mark.parametrize("model", ["realdgen-small", "realdgen-tiny"])
def test_its_networks_are_the_checkpoints_to_the_exports_own_bound(model: str) -> None:
    bundle = carried(model)
    original, record = load(bundled()[model].checkpoint, RealDGen)
    assert bundle.spec.kind == kind_of(record) == bundled()[model].kind
    parts = page_of(bundle.spec.kind).parts(original)
    inputs = trials(parts, bundle.spec.lr_multiple)
    for name, part in parts.items():
        with torch.no_grad():
            exact = [part.module(*one).double().numpy() for one in inputs[name]]
        units = [1.0 if part.outputs[0].name == "image" else rms([one]) for one in exact]
        for precision in PRECISIONS:
            found = [run_onnx(bundle.file(name, precision), part, one) for one in inputs[name]]
            error = rms([(one - right) / unit for one, right, unit in zip(found, exact, units, strict=True)])
            bound = bundle.spec.card["parity"][name][precision]["bound"]
            assert np.isfinite(error) and error <= bound, f"{name} in {precision}: {error:.2e}, allowed {bound:.2e}"
