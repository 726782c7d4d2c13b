"""The kills of `bench kills --store`: photographs and pairs lie in an S3 server on loopback.

Of the requests, some are refused (503), slow, lost or never answered, and the server is away now and then: once for a
minute, else for a few seconds, while kills go on. The set has to have the bytes of one in a folder, made of the same
photographs in a folder.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from degrade_engine.engine.runners.claims import FOLDER as CLAIMS
from degrade_engine.engine.sinks import SinkKind

from .folder_server import FolderServer
from .kills import Campaign, Store, Who, Work, lasting
from .s3_server import BUCKET, Fault, Server

SHARES: dict[Fault, float] = {
    "503": 0.03, "slow": 0.02, "lost request": 0.02, "lost answer": 0.02, "time-out": 0.001,
}  # fmt: skip
LONG_S, SHORT_S = 60.0, (2.0, 8.0)
PATIENCE = ("--patience", "300")


class StoreCampaign(Campaign):
    """The kills of one configuration, and so many outages."""

    def __init__(
        self, folder: Path, work: Work, sink: SinkKind, who: Who, seed: int, outages: int, store: Store = "moto"
    ) -> None:
        super().__init__(folder, work, sink, who, seed)
        self._store, moto = store, store == "moto"
        self._server = Server(faults=SHARES, seed=seed) if moto else FolderServer()
        self._faults = dict(SHARES) if moto else {}
        self._outages, self._away_s, self._away = outages, list[float](), threading.Thread()
        self._litter = 0

    def run(self, kills: int) -> dict[str, Any]:
        with self._server:
            at = self._work.words.index("--hr") + 1
            for photo in Path(self._work.words[at]).iterdir():
                self._server.put(f"photos/{photo.name}", photo.read_bytes())
            self._kills = kills
            row = super().run(kills)
            if self._away_s:
                self._away.join()
        return row | {
            "store": self._store, "outages": len(self._away_s),
            "outage_seconds": [round(one, 1) for one in self._away_s], "faults": dict(sorted(self._server.met.items())),
            "left_claims": self._litter, "requests": self._requests,
        }  # fmt: skip

    def _measure(self) -> None:
        """An undisturbed run's requests, too."""
        self._server.faults = {}
        self._server.requests.clear()
        super()._measure()
        self._requests = dict(sorted(self._server.requests.items()))
        self._server.faults = self._faults

    def _kill_one(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        due = len(self._away_s) < self._outages * (sum(self._met.values()) + 1) / self._kills
        if due and not self._away.is_alive():
            self._away_s.append(self._dice.uniform(*SHORT_S) if self._away_s else LONG_S)
            self._away = threading.Thread(target=self._be_away, args=(self._away_s[-1],))
            self._away.start()
        super()._kill_one(processes)

    def _be_away(self, seconds: float) -> None:
        with self._server.outage():
            time.sleep(seconds)

    @property
    def _where(self) -> str:
        return f"s3://{BUCKET}/set"

    def _clear(self) -> None:
        self._server.clear("set")

    def _tree(self) -> dict[str, bytes]:
        """Without claims: one that was given back while the server was away may stay, and holds nothing up."""
        found = lasting(self._server.objects("set"))
        claims = [name for name in found if name.startswith(f"{CLAIMS}/")]
        self._litter += len(claims)
        return {name: data for name, data in found.items() if name not in claims}

    def _keep(self, folder: Path) -> None:
        for name, data in self._server.objects("set").items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)

    def _names(self, folder: str) -> list[str]:
        found = self._server.names("set")
        return found if folder == "." else [one.partition("/")[2] for one in found if one.startswith(f"{folder}/")]

    def _start(self, out: Path | str, who: Who) -> subprocess.Popen[str]:
        if isinstance(out, Path):
            return super()._start(out, who)
        words = list(self._work.words)
        words[words.index("--hr") + 1] = f"s3://{BUCKET}/photos"
        return self._spawn([*words, *PATIENCE], out, who, os.environ | self._server.environment)
