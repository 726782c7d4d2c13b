"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def samples(root: Path) -> Path:
    """The folder of bundled photographs: hr/ and reference/, listed in LICENSES.md."""
    return root / "samples"


@pytest.fixture(scope="session")
def checkpoint(root: Path) -> Path:
    """The trained tiny RealDGen that the project carries."""
    return root / "originals" / "checkpoints" / "realdgen-tiny.safetensors"


@pytest.fixture(scope="session")
def realdgen_bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained tiny RealDGen, exported once for the whole run (needs the extra train)."""
    pytest.importorskip("torch", reason="needs the extra train")
    from degrade_engine.export import export_checkpoint

    return export_checkpoint(checkpoint, tmp_path_factory.mktemp("tiny") / "bundle")
