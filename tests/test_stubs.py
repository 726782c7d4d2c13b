"""The stubs of GPU packages, by which mypy checks our calls of them, say what the installed packages say of themselves:
cuda-bindings by Python's own signatures, TensorRT-RTX by the first lines of its functions' texts (pybind11)."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

STUBS = Path(__file__).parents[1] / "stubs"
PACKAGES = {"cuda.bindings.driver": "cuda/bindings/driver.pyi", "tensorrt_rtx": "tensorrt_rtx/__init__.pyi"}
# How pybind11 names what a stub says in Python's words; what a stub calls bytes may be any buffer.
WORDS = {"typing.SupportsInt": "int", "typing_extensions.Buffer": "bytes", "tuple": "tuple[int, ...]",
         "Dims": "tuple[int, ...]", "object": "np.ndarray"}  # fmt: skip
Parameters = list[tuple[str, str]]  # names and types


def stub(name: str) -> tuple[ModuleType, ast.Module]:
    module = pytest.importorskip(name)
    return module, ast.parse((STUBS / PACKAGES[name]).read_text())


def parameters(function: ast.FunctionDef) -> Parameters:
    return [(one.arg, written(one.annotation)) for one in function.args.args]


def written(node: ast.expr | None) -> str:
    """A type as the stub has it, without what is around a class and without None."""
    said = (ast.unparse(node) if node else "").removesuffix(" | None")
    return said.rpartition(".")[2] if re.fullmatch(r"[\w.]+", said) and not said.startswith("np.") else said


def test_cuda_bindings() -> None:
    module, tree = stub("cuda.bindings.driver")
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            check_members(getattr(module, node.name), node)
        if isinstance(node, ast.FunctionDef):
            found = inspect.signature(getattr(module, node.name)).parameters
            assert list(found) == [name for name, _ in parameters(node)], node.name
            for name, kind in parameters(node):
                said = found[name].annotation
                assert said is inspect.Parameter.empty or str(said).strip("'") == kind, f"{node.name}: {name}"


def check_members(kind: type, node: ast.ClassDef) -> None:
    for member in node.body:
        if isinstance(member, ast.Assign):
            found = getattr(kind, member.targets[0].id)  # type: ignore[attr-defined]
            if isinstance(member.value, ast.Constant) and member.value.value is not ...:
                assert int(found) == member.value.value, member.targets


def texts(owner: Any, name: str) -> list[tuple[Parameters, str]]:
    """What pybind11 says of a function: parameters and what it returns, of each overload."""
    found = []
    for line in (inspect.getdoc(getattr(owner, name)) or "").splitlines():
        if match := re.fullmatch(rf"(?:\d+\. )?{name}\((.*)\) -> (.+)", line.strip()):
            given = re.findall(r"(\w+): ([\w.:]+)", re.sub(r" = (<.*?>|[^,]+)", "", match[1]))
            found.append(([(one, plain(kind)) for one, kind in given if one != "self"], plain(match[2])))
    return found


def plain(kind: str) -> str:
    """The type in a stub's words."""
    word = kind if kind in WORDS else re.split(r"\.|::", kind.strip())[-1]
    return WORDS.get(word, word)


def functions(node: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    return (one for one in node.body if isinstance(one, ast.FunctionDef))


def test_tensorrt_rtx() -> None:
    module, tree = stub("tensorrt_rtx")
    count = 0
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        kind = getattr(module, node.name)
        check_members(kind, node)
        for field in (one for one in node.body if isinstance(one, ast.AnnAssign)):
            name = field.target.id  # type: ignore[union-attr]
            text = getattr(kind, name).fget.__doc__
            assert plain(text.strip().rpartition("-> ")[2]) == written(field.annotation), f"{node.name}.{name}"
        for function in functions(node):
            if function.name == "__buffer__":
                continue
            found, where = texts(kind, function.name), f"{node.name}.{function.name}"
            assert (parameters(function)[1:], written(function.returns)) in found, f"{where}: {found}"
            count += 1
    assert count > 30, "the texts were not read"


def test_what_a_stub_says_wrongly_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, path in PACKAGES.items():
        pytest.importorskip(name)
        wrong = tmp_path / path
        wrong.parent.mkdir(parents=True)
        text = (STUBS / path).read_text()
        wrong.write_text(text.replace("hEvent: CUevent, Flags: int", "Flags: int, hEvent: CUevent").replace(
            "memory: int, size: int", "memory: int"))  # fmt: skip
        assert wrong.read_text() != text
    monkeypatch.setitem(globals(), "STUBS", tmp_path)
    for check in (test_cuda_bindings, test_tensorrt_rtx):
        with pytest.raises(AssertionError, match="cuStreamWaitEvent|set_device_memory"):
            check()
