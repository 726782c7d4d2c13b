"""`status` says of a run, finished or not, what its plan and its records say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.runners import runner
from degrade_engine.engine.runners.status import status

from ..pair_sets import KINDS, generate, photograph, photographs


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 72)


@pytest.mark.parametrize("kind", KINDS)
def test_before_between_and_after(photos, tmp_path, monkeypatch, capsys, kind):
    out, seen = tmp_path / "out", []
    real = runner.records.write

    def look_then_write(folder: Path, record: object) -> None:
        seen.append(status(out))
        real(folder, record)

    monkeypatch.setattr(runner.records, "write", look_then_write)
    assert generate(kind, photos, out) == 0
    assert [one.missing_shards for one in seen] == [(0, 1), (1,)] and not any(one.finished for one in seen)
    assert seen[1].made == 16 and seen[1].missing_pairs == (16, 17, 18, 19) and seen[1].sink == kind
    capsys.readouterr()
    assert main(["status", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "shards: 2 of 2 done, 0 missing",
        f"pairs:  20 of 20 made, 0 failed, 0 missing ({kind})",
        "finished",
    ]


def test_a_torn_record_and_the_page(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert generate("folder", photos, out) == 0
    (out / "shards" / "00000.json").write_text("{")
    capsys.readouterr()
    assert main(["status", str(out), "--json"]) == 1
    page = json.loads(capsys.readouterr().out)
    assert page["finished"] is False and page["shards"] == {"all": 2, "done": 1, "missing": [0], "torn": [0]}
    assert page["pairs"] == {"asked": 20, "made": 4, "failed": [], "missing": list(range(16))}
    assert main(["status", str(out)]) == 1
    said = capsys.readouterr().out
    assert "1 with a record that is torn" in said and "the same generate command goes on" in said
    assert generate("folder", photos, out) == 0 and main(["status", str(out)]) == 0


def test_pairs_that_failed_are_named(tmp_path, capsys):
    folder = tmp_path / "hr"
    folder.mkdir()
    whole = images.encode_png(photograph(0, 72))
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])  # its header is good, so it is planned with
    assert generate("folder", folder, tmp_path / "out") == 2
    capsys.readouterr()
    assert main(["status", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "pairs:  0 of 20 made, 20 failed, 0 missing (folder)" and said[-1] == "finished"
    assert said[2] == "failed: 0000000: unusable_input: no usable input after 8 draws"


def test_what_is_no_run(tmp_path, capsys):
    for text, said in (
        (None, "holds no run"),
        ("[]", "has the format []"),
        ('{"format": "degrade-engine/plan/0"}', "degrade-engine/plan/0"),
        ("{", "not valid JSON"),
        ('{"format": "degrade-engine/plan/2", "batch": 4}', "tau is None"),
        ('{"format": "degrade-engine/plan/2", "batch": 4, "tau": "1:2"}', "'seed' is missing"),
    ):
        if text is not None:
            (tmp_path / "plan.json").write_text(text)
        assert main(["status", str(tmp_path)]) == 2
        err = capsys.readouterr().err
        assert said in err and "Traceback" not in err
