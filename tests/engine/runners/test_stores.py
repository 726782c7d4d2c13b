"""Runs whose output lies in an object store: the bytes of the same run into a folder, whatever befalls it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from degrade_engine.bench.runs.kills import lasting
from degrade_engine.bench.runs.kills import tree as of_folder
from degrade_engine.bench.runs.s3_server import Server, writing_to
from degrade_engine.cli import main
from degrade_engine.engine import objects
from degrade_engine.engine.objects import ObjectPath
from degrade_engine.engine.pipeline import records

from ..pair_sets import PAIRS, generate, photographs, words
from . import children
from .children import SLOW, start

URL, KINDS = "s3://bucket/sets/run", ("webdataset", "parquet")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 72)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(objects.tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    objects._store.cache_clear()
    with Server() as server, writing_to(server):
        yield server
    objects._store.cache_clear()


def same(server: Server, folder: Path) -> bool:
    """Whether the store holds what the folder does, and nothing else."""
    return lasting(server.objects("sets/run")) == of_folder(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_are_those_of_a_folder(
    server: Server, photos: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(kind, photos, tmp_path / "set") == generate(kind, photos, URL) == 0
    assert same(server, tmp_path / "set")
    assert f"{PAIRS} of {PAIRS} pairs in {URL}" in capsys.readouterr().out
    before = server.objects("sets/run")
    assert generate(kind, photos, URL) == 0 and server.objects("sets/run") == before, "something was made again"
    assert main(["status", URL]) == 0 and f"2 of 2 done, 0 missing\npairs:  {PAIRS} of" in capsys.readouterr().out
    assert not list((tmp_path / "temporary").iterdir()), "something is left on this machine"


def test_an_engines_run_with_its_candidates(server: Server, photos: Path, tmp_path: Path, tiny_engine: Path) -> None:
    line = ["generate", "--engine", str(tiny_engine), "--hr", str(photos), "--reference", str(photos), "--pairs", "8",
            "--shard-pairs", "4", "--sink", "webdataset", "--save-candidates", "--threads", "1", "--out"]  # fmt: skip
    assert main([*line, str(tmp_path / "set")]) == main([*line, URL]) == 0
    assert same(server, tmp_path / "set") and "extra/start/0000007.png" in server.objects("sets/run")


def test_what_is_gone_is_made_again(server: Server, photos: Path, tmp_path: Path) -> None:
    assert generate("webdataset", photos, tmp_path / "set") == generate("webdataset", photos, URL) == 0
    (ObjectPath(URL) / "webdataset/pairs-00001.tar").put(b"half")
    (ObjectPath(URL) / "shards/00000.json").unlink()
    (ObjectPath(URL) / "run.json").unlink()
    assert main(["status", URL]) == 1
    assert generate("webdataset", photos, URL) == 0 and same(server, tmp_path / "set")


def test_a_set_grows(server: Server, photos: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "set", URL):
        assert generate("webdataset", photos, out) == generate("webdataset", photos, out, "--pairs", 40) == 0
    assert same(server, tmp_path / "set") and len(server.objects("sets/run/shards")) == 4


def test_a_plan_is_made_first(server: Server, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate("webdataset", photos, URL, "--dry-run") == 0
    assert "Store: about" in capsys.readouterr().out
    assert set(server.objects("sets/run")) == {"plan.json", "inventory.jsonl"}
    assert main(["status", URL, "--json"]) == 1 and json.loads(capsys.readouterr().out)["pairs"]["missing"]
    assert generate("webdataset", photos, tmp_path / "set") == generate("webdataset", photos, URL) == 0
    assert same(server, tmp_path / "set")


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("folder", (), "Expected: --sink webdataset or parquet"),
        ("lmdb", (), "Expected: --sink webdataset or parquet"),
        ("webdataset", ("--seed", "5"), "holds a run with other settings"),
        ("parquet", (), "holds a run with other settings: sink"),
    ],
)
def test_what_does_not_go_is_a_sentence(
    server: Server, photos: Path, kind: str, more: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate("webdataset", photos, URL) == 0
    before = server.objects("sets/run")
    assert generate(kind, photos, URL, *more) == 2
    assert said in capsys.readouterr().err and server.objects("sets/run") == before


def test_strangers_are_left_alone(server: Server, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (ObjectPath(URL) / "photo.png").put(b"mine")
    assert generate("webdataset", photos, URL) == 2
    assert "is not a degrade-engine run" in capsys.readouterr().err
    assert main(["status", URL]) == 2 and server.objects("sets/run") == {"photo.png": b"mine"}
    for command in ("check", "report"):
        assert main([command, URL]) == 2 and "a URL came" in capsys.readouterr().err


def test_a_store_without_conditional_puts_is_written_with_a_warning(
    server: Server, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(objects, "_unconditional", set())
    server.conditional = False
    assert generate("webdataset", photos, tmp_path / "set") == generate("webdataset", photos, URL, "--quiet") == 0
    assert "Start one process at a time" in capsys.readouterr().err and same(server, tmp_path / "set")


def test_a_record_that_is_there_stays(server: Server, photos: Path) -> None:
    """Whoever was taken for dead and was not commits after its successor."""
    assert generate("webdataset", photos, URL) == 0
    out = ObjectPath(URL)
    before = (out / "shards/00000.json").read_bytes()
    plan = json.loads(before.splitlines()[0].rstrip(b",") + b"}")["plan"]
    head, lines = records.read_rows(out, plan, 0)
    late = records.Record(head, [json.loads(line) for line in lines])
    late.head.seconds["wall"] += 1
    assert late.to_bytes() != before
    records.write(out, late)
    assert (out / "shards/00000.json").read_bytes() == before
    (out / "shards/00000.json").put(b"torn")
    records.write(out, late)
    assert (out / "shards/00000.json").read_bytes() == late.to_bytes()


def test_an_outage_that_is_too_long_ends_it_and_the_next_call_goes_on(
    server: Server, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate("webdataset", photos, tmp_path / "set") == 0
    running = start(words("webdataset", photos, URL, "--patience", "0.5"), SLOW)
    while not server.requests["PUT"]:
        time.sleep(0.01)
    with server.outage():
        _, said = running.communicate(timeout=60)
    assert running.returncode == 2 and "Traceback" not in said
    assert f"Error: {URL}" in said and "cannot be" in said and "run the same command to continue" in said
    assert generate("webdataset", photos, URL) == 0 and same(server, tmp_path / "set")


def test_a_signal_stops_it_and_the_next_call_goes_on(server: Server, photos: Path, tmp_path: Path) -> None:
    running = start(children.words(photos, URL, "webdataset"), SLOW)  # type: ignore[arg-type]
    while "shards/00000.json" not in server.objects("sets/run"):
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) == 143
    assert not any(name.startswith("claims/") for name in server.objects("sets/run"))
    for out in (tmp_path / "set", URL):
        assert main(children.words(photos, out, "webdataset")) == 0  # type: ignore[arg-type]
    assert same(server, tmp_path / "set")


def test_three_processes_with_kills_faults_and_an_outage(server: Server, photos: Path, tmp_path: Path) -> None:
    assert main(children.words(photos, tmp_path / "set", "webdataset")) == 0
    server.faults = {"503": 0.05, "slow": 0.02, "lost request": 0.05, "lost answer": 0.05}
    line = children.words(photos, URL, "webdataset", "--patience", "30")  # type: ignore[arg-type]
    running: list[subprocess.Popen[str]] = [start(line, SLOW) for _ in range(3)]
    dice = random.Random(1)
    for kill in range(4):
        time.sleep(dice.uniform(1.5, 2.5))
        victim = dice.randrange(3)
        running[victim].kill()
        running[victim].communicate()
        running[victim] = start(line, SLOW)
        if kill == 2:
            with server.outage():
                time.sleep(1.5)
    said = [process.communicate(timeout=90)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert set(server.met) == set(server.faults)
    assert same(server, tmp_path / "set")


@pytest.mark.xdist_group("ray")
def test_rays_actors_share_it(
    server: Server, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.delenv("TMPDIR")  # Ray's sockets lie there, and their names may not be long
    assert main(children.words(photos, tmp_path / "set", "webdataset")) == 0
    ray = ("--runner", "ray", "--ray-address", "local", "--ray-actors", "2")
    running = start(children.words(photos, URL, "webdataset", *ray))  # type: ignore[arg-type]
    said = running.communicate(timeout=150)
    assert running.returncode == 0, said
    assert same(server, tmp_path / "set")


def test_inputs_and_outputs_are_both_there(server: Server, photos: Path, tmp_path: Path) -> None:
    for photo in photos.iterdir():
        (ObjectPath("s3://bucket/photos") / photo.name).put(photo)
    assert generate("webdataset", photos, tmp_path / "set") == 0
    assert generate("webdataset", "s3://bucket/photos", URL) == 0  # type: ignore[arg-type]
    assert same(server, tmp_path / "set")
