"""The Ray cluster of a run: one that is there, or one of this machine alone, which is started for it.

Whoever can speak to a cluster runs code in it. So one that is started here listens on loopback only, and asks for a
token that is made for it and that nobody else is told; one that is there keeps the rules it was started with.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..errors import DegradeError

LEAST = (2, 52)  # the first version of Ray with token authentication
KNOCK_S = 10.0
OBJECTS_BYTES = 2**27  # of a local cluster's store: it holds the job, and no image


def require() -> Any:
    """The module ray; DegradeError where it is not installed, or too old to ask for a token."""
    try:
        ray = importlib.import_module("ray")
    except ModuleNotFoundError:
        raise DegradeError("The runner ray needs the package ray, which is not installed",
                           mend="pip install 'degrade-engine[ray]'") from None  # fmt: skip
    if tuple(int(part) for part in ray.__version__.split(".")[:2]) < LEAST:
        fact = f"Ray {ray.__version__} has no token authentication"
        raise DegradeError(fact, wanted="Ray 2.52 or newer", mend="pip install -U 'degrade-engine[ray]'")
    return ray


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module ray, connected until the block ends. address: see `run`. Raises DegradeError."""
    ray = require()
    # Of a cluster that is started here: it reports to nobody, and its workers are no less urgent than this process.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    with ExitStack() as stack:
        _connect(ray, address, stack)
        yield ray


def _connect(ray: Any, address: str, stack: ExitStack) -> None:
    """Connects; the stack then ends the connection, and a cluster that was started here. Raises DegradeError."""
    # The command line would name the job, in the cluster's books and logs: it may hold a URL with a password.
    stack.enter_context(_held(ray._private.utils, "get_entrypoint_name", lambda: "degrade-engine generate"))
    stack.callback(ray.shutdown)
    quiet = {"log_to_driver": False, "configure_logging": False}
    try:
        if address not in ("auto", "local"):
            _knock(address)
        if address != "local":
            ray.init(address=address, **quiet)
            return
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        if address != "auto" or not isinstance(error, ConnectionError):
            raise DegradeError(
                f"no Ray cluster answers at {address} ({str(error).splitlines()[0]})",
                wanted="RAY_AUTH_MODE and RAY_AUTH_TOKEN as the cluster has them, if it asks for a token",
                mend="start one with `ray start --head`, or give --ray-address local",
            ) from error
    stack.enter_context(_token(ray))
    try:
        with _held(ray._private.ray_constants, "ENABLE_RAY_CLUSTER", False):  # as on macOS: on loopback only
            ray.init(address="local", include_dashboard=False, object_store_memory=OBJECTS_BYTES, **quiet)
    except Exception as error:  # Ray's own word for a node that did not start in time is no narrower
        raise DegradeError(f"a Ray cluster could not be started here ({str(error).splitlines()[0]})",
                           mend="try again, or run with --processes") from error  # fmt: skip
    where = ray.util.get_node_ip_address()
    if not ipaddress.ip_address(where).is_loopback:
        raise DegradeError(f"Ray {ray.__version__} listens at {where} for a cluster of this machine alone",
                           wanted="loopback", mend="install the version of Ray that constraints.txt names")  # fmt: skip


def _knock(address: str) -> None:
    """ConnectionError or ValueError where nobody listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address or not 0 < int(port[:9]) < 2**16:
        raise ValueError("it is no address: auto, local or HOST:PORT is wanted")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()
    except OSError as error:
        raise ConnectionError(error.strerror or str(error)) from error


@contextmanager
def _token(ray: Any) -> Iterator[None]:
    """A cluster that is started in the block asks for a token that this process and its children alone know."""
    mine = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    before = {name: os.environ.get(name) for name in mine}
    loader = importlib.import_module("ray._raylet")
    try:
        os.environ.update(mine)
        _read_again(loader)
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({} if value is None else {name: value})
        _read_again(loader)


def _read_again(loader: Any) -> None:
    """Let Ray read its environment, of which it has kept what it was when it was imported."""
    loader.Config.initialize("")
    loader.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _held(thing: Any, name: str, value: object) -> Iterator[None]:
    """An attribute with another value in the block. Ray has no public word for what is asked here."""
    before = getattr(thing, name)
    setattr(thing, name, value)
    try:
        yield
    finally:
        setattr(thing, name, before)
