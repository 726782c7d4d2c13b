"""`status` says of a run, finished or not, what its plan and its records say."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.artefact import sha256_bytes
from degrade_engine.engine.pipeline import records
from degrade_engine.engine.runners.status import status

from ..pair_sets import KINDS, generate, photograph, photographs


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 72)


@pytest.mark.parametrize("kind", KINDS)
def test_before_between_and_after(photos, tmp_path, monkeypatch, capsys, kind):
    out, seen = tmp_path / "out", []
    real = records.write

    def look_then_write(folder: Path, record: object) -> None:
        seen.append(status(out))
        real(folder, record)

    monkeypatch.setattr(records, "write", look_then_write)
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
    assert "1 with a record that is incomplete" in said and "the same generate command" in said
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
        ('{"format": "degrade-engine/plan/2", "batch": 4}', "'lr_size' is missing"),
        (
            '{"format": "degrade-engine/plan/2", "batch": 4, "lr_size": 8, "engine": "", "tau": "1:2"}',
            "'steps' is missing",
        ),
    ):
        if text is not None:
            (tmp_path / "plan.json").write_text(text)
        assert main(["status", str(tmp_path)]) == 2
        err = capsys.readouterr().err
        assert said in err and "Traceback" not in err


ABSURD = [
    None, True, -1, 0, 1.5, 2**31, 2**63 - 1, 2**64 - 1, 10**30, -(10**18), 1e300, -0.0, "", "1", "1:99999",
    "9" * 5000, "\ud800", "<b>", "full", [], {}, [[1]], {"images": -1}, "x" * 10**5,
]  # fmt: skip


def test_absurd_numbers_are_a_sentence_or_an_answer(photos, tmp_path, capsys):
    """Whatever stands in plan.json: an answer at once, or one sentence."""
    out = tmp_path / "out"
    assert generate("folder", photos, out) == 0
    page = json.loads((out / "plan.json").read_text())
    for key, value in itertools.product([*page, "png_level", "gt", "noise", "fusion_weight", "tile_overlap"], ABSURD):
        (out / "plan.json").write_text(json.dumps(page | {key: value}))
        capsys.readouterr()
        code = main(["status", str(out)])
        told = capsys.readouterr()
        assert code in (0, 1, 2) and (code < 2) == (told.err == ""), (key, value)
        assert len(told.err.splitlines()) <= 1 and len(told.err) < 1000, (key, value)


def test_a_hundred_million_pairs_are_answered_at_once(tmp_path, capsys):
    page = {
        "format": "degrade-engine/plan/2", "seed": 0, "pairs": 10**8, "scale": 4, "tau": "1:2", "steps": "full",
        "spacing": "even", "solver": "ddpm", "eta": 0.0, "start": "bicubic", "candidates": 1, "filter": False,
        "shard_pairs": 1, "save_candidates": False, "lr_size": 8, "batch": 1, "engine": "",
    }  # fmt: skip
    (tmp_path / "plan.json").write_text(json.dumps(page))
    began = time.monotonic()
    assert main(["status", str(tmp_path)]) == 1
    assert "100000000 missing" in capsys.readouterr().out and time.monotonic() - began < 5


def test_records_that_lie_are_torn(photos, tmp_path, capsys):
    """A record with a hash of its own, whose facts fit no plan."""
    out = tmp_path / "out"
    assert generate("folder", photos, out) == 0
    record = out / "shards" / "00000.json"
    facts = json.loads(record.read_bytes().partition(b"\n")[0].rstrip(b",") + b"}")
    (out / "shards" / "99999999.json").write_bytes(b"{")
    for reject in ({"role": "pair"}, {"role": "pair", "path": "x", "reason": "r", "detail": "d"}, {}):
        body = json.dumps(facts | {"rejects": [reject]})[:-1].encode() + b",\n" + b'"rows": [\n],\n'
        record.write_bytes(body + b'"sha256": "' + sha256_bytes(body).encode() + b'"}\n')
        assert main(["status", str(out)]) == 1
        assert "1 with a record that is incomplete" in capsys.readouterr().out
