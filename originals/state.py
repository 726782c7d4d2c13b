"""What a training leaves behind so that it can go on: weights, EMA, Adam's moments, how far it is, and what it was
asked. Whoever asks for something else is told what differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from degrade_engine.engine.errors import DegradeError

from .weights import write_tensors

Listing = list[list[str]]  # [name, hash of the pixels] of photographs, in their order
SHOWN = 3  # differences that a sentence names


@dataclass(frozen=True)
class Progress:
    """How far a training is. seconds: of all calls together; finished: all steps are done, or its time was up."""

    step: int = 0
    seconds: float = 0.0
    finished: bool = False


def write_state(
    path: Path, stage: nn.Module, optimiser: torch.optim.Optimizer, ema: Mapping[str, Tensor], progress: Progress,
    asked: Mapping[str, Any],
) -> None:  # fmt: skip
    """One safetensors file. asked: plain JSON values, what the result depends on."""
    tensors = {f"model.{k}": v for k, v in stage.state_dict().items()} | {f"ema.{k}": v for k, v in ema.items()}
    for i, slot in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{k}": torch.as_tensor(v) for k, v in slot.items()}
    facts = {"step": progress.step, "seconds": progress.seconds, "finished": progress.finished, "asked": asked}
    write_tensors(tensors, path, {name: json.dumps(value) for name, value in facts.items()})


def read_state(
    path: Path, stage: nn.Module, optimiser: torch.optim.Optimizer, ema: Mapping[str, Tensor], asked: Mapping[str, Any]
) -> Progress:
    """Fill stage, optimiser and EMA from the file. Raises DegradeError if it was asked for something else than `asked`,
    and for a file that is damaged."""
    try:
        with safe_open(path, "pt") as file:
            facts = {name: json.loads(value) for name, value in file.metadata().items()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        before = facts.get("asked") or {"training": facts["options"]}  # an older release wrote down no more
        progress = Progress(facts["step"], facts.get("seconds", 0.0), facts.get("finished", False))
    except (SafetensorError, OSError, KeyError, TypeError, AttributeError, ValueError) as e:
        fact = f"{path} is damaged ({e})"
        raise DegradeError(fact, mend="delete it, and the stage is trained from its beginning") from e
    if found := differences(before, json.loads(json.dumps(asked))):
        more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        fact = f"{path} was begun otherwise: {'; '.join(found[:SHOWN])}{more}"
        wanted = "the options and photographs that it was begun with"
        raise DegradeError(fact, wanted=wanted, mend="give them, or another --out")
    stage.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    for k in ema:
        ema[k].copy_(tensors[f"ema.{k}"])
    slots: dict[int, dict[str, Tensor]] = {}
    for k, v in tensors.items():
        if k.startswith("adam."):
            _, i, field = k.split(".", 2)
            slots.setdefault(int(i), {})[field] = v
    optimiser.load_state_dict(optimiser.state_dict() | {"state": slots})
    return progress


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What of `now` is not as it was, a phrase each; what only one of them knows is not compared. "photographs" holds a
    listing of each role."""
    was, values = dict(_leaves(before)), dict(_leaves(now))
    changed = [key for key in was if key in values and was[key] != values[key]]
    if "config.preset" in changed:  # it says all the other sizes
        changed = [key for key in changed if key == "config.preset" or not key.startswith("config.")]
    found = [f"{key} was {_short(was[key])}, now {_short(values[key])}" for key in changed]
    listings = now.get("photographs", {})
    for role, listing in before.get("photographs", {}).items():
        found += _photographs(role, listing, listings.get(role, []))
    return found


def _leaves(asked: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in asked.items():
        if isinstance(value, dict):
            yield from () if key == "photographs" else _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _short(value: Any) -> str:
    return f"{value[:12]}…" if isinstance(value, str) and len(value) == 64 else json.dumps(value)  # 64: a SHA-256


def _photographs(role: str, before: Listing, now: Listing) -> list[str]:
    if before == now or [digest for _, digest in before] == [digest for _, digest in now]:
        return []
    old, new = ({digest for _, digest in listing} for listing in (before, now))
    gone = [name for name, digest in before if digest not in new]
    come = [name for name, digest in now if digest not in old]
    kinds = {
        "changed": [name for name in gone if name in come],
        "missing": [name for name in gone if name not in come],
        "new": [name for name in come if name not in gone],
    }
    said = [
        f"of the {role} photographs {names[0]} {f'and {len(names) - 1} more are' if len(names) > 1 else 'is'} {kind}"
        for kind, names in kinds.items()
        if names
    ]
    return said or [f"the {role} photographs come in another order or number"]
