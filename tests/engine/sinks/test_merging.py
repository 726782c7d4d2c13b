"""Sets become one: the same images, all rows and rejects, and a set that every reader takes for one of ours."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from degrade_engine.cli import main
from degrade_engine.engine.sinks.check import check

from ..pair_sets import KINDS, PAIRS, generate, photographs, put, stored, tree


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = photographs(tmp_path_factory.mktemp("photos") / "hr", 160)
    (folder / "torn.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def sets(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Of each kind two, with names that differ; to be read only."""
    folder = tmp_path_factory.mktemp("sets")
    for kind in KINDS:
        for n, name in enumerate(("one", "two")):
            words = ("--seed", n, "--name-prefix", f"{name}-", "--pairs", PAIRS - n)
            assert generate(kind, photos, folder / kind / name, *words) == 0
    return {kind: [folder / kind / name for name in ("one", "two")] for kind in KINDS}


def merge(sets: list[Path], out: Path, *more: str) -> int:
    return main(["merge", *map(str, sets), "-o", str(out), *more])


def rows_of(out: Path, name: str = "manifest.jsonl") -> list[dict]:
    return [json.loads(line) for line in open(out / name)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_set_has_all_of_both(sets, tmp_path, capsys, kind):
    out = tmp_path / "out"
    assert merge(sets[kind], out) == 0
    assert capsys.readouterr().out == f"{2 * PAIRS - 1} pairs in {out}\n"
    wanted = [row | {"set": n} for n, one in enumerate(sets[kind]) for row in rows_of(one)]
    assert sorted(rows_of(out), key=lambda row: row["name"]) == wanted
    for one in sets[kind]:
        for row in rows_of(one):
            for role in ("gt", "lq"):
                assert stored(out, kind, row["name"], role) == stored(one, kind, row["name"], role)
    assert rows_of(out, "rejects.jsonl") == [row for one in sets[kind] for row in rows_of(one, "rejects.jsonl")]
    report = check(out)
    assert report.kind == kind and report.pairs == 2 * PAIRS - 1 and not report.problems
    assert f"{2 * PAIRS - 1} pairs: scale 4" in (out / "README.md").read_text()
    assert merge(sets[kind], tmp_path / "again") == 0 and tree(tmp_path / "again") == tree(out)
    if kind == "folder":
        assert os.path.samefile(out / "lq" / "one-0000000.png", sets[kind][0] / "lq" / "one-0000000.png")


def test_sets_of_the_same_names_are_renamed_when_asked(photos, sets, tmp_path, capsys):
    for seed in (1, 2):
        assert generate("folder", photos, tmp_path / str(seed), "--seed", seed, "--save-candidates") == 0
        (tmp_path / str(seed) / "extra" / "start").mkdir(parents=True)
        for row in rows_of(tmp_path / str(seed)):  # without networks nobody keeps these
            name = f"{row['name']}.png"
            os.link(tmp_path / str(seed) / "lq" / name, tmp_path / str(seed) / "extra" / "start" / name)
    both = [tmp_path / "1", tmp_path / "2"]
    assert merge(both, tmp_path / "out") == 2
    assert "two pairs are called 0000000. Fix: --rename" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert merge(both, tmp_path / "out", "--rename") == 0
    assert [row["name"] for row in rows_of(tmp_path / "out")] == [f"{n:07d}" for n in range(2 * PAIRS)]
    assert [row["pair"] for row in rows_of(tmp_path / "out")] == [*range(PAIRS)] * 2
    for n in (0, PAIRS - 1, PAIRS, 2 * PAIRS - 1):
        image = (tmp_path / str(1 + n // PAIRS) / "lq" / f"{n % PAIRS:07d}.png").read_bytes()
        for where in ("lq", "extra/start"):
            assert (tmp_path / "out" / where / f"{n:07d}.png").read_bytes() == image
    assert main(["check", str(tmp_path / "out")]) == 0
    assert merge([tmp_path / "out", sets["folder"][0]], tmp_path / "three") == 0  # a merged set is a set
    assert len(rows_of(tmp_path / "three")) == 3 * PAIRS and main(["check", str(tmp_path / "three")]) == 0


def test_what_does_not_fit_is_said_and_nothing_is_written(photos, sets, tmp_path, capsys):
    one, two = sets["folder"]
    unfinished, other, webp = tmp_path / "unfinished", tmp_path / "other", tmp_path / "webp"
    assert generate("folder", photos, unfinished, "--dry-run") == 0
    assert generate("folder", photos, other, "--scale", 2, "--name-prefix", "o") == 0
    assert generate("folder", photos, webp, "--format", "webp", "--name-prefix", "w") == 0
    gone = tmp_path / "gone"
    assert generate("folder", photos, gone, "--seed", 7, "--name-prefix", "g") == 0
    (gone / "lq" / "g0000004.png").unlink()
    for given, said in (
        ([one], "1 set was given"),
        ([one, sets["webdataset"][1]], "kind folder and webdataset"),
        ([one, other], "scale 4 and 2"),
        ([one, webp], "file_format png and webp"),
        ([one, one], "hold the same pairs"),
        ([one, unfinished], "holds no finished set (run.json is missing)"),
        ([one, tmp_path], "holds no finished set (plan.json is missing)"),
        ([one, gone], "g0000004"),
    ):
        capsys.readouterr()
        assert merge(given, tmp_path / "out") == 2, said
        err = capsys.readouterr().err
        assert said in err and "Traceback" not in err
        assert not (tmp_path / "out").exists()
    assert merge([one, two], two) == 2 and "holds something" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_broken_tar_is_not_merged(sets, tmp_path, capsys):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(sets["webdataset"][1], broken)
    put(broken, "webdataset", "two-0000003", "lq", None)
    assert merge([sets["webdataset"][0], broken], tmp_path / "out") == 2
    assert "two-0000003" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_other_commands_say_what_a_merged_set_is(photos, sets, tmp_path, capsys):
    out = tmp_path / "out"
    assert merge(sets["folder"], out) == 0
    before = tree(out)
    for words in (["status", out], ["report", out, "-o", tmp_path / "page.html"]):
        capsys.readouterr()
        assert main([str(word) for word in words]) == 2
        assert "merged set" in capsys.readouterr().err
    assert generate("folder", photos, out) == 2
    assert "choose another output folder" in capsys.readouterr().err and tree(out) == before
