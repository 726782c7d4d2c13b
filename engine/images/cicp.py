"""Colours that a file says by numbers (ITU-T H.273: CICP) or by name, as an ICC profile that brings them to sRGB.

What is a picture for displays of ordinary brightness is converted. PQ and HLG are not: how bright white is, and what
becomes of what is brighter, is a choice that no standard makes for a training image.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Chromaticities = tuple[float, ...]  # x, y of red, green, blue and white

D65, C = (0.3127, 0.3290), (0.310, 0.316)
BT709: Chromaticities = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *D65)
ADOBE_RGB: Chromaticities = (0.640, 0.330, 0.210, 0.710, 0.150, 0.060, *D65)
ADOBE_GAMMA = 563 / 256
PRIMARIES: dict[int, Chromaticities] = {
    4: (0.670, 0.330, 0.210, 0.710, 0.140, 0.080, *C),
    5: (0.640, 0.330, 0.290, 0.600, 0.150, 0.060, *D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *D65),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, *C),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *D65),
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *D65),
}  # 1 is sRGB's own; 0, 2 and what is not here say nothing
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # all others that are converted are sRGB's: video's curves are shown like it
FOREIGN = {7: "SMPTE 240M", 9: "a logarithm", 10: "a logarithm", 11: "xvYCC", 12: "BT.1361", 16: "PQ (HDR)",
           17: "SMPTE ST 428", 18: "HLG (HDR)"}  # fmt: skip

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])


@dataclass(frozen=True)
class Said:
    """Colours by their numbers; 2 says nothing. whole: black is 0 and white the largest value."""

    primaries: int = 2
    transfer: int = 2
    whole: bool = True

    @property
    def anything(self) -> bool:
        """Whether they say which colours these are."""
        return self.primaries == 1 or self.primaries in PRIMARIES or self.transfer in GAMMAS


def profile_of(said: Said) -> bytes:
    """The ICC profile of these colours; b"" where they are sRGB's, or where the numbers say nothing."""
    if said.primaries not in PRIMARIES and said.transfer not in GAMMAS:
        return b""
    return profile(PRIMARIES.get(said.primaries, BT709), GAMMAS.get(said.transfer))


def foreign(said: Said) -> str:
    """What of these colours is not read, in words; "" where nothing is."""
    if said.transfer in FOREIGN:
        return FOREIGN[said.transfer]
    return "CIE XYZ" if said.primaries == 10 else "" if said.whole else "video-range"


def transfer_of(icc: bytes) -> int:
    """The transfer that an ICC profile says by CICP (ICC.1:2022, 9.2.17); 2, which is none, where it says none."""
    for at in range(132, min(132 + 12 * int.from_bytes(icc[128:132], "big"), len(icc)), 12):
        name, place = icc[at : at + 4], int.from_bytes(icc[at + 4 : at + 8], "big")
        if name == b"cicp" and icc[place : place + 4] == b"cicp":
            return icc[place + 9] if place + 9 < len(icc) else 2
    return 2


@lru_cache(maxsize=32)
def profile(chromaticities: Chromaticities, gamma: float | None) -> bytes:
    """An ICC v4 display profile of three primaries and a white. gamma: of all three channels; None: sRGB's curve."""
    columns = _to_d50(chromaticities).T
    white = b"XYZ \0\0\0\0" + _fixed(_D50)
    if gamma is None:
        curve = b"para\0\0\0\0\0\3\0\0" + _fixed(np.array([2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]))
    else:
        curve = b"para\0\0\0\0\0\0\0\0" + _fixed(np.array([gamma]))
    text = "RGB".encode("utf-16-be")
    name = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(text), 28) + text
    tags = {b"desc": name, b"cprt": name, b"wtpt": white, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    tags |= {f"{one}XYZ".encode(): b"XYZ \0\0\0\0" + _fixed(xyz) for one, xyz in zip("rgb", columns, strict=True)}
    table, body, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s28x", at + len(body), 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return head + _fixed(_D50) + bytes(48) + table + body


def _to_d50(chromaticities: Chromaticities) -> NDArray[np.float64]:
    """The matrix from linear RGB to XYZ under D50, white adapted by Bradford's method."""
    points = zip(chromaticities[::2], chromaticities[1::2], strict=True)
    *colours, white = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in points)
    primaries = np.transpose(colours)
    matrix = primaries * np.linalg.solve(primaries, white)
    cones = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ matrix
    return adapted


def _fixed(values: NDArray[np.float64]) -> bytes:
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)
