"""The blocks of code in README.md and docs/, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXEMPT = re.compile(r"<!-- not run here: (.+?) -->\s*\Z", re.DOTALL)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ELIDED = "…"


@dataclass(frozen=True)
class Block:
    """A block of a page. line: where it begins; exempt: why it is not run here, "" where it is."""

    page: str
    line: int
    language: str
    text: str
    exempt: str

    @property
    def commands(self) -> list[list[str]]:
        """Its lines as words, in order; variables of the block are put in. `…` stands for options left out."""
        variables: dict[str, str] = {}
        found = []
        for line in self.text.replace("\\\n", " ").splitlines():
            assigned = re.fullmatch(r'(\w+)="(.*)"', line.strip())
            if assigned:
                variables[assigned[1]] = assigned[2]
                continue
            for name, value in variables.items():
                line = line.replace(f"${name}", value)
            words = shlex.split(line, comments=True)
            words = words[1:] if words[:1] == ["exec"] else words
            words = words[: words.index(">")] if ">" in words else words
            if words:
                found.append(words)
        return found

    @property
    def ours(self) -> list[list[str]]:
        """The words behind `degrade-engine` of its commands, where it is a shell's."""
        return [words[1:] for words in self.commands if words[0] == "degrade-engine"] if not self.language else []

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(root: Path) -> list[Block]:
    """Of README.md and every page in docs/."""
    found = []
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            exempt = EXEMPT.search(text[: match.start()])
            reason = exempt[1] if exempt else ""
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(path.relative_to(root).as_posix(), line, match[1], match[2], reason))
    return found


def strings(page: Any) -> Iterator[str]:
    """Every string within a page of YAML, JSON or TOML."""
    if isinstance(page, dict):
        page = list(page.values())
    if isinstance(page, list):
        for one in page:
            yield from strings(one)
    elif isinstance(page, str):
        yield page


def lists(page: Any) -> Iterator[list[Any]]:
    """Every list within a page of YAML, JSON or TOML."""
    if isinstance(page, list):
        yield page
    for one in page.values() if isinstance(page, dict) else page if isinstance(page, list) else ():
        yield from lists(one)
