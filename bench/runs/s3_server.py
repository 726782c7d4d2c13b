"""An S3 server on loopback that fails as it is told to: moto's, behind a door that turns requests away.

Tests and `bench kills` write to it. Conditional puts are decided one after another, as S3 does.
"""

from __future__ import annotations

import io
import logging
import os
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

Fault = Literal["503", "slow", "lost request", "lost answer", "time-out"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
BUCKET = "bucket"
SLOW_S = 0.5
_BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Server:
    """A server with one bucket, from `with` to the end of the block.

    faults       share of the requests that each befalls: "503" (SlowDown), "slow" (SLOW_S more), "lost request" (the
                 connection breaks before it is done), "lost answer" (after it is done), "time-out" (no answer within
                 time_out_s; it is not done)
    conditional  False: If-None-Match is passed over, as some stores do
    requests     how many came, by method and first part of the name in the bucket
    met          how many faults came
    """

    def __init__(
        self, *, faults: Mapping[Fault, float] | None = None, time_out_s: float = 15.0, conditional: bool = True,
        seed: int = 0,
    ) -> None:  # fmt: skip
        self.faults, self.time_out_s, self.conditional = dict(faults or {}), time_out_s, conditional
        self.requests, self.met = Counter[str](), Counter[str]()
        self._dice, self._lock, self._port, self._down = random.Random(seed), threading.Lock(), 0, False
        self._server: Any = None

    def __enter__(self) -> Server:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        for name in ("werkzeug", "moto"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._app = DomainDispatcherApplication(create_backend_app)
        self._open()
        answer(f"{self.url}/moto-api/reset", "POST")  # what an earlier server of this process held
        answer(f"{self.url}/{BUCKET}", "PUT")
        self.requests.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def url(self) -> str:
        """http://127.0.0.1:PORT"""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to have set that writes there."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing",
                "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip

    @contextmanager
    def outage(self) -> Iterator[None]:
        """In the block nobody listens."""
        self._down = True  # for connections that are open
        self._close()
        try:
            yield
        finally:
            self._down = False
            self._open()

    def objects(self, prefix: str) -> dict[str, bytes]:
        """What lies under a name of the bucket, by the rest of the names, whatever the faults."""
        with self._lock:
            keys = self._keys()
            return {name.removeprefix(f"{prefix}/"): keys[name].value for name in keys if name.startswith(f"{prefix}/")}

    def names(self, prefix: str) -> list[str]:
        """The same, without what they hold."""
        with self._lock:
            return [name.removeprefix(f"{prefix}/") for name in self._keys() if name.startswith(f"{prefix}/")]

    def put(self, name: str, data: bytes) -> None:
        """An object of the bucket."""
        from moto.s3.models import s3_backends

        with self._lock:
            s3_backends["123456789012"]["aws"].put_object(BUCKET, name, data)

    def clear(self, prefix: str) -> None:
        """Removes what lies under a name."""
        with self._lock:
            keys = self._keys()
            for name in [name for name in keys if name.startswith(f"{prefix}/")]:
                keys.pop(name)

    def _keys(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends["123456789012"]["aws"].buckets[BUCKET].keys

    def _open(self) -> None:
        from werkzeug.serving import make_server

        self._server = make_server("127.0.0.1", self._port, self._serve, threaded=True)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if not self.conditional:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with self._lock:
            self.requests[_kind(environ)] += 1
            fault = "lost request" if self._down else self._draw()
        if fault == "503":
            start("503 Slow Down", [("Content-Type", "application/xml"), ("Content-Length", str(len(_BUSY)))])
            return [_BUSY]
        if fault in ("slow", "time-out"):
            time.sleep(SLOW_S if fault == "slow" else self.time_out_s)
        if fault in ("lost request", "time-out"):
            _break(environ)
        with self._lock:
            made = b"".join(self._app(environ, start))
        if fault == "lost answer":
            _break(environ)
        return [made]

    def _draw(self) -> Fault | None:
        point = self._dice.random()
        for fault, share in self.faults.items():
            if (point := point - share) < 0:
                self.met[fault] += 1
                return fault
        return None


def answer(url: str, method: str) -> bytes:
    """What the server answers to a request without a signature."""
    from urllib.request import Request, urlopen

    with urlopen(Request(url, method=method), timeout=30) as said:
        return bytes(said.read())


@contextmanager
def writing_to(server: Server) -> Iterator[None]:
    """In the block this process and its children write to the server."""
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ.update(server.environment)
    _forget_stores()
    try:
        yield
    finally:
        _forget_stores()
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({} if value is None else {name: value})


def _forget_stores() -> None:
    """What s3fs has opened in this process keeps the server and the credentials of then."""
    if s3fs := sys.modules.get("s3fs"):
        s3fs.S3FileSystem.clear_instance_cache()


def _break(environ: dict[str, Any]) -> None:
    """Ends the connection without an answer."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionError


def _kind(environ: Mapping[str, Any]) -> str:
    method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
    return {"POST": "DELETE" if query.startswith("delete") else "POST"}.get(
        method, "LIST" if "list-type" in query else method
    )
