"""Credentials in URLs are shown nowhere: in no sentence, whoever made it, page, log or manifest."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import urllib.parse
import zipfile
from pathlib import Path

import pytest

from degrade_engine.cli import main
from degrade_engine.engine import secrecy
from degrade_engine.engine.errors import BadImage, DegradeError, MachineFault
from degrade_engine.engine.inputs import places

from .pair_sets import KINDS, generate, photographs, tree

fsspec = pytest.importorskip("fsspec")

SHOWN = {
    "s3://AKIAKEY:se/cr+et@bucket/x": "s3://bucket/x",
    "https://u:p@ss@host/x?token=abc&X-Amz-Signature=zz": "https://host/x",
    "GET 'https://me:word@host/a.png?sig=a::s3://k:s@b/b?x=1' failed.": "GET 'https://host/a.png::s3://b/b' failed.",
    "zip://*.png::https://u:p@h/a.zip?abcdef": "zip://*.png::https://h/a.zip",
    "https://t0ken@host/x#access_token=5": "https://host/x",
    "s3:/key:secret@bucket": "s3:/bucket",
    "https://user:pa?ss#word@host/x": "https://host/x",
    "az://c/x.zip?sv=2024&sig=abc%2Bdef": "az://c/x.zip",
    # and what is none
    "s3://bucket/?.png": "s3://bucket/?.png",
    "https://host:8080/path@x/y.jpg": "https://host:8080/path@x/y.jpg",
    "memory://bucket/photos": "memory://bucket/photos",
    "zip://::/a/b.zip": "zip://::/a/b.zip",
    "http://[::1]:80/x": "http://[::1]:80/x",
    "C:/user:x@y": "C:/user:x@y",
    "a ratio of 3:/4@5?a=b": "a ratio of 3:/4@5?a=b",
}


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(secrecy, "_kept", set())


@pytest.mark.parametrize("text", SHOWN)
def test_what_is_shown_of_a_url(text):
    assert secrecy.hidden(text) == SHOWN[text]
    for kind in (DegradeError, MachineFault):
        error = kind(text, wanted=text, mend=text)
        assert pickle.loads(pickle.dumps(error)).fact == error.fact == SHOWN[text]
        assert str(error).count(SHOWN[text].rstrip(".")) == 3 and error.args[0] == SHOWN[text]
    assert BadImage("corrupt", text).fact == SHOWN[text]


def test_known_secrets_are_found_in_any_text():
    secrecy.keep("s3://AKIAKEY01:top%2Fsecret@bucket/x?v=main")
    secrecy.keep(
        "https://h/x", {"target_options": {"client_kwargs": {"aws_secret_access_key": "s3cret-key"}}, "anon": False}
    )
    said = 'Invalid bucket "AKIAKEY01:top%2Fsecret@bucket", top/secret, s3cret-key; main, False, bucket'
    assert str(DegradeError(said)) == 'Invalid bucket "***@bucket", ***, ***; main, False, bucket.'


class Vault(fsspec.AbstractFileSystem):
    """A server that asks for a password or a token, and says in its errors whatever it was asked."""

    protocol = "vault"
    photos = Path()
    broken = False

    @classmethod
    def _strip_protocol(cls, path):
        return urllib.parse.urlsplit(path).path.strip("/") if "://" in path else path.strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path):
        return {"asked": path} if "://" in path else {}

    def _file(self, path):
        asked = urllib.parse.urlsplit(self.storage_options["asked"])
        if asked.password not in ("open-sesame", "abracadabra") and "sig=" not in asked.query:
            raise PermissionError(f"{self.storage_options['asked']} was refused for {asked.username}:{asked.password}")
        first, _, rest = path.partition("/")
        return self.photos / rest if first == "photos" else Path("/gone")

    def ls(self, path, detail=True, **kwargs):
        found = [self.info(f"{path}/{one.name}") for one in sorted(self._file(path).iterdir())]
        return found if detail else [one["name"] for one in found]

    def info(self, path, **kwargs):
        file = self._file(path)
        size = file.stat().st_size
        return {"name": path, "type": "directory" if file.is_dir() else "file", "size": size}

    def _open(self, path, mode="rb", **kwargs):
        data = self._file(path).read_bytes()
        if self.broken:
            raise ConnectionError(f"GET {self.storage_options['asked']}/{path} as alibaba:open-sesame: no answer")
        return io.BytesIO(data)


SECRETS = ("sesame", "abracadabra", "signed-by-me", "alibaba", "topsecret", "wrong-word")


@pytest.fixture
def vault(tmp_path, monkeypatch):
    fsspec.register_implementation("vault", Vault, clobber=True)
    monkeypatch.setattr(Vault, "photos", photographs(tmp_path / "hr", 72))
    return tmp_path / "hr"


def without(text: str | bytes) -> None:
    text = text if isinstance(text, str) else text.decode("latin1")
    assert not [one for one in SECRETS if one in text], text


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_from_a_place_with_credentials_shows_none_and_goes_on_with_others(
    vault, tmp_path, monkeypatch, capfd, kind
):
    assert generate(kind, vault, tmp_path / "local") == 0
    (vault / "odd.png").write_bytes(b"\x89PNG\r\n\x1a\n")  # left out by name
    (vault / "cut.png").write_bytes((vault / "0.png").read_bytes()[:-400])
    assert generate(kind, vault, tmp_path / "here", "--pairs", 60) == 0
    urls = [
        "vault://alibaba:open-sesame@host/photos",
        "vault://other:abracadabra@host/photos",
        "vault://host/photos?sig=signed-by-me",
    ]
    for url in urls:
        monkeypatch.setattr(Vault, "broken", url == urls[0])
        assert generate(kind, url, tmp_path / "out", "--pairs", 60) == (2 if url == urls[0] else 0)
    assert main(["report", str(tmp_path / "out"), "-o", str(tmp_path / "out.html")]) == 0
    main(["status", str(tmp_path / "out")])
    assert tree(tmp_path / "out") == tree(tmp_path / "here")
    told = capfd.readouterr()
    assert "vault://host/photos" in told.err and "no answer" in told.err
    without(told.out + told.err)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()] + [tmp_path / "out.html"]
    assert {"plan.json", "run.json", "inventory.jsonl", "manifest.jsonl", "rejects.jsonl"} <= {
        one.name for one in files
    }
    for path in files:
        without(path.read_bytes())
        without(path.name)


def test_every_sentence_about_a_place_is_without_them(vault, tmp_path, capfd):
    urls = [
        "vault://alibaba:wrong-word@host/photos", "vault://alibaba:open-sesame@host/gone", "vault://alibaba:open-sesame@host/photos/*.webp",
        "s3://alibaba:topsecret@bucket/x", "https://alibaba:topsecret@127.0.0.1:1/x?X-Amz-Signature=signed-by-me",
        "nowhere://alibaba:topsecret@host/x", "zip://::nowhere://alibaba:topsecret@host/x.zip?sig=signed-by-me",
        "zip://::vault://alibaba:wrong-word@host/photos/x.zip", "s3://alibaba:top/secret@[::1/x?token=topsecret",
    ]  # fmt: skip
    for url in urls:
        assert generate("folder", url, tmp_path / "out") == 2
        without(capfd.readouterr().err)
    flags = ("--engine", "--out", "--weights", "--cameras", "--pair-list", "--pixel-limit", "--sink", "--nothing")
    for flag in flags:
        main(["generate", "--degrader", "bicubic", "--hr", str(vault), "--pairs", "1", flag, urls[3]])
        told = capfd.readouterr()
        assert "Error" in told.err
        without(told.err + told.out)
    for command in ("check", "status", "report", "verify", "export"):
        assert main([command, urls[3], *(["-o", "x"] if command == "export" else [])]) == 2
        without(capfd.readouterr().err)
    assert not list(tmp_path.glob("out/*")) and not Path("s3:").exists()


def test_an_archive_behind_a_signed_url(vault, tmp_path, capfd):
    """Two signatures of one archive are one place."""
    with zipfile.ZipFile(vault / "all.zip", "w") as archive:
        for path in sorted(vault.glob("*.png")):
            archive.write(path, path.name)
    assert generate("folder", vault, tmp_path / "here") == 0
    for at, words in enumerate(("alibaba:open-sesame@host/photos/all.zip", "host/photos/all.zip?sig=signed-by-me")):
        assert (
            generate("folder", f"zip://::vault://{words}", tmp_path / "out", *(["--dry-run"] if at == 0 else [])) == 0
        )
    assert tree(tmp_path / "out") == tree(tmp_path / "here")
    without(capfd.readouterr().err + json.dumps({k: v.decode("latin1") for k, v in tree(tmp_path / "out").items()}))
    place = places.at("zip://::vault://alibaba:open-sesame@host/photos/all.zip")
    without(repr(place) + place.name)
    again = pickle.loads(pickle.dumps(place))  # as another process gets it: with its credentials
    assert again.read("0.png") == (vault / "0.png").read_bytes() and again.name == place.name


def test_what_a_library_warns_of_is_without_them():
    code = (
        "import logging; from degrade_engine.cli import main; main(['--version'])\n"
        "logging.getLogger('net').warning('retrying %s after %d s', 'https://me:topsecret@host/x?sig=signed-by-me', 3)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "retrying https://host/x after 3 s\n" and done.returncode == 0
