"""What the site needs beyond mkdocs.yml: pages whose files lie outside docs/, and docstrings as Markdown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from griffe import Extension, Object
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
OUTSIDE = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
}
"""Page of the site: file of the project."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages of `OUTSIDE`."""
    for page, name in OUTSIDE.items():
        text = linked((ROOT / name).read_text(encoding="utf-8"))
        if page == "index.md":  # alone in its section: no list of pages beside it
            text = f"---\nhide: [navigation]\n---\n\n{text}"
        files.append(File.generated(config, page, content=text))
    return files


def linked(text: str) -> str:
    """A page of the project's folder with its links as from docs/. A file that is no page stays as a name."""

    def link(found: re.Match[str]) -> str:
        said, target = found.groups()
        if target.startswith("docs/"):
            return f"[{said}]({target.removeprefix('docs/')})"
        page = next((page for page, name in OUTSIDE.items() if name == target), None)
        if page is not None:
            return f"[{said}]({page})"
        return found[0] if ":" in target or target.startswith("#") else f"`{target}`"

    return re.sub(r"\[([^\]]*)\]\(([^)]+)\)", link, text)


class Columns(Extension):
    """The columns of this project's docstrings as definition lists, and their doctests as code."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Griffe calls it for everything that it has read."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(docstring: str) -> str:
    """The docstring in Markdown: a line "name   what it is", with what hangs below it, becomes a definition."""
    lines: list[str] = []
    inside = ""  # "definition" or "code", until the block ends
    for line in docstring.splitlines():
        column = re.fullmatch(r"(\w[\w`.]*(?:,? (?:or )?\w+)*) {2,}(\S.*)", line)
        if line.startswith(">>>") and inside != "code":
            lines.append("```pycon")
            inside = "code"
        elif not line.strip() and inside == "code":
            lines.append("```")
            inside = ""
        if inside == "code":
            lines.append(line)
        elif column is not None:
            lines += ["", f"`{column[1]}`", f":   {column[2]}"]
            inside = "definition"
        elif inside == "definition" and line.startswith(" "):
            lines.append(f"    {line.strip()}")
        else:
            if inside == "definition":
                lines.append("")
            inside = ""
            lines.append(line)
    return "\n".join([*lines, "```"] if inside == "code" else lines)
