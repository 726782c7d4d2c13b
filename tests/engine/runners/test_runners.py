"""Several processes on one run: calls beside each other, workers, Ray; whoever dies, stops or sleeps, the bytes are
those of one process.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from degrade_engine.bench.runs.kills import Campaign, Who, Work, descendants, names, tree
from degrade_engine.cli import main
from degrade_engine.engine import machine as machines
from degrade_engine.engine.artefact import process_name
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.runners import cluster
from degrade_engine.engine.runners import processes as runner_processes

from ..pair_sets import KINDS, photographs
from .children import MANY, PAIRS, SHARD, SHORT_LEASE, SLOW, start, wait_for, words


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 72)


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of an undisturbed run of each kind."""
    folder = tmp_path_factory.mktemp("whole")
    for kind in KINDS:
        assert main(words(photos, folder / kind, kind)) == 0
    return {kind: tree(folder / kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_calls_on_one_folder_share_its_shards(photos, whole, tmp_path, kind):
    calls = [start(words(photos, tmp_path / "out", kind), SLOW) for _ in range(3)]
    said = [call.communicate(timeout=120) for call in calls]
    assert [call.returncode for call in calls] == [0] * 3, said
    assert all(f"{PAIRS} of {PAIRS} pairs" in out for out, _ in said)
    assert tree(tmp_path / "out") == whole[kind]
    owners = [path for path in (tmp_path / "out").iterdir() if path.name in ("claims", ".partial")]
    assert owners == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_that_a_kill_can_leave_unfinished_is_cleaned(photos, whole, tmp_path, monkeypatch, kind):
    """Each temporary file of a whole run, in a process that dies at the rename, is gone after the next call."""
    out, dead = tmp_path / "out", f"host-1-aaaaaaaa-{1:08d}"
    temporaries: set[Path] = set()
    replace = os.replace

    def recorded(source: Path, target: Path) -> None:
        temporaries.add(Path(source))
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", recorded)
        assert main(words(photos, out, kind)) == 0
    ours = process_name()
    torn = [path for path in temporaries if out in path.parents and ours in path.name]
    assert {"plan.json", "run.json", "README.md"} <= {path.name[1:].partition(f".{ours}")[0] for path in torn}
    for path in torn:
        path.with_name(path.name.replace(ours, dead)).write_bytes(b"half")
    assert main(words(photos, out, kind)) == 0
    assert tree(out) == whole[kind]


def test_a_shard_is_made_once(photos, whole, tmp_path):
    """Six slow shards and three calls: each writes what it makes into a log."""
    log = tmp_path / "log"
    said = (
        SLOW
        + f"""
from degrade_engine.engine.pipeline import records
real = records.write
def write(out, record):
    with open({str(log)!r}, "a") as file:
        file.write(f"{{os.getpid()}} {{record.head.shard}}\\n")
    real(out, record)
records.write = write
"""
    )
    calls = [start(words(photos, tmp_path / "out"), said) for _ in range(3)]
    assert [call.wait(120) for call in calls] == [0] * 3
    made = [line.split() for line in log.read_text().splitlines()]
    assert sorted(int(shard) for _, shard in made) == list(range(PAIRS // SHARD))
    assert len({pid for pid, _ in made}) > 1
    assert tree(tmp_path / "out") == whole["folder"]


@pytest.mark.parametrize("kind", KINDS)
def test_who_sleeps_through_its_lease_wakes_to_a_finished_run_and_spoils_nothing(photos, whole, tmp_path, kind):
    out, reached = tmp_path / "out", tmp_path / "reached"
    stops = (
        SHORT_LEASE
        + SLOW
        + f"""
import signal
def stop(self, batch, **options):
    if not os.path.exists({str(reached)!r}):
        open({str(reached)!r}, "w").close()
        os.kill(os.getpid(), signal.SIGSTOP)
    return fast(self, batch, **options)
StartEngine.begin = stop
"""
    )
    sleeper = start(words(photos, out, kind), stops)
    wait_for(reached.exists)
    time.sleep(0.8)  # no heartbeat for longer than the lease
    other = start(words(photos, out, kind), SHORT_LEASE)
    said = other.communicate(timeout=60)
    assert other.returncode == 0, said
    before = tree(out)
    os.kill(sleeper.pid, signal.SIGCONT)
    said = sleeper.communicate(timeout=60)
    assert sleeper.returncode == 0, said
    after = tree(out)
    assert after == whole[kind] and {name for name in before if not name.startswith("claims/")} == set(after)


def test_workers_make_the_same_bytes_and_one_that_is_killed_is_replaced(photos, whole, tmp_path):
    out = tmp_path / "out"
    parent = start(words(photos, out, "folder", "--processes", "2"), SLOW, tmp_path)
    wait_for(lambda: len([name for name in names(out / "claims") if "." not in name]) == 2)
    workers = {int(name.split("-")[1]) for name in names(out / "claims") if "." not in name}
    assert workers <= set(descendants(parent.pid))
    os.kill(workers.pop(), signal.SIGKILL)
    out_said, err = parent.communicate(timeout=60)
    assert parent.returncode == 0, err
    assert f"{PAIRS} of {PAIRS} pairs" in out_said and "was killed (SIGKILL); it is replaced" in err
    assert tree(out) == whole["folder"]


def test_workers_end_with_a_parent_that_is_killed(photos, whole, tmp_path):
    out = tmp_path / "out"
    parent = start(words(photos, out, "folder", "--processes", "2"), SLOW, tmp_path)
    wait_for(lambda: len([name for name in names(out / "claims") if "." not in name]) == 2)
    workers = [int(name.split("-")[1]) for name in names(out / "claims") if "." not in name]
    parent.kill()
    parent.communicate()
    wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").is_file() and alive(pid) for pid in workers), 30)
    assert main(words(photos, out)) == 0
    assert tree(out) == whole["folder"]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_signal_reaches_every_worker_and_the_run_goes_on_later(photos, whole, tmp_path):
    out = tmp_path / "out"
    parent = start(words(photos, out, "folder", "--processes", "2", "--pairs", "320"), SLOW, tmp_path)
    wait_for(lambda: len(names(out / "shards")) >= 2)
    parent.send_signal(signal.SIGTERM)
    said = parent.communicate(timeout=60)
    assert parent.returncode == 128 + signal.SIGTERM, said
    assert "of 20 shards)" in said[1] and not (out / "run.json").exists()
    assert main(words(photos, out, "folder", "--pairs", "320")) == 0
    assert not (out / "claims").exists()  # a worker that the signal met while it began may have left its own till now
    assert json.loads((out / "run.json").read_text())["pairs"] == 320


def test_a_mistake_of_the_users_is_said_once(photos, tmp_path, capsys):
    (tmp_path / "hr").mkdir()
    (tmp_path / "hr" / "cut.png").write_bytes((photos / "0.png").read_bytes()[:600])
    line = words(tmp_path / "hr", tmp_path / "out", "folder", "--processes", "2")
    assert main(line) == 2
    said = capsys.readouterr().err
    assert said.count("no pair could be made") == 1 and "Traceback" not in said


def test_a_worker_that_always_dies_is_given_up(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(runner_processes, "work", die)
    assert main(words(photos, tmp_path / "out", "folder", "--processes", "2")) == 2
    said = capsys.readouterr().err
    assert said.count("it is replaced") == runner_processes.RESTARTS
    assert "ended with exit code 7; the workers exceeded their restart limit" in said


def die(*_: object) -> None:
    """A worker's life that is short."""
    os._exit(7)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--processes", "2", "--devices", "0"), "were both given"),
        (("--runner", "ray", "--processes", "2"), "--ray-actors"),
        (("--ray-actors", "2"), "without --runner ray"),
        (("--devices", "0,1"), "needs no GPU"),
        (("--devices", "0;1"), "no list of numbers"),
    ],
)
def test_what_does_not_go_together_is_said(photos, tmp_path, capsys, options, said):
    assert main(words(photos, tmp_path / "out", "folder", *options)) == 2
    assert said in " ".join(capsys.readouterr().err.split()) and not (tmp_path / "out").exists()


def test_devices_are_counted_among_those_that_are_visible(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-7f")
    assert runner_processes.on_gpus((1, 0)) == [{"CUDA_VISIBLE_DEVICES": "GPU-7f"}, {"CUDA_VISIBLE_DEVICES": "4"}]
    for wrong in ((2,), (0, 0)):
        with pytest.raises(DegradeError, match="0 to 1"):
            runner_processes.on_gpus(wrong)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(machines, "nvidia", lambda: machines.Gpus(reason="no NVIDIA driver is installed"))
    with pytest.raises(DegradeError, match="no NVIDIA driver"):
        runner_processes.on_gpus((0,))


@pytest.mark.parametrize(("who", "sink"), [("one process", "webdataset"), ("three calls", "lmdb"),
                                           ("three processes", "folder")])  # fmt: skip
def test_killed_at_random_moments_the_set_is_the_same(photos, tmp_path, who: Who, sink):
    """A few of the kills of `bench kills`."""
    line = words(photos, tmp_path, sink)
    work = Work("test", tuple(line[1 : line.index("--sink")]) + MANY, PAIRS, PAIRS // SHARD)
    row = Campaign(tmp_path, work, sink, who, seed=1).run(2)
    assert row["kills"] == 2 and row["identical"] == row["sets"] >= 1, row


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[str]:
    """The address of a Ray cluster of two nodes on this machine, one processor each."""
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'degrade-engine[ray]'")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        small = {"num_cpus": 1, "object_store_memory": 2**27, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=small)
        cluster.add_node(num_cpus=1, object_store_memory=2**27)
        yield cluster.address
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.xdist_group("ray")
def test_actors_on_two_nodes_make_the_same_bytes(photos, whole, tmp_path, two_nodes, capsys):
    out = tmp_path / "out"
    ray = ("--runner", "ray", "--ray-address", two_nodes)
    assert main(words(photos, out, "folder", *ray)) == 0
    assert f"{PAIRS} of {PAIRS} pairs" in capsys.readouterr().out
    assert tree(out) == whole["folder"]
    assert main(words(photos, tmp_path / "other", "folder", *ray, "--ray-actors", "3")) == 2
    assert "the cluster has 2 CPU" in capsys.readouterr().err


@pytest.mark.xdist_group("ray")
def test_an_actor_and_a_driver_that_are_killed(photos, whole, tmp_path, two_nodes):
    out = tmp_path / "out"
    line = words(photos, out, "lmdb", "--runner", "ray", "--ray-address", two_nodes)

    def at_work(driver: subprocess.Popen[str]) -> list[int]:
        wait_for(lambda: driver.poll() is not None or len(names(out / "shards")) >= 1)
        pids = {int(name.split("-")[1]) for name in names(out / "claims") if "." not in name}
        return sorted(pids - {driver.pid})

    driver = start(line)
    for pid in at_work(driver)[:1]:
        os.kill(pid, signal.SIGKILL)
    driver.kill()
    driver.communicate()
    driver = start(line)
    said = driver.communicate(timeout=120)
    assert driver.returncode == 0, said
    assert tree(out) == whole["lmdb"]


def test_without_ray_it_is_a_sentence(photos, tmp_path, capsys, monkeypatch):
    real = importlib.import_module

    def missing(name: str) -> object:
        if name == "ray":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name)

    monkeypatch.setattr(cluster.importlib, "import_module", missing)
    assert main(words(photos, tmp_path / "out", "folder", "--runner", "ray")) == 2
    assert "pip install 'degrade-engine[ray]'" in capsys.readouterr().err and not (tmp_path / "out").exists()
