"""Names in an object store: each request against moto's S3 server on loopback, which fails where a test says so."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from degrade_engine.bench.runs.s3_server import Server, writing_to
from degrade_engine.engine import objects
from degrade_engine.engine.errors import DegradeError, MachineFault
from degrade_engine.engine.objects import Listing, ObjectPath, out_of


@pytest.fixture
def server() -> Iterator[Server]:
    objects._store.cache_clear()
    with Server() as server, writing_to(server):
        yield server
    objects._store.cache_clear()


@pytest.fixture
def path(server: Server) -> ObjectPath:
    found = out_of("s3://bucket/run/", 5.0)
    assert isinstance(found, ObjectPath)
    return found


def test_an_object_is_put_read_listed_and_removed(path: ObjectPath, tmp_path: Path) -> None:
    one = path / "shards" / "00000.json"
    assert str(one) == "s3://bucket/run/shards/00000.json" and one.name == "00000.json"
    assert not one.exists() and one.found() is None and path.listed() == {}
    with pytest.raises(FileNotFoundError):
        one.read_bytes()
    one.put(b"abc")
    (tmp_path / "file").write_bytes(b"defg")
    (path / "other").put(tmp_path / "file")
    assert one.read_bytes() == b"abc" and (path / "other").read_bytes() == b"defg"
    assert {name: found.size for name, found in path.listed().items()} == {"shards/00000.json": 3, "other": 4}
    assert list((path / "shards").listed()) == ["00000.json"]
    found = one.found()
    assert found is not None and abs(found.changed - time.time()) < 60
    one.put(b"abd")
    assert one.found().tag != found.tag
    one.unlink()
    one.unlink()
    assert not one.exists()
    assert pickle.loads(pickle.dumps(path / "other")).read_bytes() == b"defg"


def test_what_is_large_goes_in_parts(path: ObjectPath, server: Server, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(objects, "PART", 2**23)
    (tmp_path / "file").write_bytes(os.urandom(2**23 + 5))
    (path / "large").put(tmp_path / "file")
    assert server.objects("run")["large"] == (tmp_path / "file").read_bytes()
    assert server.requests["POST"] == 2 and server.requests["PUT"] == 2


def test_a_listing_has_more_than_a_page(path: ObjectPath) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (path / f"{n:04d}").put(b""), range(1003)))
    assert list(path.listed()) == [f"{n:04d}" for n in range(1003)]
    assert len(path.listed(most=1)) == 1000


def test_of_several_that_create_one_does(path: ObjectPath, server: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: (path / "claim").create(b"%d" % n), range(24)))
    assert sum(made) == 1 and (path / "claim").read_bytes() == b"%d" % made.index(True)


def test_a_create_whose_answer_was_lost_is_known_for_the_own_one(path: ObjectPath, server: Server) -> None:
    server.faults["lost answer"] = 1.0
    said: list[bool] = []
    asking = threading.Thread(target=lambda: said.append((path / "claim").create(b"mine")))
    asking.start()
    while not server.met["lost answer"]:
        time.sleep(0.005)
    server.faults.clear()
    asking.join()
    assert said == [True] and (path / "claim").read_bytes() == b"mine"
    assert not (path / "claim").create(b"other")


@pytest.mark.parametrize("fault", ["503", "lost request"])
def test_a_request_that_fails_is_tried_again_for_a_while(path: ObjectPath, server: Server, fault: str) -> None:
    server.faults[fault] = 0.5
    for n in range(8):
        (path / str(n)).put(b"%d" % n)
    assert server.met[fault] and sorted(path.listed()) == [str(n) for n in range(8)]
    server.faults[fault] = 1.0
    began = time.monotonic()
    with pytest.raises(MachineFault, match=r"s3://bucket/run/0 cannot be written .*same command to continue"):
        (path / "0").hasty(0.5).put(b"")
    assert time.monotonic() - began < 2


def test_a_server_that_does_not_answer_costs_a_time_out(path: ObjectPath, server: Server, monkeypatch) -> None:
    monkeypatch.setattr(objects, "ANSWER_S", 1)
    server.faults["time-out"], server.time_out_s = 1.0, 3.0
    with pytest.raises(MachineFault, match="cannot be read"):
        (path / "0").hasty(0.1).read_bytes()


def test_an_outage_is_waited_for(path: ObjectPath, server: Server) -> None:
    (path / "one").put(b"1")
    with server.outage():
        with pytest.raises(MachineFault):
            (path / "one").hasty().read_bytes()
        asking = ThreadPoolExecutor(1).submit((path / "one").read_bytes)
        time.sleep(0.3)
        assert not asking.done()
    assert asking.result(10) == b"1"


def test_a_store_that_creates_what_is_there_is_known(monkeypatch) -> None:
    monkeypatch.setattr(objects, "_unconditional", set())
    objects._store.cache_clear()
    with Server(conditional=False) as server, writing_to(server):
        path = ObjectPath("s3://bucket/run")
        (path / "probe").put(b"")
        assert not objects.put_conditionally(path / "probe")
        assert (path / "one").create(b"1") and not (path / "one").create(b"2")
        assert (path / "one").read_bytes() == b"1"
    objects._store.cache_clear()


def test_a_bucket_that_is_not_there_is_a_sentence_at_once(path: ObjectPath) -> None:
    for asked in (ObjectPath("s3://nowhere/run").listed, (ObjectPath("s3://nowhere/run") / "a").read_bytes,
                  lambda: (ObjectPath("s3://nowhere/run") / "a").put(b"")):  # fmt: skip
        with pytest.raises(DegradeError, match="no such bucket") as error:
            asked()
        assert not isinstance(error.value, MachineFault)


def test_a_listing_is_asked_for_again_only_now_and_then(path: ObjectPath, server: Server, monkeypatch) -> None:
    monkeypatch.setattr(objects, "LISTING_SHARE", 0)
    listing = Listing(path)
    assert not listing.names()
    (path / "one").put(b"1")
    assert not listing.names() and list(listing.names(afresh=True)) == ["one"]
    (path / "two").put(b"2")
    until = time.monotonic() + objects.LISTING_S
    while "two" not in listing.names():
        assert time.monotonic() < until + 1
        time.sleep(0.05)
    assert server.requests["LIST"] == 3


@pytest.mark.parametrize("url", ["memory://run", "https://host/run", "file:///tmp/run", "zip://a::s3://b/c", "s3://"])
def test_other_urls_are_no_output(url: str) -> None:
    with pytest.raises(DegradeError, match="is a URL"):
        out_of(url)


def test_credentials_do_not_stand_in_the_url() -> None:
    with pytest.raises(DegradeError, match="holds credentials") as error:
        out_of("s3://AKIAKEY:verysecret@bucket/run")
    assert "verysecret" not in str(error.value)


def test_without_the_package_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setattr(objects, "find_spec", lambda name: None)
    with pytest.raises(DegradeError, match=r"degrade-engine\[gcs\]"):
        objects.require("gs://bucket/run")
