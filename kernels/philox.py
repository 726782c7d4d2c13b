"""Counter-based Gaussian noise: Philox4x32-10 and Box-Muller, the reference that compiled kernels repeat.

A normal depends on (run seed, pair, candidate, step, element) and on nothing else: not on the batch, the
order, the worker or the device. Philox is from Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3"
(SC 2011, section 3.3).

Logarithm, sine and cosine are short polynomials of our own instead of the C library's, so that every sum and
product is one IEEE float32 operation in a stated order. That makes the normals equal to the last bit wherever
contraction into fused multiply-adds is switched off, and it lets a compiler vectorise them. They lie
within 4 ulp of the exact value, and the widest of them is 5.77.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import loader

MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10

Words = NDArray[np.uint32]
Words64 = NDArray[np.uint64]
Floats = NDArray[np.float32]


def _floats(*numbers: float) -> tuple[np.float32, ...]:
    return tuple(map(np.float32, numbers))


# Minimax fits (Remez, in 40 digits), relative error below 6e-9 before rounding the coefficients to float32.
# log(1 + f) = f - f^2/2 + f^3 * LOG(f),   f in [sqrt(1/2) - 1, sqrt(2) - 1]
LOG = _floats(
    0.33333331707789741, -0.25000821028533192, 0.200012268730962, -0.16623357534961456, 0.14201757998285619,
    -0.13160180466339749, 0.12761577348054695, -0.076345029096532692,
)  # fmt: skip
# ln 2 in two pieces: the first has 16 bits, so that its product with any exponent here is exact.
LN2_HIGH, LN2_LOW = np.float32(0.693145751953125), np.float32(1.4286068203094173e-06)
# sin(pi/2 a) = a * SIN(a^2),   cos(pi/2 a) = 1 + a^2 * COS(a^2),   a in [-1/2, 1/2] quarter turns
SIN = _floats(1.5707963219668132, -0.64596347864152085, 0.079680228064435993, -0.0046021769887108855)
COS = _floats(-1.2337005433534637, 0.25366924402955786, -0.02086028850585332, 0.00090402166609359038)
SQRT_HALF_BITS = np.int32(0x3F3504F3)


def seed_key(seed: int) -> Words:
    """The Philox key [2] of a run seed: its low and high 32 bits. ValueError unless 0 <= seed < 2^64."""
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"The seed is {seed}. Expected: an integer from 0 to 2^64 - 1.")
    return np.array([seed & 0xFFFFFFFF, seed >> 32], dtype=np.uint32)


def philox4x32_10(counter: Words, key: Words) -> Words:
    """Four random words a counter. counter: uint32 [..., 4]; key: uint32 [2]; returns uint32 [..., 4]."""
    counter = np.ascontiguousarray(counter, dtype=np.uint32)
    key = np.ascontiguousarray(key, dtype=np.uint32)
    if counter.shape[-1:] != (4,) or key.shape != (2,):
        raise ValueError(f"Counter {counter.shape} and key {key.shape} came. Expected: [..., 4] and [2].")
    library = loader.library()
    if library is None:
        return philox4x32_10_twin(counter, key)
    out = np.empty_like(counter)
    library.degrade_philox(counter, int(key[0]), int(key[1]), out, counter.size // 4)
    return out


def philox4x32_10_twin(counter: Words, key: Words) -> Words:
    """The numpy twin of `philox4x32_10`."""
    c0, c1, c2, c3 = (counter[..., i].astype(np.uint64) for i in range(4))
    return np.stack(_rounds(c0, c1, c2, c3, key), axis=-1).astype(np.uint32)


def _rounds(c0: Words64, c1: Words64, c2: Words64, c3: Words64, key: Words) -> tuple[Words64, ...]:
    """Ten rounds over uint64 arrays that hold 32-bit words (so that the products do not overflow)."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(ROUNDS):
        product_0 = np.uint64(MULTIPLIER_0) * c0
        product_1 = np.uint64(MULTIPLIER_1) * c2
        c0, c1 = (product_1 >> shift) ^ c1 ^ np.uint64(k0), product_1 & low
        c2, c3 = (product_0 >> shift) ^ c3 ^ np.uint64(k1), product_0 & low
        k0, k1 = (k0 + WEYL_0) & 0xFFFFFFFF, (k1 + WEYL_1) & 0xFFFFFFFF
    return c0, c1, c2, c3


def normals(out: Floats, *, seed: int, pairs: Words, candidates: Words, steps: Words, threads: int = 1) -> None:
    """Fills out with standard normals; the same whatever the number of threads.

    out: float32 [R, ...], C-contiguous; pairs, candidates, steps: uint32 [R], the counter words of each row.
    The step word is the DDPM timestep t (1..T) at which the noise is added, 0 for the start noise. Raises
    ValueError for a wrong shape, dtype or layout.
    """
    check_rows("out", out, out.shape)
    pairs, candidates, steps = check_counter(len(out), pairs, candidates, steps)
    key = seed_key(seed)
    library = loader.library()
    if library is None:
        normals_twin(out, key, pairs, candidates, steps)
        return
    elements = out.size // max(len(out), 1)
    library.degrade_normals(out, len(out), elements, *key.tolist(), pairs, candidates, steps, threads)


def normals_twin(out: Floats, key: Words, pairs: Words, candidates: Words, steps: Words) -> None:
    """The numpy twin of `normals`, key as by `seed_key`."""
    for row, pair, candidate, step in zip(out, pairs, candidates, steps, strict=True):
        row[...] = row_normals(row.size, key, pair, candidate, step).reshape(row.shape)


def row_normals(elements: int, key: Words, pair: np.uint32, candidate: np.uint32, step: np.uint32) -> Floats:
    """One row's first normals, float32 [elements]: counter (element // 4, step, candidate, pair)."""
    blocks = (elements + 3) // 4
    block = np.arange(blocks, dtype=np.uint64)
    c1, c2, c3 = (np.full(blocks, word, dtype=np.uint64) for word in (step, candidate, pair))
    x0, x1, x2, x3 = _rounds(block, c1, c2, c3, key)
    z = np.empty((blocks, 4), dtype=np.float32)
    z[:, 0], z[:, 1] = box_muller(x0, x1)
    z[:, 2], z[:, 3] = box_muller(x2, x3)
    return z.reshape(-1)[:elements]


def box_muller(first: NDArray[Any], second: NDArray[Any]) -> tuple[Floats, Floats]:
    """Two normals from two arrays of 32-bit words: r cos(2 pi u2), r sin(2 pi u2) with r = sqrt(-2 ln u1).

    u1 = ((first >> 8) + 1) / 2^24 is never 0, so |z| is at most sqrt(48 ln 2) = 5.77.
    """
    eight = np.uint64(8)
    radius = np.sqrt(np.float32(-2.0) * _log_of_24_bits(((first >> eight) + np.uint64(1)).astype(np.int32)))
    cosine, sine = _turn((second >> eight).astype(np.int32))
    return radius * cosine, radius * sine


def _polynomial(coefficients: tuple[np.float32, ...], x: Floats) -> Floats:
    """Horner's rule, highest power first; each step one product and one sum, rounded separately."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


def _log_of_24_bits(k: NDArray[np.int32]) -> Floats:
    """ln(k / 2^24) for 1 <= k <= 2^24; k = m 2^e, m in [sqrt(1/2), sqrt(2)), is read from the bits."""
    shifted = k.astype(np.float32).view(np.int32) - SQRT_HALF_BITS
    exponent = ((shifted >> np.int32(23)) - np.int32(24)).astype(np.float32)
    f = ((shifted & np.int32(0x7FFFFF)) + SQRT_HALF_BITS).view(np.float32) - np.float32(1.0)
    square = f * f
    y = f * square * _polynomial(LOG, f) + exponent * LN2_LOW
    y = y - np.float32(0.5) * square
    log: Floats = (f + y) + exponent * LN2_HIGH
    return log


def _turn(k: NDArray[np.int32]) -> tuple[Floats, Floats]:
    """(cos, sin) of 2 pi k / 2^24. The nearest quarter turn is taken off in integers: an exact reduction."""
    quarter = (k + np.int32(1 << 21)) >> np.int32(22)
    a = (k - (quarter << np.int32(22))).astype(np.float32) * np.float32(2.0**-22)
    square = a * a
    sine = a * _polynomial(SIN, square)
    cosine = np.float32(1.0) + square * _polynomial(COS, square)
    odd = (quarter & np.int32(1)) == 1
    x, y = np.where(odd, sine, cosine), np.where(odd, cosine, sine)
    # cos is negative in quarters 1 and 2, sin in quarters 2 and 3.
    x = np.where(((quarter + np.int32(1)) & np.int32(2)) == 2, -x, x)
    y = np.where((quarter & np.int32(2)) == 2, -y, y)
    return x, y


def check_rows(name: str, array: Floats, shape: tuple[int, ...]) -> None:
    """Raises ValueError unless array is float32, C-contiguous, has the shape and at least one axis."""
    if array.dtype != np.float32 or not array.flags.c_contiguous or array.shape != shape or array.ndim < 1:
        layout = "" if array.flags.c_contiguous else ", not contiguous"
        raise ValueError(f"{name} is {array.dtype} {array.shape}{layout}. Expected: float32 {shape}, C-contiguous.")


def check_words(name: str, words: Words, rows: int) -> Words:
    """words as contiguous uint32 [rows]. Raises ValueError for another shape or dtype."""
    words = np.asarray(words)
    if words.dtype != np.uint32 or words.shape != (rows,):
        raise ValueError(f"{name} is {words.dtype} {words.shape}. Expected: uint32 ({rows},), one word a row.")
    return np.ascontiguousarray(words)


def check_counter(rows: int, *words: Words) -> tuple[Words, ...]:
    """`check_words` of the counter words pairs, candidates and steps."""
    return tuple(
        check_words(name, one, rows) for name, one in zip(("pairs", "candidates", "steps"), words, strict=True)
    )
