"""The sets of pairs that `bench papers worth` compares: the same crops of the same sharp photographs, degraded in turn.

Each is a folder that `degrade-engine generate` fills, called as a user calls it, but two sorts: sets made from another
set by one fixed blur or white noise, and the true pairs of the Canon scenes that may be trained on, the ceiling.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from degrade_engine.engine.artefact import parse_json, read_bytes, sha256_file, write_bytes_atomic
from degrade_engine.engine.engine_spec import sealed_engine_spec
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import encode_png, read_rgb, resize_bicubic

from ... import metrics
from ..corpus import TRAINED, canon, drealsr
from .trainer import META, Pair
from .ways import BY_NAME, TRUE, Way

SCALE, LR_SIZE = 4, 64
HR_FOLDERS = ("hr_cid22", "hr_gb82", "hr_skimage", "hr_sklearn")
DONE = "set.json"


@dataclass(frozen=True)
class Scenes:
    """What is known of the cameras that pairs are to be like. sharp: the HR; references: their LR, by camera; true:
    pairs (HR, LR) of theirs, of which an SR network learns the most that it can."""

    sharp: list[Path]
    references: dict[str, list[Path]]
    true: list[tuple[Path, Path]]

    @classmethod
    def read(cls, data: Path, camera: str) -> Scenes:
        """Of the development corpus: "canon", with the corpus's sharp photographs; or "drealsr", whose two cameras no
        model was trained on, with the HR of its own scenes, so that content is the same for all."""
        pairs = {"": canon(data, TRAINED)} if camera == "canon" else drealsr(data, "tune")
        true = [pair for listed in pairs.values() for pair in listed]
        sharp = [hr for hr, _ in true]
        if camera == "canon":
            sharp = [path for name in HR_FOLDERS for path in sorted((data / name).glob("*"))]
        return cls(sharp, {name: [lr for _, lr in listed] for name, listed in pairs.items()}, true)


@dataclass(frozen=True)
class Maker:
    """Makes sets under `work`. scenes: of the cameras; engines: folders by name, each
    built for LR_SIZE; weights: of the binned space by name; those called "binned" are found on the references of the
    engines where they are not given."""

    scenes: Scenes
    work: Path
    engines: dict[str, Path]
    pairs: int
    seed: int
    threads: int
    weights: dict[str, Path] = field(default_factory=dict)

    def folder(self, way: Way) -> Path:
        """Where the set lies."""
        return self.work / "sets" / way.name.replace(", ", "-").replace(" ", "-")

    def make(self, way: Way) -> dict[str, Any]:
        """The set, made where it is not there yet: its page, kept beside the pairs."""
        folder = self.folder(way)
        page = {"pairs": self.pairs, "seed": self.seed} | self._source(way)
        if (folder / DONE).is_file():
            kept: dict[str, Any] = parse_json(read_bytes(folder / DONE), DONE)
            if kept["asked"] != page:
                fact = f"{folder} was made with {kept['asked']}"
                raise DegradeError(fact, wanted=str(page), mend="give another --work")
            return kept
        if way.name == TRUE:
            copy_true(self.scenes.true, folder)
        elif way.of is not None:
            source = BY_NAME[way.of]
            self.make(source)
            derive(self.folder(source), folder, way, self.seed)
        else:
            self._generate(way, folder)
        plan = folder / "plan.json"
        made = {"asked": page, "plan": json.loads(plan.read_text()) if plan.is_file() else None,
                "names_sha256": names_sha256(folder)}  # fmt: skip
        write_bytes_atomic(folder / DONE, json.dumps(made).encode())
        return made

    def _source(self, way: Way) -> dict[str, Any]:
        made: dict[str, Any] = {"arguments": list(way.arguments)}
        if way.of is not None:
            made = {"of": way.of, "blur": way.blur, "noise": way.noise}
        if way.weights in self.weights:
            made["weights"] = sha256_file(self.weights[way.weights])
        return made | ({"engine": key_of(self.engines[way.engine])} if way.engine else {})

    def _generate(self, way: Way, folder: Path) -> None:
        command = [*way.arguments, "--hr", self.sharp(), "--out", folder, "--pairs", self.pairs, "--seed", self.seed,
                   "--scale", SCALE, "--threads", self.threads]  # fmt: skip
        if way.engine is None:
            command += ["--lr-size", LR_SIZE]
        else:
            command += ["--engine", self.engines[way.engine], "--no-save-candidates"]
            if reads_reference(self.engines[way.engine]):
                command += ["--reference", self.real()]
        if way.weights is not None:
            command += ["--weights", self.weights.get(way.weights) or self._calibrated()]
        run("generate", *command)

    def sharp(self) -> Path:
        """The sharp photographs in one folder, as links."""
        return linked(self.work / "hr", self.scenes.sharp)

    def real(self) -> Path:
        """The references, each camera's in a folder of its own."""
        folder = self.work / "reference"
        for camera, files in self.scenes.references.items():
            linked(folder / camera, files)
        return folder

    def _calibrated(self) -> Path:
        path = self.work / "weights.json"
        if not path.is_file():
            run("calibrate", "degradation", "--reference", self.real(), "--hr", self.sharp(), "-o", path,
                "--crop", LR_SIZE, "--crops", 60, "--seed", self.seed, "--threads", self.threads)  # fmt: skip
        return path


def run(*arguments: object) -> None:
    """The command line, in a process of its own. Raises DegradeError with what it said."""
    command = [sys.executable, "-m", "degrade_engine", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise DegradeError(f"degrade-engine {arguments[0]} failed: {(ended.stderr or ended.stdout).strip()[-500:]}")


def linked(folder: Path, files: list[Path]) -> Path:
    """A folder with a link to each file."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        link = folder / file.name
        if not link.is_symlink():
            link.symlink_to(file.resolve())
    return folder


def key_of(engine: Path) -> str:
    """The seal of an engine's folder."""
    return sealed_engine_spec(engine).key_sha256


def reads_reference(engine: Path) -> bool:
    """Whether one of its networks runs once a reference."""
    from degrade_engine.engine.api import Engine

    with Engine.open(engine) as opened:
        return bool(opened.spec.model_kind.reads_reference)


def write_pairs(folder: Path, named: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """A folder by the output contract: (stem, HR, LR) of each pair, uint8 RGB."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("gt", "lq"):
        (folder / name).mkdir(parents=True)
    for stem, hr, lr in named:
        (folder / "gt" / f"{stem}.png").write_bytes(encode_png(hr))
        (folder / "lq" / f"{stem}.png").write_bytes(encode_png(lr))
    (folder / META).write_text("".join(f"gt/{stem}.png, lq/{stem}.png\n" for stem, _, _ in named))


def copy_true(files: list[tuple[Path, Path]], folder: Path) -> None:
    """True pairs as a set, whole images."""
    write_pairs(folder, [(f"{at:07d}", read_rgb(hr), read_rgb(lr)) for at, (hr, lr) in enumerate(files)])


def derive(source: Path, folder: Path, way: Way, seed: int) -> None:
    """A set made from another one: the same HR, each LR blurred and given noise as `way` says."""
    named = []
    for at, hr in enumerate(sorted((source / "gt").iterdir())):
        lr: np.ndarray = read_rgb(source / "lq" / hr.name)
        if way.blur:
            lr = cv2.GaussianBlur(lr, (0, 0), way.blur)
        if way.noise:
            noisy = lr + np.random.default_rng((seed, at)).normal(0, way.noise, lr.shape)
            lr = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        named.append((hr.stem, read_rgb(hr), lr))
    write_pairs(folder, named)


def names_sha256(folder: Path) -> str:
    """What the set holds: a digest of its meta file and of every HR, so that two sets of the same content agree."""
    digest = hashlib.sha256((folder / META).read_bytes())
    for hr in sorted((folder / "gt").iterdir()):
        digest.update(read_rgb(hr).tobytes())
    return digest.hexdigest()


def likeness(pairs: list[Pair]) -> dict[str, float]:
    """What the degradation does, with the content divided out: sharpness and noise of the LR as shares of those of the
    HR's bicubic, mean over pairs of each, and their spread over pairs. Bicubic has 1, 1 and no spread."""
    sharp, noise = [], []
    for pair in pairs:
        plain = resize_bicubic(pair.hr, pair.lr.shape[:2])
        sharp.append(metrics.laplacian_std(pair.lr) / max(metrics.laplacian_std(plain), 1e-3))
        noise.append(metrics.noise_std(pair.lr) / max(metrics.noise_std(plain), 0.1))
    return {"sharpness": round(float(np.median(sharp)), 4), "sharpness_spread": round(float(np.std(sharp)), 4),
            "noise": round(float(np.median(noise)), 4)}  # fmt: skip
