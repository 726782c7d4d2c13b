"""`Engine`: an engine folder, opened. The whole runtime in one class."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import backends, draws, sampling
from .build import open_engine_part
from .classical.degrader import Degrader
from .devices import Device
from .engine_spec import EngineSpec, open_engine_spec
from .errors import DegradeError
from .executors import Executor
from .recipe import Recipe
from .sampling.batch import Batch, BatchResult, Begun, Runner
from .sampling.tiling import Grid, grid_of, pairs_a_batch
from .scalars import whole
from .starts import open_start, start_image

Bytes = NDArray[np.uint8]
MOST = 10**8  # the number of a pair


class Engine:
    """An engine that is ready to run: networks loaded, buffers allocated. Made by `Engine.open`.

    batch: pairs a run takes at most with as many candidates as it was built for, `pairs` says how many with others;
    lr_size: (height, width) of the LR; tile_overlap: LR pixels, None: no tiles. Buffers are made for each number of
    candidates that is asked for, once.

    Threads may share it: their batches take turns, and each call returns what it would return alone. `close` waits for
    the batch in hand. It belongs to the process that opened it: in a fork of that process, which has the engine's
    memory but not its threads and device, every use is a DegradeError.

    >>> from degrade_engine.engine.api import Engine
    >>> with Engine.open(folder, threads=1) as engine:
    ...     size = engine.spec.lr_size
    ...     hr = photographs[:, : 4 * size, : 4 * size]      # uint8 [n, 4·size, 4·size, 3], sRGB
    ...     camera = snapshots[:, :size, :size]              # uint8 [n, size, size, 3], cropped, not resized
    ...     pairs = engine.degrade(hr, camera, scale=4, seed=7, candidates=2)
    >>> pairs.lr.shape == camera.shape, pairs.lr.dtype
    (True, dtype('uint8'))
    >>> bool((pairs.kept == pairs.score.argmin(axis=0)).all())
    True
    """

    def __init__(
        self, folder: Path, spec: EngineSpec, device: Device, parts: Mapping[str, Executor], grid: Grid | None = None
    ) -> None:
        """parts: each at its own rows (`build.open_engine_part`); grid: of the tiles, if any."""
        self.folder, self.spec = folder, spec
        self._device, self._parts, self._grid = device, parts, grid
        self._runners: dict[int, Runner] = {}  # by candidates; none once it is closed
        self._bound: Runner | None = None
        own = self._runner(spec.candidates)
        self.batch, self.lr_size = own.batch, (own.height, own.width)
        self.tile_overlap = None if grid is None else grid.overlap
        self._process, self._turn = os.getpid(), threading.Lock()

    @classmethod
    def open(
        cls, path: str | Path, threads: int | None = None, *, lr_size: int | tuple[int, int] | None = None,
        tile_overlap: int | None = None,
    ) -> Engine:  # fmt: skip
        """Opens an engine folder. threads: of networks and kernels on a CPU, None = one a physical core.

        lr_size       a side, or (height, width), of the LR in pixels: what it was built for, or larger. Larger images
                      are run in tiles of the built size (tiled.py), `batch` at a time
        tile_overlap  the least that neighbouring tiles share, in LR pixels; None = a quarter of the built size

        Raises DegradeError if the engine is damaged, was built for another machine or version (the message
        names the field and both values), or did not pass its parity gate; or if its runtime is missing; and for a size
        or overlap that does not fit.
        """
        if threads is not None:
            threads = whole("threads", threads, 1)
        folder = Path(path)
        spec = open_engine_spec(folder)
        grid = grid_of(lr_size, spec.lr_size, tile_overlap)
        device = backends.named(spec.key.backend).device(threads)
        try:
            parts = {name: open_engine_part(folder, spec, name, device, threads=threads) for name in spec.parts}
            return cls(folder, spec, device, parts, grid)
        except BaseException:
            device.close()
            raise

    @property
    def sha256(self) -> str:
        """Names the engine in plans and manifests: the hash of all that its results depend on."""
        return self.spec.key_sha256

    @property
    def hr_scale(self) -> int | None:
        """HR over LR where the networks read the HR itself; None: any scale will do."""
        return self.spec.hr_scale

    def pairs(self, candidates: int) -> int:
        """Pairs that a run takes at most, with so many candidates each."""
        return pairs_a_batch(self.spec.rows, candidates, self._grid)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about how it ran, such as why steps were not replayed as a CUDA graph; none on a CPU."""
        return self._device.notes

    def close(self) -> None:
        """Gives networks, buffers and device back. The engine cannot run afterwards. A fork leaves them to its
        parent."""
        if os.getpid() != self._process:
            return
        with self._turn:
            self._parts, self._runners, self._bound = {}, {}, None
            self._device.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except DegradeError:
            if value is None:  # a device that failed before cannot be given back either, and the first error says why
                raise

    def run(
        self, batch: Batch, *, filter: bool = True, candidates: int | None = None, inspect: bool = True
    ) -> BatchResult:
        """Runs at most `pairs(candidates)` pairs. filter=False keeps candidate 0 and leaves scores NaN; candidates: K,
        made of each pair, None = as many as it was built for; inspect=False leaves `start` and `candidates` without
        rows.

        Raises DegradeError for shapes that do not fit, or if the engine is closed, or was opened by another process.
        """
        return self.begin(batch, filter=filter, candidates=candidates, inspect=inspect).result()

    def begin(self, batch: Batch, *, filter: bool = True, candidates: int | None = None, inspect: bool = True) -> Begun:
        """`run`, and on a GPU without waiting: it is at work when this returns, and the next batch can be begun. The
        results may be asked for in any order. Raises as `run` does, and so does `result`.
        """
        if os.getpid() != self._process:
            fact = f"The engine {self.folder} was opened in process {self._process}, and this is a fork of it"
            raise DegradeError(fact, mend="open it in this process, or start processes by `spawn`")
        with self._turn:
            if self._bound is None:
                raise DegradeError(f"The engine {self.folder} is closed", mend="run it inside its `with` block")
            runner = self._runner(self.spec.candidates if candidates is None else candidates)
            begun = runner.begin(batch, filter=filter, inspect=inspect)

        def result() -> BatchResult:
            with self._turn:
                return begun()

        return Begun(not self._device.overlaps, result)

    def _runner(self, candidates: int) -> Runner:
        """What makes so many candidates of each pair, with the networks bound to its buffers."""
        if not 1 <= candidates <= self.spec.rows:
            raise DegradeError(f"candidates is {candidates}", wanted=f"1 to {self.spec.rows}")
        found = self._runners.get(candidates)
        if found is None:
            found = sampling.open(self._device, self._parts, self.spec, candidates=candidates, grid=self._grid)
        elif found is not self._bound:
            found.bind()
        self._bound = self._runners[candidates] = found
        return found

    def degrade(
        self,
        hr: Bytes | Sequence[Bytes],
        reference: Bytes | Sequence[Bytes] | None = None,
        *,
        recipe: Recipe | str | Path = "recommended",
        scale: int = 4,
        seed: int = 0,
        first: int | Sequence[int] = 0,
        degrader_options: Path | None = None,
        weights: Path | None = None,
        cameras: Path | None = None,
        **changes: Any,
    ) -> BatchResult:
        """LR images with the content of `hr` and the degradation of `reference`, any number of them.

        hr         uint8 [n, scale·h, scale·w, 3] or a list of such images, sRGB; (h, w) is `lr_size`
        reference  uint8 [n, h, w, 3] or a list: real LR photographs, cropped, never resized. Or [n, m, h, w, 3]: m
                   of one camera for each pair, whatever the recipe says. None for a kind of engine that reads none
        recipe     how a pair is made: the name of one of the kind's, such as "recommended"; a Recipe; or a file that
                   `calibrate recipe` wrote
        changes    fields of it, such as steps=2 (engine/recipe.py has them all). tau also as a list or an array, with
                   one for each pair
        seed       decides all that is drawn, 0..2^64-1
        first      the number of the first image's pair, or a list with the number of each. Pair i is what `generate`
                   makes of these images as its pair i, to the byte, whatever came before it and however many there are
        degrader_options, weights, cameras  files for a degrader that makes the start images, as of `generate`

        Returns the BatchResult of all n, with the recipe's candidates. Raises DegradeError for sizes or settings that
        do not fit.
        """
        scale, seed = whole("scale", scale, 1), whole("seed", seed, 0, 2**64 - 1)
        height, width = self.lr_size
        sharp = _images("hr", hr, (height * scale, width * scale))
        n = len(sharp)
        pairs = _numbers(first, n)
        camera = self._references(reference, n)
        if self.hr_scale not in (None, scale):
            raise DegradeError(f"The scale is {scale}", wanted=f"{self.hr_scale}, which this engine's networks read")
        given = _each_tau(changes, n)
        how = Recipe.of(self.spec, recipe, **changes)
        taus = draws.taus_of(seed, how.tau, pairs) if given is None else given
        degrader = open_start(how.start, degrader_options, weights, cameras)
        begun, at_a_time = [], self.pairs(how.candidates)
        for begin in range(0, n, at_a_time):
            rows = slice(begin, begin + at_a_time)
            seen = None if camera is None else camera[rows]
            batch = self._batch(how, degrader, sharp[rows], seen, taus[rows], scale, seed, pairs[rows])
            begun.append(self.begin(batch, filter=how.filter, candidates=how.candidates))
        return _join([one.result() for one in begun])

    def _batch(
        self, how: Recipe, degrader: Degrader | None, hr: list[Bytes], camera: list[Bytes] | None, taus: list[int],
        scale: int, seed: int, pairs: Sequence[int],
    ) -> Batch:  # fmt: skip
        """These images, as the pairs of these numbers."""
        content = [_shrink(image, self.lr_size) for image in hr]
        starts = [
            start_image(how.start, degrader, image, small, scale=scale, seed=seed, pair=pair,
                        noise_seed=draws.first_noise_seed(seed, pair))[0]
            for pair, image, small in zip(pairs, hr, content, strict=True)
        ]  # fmt: skip
        return Batch(
            content=np.stack(content),
            reference=None if camera is None else np.stack(camera),
            start=None if starts[0] is None else np.stack(starts),  # type: ignore[arg-type]
            pairs=np.array(pairs, np.uint32),
            tables=[how.table(self.spec.schedule, tau) for tau in taus],
            seed=seed,
            hr=None if self.hr_scale is None else np.stack(hr),
            fusion_weight=how.fusion_weight,
            noise=how.noise,
            variety=how.variety,
            temperature=how.temperature,
        )

    def _references(self, reference: Bytes | Sequence[Bytes] | None, n: int) -> list[Bytes] | None:
        """One a pair, where the engine reads them."""
        reads = self.spec.model_kind.reads_reference
        if (reference is not None) != reads:
            came = "No references came" if reference is None else "References came"
            needs = "needs" if reads else "reads no"
            raise DegradeError(f"{came}, and an engine of the kind {self.spec.kind} {needs} reference")
        found = None if reference is None else _images("reference", reference, self.lr_size, several=True)
        if found is not None and len(found) != n:
            raise DegradeError(f"{n} HR images and {len(found)} references came", wanted="as many of each")
        return found


def _numbers(first: int | Sequence[int], n: int) -> Sequence[int]:
    """The pairs' numbers."""
    if not isinstance(first, list | tuple | np.ndarray):
        begin = whole("first", first, 0, MOST)
        return range(begin, begin + n)
    numbers = [whole(f"first[{i}]", one, 0, MOST) for i, one in enumerate(first)]
    if len(numbers) != n:
        raise DegradeError(f"{n} HR images and {len(numbers)} numbers in first came", wanted="as many of each")
    return numbers


def _each_tau(changes: dict[str, Any], n: int) -> list[int] | None:
    """The values of tau where there is one for each pair; in `changes` then stands their range."""
    tau = changes.get("tau")
    if not isinstance(tau, list) and not (isinstance(tau, np.ndarray) and tau.ndim):
        return None
    taus = [whole(f"tau[{i}]", one, 0) for i, one in enumerate(tau)]
    if len(taus) != n:
        raise DegradeError(f"{n} HR images and {len(taus)} values of tau came", wanted="as many of each")
    changes["tau"] = (min(taus), max(taus))
    return taus


def _images(name: str, images: Bytes | Sequence[Bytes], size: tuple[int, int], several: bool = False) -> list[Bytes]:
    """As a list. several: each may be m images, [m, h, w, 3], and all are as the first."""
    listed = [np.asarray(image) for image in images]
    if not listed:
        raise DegradeError(f"{name} holds no image", wanted="at least one")
    count = listed[0].shape[:-3] if several and listed[0].ndim == 4 and len(listed[0]) else ()
    for i, image in enumerate(listed):
        if image.dtype != np.uint8 or image.shape != (*count, *size, 3):
            raise DegradeError(f"{name}[{i}] is {image.dtype} {image.shape}", wanted=f"uint8 {(*count, *size, 3)}")
    return listed


def _shrink(hr: Bytes, size: tuple[int, int]) -> Bytes:
    from .images import resize_bicubic  # here, so that callers with their own LR-size images need no image library

    return resize_bicubic(hr, size)


def _join(results: list[BatchResult]) -> BatchResult:
    """Of all batches."""

    def rows(name: str, axis: int = 0) -> NDArray[Any]:
        return np.concatenate([getattr(r, name) for r in results], axis)

    return BatchResult(
        lr=rows("lr"),
        start=rows("start"),
        candidates=rows("candidates", 1),
        degradation_error=rows("degradation_error", 1),
        content_error=rows("content_error", 1),
        score=rows("score", 1),
        kept=rows("kept"),
        finite=rows("finite"),
        row_steps=sum(r.row_steps for r in results),
        executed_row_steps=sum(r.executed_row_steps for r in results),
        calls={name: sum(r.calls[name] for r in results) for name in results[0].calls},
    )
