"""Every command of README.md and docs/ exists in this release and runs, or the page says why it does not run here.

Run means: page by page, on three bundled photographs of each kind, with an engine of random weights instead of a model,
and four pairs. What `make` and `pip install` are asked for is looked up, not run.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml

from degrade_engine import cli
from degrade_engine.engine import images
from degrade_engine.engine.errors import DegradeError

from .blocks import ELIDED, Block, blocks, lists, strings

ROOT = Path(__file__).parents[2]
BLOCKS = blocks(ROOT)
SHELL = [block for block in BLOCKS if block.language == ""]
PAGES = {"yaml": yaml.safe_load, "json": json.loads, "toml": tomllib.loads}
SETTINGS = [block for block in BLOCKS if block.language in PAGES]
OTHERS = {"cd", "docker", "export", "git"}
"""Words of a shell that say nothing about this project."""
ELSEWHERE = {"docs/extending.md"}
"""Pages whose blocks another test runs: tests/engine/test_extending.py."""


def parse(words: Sequence[str]) -> None:
    """Reads a command as `degrade-engine` would, and stops before it does anything. click.UsageError, or DegradeError
    where a package is missing."""
    command: click.Command = cli.app
    ctx = click.Context(command, info_name="degrade-engine")
    rest = [word for word in words if word != ELIDED]
    while isinstance(command, click.Group):
        found = command.get_command(ctx, rest[0])
        assert found is not None, f"there is no {rest[0]}"
        command, ctx, rest = found, click.Context(found, parent=ctx, info_name=rest[0]), rest[1:]
    try:
        command.make_context(ctx.info_name, rest, parent=ctx.parent)
    except click.MissingParameter:
        if ELIDED not in words:
            raise
    except click.BadParameter as wrong:  # names such as DATA stand for what a reader has
        if "does not exist" not in wrong.message:
            raise


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_every_command_is_one_of_this_release(block: Block) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()  # type: ignore[index]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for words in block.commands:
        match words:
            case ["degrade-engine", *rest]:
                try:
                    parse(rest)
                except DegradeError as missing:
                    pytest.skip(str(missing))
            case ["make", *rest]:
                assert {word for word in rest if "=" not in word} <= set(targets)
            case ["pip", "install", wanted]:
                assert set(wanted.partition("[")[2].rstrip("]").split(",")) <= set(extras)
            case ["python", "-m", module, *_]:
                assert find_spec(module) is not None
            case [setting] if setting.startswith("DEGRADE_ENGINE_"):
                assert setting.partition("=")[0] in settings()
            case [word, *_]:
                assert word in OTHERS, f"{word}: not a command that these tests know"


def settings() -> set[str]:
    """Environment variables that stand for options."""
    context = click.Context(cli.app)
    found = set()
    for name in cli.app.list_commands(context):
        command = cli.app.get_command(context, name)
        for option in command.params if command else ():
            found.add(f"DEGRADE_ENGINE_{name}_{option.name}".upper())
    return found


@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS} - ELSEWHERE))
def test_a_page_runs_from_top_to_bottom(page: str, desk: Path) -> None:
    known = variables(page)
    for block in (block for block in BLOCKS if block.page == page and not block.exempt):
        for words in block.ours:
            run(words, block)
        if block.language == "python":
            exec(compile(smaller(block.text), str(block), "exec"), known)


def run(words: Sequence[str], block: Block) -> None:
    """One command, made small."""
    words = list(words)
    if words[0] == "generate":
        words[words.index("--pairs") + 1] = "4"
        if "--model" in words:
            at = words.index("--model")
            words[at + 1] = "engine"
    elif words[0] in ("check", "report", "status") and not Path(words[1]).exists():
        assert (
            cli.main(["generate", "--degrader", "bicubic", "--hr", "my/sharp", "--out", words[1], "--pairs", "4"]) == 0
        )
    code = cli.main(words)
    # networks of random weights make LR that show nothing of their HR, and `check` says so; after --dry-run alone
    # `status` says that nothing is made yet
    said_so = words[0] in ("check", "status") and code == 1
    assert code == 0 or said_so, f"{block}: degrade-engine {' '.join(words)}"


def smaller(text: str) -> str:
    """A block of Python with the smallest engine and four pairs."""
    text = re.sub(r"\bopen_model\([^)]*\)", 'open_model("engine")', text)
    return re.sub(r"\bpairs=\d+", "pairs=4", re.sub(r'\bmodel="[\w-]+"', 'model="engine"', text))


def variables(page: str) -> dict[str, Any]:
    """What a page's blocks of Python may use without saying where it comes from."""
    random = np.random.default_rng(0)
    if page == "docs/python.md":  # of the smallest engine's size
        hr, reference = (random.integers(0, 256, (2, side, side, 3), np.uint8) for side in (64, 16))
        return {"hr": hr, "reference": reference}
    return {"hr": images.read_rgb(ROOT / "samples" / "hr" / "city.png"), "np": np}


@pytest.mark.parametrize("block", SETTINGS, ids=str)
def test_settings_of_other_programs_can_be_read(block: Block, desk: Path) -> None:
    """And name files that a run writes; commands of ours in them parse."""
    page = PAGES[block.language](block.text)
    named = [text for text in strings(page) if text.startswith("pairs")]
    for sink in ("folder", "lmdb") if named else ():
        order = ["--degrader", "bicubic", "--hr", "my/sharp", "--pairs", "2", "--lr-size", "32"]
        assert cli.main(["generate", *order, "--sink", sink, "--out", sink]) == 0
    for text in named:
        below = text.partition("/")[2]
        assert text == "pairs" or any((desk / sink / below).exists() for sink in ("folder", "lmdb")), text
    for words in lists(page):
        if words[:1] == ["degrade-engine"]:
            parse(words[1:])


def test_a_wrong_command_is_found() -> None:
    text = "degrade-engine generate --degrader bicubic --hr a --out b --pairs 3 --colour red\n"
    (words,) = Block("page", 1, "", text, "").ours
    with pytest.raises(click.UsageError, match="--colour"):
        parse(words)
    with pytest.raises(click.UsageError, match="out"):
        parse(["generate", "--degrader", "bicubic"])
    parse(["generate", ELIDED, "--processes", "4"])


def test_every_reason_of_a_reject_is_explained(root: Path) -> None:
    page = (root / "docs" / "troubleshooting.md").read_text()
    code = "".join(path.read_text() for path in (root / "engine").rglob("*.py"))
    call = r'(?:BadImage|Reject|complain)\((?:[\w.(\[\])]+, |"pair", )*"(\w+)"'
    found = set(re.findall(call, code)) - {"pair"}
    assert {"corrupt", "too_small", "not_finite"} <= found
    assert not [word for word in sorted(found) if f"`{word}`" not in page]
