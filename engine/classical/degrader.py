"""What a degrader is: HR in, LR out, without networks, every parameter on record.

Each degrader is a subclass of `Degrader` in the file that holds its mathematics; `degraders.py` lists them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import cv2
import numpy as np
import PIL

from ..artefact import sha256_json, to_json
from ..errors import DegradeError
from ..images import Pixels
from .settings import read


class Theta(Protocol):
    """The parameters of one pair. They come back from JSON by `from_json` of their class."""

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Degrader(ABC):
    """One kind with its settings, made by `open`. It is sent to worker processes, so it holds plain values only.

    ranges: what the parameters are drawn from, a frozen dataclass; None where nothing is drawn.
    """

    ranges: Any

    kind: ClassVar[str]
    """As `--degrader`, presets/KIND.toml and the manifest have it."""
    title: ClassVar[str]
    """As papers, tables and the report have it."""
    settings_of: ClassVar[type[Any] | None] = None
    """The class of `ranges`, read from presets/KIND.toml; None where there are no settings."""
    fitted: ClassVar[str | None] = None
    """What it may be fitted to photographs by, as the option is called that names the file; None where it cannot be."""
    theta: ClassVar[type[Any] | None] = None
    """The class of the parameters; None where nothing is drawn."""

    @classmethod
    def open(cls, options: Path | None = None, fitted: Path | None = None) -> Self:
        """With its published settings, or those of a TOML file laid over them. fitted: a file of what the kind calls
        so, for such kinds alone. Raises DegradeError for files that do not fit."""
        if cls.settings_of is None:
            if options is not None:
                raise DegradeError(f"the degrader {cls.kind} has no settings", mend="leave its options out")
            return cls(None)
        return cls(read(cls.settings_of, cls.kind, options))

    @abstractmethod
    def draw(self, seed: int, pair: int, scale: int) -> Theta | None:
        """The parameters of a pair, by its numbers alone. seed, pair: 0 .. 2^64 - 1."""

    @staticmethod
    @abstractmethod
    def apply(hr: Pixels, theta: Any, /, *, scale: int, noise_seed: int) -> Pixels:
        """The LR, uint8 [h, w, 3] sRGB, of an HR, uint8 [scale*h, scale*w, 3]. noise_seed: 0 or more."""

    @property
    def settings(self) -> dict[str, Any]:
        """Plain JSON: all that an LR depends on beside seed, pair and HR."""
        return {} if self.ranges is None else dict(to_json(self.ranges))

    @property
    def sha256(self) -> str:
        """Names the degrader in plans and manifests. The libraries count: another codec makes other bytes."""
        libraries = {"opencv": cv2.__version__, "numpy": np.__version__, "pillow": PIL.__version__}
        return sha256_json({"kind": self.kind, "settings": self.settings, "libraries": libraries})

    def degrade(
        self, hr: Pixels, *, scale: int, seed: int, pair: int, noise_seed: int
    ) -> tuple[Pixels, dict[str, Any]]:
        """(LR, record) of one pair. hr: uint8 [scale*h, scale*w, 3] sRGB; LR: uint8 [h, w, 3].

        seed, pair: decide the parameters; noise_seed: 0 or more, the noise's realisation. The record is plain JSON,
        and `replay` makes the same LR from it.
        """
        theta = self.draw(seed, pair, scale)
        record: dict[str, Any] = {"kind": self.kind}
        if theta is not None:
            record |= {"noise_seed": noise_seed, "parameters": theta.to_json()}
        return self.apply(hr, theta, scale=scale, noise_seed=noise_seed), record

    @classmethod
    def replay(cls, record: Mapping[str, Any], hr: Pixels, *, scale: int) -> Pixels:
        """The LR of a record that `degrade` made."""
        if cls.theta is None:
            return cls.apply(hr, None, scale=scale, noise_seed=0)
        theta = cls.theta.from_json(record["parameters"])
        return cls.apply(hr, theta, scale=scale, noise_seed=record["noise_seed"])
