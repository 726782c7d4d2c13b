"""What a URL tells that nobody else may read: users, passwords, tokens and signatures.

No sentence, page, log or manifest holds them: every `DegradeError` is put together through `hidden`, and so is what
other libraries say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

_SCHEME = r"(?:[A-Za-z][\w+.-]+:/{1,3})"  # one slash is left where a URL was taken for a path
_USER = re.compile(rf"({_SCHEME})(?:[^\s/?#'\"]*@|[^\s/:?#@'\"]*:(?!:|\d+(?:/|$))[^\s@'\"]*@)")
_QUERY = re.compile(rf"((?:https?:/|{_SCHEME}(?=[^\s?'\"]*\?[^\s'\":]*=))[^\s?#'\"]*)[?#](?:(?!::)[^\s'\"])*")
_SECRET = re.compile(r"secret|token|passw|key|sas|credential|auth|sig|connection_string", re.IGNORECASE)
URL = re.compile(r"[A-Za-z][\w+.-]+:/|[\w+.-]*::")  # at the beginning; a path has one slash left of the two
LEAST = 6  # letters of a secret that is also looked for on its own: a shorter one would be found everywhere
LONG = 16  # letters of what is a secret whatever it is called
_kept: set[str] = set()  # for as long as the process lives


def hidden(text: str) -> str:
    """The text without what is secret in its URLs, and with *** for each secret that is known (`keep`)."""
    if ":/" in text:
        text = _QUERY.sub(r"\1", _USER.sub(r"\1", text))
    for secret in sorted(_kept, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def keep(url: str, options: Mapping[str, object] | None = None) -> None:
    """Remember the secrets of a URL, and of a file system's options, so that they are found in any text, such as an
    error's that names a bucket `KEY:SECRET@name`.
    """
    found = {*_in_url(url), *_in_options(options or {}, False)}
    _kept.update(one for secret in found for one in (secret, unquote(secret)) if len(one) >= LEAST)


def _in_url(url: str) -> Iterator[str]:
    for match in _USER.finditer(url):
        user, colon, word = match[0].removeprefix(match[1])[:-1].partition(":")
        yield from (f"{user}:{word}", word) if colon else (user,)
    for match in _QUERY.finditer(url):
        for pair in re.split(r"[?#&;]", match[0].removeprefix(match[1])):
            name, named, value = pair.partition("=")
            if len(value or name) >= LONG or (named and _SECRET.search(name)):
                yield value or name


def _in_options(value: object, secret: bool) -> Iterator[str]:
    """Texts under a key that sounds like a secret's."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _in_options(below, secret or bool(_SECRET.search(str(key))))
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _in_options(below, secret)
    elif isinstance(value, str) and "://" in value:
        yield from _in_url(value)
    elif isinstance(value, str) and secret:
        yield value
