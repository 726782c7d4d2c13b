"""NAME==VERSION of some requirements and of all that these require on this machine, a line each: the names by what is
installed here, the versions by constraints.txt. Of these lines `make hashes` makes the files beside this one.

torch has hashes of its own, and degrade-engine is a folder: both are left out.

    python .ci/closure.py 'degrade-engine[cpu,train]' ninja
"""

from __future__ import annotations

import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
OWN = "degrade-engine"
APART = {OWN, "torch"}


def closure(*wanted: str) -> dict[str, str]:
    """Canonical name to version. KeyError for a name that constraints.txt lacks; PackageNotFoundError for one that is
    required and not installed."""
    left = [Requirement(text) for text in wanted]
    seen = set[tuple[str, str]]()
    while left:
        one = left.pop()
        for extra in {"", *one.extras} - {extra for name, extra in seen if name == one.name}:
            seen.add((one.name, extra))
            below = map(Requirement, own(extra) if one.name == OWN else metadata.requires(one.name) or ())
            left += [each for each in below if each.marker is None or each.marker.evaluate({"extra": extra})]
    names = {canonicalize_name(name) for name, _ in seen} - APART
    known = pinned(ROOT / "constraints.txt")
    return {name: known[name] for name in sorted(names)}


def own(extra: str) -> list[str]:
    """What pyproject.toml asks for with an extra (""), whatever was installed last."""
    page = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return list(page["optional-dependencies"][extra] if extra else page["dependencies"])


def pinned(path: Path) -> dict[str, str]:
    """Canonical name to version of the lines NAME==VERSION of a file."""
    lines = (line.partition("==") for line in path.read_text().splitlines() if line[:1].isalnum())
    return {canonicalize_name(name): rest.split()[0] for name, _, rest in lines}


if __name__ == "__main__":
    print("\n".join(f"{name}=={version}" for name, version in closure(*sys.argv[1:]).items()))
