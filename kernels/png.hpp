// 8-bit RGB as a PNG, fast and small enough for photographs. On the host alone. Twin: png.py, the same bytes.
//
// Each row is filtered by the mean of its neighbours (PNG, third edition, 9.3). What is left is coded in blocks of about
// 64 KiB, each with Huffman codes of its own (DEFLATE, RFC 1951, 3.2.7). Repetitions are not searched for, since
// photographs have few; only zeros, in groups of eight, become copies of the zero before them. All of it is integer
// arithmetic that has one result, so the bytes depend on nothing but the pixels. The constants below are part of the
// format: a set that is half made goes on with the same ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "portable.h"

namespace degrade {
namespace png {

constexpr int64_t kBlockBytes = 65536;  // of filtered rows; a block has whole rows, and at least one
constexpr int kLongest = 12;            // bits of a code: four of them and what is left over fit into 64 bits
constexpr int kEnd = 256;               // the symbol that ends a block
constexpr int kSymbols = 286;
constexpr int kLongestCopy = 258, kShortestCopy = 3;
constexpr uint8_t kAverage = 3;

// The symbol of a copy of so many bytes, its extra bits, and how many they are (RFC 1951, 3.2.5).
struct Copy {
    int symbol;
    uint32_t extra;
    int extra_bits;
};

inline Copy copy_of(int64_t length) {
    if (length == kLongestCopy) return Copy{285, 0, 0};
    const uint32_t over = static_cast<uint32_t>(length - kShortestCopy);
    if (over < 8) return Copy{257 + static_cast<int>(over), 0, 0};
    int bits = 1;
    while (over >> (bits + 3)) ++bits;
    const uint32_t extra = over & ((1u << bits) - 1);
    return Copy{257 + 4 * bits + static_cast<int>(over >> bits), extra, bits};
}

// Calls literal(byte) or copy(Copy) for each token of so many groups of eight zeros.
template <typename Literal, typename OfCopy>
inline void tokens_of_zeros(int64_t groups, const Literal& literal, const OfCopy& copy) {
    literal();
    int64_t left = 8 * groups - 1;
    for (; left >= kLongestCopy; left -= kLongestCopy) copy(copy_of(kLongestCopy));
    if (left >= kShortestCopy) copy(copy_of(left));
    else for (; left > 0; --left) literal();
}

// Calls eight(bytes) for each group of eight that is not all zero, zeros(groups) for those between, one(byte) for what
// is left at the end.
template <typename Eight, typename Zeros, typename One>
inline __attribute__((always_inline)) void walk(const uint8_t* bytes, int64_t count, const Eight& eight,
                                                const Zeros& zeros, const One& one) {
    int64_t at = 0, empty = 0;
    for (; at + 8 <= count; at += 8) {
        uint64_t group;
        memcpy(&group, bytes + at, 8);
        if (group == 0) {
            ++empty;
            continue;
        }
        if (empty) zeros(empty);
        empty = 0;
        eight(bytes + at);
    }
    if (empty) zeros(empty);
    for (; at < count; ++at) one(bytes[at]);
}

// The bits of each symbol's code, by Huffman's construction: the two rarest become one, of a symbol and a sum that are
// equally rare the symbol first, of two symbols the smaller. Where one is longer than kLongest, all counts are halved,
// upwards, and it begins again. counts has two that are not zero at least.
inline void code_lengths(uint32_t* counts,   // [kSymbols] in/out
                         uint8_t* lengths) {  // [kSymbols] out
    std::fill(lengths, lengths + kSymbols, uint8_t{0});
    uint64_t order[kSymbols];
    int leaves = 0;
    for (int symbol = 0; symbol < kSymbols; ++symbol)
        if (counts[symbol]) order[leaves++] = (static_cast<uint64_t>(counts[symbol]) << 9) | static_cast<uint64_t>(symbol);
    std::sort(order, order + leaves);
    uint32_t weights[2 * kSymbols];
    int parents[2 * kSymbols];
    uint8_t depths[2 * kSymbols];
    for (int i = 0; i < leaves; ++i) weights[i] = static_cast<uint32_t>(order[i] >> 9);
    int leaf = 0, inner = leaves;
    const int root = 2 * leaves - 2;
    for (int next = leaves; next <= root; ++next) {
        weights[next] = 0;
        for (int half = 0; half < 2; ++half) {
            const bool is_leaf = leaf < leaves && (inner == next || weights[leaf] <= weights[inner]);
            const int rarest = is_leaf ? leaf++ : inner++;
            weights[next] += weights[rarest];
            parents[rarest] = next;
        }
    }
    depths[root] = 0;
    for (int i = root - 1; i >= 0; --i) depths[i] = static_cast<uint8_t>(depths[parents[i]] + 1);
    if (*std::max_element(depths, depths + leaves) > kLongest) {
        for (int symbol = 0; symbol < kSymbols; ++symbol) counts[symbol] = (counts[symbol] + 1) / 2;
        code_lengths(counts, lengths);
        return;
    }
    for (int i = 0; i < leaves; ++i) lengths[order[i] & 511] = depths[i];
}

// A code as it is written, its first bit lowest, and its bits from bit 16 on.
inline void codes_of(const uint8_t* lengths,  // [kSymbols]
                     uint32_t* codes) {       // [kSymbols]
    uint32_t next[kLongest + 2] = {}, of_length[kLongest + 1] = {};
    for (int symbol = 0; symbol < kSymbols; ++symbol) ++of_length[lengths[symbol]];
    of_length[0] = 0;
    for (int bits = 1; bits <= kLongest; ++bits) next[bits + 1] = (next[bits] + of_length[bits]) << 1;
    for (int symbol = 0; symbol < kSymbols; ++symbol) {
        const uint32_t bits = lengths[symbol];
        uint32_t code = bits ? next[bits]++ : 0, turned = 0;
        for (uint32_t i = 0; i < bits; ++i, code >>= 1) turned = (turned << 1) | (code & 1);
        codes[symbol] = (bits << 16) | turned;
    }
}

// Bits into bytes, the lowest first. add takes 56 between two flushes.
struct Bits {
    uint8_t* out;
    uint64_t kept = 0;
    int count = 0;

    void add(uint64_t value, int bits) {
        kept |= value << count;
        count += bits;
    }
    void code(uint32_t code) { add(code & 0xffff, static_cast<int>(code >> 16)); }
    void flush() {  // writes eight bytes, of which the next flush writes some again
        for (int i = 0; i < 8; ++i) out[i] = static_cast<uint8_t>(kept >> (8 * i));
        out += count >> 3;
        kept >>= count & 56;
        count &= 7;
    }
};

// The sums of RFC 1950, 8: of the bytes, and of the first one after each.
struct Adler {
    uint32_t a = 1, b = 0;
};

// Bytes of a PNG at most.
inline int64_t most_bytes(int64_t height, int64_t width) {
    const int64_t row = 1 + 3 * width, blocks = height / std::max<int64_t>(1, kBlockBytes / row) + 1;
    return height * row * kLongest / 8 + 1 + 160 * blocks + 128;
}

}  // namespace png
}  // namespace degrade
