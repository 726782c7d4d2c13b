"""8-bit RGB as the bytes of a PNG, six times as fast as with zlib, and as small: png.hpp says how.

The bytes depend on the pixels alone. Interpreter and processor have no say, and no library's version: a set that was
begun on one machine goes on with the same bytes on another. ctypes gives the interpreter's lock away meanwhile.
"""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from . import loader
from .pixels import Bytes

BLOCK_BYTES, LONGEST, END, SYMBOLS = 65536, 12, 256, 286  # see png.hpp
LONGEST_COPY, SHORTEST_COPY = 258, 3
MOST_PIXELS = 2**28  # a chunk holds less than 2^31 bytes

Ints = NDArray[np.int64]


def encode(image: Bytes) -> bytes:
    """uint8 [H, W, 3] RGB as a PNG of nothing but pixels."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not 0 < image.size <= 3 * MOST_PIXELS:
        raise ValueError(f"The image is {image.dtype} {image.shape}. Expected: uint8 [H, W, 3], not empty, at most "
                         f"{MOST_PIXELS} pixels.")  # fmt: skip
    library = loader.library()
    if library is None:
        return encode_twin(image)
    image = np.ascontiguousarray(image)
    height, width, _ = image.shape
    out, size = np.empty(most_bytes(height, width), np.uint8), ctypes.c_int64()
    library.degrade_png(image, out, height, width, ctypes.byref(size))
    return out[: size.value].tobytes()


def unfiltered(rows: bytes | bytearray, height: int, width: int) -> Bytes | None:
    """uint8 [height, width, 3] of the filtered rows of any 8-bit RGB PNG, 1 + 3 width bytes each; None where a row
    names no filter."""
    if len(rows) != height * (1 + 3 * width) or not rows:
        raise ValueError(f"{len(rows)} bytes came. Expected: {height} rows of {1 + 3 * width}.")
    library = loader.library()
    filtered = np.frombuffer(rows, np.uint8)
    if library is None:
        return unfiltered_twin(filtered.reshape(height, 1 + 3 * width))
    out, done = np.empty((height, width, 3), np.uint8), ctypes.c_int64()
    library.degrade_unfilter(filtered, out, height, width, ctypes.byref(done))
    return out if done.value == height else None


def unfiltered_twin(rows: Bytes) -> Bytes | None:
    """The numpy twin of `unfiltered`. rows: uint8 [H, 1 + 3 W]."""
    if rows[:, 0].max() > 4:
        return None
    height, width = len(rows), rows.shape[1] // 3
    out = np.zeros((height + 1, width + 1, 3), np.int16)  # nothing above, nothing to the left
    for y, (kind, row) in enumerate(zip(rows[:, 0].tolist(), rows[:, 1:].reshape(height, width, 3), strict=True), 1):
        for x in range(1, width + 1):
            left, above, corner = out[y, x - 1], out[y - 1, x], out[y - 1, x - 1]
            to_left, to_above = np.abs(above - corner), np.abs(left - corner)
            to_corner = np.abs(left + above - 2 * corner)
            others = np.where(to_above <= to_corner, above, corner)
            nearest = np.where((to_left <= to_above) & (to_left <= to_corner), left, others)
            predicted = (np.int16(0), left, above, (left + above) // 2, nearest)[kind]
            out[y, x] = (row[x - 1] + predicted) % 256
    return out[1:, 1:].astype(np.uint8)


def most_bytes(height: int, width: int) -> int:
    """Bytes of a PNG at most."""
    row = 1 + 3 * width
    return height * row * LONGEST // 8 + 1 + 160 * (height // max(1, BLOCK_BYTES // row) + 1) + 128


def encode_twin(image: Bytes) -> bytes:
    """The numpy twin of `encode`."""
    height, width, _ = image.shape
    filtered, rows = filtered_rows(image), max(1, BLOCK_BYTES // (1 + 3 * width))
    blocks = [filtered[first : first + rows].ravel() for first in range(0, height, rows)]
    bits = np.concatenate([block_bits(block, n == len(blocks) - 1) for n, block in enumerate(blocks)])
    stream = b"\x78\x01" + np.packbits(bits, bitorder="little").tobytes()
    data = stream + zlib.adler32(filtered.tobytes()).to_bytes(4, "big")
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def filtered_rows(image: Bytes) -> Bytes:
    """uint8 [H, 1 + 3 W]: 3 for the filter, and each byte less the mean of what is left of it and above it."""
    height, width, _ = image.shape
    padded = np.zeros((height + 1, 3 * width + 3), np.uint16)  # nothing above, nothing to the left
    padded[1:, 3:] = image.reshape(height, 3 * width)
    found = np.full((height, 1 + 3 * width), 3, np.uint8)
    found[:, 1:] = (padded[1:, 3:] - (padded[1:, :-3] + padded[:-1, 3:]) // 2).astype(np.uint8)
    return found


def block_bits(block: Bytes, last: bool) -> Bytes:
    """A block's bits, one a byte."""
    symbols, extra, extra_bits = (np.concatenate(column) for column in zip(*tokens(block), strict=True))
    lengths = code_lengths(np.bincount(symbols, minlength=SYMBOLS).tolist())
    codes = codes_of(lengths)
    used = max(symbol for symbol, length in enumerate(lengths) if length) + 1
    head = [(last, 1), (2, 2), (used - 257, 5), (0, 5), (15, 4)]
    head += [(0, 3)] * 3 + [(4, 3)] * 16
    head += [(turned(length, 4), 4) for length in (*lengths[:used], 1)]
    values, counts = np.array(head, np.int64).T
    of = np.array(lengths, np.int64)[symbols]
    return np.concatenate([spread(values, counts), spread(codes[symbols] | extra << of, of + extra_bits)])


def tokens(block: Bytes) -> Iterator[tuple[Ints, Ints, Ints]]:
    """(symbols, extra bits, how many) of a block, up to its end."""
    whole = len(block) // 8
    groups = block[: 8 * whole].reshape(whole, 8)
    busy = np.bitwise_or.reduce(groups, axis=1) != 0
    borders = [0, *(np.flatnonzero(busy[1:] != busy[:-1]) + 1).tolist(), whole] if whole else []
    for first, after in zip(borders, borders[1:], strict=False):
        if busy[first]:
            yield _literals(groups[first:after].ravel())
        else:
            left = 8 * (after - first) - 1
            rest = left % LONGEST_COPY
            copies = [copy_of(LONGEST_COPY)] * (left // LONGEST_COPY)
            copies += [copy_of(rest)] if rest >= SHORTEST_COPY else [(0, 0, 0)] * rest
            symbols, extra, bits = np.array([(0, 0, 0), *copies], np.int64).T
            yield symbols, extra, bits
    yield _literals(block[8 * whole :])
    yield _literals(np.array([END]))


def _literals(symbols: NDArray[np.integer]) -> tuple[Ints, Ints, Ints]:
    none = np.zeros(len(symbols), np.int64)
    return symbols.astype(np.int64), none, none


def copy_of(length: int) -> tuple[int, int, int]:
    """(symbol, extra bits, how many) of a copy of so many bytes from distance 1, whose own bit is 0."""
    if length == LONGEST_COPY:
        return 285, 0, 1
    over = length - SHORTEST_COPY
    bits = max(0, over.bit_length() - 3)
    return 257 + 4 * bits + (over >> bits), over & ((1 << bits) - 1), bits + 1


def code_lengths(counts: list[int]) -> list[int]:
    """The bits of each symbol's code."""
    order = sorted((count, symbol) for symbol, count in enumerate(counts) if count)
    weights, parents = [count for count, _ in order], dict[int, int]()
    leaves = inner = len(order)
    leaf = 0
    for node in range(leaves, 2 * leaves - 1):
        weights.append(0)
        for _ in range(2):
            if leaf < leaves and (inner == node or weights[leaf] <= weights[inner]):
                rarest, leaf = leaf, leaf + 1
            else:
                rarest, inner = inner, inner + 1
            weights[node] += weights[rarest]
            parents[rarest] = node
    depths = {2 * leaves - 2: 0}
    for node in reversed(range(2 * leaves - 2)):
        depths[node] = depths[parents[node]] + 1
    if max(depths[n] for n in range(leaves)) > LONGEST:
        return code_lengths([(count + 1) // 2 for count in counts])
    lengths = [0] * SYMBOLS
    for n, (_, symbol) in enumerate(order):
        lengths[symbol] = depths[n]
    return lengths


def codes_of(lengths: list[int]) -> Ints:
    """The code of each symbol, its first bit lowest (RFC 1951, 3.2.2)."""
    codes, code = np.zeros(SYMBOLS, np.int64), 0
    for bits in range(1, LONGEST + 1):
        for symbol in (n for n, length in enumerate(lengths) if length == bits):
            codes[symbol] = turned(code, bits)
            code += 1
        code <<= 1
    return codes


def turned(value: int, bits: int) -> int:
    """Its bits in reverse."""
    return int(f"{value:0{bits}b}"[::-1], 2)


def spread(values: Ints, counts: Ints) -> Bytes:
    """Numbers of so many bits each as bits, the lowest first."""
    places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    bits: Bytes = (np.repeat(values, counts) >> places & 1).astype(np.uint8)
    return bits
