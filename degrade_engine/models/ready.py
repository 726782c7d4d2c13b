"""A model, by name or by path, becomes a bundle or an engine at its first use, and lies in the cache from then on.

The cache is named by content: a bundle by its checkpoint and by the code that exports it, an engine by its whole key
(bundle, backend and version, precision, LR size, batch, candidates, machine) and the package's version. So whatever
changes gets another folder, and nothing is replaced while somebody uses it. One process builds, others wait for it;
what a killed one left is removed and built anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from degrade_engine.engine.artefact import cache_folder, sha256_file, sha256_json, sweep, tool_versions
from degrade_engine.engine.bundle import BUNDLE_JSON, open_bundle
from degrade_engine.engine.engine_spec import ENGINE_JSON
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.lock import only_one
from degrade_engine.engine.scalars import whole
from degrade_engine.engine.spec import PrecisionChoice

from .catalogue import Model, bundled

if TYPE_CHECKING:
    from degrade_engine.engine.api import Engine

LR_SIZE, BATCH = 128, 16  # of an engine whose sizes nobody gave; larger LR images are made in tiles of that size
WEIGHTS = (".safetensors", ".pth")
PATHS = "a checkpoint .safetensors, a bundle folder or an engine folder"
Say = Callable[[str], None]


def _say_nothing(text: str) -> None:
    pass


def engine_of(
    model: str | Path, *, lr_size: int | None = None, precision: PrecisionChoice | None = None,
    batch: int | None = None, candidates: int | None = None, threads: int | None = None,
    cache: str | Path | None = None, say: Say = _say_nothing,
) -> Path:  # fmt: skip
    """The engine folder of a model: built for the best backend of this machine when it has not been yet.

    model       a name (`catalogue.bundled`), a checkpoint, a bundle folder, or an engine folder, which is returned
    lr_size     side of the LR images to be made, pixels; None: LR_SIZE. Of LR_SIZE at most, the engine is built for it;
                larger ones are tiled over one of LR_SIZE (`Engine.open`)
    precision   None: fp32; "auto": see `build`. batch: pairs computed at a time; None: BATCH
    candidates  None: 3, or 1 without a filter
    threads     of the parity run
    cache       None: see `artefact.cache_folder`
    say         is told what is being done, sentence by sentence

    Raises DegradeError: for what is no model, without torch where it would be needed, and as `build` does.
    """
    from degrade_engine.engine.build import ask, make  # here, so that --help needs no network runtime

    if (Path(model) / ENGINE_JSON).is_file():
        given = {"precision": precision, "batch": batch}
        if name := next((name for name, value in given.items() if value is not None), None):
            fact = f"--{name} was given, and {model} is an engine already"
            raise DegradeError(fact, mend=f"leave --{name} out: an engine has it from `build`")
        return Path(model)
    size = LR_SIZE if lr_size is None else min(LR_SIZE, whole("lr_size", lr_size, 1))
    rows = BATCH if batch is None else whole("batch", batch, 1)
    count = None if candidates is None else whole("candidates", candidates, 1)
    folder = cache_folder(cache)
    bundle = bundle_of(model, cache=folder, say=say)
    asked = ask(bundle, precision=precision or "fp32", lr_size=size, batch=rows, candidates=count)
    named = name_of(model)
    out = folder / "engines" / f"{named}-{_short({'key': asked.key, 'version': _version()})}"
    if not (out / ENGINE_JSON).is_file():
        key = asked.key
        what = f"{key.runtime}, {key.precision_computed}, LR {size}x{size}, {rows} pairs x {key.candidates} candidates"
        say(f"{named} has no engine here yet: building it once ({what}) into {out}")
    began = time.perf_counter()
    built = make(asked, out, threads=threads, say=say)
    if built.reused and precision == "auto":
        say(asked.accepted.notes[0])
    if not built.reused:
        for note in built.notes:
            say(note)
        say(f"{named}: built in {time.perf_counter() - began:.0f} s, and through its parity gate")
    return built.folder


def bundle_of(model: str | Path, *, cache: str | Path | None = None, say: Say = _say_nothing) -> Path:
    """The bundle folder of a model: its own, the one that the package carries, or else its checkpoint exported once
    into the cache, which needs torch. Raises DegradeError."""
    path, found = Path(model), _named(model)
    if path.is_dir() and (found is None or (path / BUNDLE_JSON).is_file()):
        return path
    if found is not None and found.bundle is not None:
        return found.bundle
    return _exported(checkpoint_of(model), cache_folder(cache), say)


def checkpoint_of(model: str | Path) -> Path:
    """The checkpoint that a name or a path means. Raises DegradeError for one that is not there or makes no pairs."""
    found, path = _named(model), Path(model)
    if found is not None and not found.makes_pairs:
        fact = f"{found.name} is of the kind {found.kind}, which makes no pairs"
        raise DegradeError(fact, wanted=", ".join(name for name, one in bundled().items() if one.makes_pairs))
    if found is None and path.suffix not in WEIGHTS:
        fact = f"{model} is a folder, not a checkpoint" if path.is_dir() else f"{model} is not a model"
        raise DegradeError(fact, wanted=f"{', '.join(bundled())}; or {PATHS}")
    checkpoint = path if found is None else found.checkpoint
    for file in (checkpoint, checkpoint.with_suffix(".json")):
        if not file.is_file():
            raise DegradeError(f"{file} does not exist", wanted="a checkpoint .safetensors with its .json beside it")
    return checkpoint


def exporter(model: str | Path) -> Callable[..., Path]:
    """`export.export_checkpoint`. DegradeError, of one sentence, where what it needs is not installed."""
    try:
        from degrade_engine.export import export_checkpoint
    except ImportError as error:
        ready = ", ".join(one.name for one in bundled().values() if one.bundle is not None)
        raise DegradeError(
            f"{model} has to be exported first, which needs torch and onnx ({error})",
            mend="pip install 'degrade-engine[train,cpu]', or export it where torch is and give the bundle"
            + (f"; {ready} needs none of it" if ready else ""),
        ) from error
    return export_checkpoint


def open_model(
    model: str | Path, *, lr_size: int | tuple[int, int] | None = None, tile_overlap: int | None = None,
    precision: PrecisionChoice | None = None, batch: int | None = None, candidates: int | None = None,
    threads: int | None = None, cache: str | Path | None = None, progress: bool = True,
) -> Engine:  # fmt: skip
    """Opens the engine of a model, and builds it at its first use: `Engine.open` for whoever has no engine folder.

    model       a name that `degrade-engine models` lists, a checkpoint, a bundle folder or an engine folder
    progress    says on stderr what is being built; the rest as `engine_of` and `Engine.open`

    Raises DegradeError.
    """
    from degrade_engine.engine.api import Engine

    sides = lr_size if isinstance(lr_size, tuple) else (lr_size,)
    least = None if lr_size is None else min(whole("lr_size", side, 1) for side in sides)
    folder = engine_of(
        model, lr_size=least, precision=precision, batch=batch, candidates=candidates, threads=threads, cache=cache,
        say=on_stderr() if progress else _say_nothing,
    )  # fmt: skip
    return Engine.open(folder, threads, lr_size=lr_size, tile_overlap=tile_overlap)


def on_stderr() -> Say:
    """Prints each sentence as a line, in a notebook too."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    return console.print


def name_of(model: str | Path) -> str:
    """What a model is called in the cache: its name, or its folder's or file's."""
    path = Path(model)
    return path.stem if path.suffix in WEIGHTS else path.absolute().name


def _named(model: str | Path) -> Model | None:
    return bundled().get(str(model))


def _exported(checkpoint: Path, cache: Path, say: Say) -> Path:
    files = {path.suffix: sha256_file(path) for path in (checkpoint, checkpoint.with_suffix(".json"))}
    out = cache / "bundles" / f"{checkpoint.stem}-{_short({'files': files, 'code': _code()})}"
    with only_one(out, say):
        sweep(out)
        try:
            return open_bundle(out).folder
        except DegradeError:  # none, or a damaged one
            export = exporter(checkpoint.stem)
        say(f"exporting {checkpoint.name} to ONNX, once, into {out}")
        return export(checkpoint, out)


def _code() -> str:
    """Names the code that exports: two checkouts of one version are not taken for each other."""
    from degrade_engine import originals

    beside = Path(originals.__file__).parent.parent
    files = [path for folder in ("originals", "export") for path in sorted((beside / folder).rglob("*.py"))]
    return sha256_json([_version(), *map(sha256_file, files)])


def _version() -> str:
    return tool_versions().get("degrade-engine", "")


def _short(value: Any) -> str:
    return sha256_json(value)[:16]
