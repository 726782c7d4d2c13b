"""An S3 server of other people's code: localbucket of PyPI, which keeps objects as files and knows If-None-Match.

It has the parts of s3_server.Server that `bench kills` uses. It does not fail by itself; an outage kills its process.
What it lacks is added: DeleteObjects, which obstore uses for a single object too.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .s3_server import BUCKET, Fault

PATIENCE_S = 20.0
PROGRAM = """
import re
from http import HTTPStatus
import localbucket

(handler,) = [one for one in vars(localbucket).values() if hasattr(one, "_post_request")]
posted = handler._post_request

def post(self, bucket, key):
    if "delete" not in self.query:
        return posted(self, bucket, key)
    names = re.findall("<Key>(.*?)</Key>", self._read_body().decode())
    for name in names:
        self._object_path(bucket, name).unlink(missing_ok=True)
    deleted = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
    self._send(HTTPStatus.OK, f"<DeleteResult>{deleted}</DeleteResult>".encode())

handler._post_request = post
localbucket.main()
"""


class FolderServer:
    """See `s3_server.Server`; `faults`, `met` and `requests` stay empty."""

    def __init__(self) -> None:
        self.faults: Mapping[Fault, float] = {}
        self.requests, self.met = Counter[str](), Counter[str]()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]

    def __enter__(self) -> FolderServer:
        self._data = Path(tempfile.mkdtemp())
        self._folder = self._data / BUCKET
        self._folder.mkdir()
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        shutil.rmtree(self._data)

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to have set that writes there."""
        return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}", "AWS_ACCESS_KEY_ID": "nobody",
                "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip

    @contextmanager
    def outage(self) -> Iterator[None]:
        """In the block nobody listens."""
        self._close()
        try:
            yield
        finally:
            self._open()

    def objects(self, prefix: str) -> dict[str, bytes]:
        """What lies under a name of the bucket, by the rest of the names."""
        return {name: (self._folder / prefix / name).read_bytes() for name in self.names(prefix)}

    def names(self, prefix: str) -> list[str]:
        """The same, without what they hold."""
        root = self._folder / prefix
        found = [
            os.path.relpath(os.path.join(where, name), root) for where, _, names in os.walk(root) for name in names
        ]
        return sorted(found)

    def put(self, name: str, data: bytes) -> None:
        """An object of the bucket."""
        (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self._folder / name).write_bytes(data)

    def clear(self, prefix: str) -> None:
        """Removes what lies under a name."""
        shutil.rmtree(self._folder / prefix, ignore_errors=True)

    def _open(self) -> None:
        line = [sys.executable, "-c", PROGRAM, str(self._data), "--port", str(self._port)]
        self._process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("localbucket does not start: pip install localbucket")

    def _close(self) -> None:
        self._process.kill()
        self._process.wait()
