"""The layer test: the import table of docs/design.md, section 1, held against every import of the project.

Imports are read with ast, nothing is run. An import inside a function (or under TYPE_CHECKING) is lazy; so is
importlib.import_module("name").
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = FRONT_DOOR = "degrade_engine"


@dataclass(frozen=True)
class Layer:
    """What a folder may import beyond the standard library and itself: names, with everything below each."""

    anywhere: frozenset[str]
    lazily: frozenset[str] = frozenset()


def names(text: str) -> frozenset[str]:
    """Words to names; `.x` is short for degrade_engine.x."""
    return frozenset(ROOT + word if word.startswith(".") else word for word in text.split())


# The modules of engine/ that carry no runtime (errors, JSON, image reading, the schedule) are shared with the
# layers above, instead of being written there again.
LAYERS = {
    "kernels": Layer(names("numpy")),
    "engine": Layer(
        names(".kernels numpy onnxruntime cv2 pyvips PIL simplejpeg deflate filelock jinja2 platformdirs pynvml"),
        names(
            "onnx pillow_heif pillow_jxl tensorrt tensorrt_rtx openvino polygraphy pycuda cuda ray lmdb webdataset"
            " fsspec pyarrow obstore botocore"
        ),
    ),
    "originals": Layer(
        names(
            "torch numpy safetensors cv2 rich"
            " .engine.schedule .engine.classical .engine.errors .engine.artefact .engine.images .engine.scalars"
            " .engine.machine"
        ),
        names("spandrel"),
    ),
    "export": Layer(
        names(
            "torch onnx onnxscript onnxruntime numpy .originals"
            " .engine.spec .engine.bundle .engine.kinds .engine.calibration_spec .engine.schedule .engine.errors"
            " .engine.artefact .engine.eight_bits"
        )
    ),
    "calib": Layer(names(".engine numpy"), names(".export .originals torch safetensors")),
    FRONT_DOOR: Layer(names("click cloup rich numpy .engine .kernels"), names(".calib .export .originals .bench")),
}
UNBOUNDED = "bench"  # may import anything but the front door
BELOW = {*LAYERS, UNBOUNDED} - {FRONT_DOOR}


@dataclass(frozen=True)
class Import:
    """One imported name: the module, then the name taken from it ("" for a plain import)."""

    module: str
    name: str
    line: int
    lazy: bool


def imports(source: str, package: str) -> Iterator[Import]:
    """Every import of a file that lies in package; relative ones are resolved."""

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, lazy)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield Import(node.args[0].value, "", node.lineno, lazy)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        inside = lazy or typing_only or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    yield from walk(ast.parse(source), False)


def violations(root: Path) -> list[str]:
    """One line for each import that the table does not allow, in the folders below root."""
    found = []
    for folder in [*LAYERS, UNBOUNDED]:
        package = ROOT if folder == FRONT_DOOR else f"{ROOT}.{folder}"
        for path in sorted((root / folder).rglob("*.py")):
            inner = ".".join([package, *path.parent.relative_to(root / folder).parts])
            for one in imports(path.read_text(encoding="utf-8"), inner):
                problem = judge(folder, one)
                if problem:
                    name = path.relative_to(root).as_posix()
                    found.append(f"{name}:{one.line} imports {one.module} {one.name}".rstrip() + f": {problem}")
    return found


def judge(folder: str, one: Import) -> str:
    """Why the import is not allowed in the folder; "" when it is."""
    full = f"{one.module}.{one.name}" if one.name else one.module
    top, second = (full + ".").split(".")[:2]
    if top in sys.stdlib_module_names:
        return ""
    if top in BELOW:
        return f"this loads the folder twice, write {ROOT}.{top}"
    if top == ROOT:
        owner = second if second in BELOW else FRONT_DOOR
        if owner == folder:
            return ""
        if owner == FRONT_DOOR:
            return "the front door is imported by nothing"
    if folder == UNBOUNDED or covered(full, LAYERS[folder].anywhere):
        return ""
    if covered(full, LAYERS[folder].lazily):
        return "" if one.lazy else "allowed inside a function only"
    return f"not in the table for {folder}/"


def covered(full: str, allowed: frozenset[str]) -> bool:
    return any(full == name or full.startswith(name + ".") for name in allowed)


def test_the_project_keeps_to_the_table(root: Path) -> None:
    found = violations(root)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source", "wanted"),
    [
        ("engine/a.py", "import torch", "not in the table for engine/"),
        ("engine/a.py", "def f():\n    from torch import nn", "not in the table for engine/"),
        ("engine/a.py", "import importlib\nimportlib.import_module('torch.nn')", "not in the table"),
        ("engine/a.py", "import tensorrt", "allowed inside a function only"),
        ("engine/classical/a.py", "from ...originals import trainer", "not in the table for engine/"),
        ("engine/a.py", "from ..cli import main", "the front door is imported by nothing"),
        ("engine/a.py", "import degrade_engine", "the front door is imported by nothing"),
        ("engine/a.py", "from degrade_engine import Engine", "the front door is imported by nothing"),
        ("engine/a.py", "from .. import export", "not in the table for engine/"),
        ("engine/a.py", "from kernels import philox", "this loads the folder twice"),
        ("kernels/a.py", "from ..engine.errors import DegradeError", "not in the table for kernels/"),
        ("calib/a.py", "import torch", "allowed inside a function only"),
        ("export/a.py", "from degrade_engine.engine.pipeline.generate import run", "not in the table for export/"),
        ("originals/a.py", "from ..engine import api", "not in the table for originals/"),
        ("bench/a.py", "from degrade_engine.commands import train", "the front door is imported by nothing"),
        ("degrade_engine/commands/a.py", "import degrade_engine.export", "allowed inside a function only"),
        ("degrade_engine/a.py", "import torch", "not in the table for degrade_engine/"),
    ],
)
def test_a_violation_is_found(path: str, source: str, wanted: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(source)
    found = violations(tmp_path)
    assert len(found) == 1 and wanted in found[0], found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("engine/a.py", "import json\nimport numpy as np\nfrom ..kernels import philox\nfrom . import plan"),
        ("engine/classical/a.py", "from ..errors import DegradeError\nfrom .theta import Mode"),
        ("engine/a.py", "def f():\n    import tensorrt\n    from cuda.bindings import driver"),
        ("originals/a.py", "import torch\nfrom degrade_engine.engine.classical.realesrgan import draw"),
        ("originals/a.py", "from degrade_engine.engine import schedule"),
        ("degrade_engine/commands/a.py", "from ..helptext import Context\nfrom degrade_engine import cli"),
        ("degrade_engine/a.py", "def f():\n    from degrade_engine.export import bundle"),
        ("bench/a.py", "import torch, lpips\nfrom ..engine import api\nfrom ..originals import trainer"),
    ],
)
def test_what_the_table_allows_passes(path: str, source: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(source)
    assert violations(tmp_path) == []
