// The host library: every kernel as a loop, behind a C interface that loader.py calls.
//
// Rows are independent and a row's noise depends on its counter alone, so threads split the rows and the
// result does not depend on their number. Within a row, work goes tile by tile: noise for a tile into a
// buffer that stays in the first cache, then the arithmetic over it; both loops vectorise.
#include <algorithm>
#include <thread>
#include <vector>

#include "philox.h"
#include "pixels.h"
#include "png.hpp"
#include "select.h"
#include "tiles.h"
#include "update.h"
#include "ziggurat.h"

// One copy for any x86-64 and a wider one where the processor has it; contraction is off in all, so the bits
// are the same.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define DEGRADE_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DEGRADE_WIDE
#endif

namespace {

using degrade::Coefficients;

constexpr int64_t kTile = 1024;           // elements, a multiple of 4
constexpr int64_t kBlocks = kTile / 4;

struct Counter {
    uint32_t step, candidate, pair, k0, k1;
};

// z[0 .. kTile) = the normals of blocks first .. first + kBlocks of one row; a tail is drawn whole and not
// used.
DEGRADE_WIDE void draw_tile(float* z, uint32_t first, const Counter& counter) {
    const uint32_t step = counter.step, candidate = counter.candidate, pair = counter.pair;
    const uint32_t k0 = counter.k0, k1 = counter.k1;
    for (int32_t i = 0; i < kBlocks; ++i) {
        const uint32_t block = first + static_cast<uint32_t>(i);
        const degrade::Normals4 n = degrade::normals4(block, step, candidate, pair, k0, k1);
        z[4 * i] = n.z0;
        z[4 * i + 1] = n.z1;
        z[4 * i + 2] = n.z2;
        z[4 * i + 3] = n.z3;
    }
}

// The two flags are constants here, so that each of the four loops vectorises without a branch.
template <bool HasPrevious, bool HasNoise>
inline __attribute__((always_inline)) void update_tile(float* x,              // [count] in/out
                                                       const float* eps,      // [count]
                                                       float* x0_prev,        // [count] in/out
                                                       const float* z,        // [count] or unused
                                                       int64_t count, Coefficients k, bool clip) {
    for (int64_t i = 0; i < count; ++i) {
        const float x0 = degrade::predict_x0(k, clip, x[i], eps[i]);
        x[i] = degrade::advance(k, HasPrevious, HasNoise, x[i], x0, HasPrevious ? x0_prev[i] : 0.0f,
                                HasNoise ? z[i] : 0.0f);
        x0_prev[i] = x0;
    }
}

// Picks the terms that the row has, once a tile.
DEGRADE_WIDE void update_any_tile(float* __restrict x, const float* __restrict eps,
                                  float* __restrict x0_prev, const float* __restrict z, int64_t count,
                                  const Coefficients& k, bool clip) {
    const bool previous = k.c != 0.0f, noise = k.d != 0.0f;
    if (previous && noise) update_tile<true, true>(x, eps, x0_prev, z, count, k, clip);
    else if (previous) update_tile<true, false>(x, eps, x0_prev, z, count, k, clip);
    else if (noise) update_tile<false, true>(x, eps, x0_prev, z, count, k, clip);
    else update_tile<false, false>(x, eps, x0_prev, z, count, k, clip);
}

DEGRADE_WIDE void start_tile(float* __restrict x, const float* __restrict x_start, const float* __restrict z,
                             int64_t count, float s, float n) {
    for (int64_t i = 0; i < count; ++i) x[i] = degrade::noised_start(s, n, x_start[i], z[i]);
}

DEGRADE_WIDE void add_squares(float* __restrict lanes, const float* __restrict feature,
                              const float* __restrict target, int64_t count) {
    for (int64_t i = 0; i < count; ++i) lanes[i] += degrade::squared_difference(feature[i], target[i]);
}

DEGRADE_WIDE void plane_to_bytes(const float* __restrict x, uint8_t* __restrict out, int64_t count) {
    for (int64_t i = 0; i < count; ++i) out[i] = degrade::to_byte(x[i]);
}

DEGRADE_WIDE void add_row(float* __restrict out, const float* __restrict tile, const float* __restrict weights_x,
                          float weight_y, int64_t count) {
    for (int64_t x = 0; x < count; ++x) out[x] = degrade::add_weighted(out[x], weight_y, weights_x[x], tile[x]);
}

DEGRADE_WIDE bool all_finite(const float* x, int64_t count) {
    uint32_t bad = 0;
    for (int64_t i = 0; i < count; ++i) bad |= static_cast<uint32_t>(!degrade::is_finite(x[i]));
    return bad == 0;
}

constexpr int kRows = 64;        // that are resized along x together
constexpr int kWeightBits = 22;  // behind the point of a weight (resize.py)

inline uint8_t rounded(int32_t sum) {
    const int32_t grey = sum >> kWeightBits;
    return static_cast<uint8_t>(grey < 0 ? 0 : grey > 255 ? 255 : grey);
}

// kRows sums at once: each weight on a row of bytes, `step` behind the one before.
inline __attribute__((always_inline)) void weigh(const uint8_t* __restrict from, int64_t step,
                                                 const int32_t* __restrict weights, int32_t count,
                                                 uint8_t* __restrict out) {
    int32_t sums[kRows];
    for (int i = 0; i < kRows; ++i) sums[i] = 1 << (kWeightBits - 1);
    for (int32_t k = 0; k < count; ++k, from += step) {
        const int32_t weight = weights[k];
        for (int i = 0; i < kRows; ++i) sums[i] += weight * from[i];
    }
    for (int i = 0; i < kRows; ++i) out[i] = rounded(sums[i]);
}

// Eight rows of eight bytes, of which each becomes a column: 1, 2 and then 4 bytes change places.
inline __attribute__((always_inline)) void transpose8(uint64_t* r) {
    for (int n = 1; n <= 4; n *= 2) {
        const uint64_t low = n == 1 ? 0x00ff00ff00ff00ffu : n == 2 ? 0x0000ffff0000ffffu : 0x00000000ffffffffu;
        for (int i = 0; i < 8; ++i) {
            if (i & n) continue;
            const uint64_t a = r[i], b = r[i + n];
            r[i] = (a & low) | ((b & low) << (8 * n));
            r[i + n] = ((a >> (8 * n)) & low) | (b & ~low);
        }
    }
}

// kRows rows along x. Their bytes are laid column by column first, so that all rows of a column are summed at once.
DEGRADE_WIDE void resize_rows(const uint8_t* const* rows,   // [kRows] of [3 * width]
                              uint8_t* __restrict columns,  // [3 * width + 8, kRows] scratch
                              uint8_t* __restrict out,      // [kRows, 3 * wanted]
                              const int32_t* spans, const int32_t* weights, int64_t width, int64_t wanted,
                              int64_t most) {
    int64_t x = 0;
    for (; x + 8 <= 3 * width; x += 8)
        for (int half = 0; half < kRows; half += 8) {
            uint64_t block[8];
            for (int r = 0; r < 8; ++r) memcpy(block + r, rows[half + r] + x, 8);
            transpose8(block);
            for (int i = 0; i < 8; ++i) memcpy(columns + (x + i) * kRows + half, block + i, 8);
        }
    for (; x < 3 * width; ++x)
        for (int r = 0; r < kRows; ++r) columns[x * kRows + r] = rows[r][x];
    for (int64_t n = 0; n < wanted; ++n) {
        const int32_t first = spans[2 * n], count = spans[2 * n + 1];
        const int32_t* w = weights + n * most;
        for (int channel = 0; channel < 3; ++channel) {
            uint8_t made[kRows];
            weigh(columns + (3 * first + channel) * kRows, 3 * kRows, w, count, made);
            for (int r = 0; r < kRows; ++r) out[(r * wanted + n) * 3 + channel] = made[r];
        }
    }
}

// One row along y.
DEGRADE_WIDE void resize_columns(const uint8_t* from,  // [count, bytes], and kRows that may be read
                                 uint8_t* out,         // [bytes], and kRows that may be written
                                 const int32_t* weights, int32_t count, int64_t bytes) {
    for (int64_t at = 0; at < bytes; at += kRows) weigh(from + at, bytes, weights, count, out + at);
}

// out[i] = row[i] less the mean of what is left of it and above it, rounded down.
DEGRADE_WIDE void filter_row(const uint8_t* __restrict row, const uint8_t* __restrict above, uint8_t* __restrict out,
                             int64_t count) {
    for (int64_t i = 0; i < 3; ++i) out[i] = static_cast<uint8_t>(row[i] - above[i] / 2);
    for (int64_t i = 3; i < count; ++i)
        out[i] = static_cast<uint8_t>(row[i] - (static_cast<uint16_t>(row[i - 3] + above[i]) >> 1));
}

// One channel's way along a row of a PNG: a is left of it, c is above that.
struct Way {
    int a = 0, c = 0;

    __attribute__((always_inline)) uint8_t average(int left_over, int b) {
        return static_cast<uint8_t>(a = (left_over + ((a + b) >> 1)) & 255);
    }
    __attribute__((always_inline)) uint8_t paeth(int left_over, int b) {
        // Which is nearest is as good as chance, so nothing branches on it.
        const int to_a = b - c, to_b = a - c, to_c = to_a + to_b;
        const int pa = (to_a ^ to_a >> 31) - (to_a >> 31), pb = (to_b ^ to_b >> 31) - (to_b >> 31);
        const int pc = (to_c ^ to_c >> 31) - (to_c >> 31);
        const int c_is_nearer = (pc - pb) >> 31, other = b ^ ((b ^ c) & c_is_nearer);
        const int least = pb ^ ((pb ^ pc) & c_is_nearer), other_is_nearer = (least - pa) >> 31;
        const int nearest = a ^ ((a ^ other) & other_is_nearer);
        c = b;
        return static_cast<uint8_t>(a = (left_over + nearest) & 255);
    }
};

// A row of a PNG's pixels out of what its filter left of it (PNG, third edition, 9.2 and 9.3). False where there is no
// such filter. A byte waits for the one to the left of it, so the three channels go side by side.
bool unfilter_row(int filter, const uint8_t* __restrict row, const uint8_t* __restrict above, uint8_t* __restrict out,
                  int64_t count) {
    Way red, green, blue;
    switch (filter) {
        case 0:
            std::memcpy(out, row, static_cast<size_t>(count));
            return true;
        case 1:
            for (int64_t i = 0; i < count; i += 3) {
                out[i] = static_cast<uint8_t>(red.a += row[i]);
                out[i + 1] = static_cast<uint8_t>(green.a += row[i + 1]);
                out[i + 2] = static_cast<uint8_t>(blue.a += row[i + 2]);
            }
            return true;
        case 2:
            for (int64_t i = 0; i < count; ++i) out[i] = static_cast<uint8_t>(row[i] + above[i]);
            return true;
        case 3:
            for (int64_t i = 0; i < count; i += 3) {
                out[i] = red.average(row[i], above[i]);
                out[i + 1] = green.average(row[i + 1], above[i + 1]);
                out[i + 2] = blue.average(row[i + 2], above[i + 2]);
            }
            return true;
        case 4:
            for (int64_t i = 0; i < count; i += 3) {
                out[i] = red.paeth(row[i], above[i]);
                out[i + 1] = green.paeth(row[i + 1], above[i + 1]);
                out[i + 2] = blue.paeth(row[i + 2], above[i + 2]);
            }
            return true;
        default:
            return false;
    }
}

// Chunks of 4096 bytes, so that no sum passes 32 bits.
DEGRADE_WIDE void add_adler(degrade::png::Adler& sums, const uint8_t* bytes, int64_t count) {
    while (count > 0) {
        const int32_t chunk = static_cast<int32_t>(std::min<int64_t>(count, 4096));
        uint32_t plain = 0, weighted = 0;
        for (int32_t i = 0; i < chunk; ++i) {
            plain += bytes[i];
            weighted += static_cast<uint32_t>(chunk - i) * bytes[i];
        }
        sums.b = (sums.b + static_cast<uint32_t>(chunk) * sums.a + weighted) % 65521u;
        sums.a = (sums.a + plain) % 65521u;
        bytes += chunk;
        count -= chunk;
    }
}

// CRC-32 of a chunk's type and data (PNG, annex D), eight bytes at a time.
uint32_t crc32(const uint8_t* bytes, int64_t count) {
    static const auto tables = [] {
        std::vector<uint32_t> made(8 * 256);
        for (uint32_t n = 0; n < 256; ++n) {
            uint32_t c = n;
            for (int k = 0; k < 8; ++k) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
            made[n] = c;
        }
        for (uint32_t n = 256; n < 8 * 256; ++n) made[n] = made[made[n - 256] & 255] ^ (made[n - 256] >> 8);
        return made;
    }();
    const uint32_t* t = tables.data();
    uint32_t c = 0xffffffffu;
    for (; count >= 8; count -= 8, bytes += 8) {
        const uint32_t low = c ^ (bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<uint32_t>(bytes[3]) << 24);
        c = t[7 * 256 + (low & 255)] ^ t[6 * 256 + (low >> 8 & 255)] ^ t[5 * 256 + (low >> 16 & 255)] ^
            t[4 * 256 + (low >> 24)] ^ t[3 * 256 + bytes[4]] ^ t[2 * 256 + bytes[5]] ^ t[256 + bytes[6]] ^ t[bytes[7]];
    }
    for (; count > 0; --count, ++bytes) c = t[(c ^ *bytes) & 255] ^ (c >> 8);
    return ~c;
}

void put32(uint8_t* out, uint32_t value) {
    for (int i = 0; i < 4; ++i) out[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

// Length, type and CRC around data that lie at chunk + 8; returns the end.
uint8_t* seal_chunk(uint8_t* chunk, const char* type, int64_t length) {
    put32(chunk, static_cast<uint32_t>(length));
    std::memcpy(chunk + 4, type, 4);
    put32(chunk + 8 + length, crc32(chunk + 4, 4 + length));
    return chunk + 12 + length;
}

// One block of filtered bytes. The bits come and go by value, so that they stay in registers between.
degrade::png::Bits write_block(degrade::png::Bits bits, const uint8_t* bytes, int64_t count, bool last) {
    using namespace degrade::png;
    uint32_t counts[4][kSymbols] = {};
    const auto copied = [&](const Copy& copy) { ++counts[0][copy.symbol]; };
    const auto nought = [&] { ++counts[0][0]; };
    walk(bytes, count,
         [&](const uint8_t* b) {
             for (int i = 0; i < 8; ++i) ++counts[i & 3][b[i]];
         },
         [&](int64_t groups) { tokens_of_zeros(groups, nought, copied); }, [&](uint8_t byte) { ++counts[0][byte]; });
    for (int symbol = 0; symbol < kSymbols; ++symbol)
        counts[0][symbol] += counts[1][symbol] + counts[2][symbol] + counts[3][symbol];
    counts[0][kEnd] = 1;
    uint8_t lengths[kSymbols];
    uint32_t codes[kSymbols];
    code_lengths(counts[0], lengths);
    codes_of(lengths, codes);

    int used = kSymbols;
    while (!lengths[used - 1]) --used;
    bits.add(last ? 1 : 0, 1);
    bits.add(2, 2);
    bits.add(static_cast<uint64_t>(used - 257), 5);
    bits.add(0, 5);   // one code of distances, for 1, of one bit
    bits.add(15, 4);  // all lengths of codes follow: none for runs, four bits for each of 0 to 15
    bits.flush();
    for (int i = 0; i < 19; ++i) {
        bits.add(i < 3 ? 0 : 4, 3);
        bits.flush();
    }
    for (int symbol = 0; symbol <= used; ++symbol) {
        const int length = symbol < used ? lengths[symbol] : 1;
        bits.add(static_cast<uint64_t>((length & 1) << 3 | (length & 2) << 1 | (length & 4) >> 1 | length >> 3), 4);
        bits.flush();
    }
    const auto literal = [&](uint8_t byte) { bits.code(codes[byte]); };
    const auto zero = [&] { literal(0), bits.flush(); };
    const auto copy = [&](const Copy& one) {
        bits.code(codes[one.symbol]);
        bits.add(one.extra, one.extra_bits + 1);  // and the bit of distance 1, which is 0
        bits.flush();
    };
    walk(bytes, count,
         [&](const uint8_t* b) {
             for (int i = 0; i < 4; ++i) literal(b[i]);
             bits.flush();
             for (int i = 4; i < 8; ++i) literal(b[i]);
             bits.flush();
         },
         [&](int64_t groups) { tokens_of_zeros(groups, zero, copy); }, [&](uint8_t byte) { literal(byte), bits.flush(); });
    bits.code(codes[kEnd]);
    bits.flush();
    return bits;
}

// Squared L2 of one row to its target in the stated order; a null target means zeros.
float lane_distance(const float* feature, const float* target, int64_t elements) {
    static const float zeros[degrade::kLanes] = {};
    float lanes[degrade::kLanes] = {};
    for (int64_t first = 0; first < elements; first += degrade::kLanes) {
        const int64_t count = std::min<int64_t>(degrade::kLanes, elements - first);
        add_squares(lanes, feature + first, target ? target + first : zeros, count);
    }
    for (int half = degrade::kLanes / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) lanes[i] = lanes[i] + lanes[i + half];
    return lanes[0];
}

// Calls work(row) for every row, the rows split evenly over the threads.
template <typename Work>
void for_rows(int64_t rows, int32_t threads, const Work& work) {
    const int64_t workers = std::max<int64_t>(1, std::min<int64_t>(threads, rows));
    const auto share = [&](int64_t worker) {
        for (int64_t row = rows * worker / workers; row < rows * (worker + 1) / workers; ++row) work(row);
    };
    std::vector<std::thread> others;
    for (int64_t worker = 1; worker < workers; ++worker) others.emplace_back(share, worker);
    share(0);
    for (auto& other : others) other.join();
}

}  // namespace

extern "C" {

int32_t degrade_abi() { return DEGRADE_ABI; }

void degrade_philox(const uint32_t* counter,  // [count, 4]
                    uint32_t k0, uint32_t k1,
                    uint32_t* out,            // [count, 4]
                    int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        const uint32_t* c = counter + 4 * i;
        const degrade::Words4 w = degrade::philox4x32_10(degrade::Words4{c[0], c[1], c[2], c[3]}, k0, k1);
        out[4 * i] = w.x0;
        out[4 * i + 1] = w.x1;
        out[4 * i + 2] = w.x2;
        out[4 * i + 3] = w.x3;
    }
}

void degrade_normals(float* out,  // [rows, elements]
                     int64_t rows, int64_t elements, uint32_t k0, uint32_t k1,
                     const uint32_t* pairs,       // [rows]
                     const uint32_t* candidates,  // [rows]
                     const uint32_t* steps,       // [rows]
                     int32_t threads) {
    for_rows(rows, threads, [&](int64_t row) {
        const Counter counter{steps[row], candidates[row], pairs[row], k0, k1};
        alignas(64) float z[kTile];
        for (int64_t first = 0; first < elements; first += kTile) {
            draw_tile(z, static_cast<uint32_t>(first / 4), counter);
            std::copy(z, z + std::min(kTile, elements - first), out + row * elements + first);
        }
    });
}

void degrade_ziggurat(uint64_t* state,  // [6] in/out, of SFC64: a, b, c, counter, whether half a word is left, that half
                      float* out,       // [count]
                      int64_t count) {
    static const degrade::Ziggurat z;
    degrade::Sfc64 dice{state[0], state[1], state[2], state[3], state[4] != 0, static_cast<uint32_t>(state[5])};
    for (int64_t i = 0; i < count; ++i) out[i] = degrade::ziggurat_normal(dice, z);
    state[0] = dice.a;
    state[1] = dice.b;
    state[2] = dice.c;
    state[3] = dice.counter;
    state[4] = dice.has_half;
    state[5] = dice.half;
}

void degrade_update(float* x,                   // [rows, elements] in/out
                    const float* eps,           // [rows, elements]
                    float* x0_prev,             // [rows, elements] in/out
                    const float* coefficients,  // [rows, 6]: p, q, a, b, c, d
                    int32_t clip, int64_t rows, int64_t elements, uint32_t k0, uint32_t k1,
                    const uint32_t* pairs,       // [rows]
                    const uint32_t* candidates,  // [rows]
                    const uint32_t* steps,       // [rows]
                    int32_t threads) {
    for_rows(rows, threads, [&](int64_t row) {
        const Coefficients k = degrade::coefficients_at(coefficients + 6 * row);
        if (degrade::is_identity(k)) return;
        const Counter counter{steps[row], candidates[row], pairs[row], k0, k1};
        alignas(64) float z[kTile];
        for (int64_t first = 0; first < elements; first += kTile) {
            const int64_t at = row * elements + first;
            if (k.d != 0.0f) draw_tile(z, static_cast<uint32_t>(first / 4), counter);
            const int64_t count = std::min(kTile, elements - first);
            update_any_tile(x + at, eps + at, x0_prev + at, z, count, k, clip != 0);
        }
    });
}

void degrade_start(float* x,                   // [rows, elements] out
                   const float* x_start,       // [rows, elements]
                   const float* coefficients,  // [rows, 2]: sqrt(abar_tau), sqrt(1 - abar_tau)
                   int64_t rows, int64_t elements, uint32_t k0, uint32_t k1,
                   const uint32_t* pairs,       // [rows]
                   const uint32_t* candidates,  // [rows]
                   int32_t threads) {
    for_rows(rows, threads, [&](int64_t row) {
        const float s = coefficients[2 * row], n = coefficients[2 * row + 1];
        const float* from = x_start + row * elements;
        if (n == 0.0f) {
            std::copy(from, from + elements, x + row * elements);
            return;
        }
        const Counter counter{0, candidates[row], pairs[row], k0, k1};
        alignas(64) float z[kTile];
        for (int64_t first = 0; first < elements; first += kTile) {
            draw_tile(z, static_cast<uint32_t>(first / 4), counter);
            start_tile(x + row * elements + first, from + first, z, std::min(kTile, elements - first), s, n);
        }
    });
}

void degrade_squared_l2(const float* features,  // [rows, elements], row = k·batch + pair
                        const float* target,    // [batch, elements]
                        float* scores,          // [rows]
                        int64_t rows, int64_t batch, int64_t elements, int32_t threads) {
    std::vector<float> norms(static_cast<size_t>(batch));
    for_rows(batch, threads, [&](int64_t pair) {
        norms[static_cast<size_t>(pair)] = lane_distance(target + pair * elements, nullptr, elements);
    });
    for_rows(rows, threads, [&](int64_t row) {
        const int64_t pair = row % batch;
        const float distance = lane_distance(features + row * elements, target + pair * elements, elements);
        scores[row] = degrade::normalised(distance, norms[static_cast<size_t>(pair)]);
    });
}

void degrade_finite(const float* x,  // [rows, elements]
                    uint8_t* out,    // [rows], 1 where every element is a number
                    int64_t rows, int64_t elements, int32_t threads) {
    for_rows(rows, threads, [&](int64_t row) { out[row] = all_finite(x + row * elements, elements); });
}

void degrade_score(const float* degradation,  // [count]
                   const float* content,      // [count]
                   const uint8_t* finite,     // [count]
                   float w_d, float w_c,
                   float* out,                // [count]
                   int64_t count) {
    for (int64_t i = 0; i < count; ++i)
        out[i] = degrade::score_of(degradation[i], content[i], finite[i] != 0, w_d, w_c);
}

void degrade_choose(const float* scores,  // [candidates, batch]
                    int32_t* kept,        // [batch]
                    int64_t candidates, int64_t batch) {
    for (int64_t pair = 0; pair < batch; ++pair) {
        float best = degrade::infinity();
        kept[pair] = 0;
        for (int64_t k = 0; k < candidates; ++k) {
            const float score = scores[degrade::row_of(k, batch, pair)];
            if (!degrade::is_better(score, best)) continue;
            best = score;
            kept[pair] = static_cast<int32_t>(k);
        }
    }
}

void degrade_gather(const uint8_t* x,     // [candidates·batch, row_bytes]
                    const int32_t* kept,  // [batch]
                    uint8_t* out,         // [batch, row_bytes]
                    int64_t batch, int64_t row_bytes, int32_t threads) {
    for_rows(batch, threads, [&](int64_t pair) {
        const uint8_t* from = x + degrade::row_of(kept[pair], batch, pair) * row_bytes;
        std::copy(from, from + row_bytes, out + pair * row_bytes);
    });
}

void degrade_cut(const uint32_t* source,  // [images, channels, height, width]
                 uint32_t* out,           // [slots, channels, tile_height, tile_width]
                 const int32_t* tops,     // [down]
                 const int32_t* lefts,    // [across]
                 int64_t first, int64_t slots, int64_t images, int64_t channels, int64_t height, int64_t width,
                 int64_t tile_height, int64_t tile_width, int64_t down, int64_t across, int32_t threads) {
    const degrade::Tiling t{channels, height, width, tile_height, tile_width, down, across};
    for_rows(slots, threads, [&](int64_t slot) {
        const degrade::Place place = degrade::place_of(slot, first, images, t, tops, lefts);
        uint32_t* to = out + slot * channels * tile_height * tile_width;
        for (int64_t channel = 0; channel < channels; ++channel)
            for (int64_t y = 0; y < tile_height; ++y, to += tile_width) {
                const uint32_t* from = source + degrade::row_in_images(place, channel, y, t);
                std::copy(from, from + tile_width, to);
            }
    });
}

void degrade_blend(const float* tiles,      // [images·down·across or more, channels, tile_height, tile_width]
                   float* out,              // [images, channels, height, width]
                   const int32_t* tops,     // [down]
                   const int32_t* cover_y,  // [height, 2]
                   const float* weights_y,  // [down, tile_height]
                   const int32_t* lefts,    // [across]
                   const int32_t*,          // cover_x; a whole row of a tile is added at once
                   const float* weights_x,  // [across, tile_width]
                   int64_t images, int64_t channels, int64_t height, int64_t width, int64_t tile_height,
                   int64_t tile_width, int64_t down, int64_t across, int32_t threads) {
    const degrade::Tiling t{channels, height, width, tile_height, tile_width, down, across};
    for_rows(images * channels, threads, [&](int64_t plane) {
        const int64_t image = plane / channels, channel = plane % channels;
        for (int64_t y = 0; y < height; ++y) {
            float* to = out + (plane * height + y) * width;
            std::fill(to, to + width, 0.0f);
            for (int64_t i = cover_y[2 * y]; i < cover_y[2 * y + 1]; ++i)
                for (int64_t j = 0; j < across; ++j) {
                    const int64_t left = lefts[j];
                    const float* row =
                        tiles + degrade::pixel_in_tiles(image, channel, y, left, i, j, t, tops, lefts);
                    add_row(to + left, row, weights_x + j * tile_width, weights_y[i * tile_height + y - tops[i]],
                            tile_width);
                }
        }
    });
}

void degrade_to_planar(const uint8_t* images,  // [batch, pixels, 3]
                       float* out,             // [batch, 3, pixels]
                       int64_t batch, int64_t pixels, int32_t threads) {
    float table[256];
    for (int value = 0; value < 256; ++value) table[value] = degrade::to_network(static_cast<uint8_t>(value));
    for_rows(batch, threads, [&](int64_t image) {
        const uint8_t* from = images + image * pixels * 3;
        float* to = out + image * pixels * 3;
        for (int64_t i = 0; i < pixels; ++i) {
            to[i] = table[from[3 * i]];
            to[pixels + i] = table[from[3 * i + 1]];
            to[2 * pixels + i] = table[from[3 * i + 2]];
        }
    });
}

void degrade_to_bytes(const float* x,  // [batch, 3, pixels]
                      uint8_t* out,    // [batch, pixels, 3]
                      int64_t batch, int64_t pixels, int32_t threads) {
    for_rows(batch, threads, [&](int64_t image) {
        // Plane by plane into a tile, then interleaved: the conversion vectorises only over neighbours.
        uint8_t tile[3][kTile];
        for (int64_t first = 0; first < pixels; first += kTile) {
            const int64_t count = std::min(kTile, pixels - first);
            for (int64_t plane = 0; plane < 3; ++plane)
                plane_to_bytes(x + (image * 3 + plane) * pixels + first, tile[plane], count);
            uint8_t* to = out + (image * pixels + first) * 3;
            for (int64_t i = 0; i < count; ++i) {
                to[3 * i] = tile[0][i];
                to[3 * i + 1] = tile[1][i];
                to[3 * i + 2] = tile[2][i];
            }
        }
    });
}

void degrade_resize(const uint8_t* image,       // [height, width, 3]
                    uint8_t* out,               // [high, wide, 3]
                    const int32_t* spans_x,     // [wide, 2]: first pixel, count
                    const int32_t* weights_x,   // [wide, most_x]
                    const int32_t* spans_y,     // [high, 2]
                    const int32_t* weights_y,   // [high, most_y]
                    int64_t height, int64_t width, int64_t high, int64_t wide, int64_t most_x, int64_t most_y) {
    std::vector<uint8_t> columns(static_cast<size_t>(3 * width * kRows));
    std::vector<uint8_t> narrow(static_cast<size_t>((height + kRows) * 3 * wide + kRows));
    std::vector<uint8_t> row(static_cast<size_t>(3 * wide + kRows));
    for (int64_t y = 0; y < height; y += kRows) {
        const uint8_t* rows[kRows];
        for (int r = 0; r < kRows; ++r) rows[r] = image + std::min(y + r, height - 1) * 3 * width;
        resize_rows(rows, columns.data(), narrow.data() + y * 3 * wide, spans_x, weights_x, width, wide, most_x);
    }
    for (int64_t y = 0; y < high; ++y) {
        resize_columns(narrow.data() + spans_y[2 * y] * 3 * wide, row.data(), weights_y + y * most_y,
                       spans_y[2 * y + 1], 3 * wide);
        std::copy(row.data(), row.data() + 3 * wide, out + y * 3 * wide);
    }
}

void degrade_unfilter(const uint8_t* rows,  // [height, 1 + 3 * width]: filter, and what it left
                      uint8_t* out,         // [height, width, 3]
                      int64_t height, int64_t width,
                      int64_t* done) {      // rows before one whose filter is none
    const int64_t bytes = 3 * width;
    const std::vector<uint8_t> nothing(static_cast<size_t>(bytes));
    const uint8_t* above = nothing.data();
    for (*done = 0; *done < height; ++*done, above = out, out += bytes, rows += 1 + bytes)
        if (!unfilter_row(rows[0], rows + 1, above, out, bytes)) return;
}

void degrade_png(const uint8_t* image,  // [height, width, 3]
                 uint8_t* out,          // [most_bytes(height, width)]
                 int64_t height, int64_t width,
                 int64_t* size) {       // bytes of out that are the PNG
    using namespace degrade::png;
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    std::memcpy(out, signature, 8);
    uint8_t* head = out + 8;
    put32(head + 8, static_cast<uint32_t>(width));
    put32(head + 12, static_cast<uint32_t>(height));
    static const uint8_t kind[5] = {8, 2, 0, 0, 0};  // bits, RGB, deflate, filters, not interlaced
    std::memcpy(head + 16, kind, 5);
    uint8_t* data = seal_chunk(head, "IHDR", 13);

    const int64_t bytes = 3 * width, rows = std::max<int64_t>(1, kBlockBytes / (1 + bytes));
    std::vector<uint8_t> filtered(static_cast<size_t>(std::min(rows, height) * (1 + bytes)));
    const std::vector<uint8_t> nothing(static_cast<size_t>(bytes));
    Adler sums;
    Bits bits{data + 10};
    data[8] = 0x78;  // DEFLATE with a window of 32 KiB
    data[9] = 0x01;
    for (int64_t first = 0; first < height; first += rows) {
        const int64_t after = std::min(first + rows, height);
        uint8_t* to = filtered.data();
        for (int64_t y = first; y < after; ++y, to += 1 + bytes) {
            to[0] = kAverage;
            filter_row(image + y * bytes, y ? image + (y - 1) * bytes : nothing.data(), to + 1, bytes);
        }
        add_adler(sums, filtered.data(), to - filtered.data());
        bits = write_block(bits, filtered.data(), to - filtered.data(), after == height);
    }
    uint8_t* end = bits.out + (bits.count > 0);
    put32(end, sums.b << 16 | sums.a);
    end = seal_chunk(seal_chunk(data, "IDAT", end + 4 - (data + 8)), "IEND", 0);
    *size = end - out;
}

}  // extern "C"
