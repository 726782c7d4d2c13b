"""What CI installs comes with hashes: the files in .ci name all of it, in the versions of constraints.txt."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

REMAKE = "after a change of constraints.txt or the extras: make hashes"


@pytest.fixture(scope="module")
def closure(root: Path) -> ModuleType:
    """.ci/closure.py."""
    spec = importlib.util.spec_from_file_location("closure", root / ".ci" / "closure.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hashed(path: Path) -> dict[str, list[str]]:
    """The SHA-256 of each requirement of a file."""
    logical = path.read_text().replace("\\\n", " ").splitlines()
    return {
        line.split()[0]: re.findall(r"--hash=sha256:([0-9a-f]{64})\b", line) for line in logical if line[:1].isalnum()
    }


def asked(root: Path, name: str) -> list[str]:
    """A variable of the Makefile, as words."""
    found = re.search(rf"^{name} := (.*)$", (root / "Makefile").read_text(), re.MULTILINE)
    assert found
    return found[1].split()


def test_all_that_the_tests_need_is_hashed(root: Path, closure: ModuleType) -> None:
    wanted = closure.closure(f"degrade-engine[{asked(root, 'EXTRAS')[0]}]")
    there = closure.pinned(root / ".ci" / "test.txt")
    assert {name: there.get(name) for name in wanted} == wanted, REMAKE
    assert all(hashed(root / ".ci" / "test.txt").values())


def test_all_that_builds_is_hashed(root: Path, closure: ModuleType) -> None:
    wanted = closure.closure(*asked(root, "TOOLS"))
    assert closure.pinned(root / ".ci" / "build.txt") == wanted, REMAKE
    assert all(hashed(root / ".ci" / "build.txt").values())


def test_both_wheels_of_torch_are_hashed(root: Path, closure: ModuleType) -> None:
    version = closure.pinned(root / "constraints.txt")["torch"]
    assert [len(found) for found in hashed(root / ".ci" / "torch-cpu.txt").values()] == [1]
    assert list(hashed(root / ".ci" / "torch-cpu.txt")) == [f"torch=={version}+cpu"], REMAKE
    ((name, pypi),) = hashed(root / ".ci" / "torch.txt").items()
    assert name == f"torch=={version}" and len(pypi) > 10, REMAKE


def test_the_hashed_lines_are_installed_by_hash(root: Path) -> None:
    """Before anything without: `make test` is what CI runs."""
    text = (root / "Makefile").read_text()
    assert "--require-hashes" in "".join(asked(root, "HASHED"))
    recipes = text[text.index(".venv/base:") : text.index("# openvino alone")]
    hashes = [recipes.index(f"$(HASHED){more} -r .ci/{one}.txt") for one, more in
              (("build", ""), ("torch-cpu", " $(TORCH)"), ("torch", ""), ("test", ""))]  # fmt: skip
    assert hashes == sorted(hashes) and hashes[2] < recipes.index("$(PIP)") < hashes[3]
    assert "make test" in (root / ".ci" / "run").read_text()
