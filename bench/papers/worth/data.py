"""What generators are judged on: photographs to degrade, a camera's LR to imitate, and true pairs to test on.

One's own (`own`), or the two definitions that the committed rows have: Canon, whose scenes 001 to 020 may be trained
on, and DRealSR's two cameras, which no model was trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import read_rgb
from degrade_engine.engine.sinks import pairs as runs

from ..corpus import CHOSEN, REPORTED, TRAINED, canon, drealsr
from .pairs import Pair, digest, read_pairs

HR_FOLDERS = ("hr_cid22", "hr_gb82", "hr_skimage", "hr_sklearn")
SCALES = (2, 4)  # that `generate` makes and our SR networks enlarge by
TRUE = "true pairs"
WANTED = "--test FOLDER: photographs, and the LR that the camera really took of them"
WHY = ", and worth is how well an SR network restores a camera's real LR"
INSTEAD = (
    "without true pairs, `degrade-engine match PAIRS --against my/camera` compares LR with the camera's, which is "
    "another question"
)
Files = list[tuple[Path, Path]]  # (HR, LR)


@dataclass(frozen=True)
class Data:
    """hr, lr: places as `generate` reads them, of sharp photographs and of the camera's. true: a folder of true pairs
    that may be trained on, if there is one. chosen: the true pairs on which noise is chosen, maybe none; reported: the
    others. name: of the rows, "" for Canon, whose rows are older than the word."""

    name: str
    hr: str | None
    lr: str | None
    true: Path | None
    chosen: list[Pair]
    reported: list[Pair]

    @property
    def scale(self) -> int:
        """Of all test pairs."""
        return self.reported[0].scale

    @property
    def tests_sha256(self) -> str:
        """Of the test pairs, those that choose first."""
        return digest([*self.chosen, *self.reported])


def own(hr: str | None, lr: str | None, test: Path | None, share: float, choose: str | None) -> Data:
    """One's own. share: of the test pairs that choose, evenly by name; or those whose names fit the pattern `choose`.
    Raises DegradeError where there are no true pairs."""
    if test is None:
        raise DegradeError(f"No true pairs to test on were given{WHY}", wanted=WANTED, mend=INSTEAD)
    if runs.made_here(test):
        raise DegradeError(f"{test} was made by `generate`{WHY}", wanted=WANTED, mend=INSTEAD)
    tests = read_pairs(test)
    scales = sorted({pair.scale for pair in tests})
    if len(scales) > 1 or scales[0] not in SCALES:
        raise DegradeError(f"{test} holds pairs of the scales {scales}", wanted="2 or 4, one for all")
    if choose is not None:
        chosen = [pair for pair in tests if fnmatchcase(pair.name, choose)]
    else:
        count = round(share * len(tests))
        chosen = [tests[at * len(tests) // count] for at in range(count)]
    names = {pair.name for pair in chosen}
    reported = [pair for pair in tests if pair.name not in names]
    if not reported or (choose and not chosen):
        fact = f"{len(chosen)} of the {len(tests)} pairs of {test} would choose, and {len(reported)} be reported"
        raise DegradeError(fact, wanted="a part of them for each", mend="another --choose or --choose-share")
    return Data(test.name, hr, lr, None, chosen, reported)


def of_canon(data: Path, work: Path) -> Data:
    """Canon 001 to 020 are the camera's, 021 to 030 choose, 031 to 050 are reported."""
    sharp = [path for name in HR_FOLDERS for path in sorted((data / name).glob("*"))]
    known = canon(data, TRAINED)
    return _linked("", work, sharp, {"canon": known}, chosen=canon(data, CHOSEN), reported=canon(data, REPORTED))


def of_drealsr(data: Path, work: Path) -> Data:
    """The half of DRealSR's development pairs for tuning is the cameras', the other half is reported, and nothing
    chooses. The HR are of the same scenes, so that content is the same for all."""
    known = drealsr(data, "tune")
    sharp = [hr for pairs in known.values() for hr, _ in pairs]
    reported = [pair for pairs in drealsr(data, "report").values() for pair in pairs]
    return _linked("drealsr", work, sharp, known, chosen=[], reported=reported)


CAMERAS: dict[str, Callable[[Path, Path], Data]] = {"canon": of_canon, "drealsr": of_drealsr}


def _linked(
    name: str, work: Path, sharp: list[Path], known: dict[str, Files], *, chosen: Files, reported: Files
) -> Data:
    """Files of the corpus as folders of links below `work`. known: true pairs that may be trained on, by camera, whose
    LR are the references."""
    link(work / "hr", {path.name: path for path in sharp})
    for camera, pairs in known.items():
        link(work / "reference" / camera, {lr.name: lr for _, lr in pairs})
    every = [pair for pairs in known.values() for pair in pairs]
    for at, role in enumerate(("gt", "lq")):
        link(work / "true" / role, {f"{n:07d}.png": pair[at] for n, pair in enumerate(every)})
    tests = ([Pair(read_rgb(lr), read_rgb(hr), hr.stem) for hr, lr in files] for files in (chosen, reported))
    return Data(name, str(work / "hr"), str(work / "reference"), work / "true", *tests)


def link(folder: Path, files: dict[str, Path]) -> None:
    """A folder of links, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(file.resolve())
