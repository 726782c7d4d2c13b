"""The models that the package carries: checkpoints, and the bundle of the recommended one. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from degrade_engine.engine.artefact import parse_json, read_bytes
from degrade_engine.engine.bundle import BUNDLE_JSON
from degrade_engine.engine.kinds import KINDS

TRAINED_ON = {
    "hr": "sharp photographs",
    "lr_unpaired": "real LR",
    "pairs": "true pairs",
}  # the words of a card's `data`


@dataclass(frozen=True)
class Model:
    """A checkpoint of the package.

    bundle       the ONNX folder that comes with it, so that it needs no torch; None where there is none
    size         of the checkpoint, bytes
    licence      of the weights; commercial: whether they may be used commercially, None where the card does not say
    trained_on   the photographs, in a few words
    makes_pairs  False: an SR network, for `adapt` and measurements
    """

    name: str
    kind: str
    checkpoint: Path
    bundle: Path | None
    size: int
    licence: str
    commercial: bool | None
    trained_on: str

    @property
    def makes_pairs(self) -> bool:
        return self.kind in KINDS

    def to_json(self) -> dict[str, Any]:
        """As `models --json` shows it."""
        return vars(self) | {
            "checkpoint": str(self.checkpoint),
            "bundle": None if self.bundle is None else str(self.bundle),
            "makes_pairs": self.makes_pairs,
        }


def bundled() -> dict[str, Model]:
    """All of them by name: those that come with a bundle, others that make pairs, the rest."""
    from degrade_engine import originals

    folder = Path(originals.__file__).parent
    models = [_read(path, folder / "bundles") for path in sorted((folder / "checkpoints").glob("*.safetensors"))]
    return {
        model.name: model
        for model in sorted(models, key=lambda one: (not one.makes_pairs, one.bundle is None, one.name))
    }


def _read(checkpoint: Path, bundles: Path) -> Model:
    page = parse_json(read_bytes(checkpoint.with_suffix(".json")), f"{checkpoint.stem}.json")
    card = page["card"]
    return Model(
        name=checkpoint.stem,
        kind="onecall" if page["config"].get("unet", {}).get("sample") else page["kind"],  # as export/kinds has it
        checkpoint=checkpoint,
        bundle=_bundle(bundles / checkpoint.stem, page["weights_sha256"]),
        size=checkpoint.stat().st_size,
        licence=card.get("licence", "not stated"),
        commercial=card.get("commercial"),
        trained_on="; ".join(
            f"{said}: {card['data'][key].partition(';')[0]}" for key, said in TRAINED_ON.items() if key in card["data"]
        ),
    )


def _bundle(folder: Path, weights_sha256: str) -> Path | None:
    """The folder, if it was made of these weights and not of those that the checkpoint had before."""
    path = folder / BUNDLE_JSON
    made_of = parse_json(read_bytes(path), BUNDLE_JSON)["parent"] if path.is_file() else {}
    return folder if made_of.get("checkpoint_sha256") == weights_sha256 else None
