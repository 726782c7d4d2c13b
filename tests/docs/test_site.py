"""The site builds: every link leads somewhere, every name of the API page is there, and nothing is fetched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    if find_spec("mkdocs") is None:
        pytest.skip("needs the extra docs")
    out = tmp_path_factory.mktemp("site")
    subprocess.run(["make", "types"], cwd=root, check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", out],
        cwd=root, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return out


def test_every_page_of_the_docs_is_there(site: Path, root: Path) -> None:
    pages = {path.stem for path in site.glob("*.html")}
    assert {path.stem for path in (root / "docs").glob("*.md")} <= pages
    assert {"index", "contributing", "security", "changelog"} <= pages


def test_a_readers_browser_fetches_nothing(site: Path) -> None:
    for path in site.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:link|script|img|iframe)[^>]+(?:href|src)="?(https?:[^" >]+)', text)
        assert not fetched, (path.name, fetched)


def test_the_api_page_has_what_the_package_exports(site: Path) -> None:
    import degrade_engine

    text = (site / "api.html").read_text(encoding="utf-8")
    found = set(re.findall(r'id="degrade_engine\.[\w.]+\.(\w+)"', text))
    assert set(degrade_engine.__all__) <= found
    assert "<code>reference</code></dt>" in text, "columns of docstrings are definitions"
