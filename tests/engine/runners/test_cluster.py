"""A Ray cluster that is started for a run: on loopback only, behind a token of its own, and told no command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.runners import cluster

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'degrade-engine[ray]'")
pytestmark = pytest.mark.xdist_group("ray")
WORD = "https://user:sesame-open@host/photos?token=abracadabra"

# Run with WORD in its command line. Listeners are looked for among this process and all below it.
LOOK = """
import json, os, sys
from degrade_engine.engine.runners.cluster import connected
with connected(sys.argv[1]) as ray:
    import psutil
    actor = ray.remote(type("One", (), {"name": lambda self: 1})).remote()
    assert ray.get(actor.name.remote()) == 1
    here = [psutil.Process(), *psutil.Process().children(recursive=True)]
    heard = []
    for one in here:
        try:
            heard += [(one.name(), c.laddr.ip) for c in one.net_connections("tcp") if c.status == "LISTEN"]
        except psutil.Error:
            pass
    address = ray.get_runtime_context().gcs_address
    logs = ray._private.worker._global_node.get_session_dir_path()
    jobs = [job["Entrypoint"] for job in ray._private.state.jobs()]
    print(json.dumps([heard, address, logs, jobs]), flush=True)
    input()
print(json.dumps({k: v for k, v in os.environ.items() if "AUTH" in k}))
"""
INTRUDER = """
import sys
from ray._raylet import GcsClient
try:
    GcsClient(address=sys.argv[1]); print("in")
except BaseException as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize("address", ["local", "auto"])
def test_a_cluster_of_its_own_is_closed_to_others(tmp_path: Path, address: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY")}
    environment |= {"HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen([sys.executable, "-c", LOOK, address, WORD], env=environment, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as own:  # fmt: skip
        assert own.stdin is not None and own.stdout is not None
        heard, gcs, session, jobs = json.loads(own.stdout.readline())
        assert jobs == ["degrade-engine generate"], "the command line is in the cluster's books"
        assert {"raylet", "gcs_server"} <= {name for name, _ in heard}
        assert all(ip.removeprefix("::ffff:").startswith("127.") or ip == "::1" for _, ip in heard), heard
        for token in ({}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}):
            tried = subprocess.run([sys.executable, "-c", INTRUDER, gcs], env=environment | token, text=True,
                                   capture_output=True, timeout=100)  # fmt: skip
            assert tried.stdout.strip().endswith("AuthenticationError"), (token, tried)
        own.stdin.write("\n")
        own.stdin.flush()
        assert json.loads(own.stdout.readline()) == {}, "the token has outlived its cluster"
        assert own.wait(60) == 0
    assert not (tmp_path / ".ray").exists()
    logs = [path for path in Path(session).rglob("*") if path.is_file()]
    assert logs and not any(b"sesame-open" in path.read_bytes() or b"abracadabra" in path.read_bytes() for path in logs)


def test_an_address_where_nothing_answers_is_a_sentence() -> None:
    for address in ("nonsense", "127.0.0.1:1", "127.0.0.1:99999", "http://", "ray://127.0.0.1:1", "a b"):
        with pytest.raises(DegradeError, match="no Ray cluster answers at") as caught, cluster.connected(address):
            pass
        assert "\n" not in str(caught.value)


def test_a_ray_without_tokens_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "__version__", "2.51.2")
    with pytest.raises(DegradeError, match="Ray 2.51.2 has no token authentication. Expected: Ray 2.52 or newer"):
        cluster.require()
