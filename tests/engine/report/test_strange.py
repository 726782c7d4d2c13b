"""`report` of a changed run folder: a page that shows what stands there as text, or one sentence."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.report import report
from degrade_engine.engine.report.finished import open_run

from ..pair_sets import KINDS, generate, photograph, photographs, put

MARKUP = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;\ud800\x00"
ABSURD = [
    None,
    True,
    -1,
    0,
    10**15,
    2**64 - 1,
    -(2**63),
    1e300,
    -1e300,
    0.5,
    "",
    MARKUP,
    "9" * 400,
    [],
    [[]],
    {},
    {"": 0},
]
SCRIPT = f"<script>{(report.HERE / 'report.js').read_text()}</script>"  # the page's own
FILES = ("plan.json", "run.json", "manifest.jsonl")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Four pairs, with scores as an engine of three candidates leaves them."""
    folder = tmp_path_factory.mktemp("strange")
    photographs(folder / "hr", 72)
    assert generate("folder", folder / "hr", folder / "run", "--pairs", "4") == 0
    rows = [json.loads(line) for line in (folder / "run" / "manifest.jsonl").read_text().splitlines()]
    for row in rows:
        row["candidates"] = [{"degradation_error": k / 7, "content_error": 0.1, "score": k / 10} for k in (3, 1, 2)]
        row |= {"kept": 1, "tau": 5, "steps": 2, "noise": 1.0, "reference": {"path": "r.png", "crop": [0, 0, 16, 16]}}
    (folder / "run" / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan, page = (json.loads((folder / "run" / name).read_text()) for name in FILES[:2])
    page["scores"] = {"bins": 20, "kept": {"-20": 4}, "others": {"-14": 4, "-10": 4}}
    page |= {"taus": {"5": 4}, "rejects": {"hr: empty": 1}}
    plan |= {"tau": "1:30", "steps": 2, "solver": "ddim", "eta": 0.5, "noise": 1.0, "candidates": 3}
    (folder / "run" / "plan.json").write_text(json.dumps(plan))
    (folder / "run" / "run.json").write_text(json.dumps(page))
    return folder / "run"


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a page, objects and lists too."""
    yield path
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from leaves(value[key], (*path, key))


def changed(page: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with the value there; with the value as a key, where the place is an object's."""
    if not path:
        return value
    page = copy.deepcopy(page)
    place = page
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return page


def told(folder: Path) -> str:
    """The page as text, or the sentence."""
    try:
        text = report.html(report.open_report(folder), 24).replace(SCRIPT, "", 1)
    except DegradeError as error:
        assert "\n" not in str(error) and len(str(error)) < 500
        return ""
    assert "<script" not in text and "<img src=x" not in text and 'onerror=alert(1)"' not in text
    return text


@pytest.mark.parametrize("name", FILES)
def test_every_value_of_every_page_may_be_absurd(run, tmp_path, name):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    assert "<article" in told(folder)
    lines = (run / name).read_text().splitlines() if name.endswith("l") else [(run / name).read_text()]
    page = json.loads(lines[0])
    shown = 0
    for path in leaves(page):
        for value in ABSURD:
            line = json.dumps(changed(page, path, value))
            (folder / name).write_text("\n".join([line, *lines[1:]]) + "\n")
            shown += "&lt;script&gt;" in told(folder)
    for path in leaves(page):  # keys as well as values
        if path and isinstance(path[-1], str):
            (folder / name).write_text(
                "\n".join([json.dumps(changed(page, (*path[:-1], MARKUP), 1)), *lines[1:]]) + "\n"
            )
            shown += "&lt;script&gt;" in told(folder)
    assert shown, "nothing was shown as text, so nothing was tested"


def test_names_that_are_paths_read_nothing(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (tmp_path / "secret.png").write_bytes(images.encode_png(photograph(9, 72)))
    lines = (run / "manifest.jsonl").read_text().splitlines()
    for name in ("../../secret", "/etc/hostname", "a/../b", ".", ""):
        row = json.dumps(json.loads(lines[0]) | {"name": name})
        (folder / "manifest.jsonl").write_text("\n".join([row, *lines[1:]]))
        with pytest.raises(DegradeError, match="cannot be the name of a pair"):
            open_run(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_are_none_are_a_sentence(tmp_path, capsys, kind):
    photographs(tmp_path / "hr", 72)
    assert generate(kind, tmp_path / "hr", tmp_path / "run", "--pairs", "4") == 0
    sound = images.encode_png(photograph(0, 64)[:, :64])
    for role, data in (
        ("gt", b""),
        ("lq", b"\0" * 99),
        ("gt", sound[:-200]),
        ("lq", sound),
        ("gt", bomb()),
        ("lq", None),
    ):
        shutil.copytree(tmp_path / "run", tmp_path / "copy")
        put(tmp_path / "copy", kind, "0000000", role, data)
        capsys.readouterr()
        assert main(["report", str(tmp_path / "copy"), "-o", str(tmp_path / "r.html")]) == 2, (role, data)
        assert "Traceback" not in capsys.readouterr().err and not (tmp_path / "r.html").exists()
        shutil.rmtree(tmp_path / "copy")


def bomb() -> bytes:
    """A PNG that says it has 60000 x 60000 pixels."""
    import zlib

    head = b"IHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    parts = [head, b"IDAT" + zlib.compress(b"\0" * 1000), b"IEND"]
    chunks = (len(part[4:]).to_bytes(4, "big") + part + zlib.crc32(part).to_bytes(4, "big") for part in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_folder_of_strange_things(run, tmp_path, capsys):
    """Pipes, folders and loops in the place of files; extra images of other sizes; garbage in the place of a set."""
    for name in (*FILES, "gt", "lq", "gt/0000000.png", "extra"):
        for make in (
            os.mkfifo,
            os.mkdir,
            lambda path: os.symlink(path, path),
            lambda path: Path(path).write_bytes(b"\xff"),
        ):
            folder = tmp_path / "run"
            shutil.copytree(run, folder)
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            make(path)
            code = main(["report", str(folder), "-o", str(tmp_path / "r.html")])
            assert code == (0 if name == "extra" else 2), (name, make)
            assert "Traceback" not in capsys.readouterr().err
            shutil.rmtree(folder)
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    for sub in ("start", "reference", "candidate0"):
        (folder / "extra" / sub).mkdir(parents=True)
        (folder / "extra" / sub / "0000000.png").write_bytes(images.encode_png(photograph(1, 3)))
        (folder / "extra" / sub / "0000001.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert main(["report", str(folder), "-o", str(tmp_path / "r.html")]) == 0
