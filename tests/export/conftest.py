"""The one export of a trained model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock


@pytest.fixture(scope="session")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained tiny RealDGen, exported once for the whole run, by the first process that needs it (needs the extra
    train)."""
    pytest.importorskip("torch", reason="needs the extra train")
    from degrade_engine.export import export_checkpoint

    base = tmp_path_factory.getbasetemp()
    bundle = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "realdgen-tiny-bundle"
    with FileLock(f"{bundle}.lock"):
        return bundle if bundle.exists() else export_checkpoint(checkpoint, bundle)
