"""A damaged file and a machine without memory: a decoder fails at both alike, and only one is the file's fault."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import pyvips
from PIL import Image

from degrade_engine.engine.errors import BadImage, MachineFault
from degrade_engine.engine.faults import Patience
from degrade_engine.engine.images import Encoded, colours, proof, read_rgb

PIXELS = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


def png(**more: object) -> bytes:
    held = io.BytesIO()
    Image.fromarray(PIXELS).save(held, "PNG", **more)
    return held.getvalue()


@pytest.fixture
def hurry(monkeypatch):
    monkeypatch.setattr(proof, "Patience", lambda: Patience(0.2))


class Decoder:
    """Fails with these errors one after the other, then decodes."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self) -> str:
        self.calls += 1
        error = self.errors.pop(0) if self.errors else None
        if isinstance(error, BadImage | MemoryError):
            raise error
        if error is not None:
            raise BadImage("corrupt", "a.png is damaged") from error
        return "pixels"


def proven(decode):
    """As `read_rgb` asks for the proof of one file."""
    return proof.proven("a.png", decode, lambda: PIXELS.nbytes)


def test_what_fails_once_is_decoded_again():
    for error in (pyvips.Error("out of memory -- size == 9MB"), pyvips.Error("libspng read error"), MemoryError()):
        decoder = Decoder(error)
        assert proven(decoder) == "pixels" and decoder.calls == 2


def test_what_fails_with_memory_to_spare_is_damaged():
    for said in ("libspng read error", "out of memory -- size == 140000MB"):  # which a damaged header can ask for
        with pytest.raises(BadImage, match="is damaged"):
            proven(Decoder(*[pyvips.Error(said)] * 9))


def test_what_fails_without_memory_is_the_machines_fault(hurry, monkeypatch):
    with pytest.raises(MachineFault, match=r"a.png cannot be read: .*not enough memory.*ENOMEM.*ulimit -v"):
        proven(Decoder(*[MemoryError()] * 9))
    asked = []
    monkeypatch.setattr(proof, "_has_room", lambda count: asked.append(count) or len(asked) != 2)
    with pytest.raises(BadImage):  # there was none at the first look only: it is looked at again
        proven(Decoder(*[pyvips.Error("libspng read error")] * 9))
    assert len(asked) == 4 and asked[0] == asked[1] > 8 * PIXELS.nbytes
    asked.clear()
    monkeypatch.setattr(proof, "_has_room", lambda count: asked.append(count) or count < 5 * asked[0] // 2)
    with pytest.raises(MachineFault):  # a decoder that asks for memory is believed unless there is much
        proven(Decoder(*[pyvips.Error("out of memory -- size == 9MB")] * 99))
    with pytest.raises(BadImage):
        proven(Decoder(*[pyvips.Error("libspng read error")] * 99))


def test_a_thread_that_cannot_be_started_is_the_machines_fault(hurry):
    with pytest.raises(MachineFault, match="EAGAIN"):
        proven(Decoder(*[pyvips.Error("unable to create thread")] * 99))


def test_what_the_bytes_say_themselves_needs_no_proof():
    for reason in ("empty", "not_an_image", "unsupported", "too_large", "alpha"):
        decoder = Decoder(BadImage(reason, "a"))
        with pytest.raises(BadImage):
            proven(decoder)
        assert decoder.calls == 1


def test_the_second_look_is_alone_and_the_others_go_on():
    """Of many threads: nobody decodes while one looks again, and all come to their end."""
    now, most, lock = [0, 0], [0, 0], threading.Lock()  # decoding, looking again

    def work(n: int) -> str:
        calls = 0

        def decode() -> str:
            nonlocal calls
            calls += 1
            with lock:
                now[calls > 1] += 1
                most[0], most[1] = max(most[0], now[0]), max(most[1], now[1])
                assert now[1] == 0 or now == [0, 1]
            time.sleep(0.002)
            with lock:
                now[calls > 1] -= 1
            if calls == 1 and n % 3 == 0:
                raise BadImage("corrupt", "a") from pyvips.Error("what any thread said")
            return "pixels"

        return proven(decode)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(60))) == ["pixels"] * 60
    assert most[0] > 1 and most[1] == 1


def test_a_profile_is_called_broken_only_alone_and_with_memory(monkeypatch):
    """What is found of a profile is kept for all its files: one failure for want of memory would change them all."""
    whole = png(icc_profile=(b"\0" * 12 + b"mntrRGB XYZ ").ljust(36, b"\0") + b"acsp" + bytes(200))
    wanted = read_rgb(Encoded("a.png", whole))
    assert np.array_equal(wanted, PIXELS)  # broken: ignored
    wide = png(icc_profile=adobe())
    wanted = read_rgb(Encoded("a.png", wide))
    assert not np.array_equal(wanted, PIXELS)
    colours._is_srgb.cache_clear()
    real, failures = colours._transformed, [pyvips.Error("out of memory -- size == 9MB")]

    def failing(image, **source):
        if failures and image.width != PIXELS.shape[1]:
            raise failures.pop()
        return real(image, **source)

    monkeypatch.setattr(colours, "_transformed", failing)
    assert np.array_equal(read_rgb(Encoded("a.png", wide)), wanted) and not failures
    assert np.array_equal(read_rgb(Encoded("a.png", wide)), wanted)


def adobe() -> bytes:
    """An RGB profile that is far from sRGB."""
    image = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb").icc_export(output_profile="p3")
    return bytes(image.get("icc-profile-data"))


UNDER_A_LIMIT = """
import os, resource, signal, sys
from degrade_engine.engine.errors import BadImage, MachineFault
from degrade_engine.engine.faults import Patience
from degrade_engine.engine.images import Encoded, proof, read_rgb
proof.Patience = lambda: Patience(0)
data, kind = sys.stdin.buffer.read(), sys.argv[1]
for megabytes in (4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 2048):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        limit = now + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            said = 0 if read_rgb(Encoded("a." + kind, data)).shape == (1500, 1500, 3) else 9
        except MachineFault:
            said = 1
        except BadImage:
            said = 2
        os._exit(said)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks for a limit of addresses")
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff", "gif", "avif", "bmp"])
def test_a_sound_image_is_never_called_damaged_whatever_the_limit(kind):
    """Real decoders under real limits. A codec that ends the whole process (a negative code) blames nobody."""
    small = np.random.default_rng(1).integers(0, 256, (15, 15, 3), dtype=np.uint8)
    image, held = Image.fromarray(np.kron(small, np.ones((100, 100, 1), np.uint8))), io.BytesIO()
    more = {"jpeg": {"progressive": True}, "webp": {"lossless": True}, "avif": {"speed": 10}}.get(kind, {})
    image.save(held, kind.upper(), **more)
    command = [sys.executable, "-c", UNDER_A_LIMIT, kind]
    done = subprocess.run(command, input=held.getvalue(), capture_output=True, timeout=120)
    codes = [int(line) for line in done.stdout.split()]
    assert len(codes) == 13 and codes[-1] == 0, done.stderr.decode()[-2000:]
    assert set(codes) - {0, 1} <= {-5, -6, -11} and 1 in codes, codes
