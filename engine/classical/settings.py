"""The published ranges as TOML, and a user's own laid over them.

A user's file holds what is to differ; all else stays as in `presets/NAME.toml`. Strict: an unknown key, a key given
twice or a value of the wrong type is an error that names its place.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from .. import limits
from ..artefact import from_json, read_bytes
from ..errors import DegradeError

T = TypeVar("T")
PRESETS = Path(__file__).with_name("presets")


def preset(cls: type[T], name: str) -> T:
    """The published settings `name` as the frozen dataclass `cls`."""
    return from_json(cls, _parse(PRESETS / f"{name}.toml"), f"{name}.toml")


def read(cls: type[T], name: str, path: Path | None) -> T:
    """The settings of a TOML file laid over the published ones; those alone where `path` is None."""
    if path is None:
        return preset(cls, name)
    try:
        return from_json(cls, _over(_parse(PRESETS / f"{name}.toml"), _parse(path)), path.name)
    except DegradeError as error:
        mend = f"see engine/classical/presets/{name}.toml, which names every setting of this kind"
        raise DegradeError(error.fact, wanted=error.wanted, mend=mend) from error


def _parse(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(read_bytes(path).decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DegradeError(f"{path.name} is not valid TOML ({error})") from error
    except RecursionError:
        raise limits.too_deep(path.name) from None
    except ValueError:
        raise limits.too_long(path.name) from None
    limits.walk(found, path.name)
    return found


def _over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`own` laid over `base`, table by table."""
    found = dict(base)
    for key, value in own.items():
        before = base.get(key)
        found[key] = _over(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return found
