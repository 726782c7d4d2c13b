// Normals by the ziggurat of Marsaglia & Tsang (2000), 256 layers, from SFC64 (Doty-Humphrey, PractRand): the stream of
// numpy's Generator(SFC64(seed)).standard_normal(dtype=float32), to the last bit, in a fifth of its time. numpy calls
// the generator by pointer and branches on the sign; here both are in the loop.
#pragma once

#include <cmath>
#include <cstdint>

#include "portable.h"

namespace degrade {

struct Sfc64 {
    uint64_t a, b, c, counter;
    bool has_half;
    uint32_t half;  // upper half of the last word, if it is still to be given out

    uint32_t next() {
        if (has_half) {
            has_half = false;
            return half;
        }
        const uint64_t word = a + b + counter++;
        a = b ^ (b >> 11);
        b = c + (c << 3);
        c = (c << 24 | c >> 40) + word;
        has_half = true;
        half = static_cast<uint32_t>(word >> 32);
        return static_cast<uint32_t>(word);
    }

    // Uniform over [0, 1), 24 bits.
    float uniform() { return static_cast<float>(next() >> 8) * (1.0f / 16777216.0f); }
};

// Layer i reaches to the edge x_i = 2^23 width[i], where the curve is height[i] high; x_255 = kEdge. Layer 0 is the
// lowest, and has the tail.
struct Ziggurat {
    static constexpr double kEdge = 3.6541528853610088, kArea = 0.00492867323399;  // of a layer
    uint32_t inside[256];  // of 2^23 parts of the width: what lies under the curve at any height of the layer
    float width[256], height[256];

    Ziggurat() {
        double edge = kEdge, above = std::exp(-0.5 * kEdge * kEdge);
        inside[0] = rounded(edge * above / kArea);
        width[0] = static_cast<float>(kArea / above / kOne);
        height[0] = 1.0f;
        for (int i = 255; i > 0; --i) {
            width[i] = static_cast<float>(edge / kOne);
            height[i] = static_cast<float>(above);
            const double next = i > 1 ? std::sqrt(-2.0 * std::log(kArea / edge + above)) : 0.0;
            inside[i] = rounded(next / edge);
            edge = next;
            above = std::exp(-0.5 * edge * edge);
        }
    }

private:
    static constexpr double kOne = 8388608.0;
    static uint32_t rounded(double share) { return static_cast<uint32_t>(std::lrint(share * kOne)); }
};

// Beyond kEdge. sign: of the result.
inline float ziggurat_tail(Sfc64& dice, bool sign) {
    constexpr float edge = static_cast<float>(Ziggurat::kEdge), inverse = static_cast<float>(1.0 / Ziggurat::kEdge);
    for (;;) {
        const float x = -inverse * std::log1p(-dice.uniform());
        const float y = -std::log1p(-dice.uniform());
        if (y + y > x * x) return sign ? -(edge + x) : edge + x;
    }
}

// Whether x, of a layer and outside of what is surely under the curve, is under it.
inline bool ziggurat_wedge(Sfc64& dice, const Ziggurat& z, uint32_t layer, float x) {
    const float height = (z.height[layer - 1] - z.height[layer]) * dice.uniform() + z.height[layer];
    return static_cast<double>(height) < std::exp(-0.5 * x * x);
}

inline float ziggurat_normal(Sfc64& dice, const Ziggurat& z) {
    for (;;) {
        const uint32_t word = dice.next(), layer = word & 0xff, number = word >> 9;
        const float positive = static_cast<float>(static_cast<int32_t>(number)) * z.width[layer];
        const float x = bits_to_float(float_to_bits(positive) ^ static_cast<int32_t>((word & 0x100) << 23));
        if (number < z.inside[layer]) return x;
        if (layer == 0) return ziggurat_tail(dice, (number >> 8 & 1) != 0);
        if (ziggurat_wedge(dice, z, layer, x)) return x;
    }
}

}  // namespace degrade
