"""What `bench papers worth` compares: generators as they are recommended, and the sets that tell why they differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Way:
    """How a set is made. engine, weights: the names of those that it needs; arguments: of `generate`, beside folders
    and counts. Or of: the set it is made from, each LR blurred by a Gaussian of `blur` LR pixels and given white noise
    of a standard deviation of `noise` grey levels."""

    name: str
    engine: str | None = None
    arguments: tuple[str, ...] = ()
    weights: str | None = None
    of: str | None = None
    blur: float = 0.0
    noise: float = 0.0


TRUE, BINNED = "true pairs", "binned"
GENERAL, UNSHARPENED = "syndiff-tiny", "unsharpened"  # a second engine, second weights
BLUR = Way("bicubic, Gaussian sigma 0.5", of="bicubic", blur=0.5)  # the baseline of `bench papers quality`
DEGRADER = ("--degrader", "binned")
REALESRGAN = ("--start", "realesrgan", "--tau", "1:125", "--steps", "5")  # the paper's start and strengths, few calls
CALIBRATED = ("--start", "binned", "--tau", "20", "--steps", "2")  # a start that is near asks for less noise
REC_LR = ("--tau", "0", "--start", "reconstruction")
GENERATORS = (
    Way("bicubic", arguments=("--degrader", "bicubic")),
    BLUR,
    Way("bsrgan", arguments=("--degrader", "bsrgan")),
    Way("realdgen", "realdgen"),
    Way("onecall", "onecall"),
    Way(TRUE),
    Way("lway", "lway"),
    Way("realesrgan", arguments=("--degrader", "realesrgan")),
    Way("syndiff", "syndiff"),
    Way("syndiff, start binned", "syndiff", CALIBRATED, weights=BINNED),
    Way("uddm", "uddm"),
    Way(BINNED, arguments=DEGRADER, weights=BINNED),
)
WHY = (
    Way("realdgen, Rec_lr alone", "realdgen", REC_LR),
    Way("lway, without noise", "lway", ("--noise", "0")),
    Way("lway, noise 2", "lway", ("--noise", "2")),
    Way("lway, noise 3", "lway", ("--noise", "3")),
    Way("bicubic, Gaussian sigma 0.5, noise 2 added", of=BLUR.name, noise=2.0),
    Way("realdgen, fast", "realdgen", ("--preset", "fast")),
    Way("realdgen, noise 1 added", "realdgen", of="realdgen", noise=1.0),
    Way("realdgen, noise 2 added", "realdgen", of="realdgen", noise=2.0),
    Way("onecall, noise 1 added", "onecall", of="onecall", noise=1.0),
    Way("onecall, noise 2 added", "onecall", of="onecall", noise=2.0),
    Way("onecall, 1 reference", "onecall", ("--references-per-pair", "1")),
    Way("onecall, 16 references", "onecall", ("--references-per-pair", "16")),
    Way("onecall, no call", "onecall", REC_LR),
    Way("bicubic, noise 1 added", of="bicubic", noise=1.0),
    Way("bicubic, noise 2 added", of="bicubic", noise=2.0),
    Way("true pairs, noise 1 added", of=TRUE, noise=1.0),
    Way("true pairs, noise 2 added", of=TRUE, noise=2.0),
    Way("syndiff, start Real-ESRGAN", "syndiff", REALESRGAN),
    Way("syndiff of all cameras", GENERAL),
    Way("syndiff of all cameras, start Real-ESRGAN", GENERAL, REALESRGAN),
    Way("binned, without sharpening", arguments=DEGRADER, weights=UNSHARPENED),
)
"""Each differs in one thing from a generator's."""
WAYS = GENERATORS + WHY
"""In the order in which they are trained on."""
BY_NAME = {way.name: way for way in WAYS}
