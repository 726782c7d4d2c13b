"""The type of the option or argument that says where a run lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.objects import Out, out_of
from degrade_engine.engine.secrecy import URL


class OutType(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """A folder, or a URL of an object store."""

    name = "directory|url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Out:
        if not isinstance(value, str):
            return out_of(value)
        if not URL.match(value):
            return Path(str(click.Path(file_okay=False).convert(value, param, ctx)))
        try:
            return out_of(value)
        except DegradeError as error:
            self.fail(str(error), param, ctx)


OUT = OutType()
