// Philox4x32-10 and Box-Muller: four standard normals from one counter. Twin: philox.py, equal to the last
// bit.
//
// Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011, section 3.3.
#pragma once

#include <cmath>

#include "portable.h"

namespace degrade {

struct Words4 {
    uint32_t x0, x1, x2, x3;
};

struct Normals4 {
    float z0, z1, z2, z3;
};

DEGRADE_HD Words4 philox4x32_10(Words4 c, uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; ++round) {
        const uint64_t product_0 = static_cast<uint64_t>(0xD2511F53u) * c.x0;
        const uint64_t product_1 = static_cast<uint64_t>(0xCD9E8D57u) * c.x2;
        c = Words4{static_cast<uint32_t>(product_1 >> 32) ^ c.x1 ^ k0, static_cast<uint32_t>(product_1),
                   static_cast<uint32_t>(product_0 >> 32) ^ c.x3 ^ k1, static_cast<uint32_t>(product_0)};
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

// ln(k / 2^24), 1 <= k <= 2^24. k = m 2^e with m in [sqrt(1/2), sqrt(2)); the fit and its error are in
// philox.py.
DEGRADE_HD float log_of_24_bits(int32_t k) {
    const int32_t sqrt_half_bits = 0x3F3504F3;
    const int32_t shifted = float_to_bits(static_cast<float>(k)) - sqrt_half_bits;
    const float exponent = static_cast<float>((shifted >> 23) - 24);
    const float f = bits_to_float((shifted & 0x7FFFFF) + sqrt_half_bits) - 1.0f;
    const float square = f * f;
    float p = -0.076345029096532692f;
    p = p * f + 0.12761577348054695f;
    p = p * f + -0.13160180466339749f;
    p = p * f + 0.14201757998285619f;
    p = p * f + -0.16623357534961456f;
    p = p * f + 0.200012268730962f;
    p = p * f + -0.25000821028533192f;
    p = p * f + 0.33333331707789741f;
    float y = f * square * p + exponent * 1.4286068203094173e-06f;
    y = y - 0.5f * square;
    return (f + y) + exponent * 0.693145751953125f;
}

// cos and sin of 2 pi k / 2^24, 0 <= k < 2^24. The nearest quarter turn is taken off in integers, exactly.
DEGRADE_HD void turn(int32_t k, float* cosine, float* sine) {
    const int32_t quarter = (k + (1 << 21)) >> 22;
    const float a = static_cast<float>(k - (quarter << 22)) * 2.384185791015625e-07f;  // 2^-22
    const float square = a * a;
    float s = -0.0046021769887108855f;
    s = s * square + 0.079680228064435993f;
    s = s * square + -0.64596347864152085f;
    s = s * square + 1.5707963219668132f;
    s = a * s;
    float c = 0.00090402166609359038f;
    c = c * square + -0.02086028850585332f;
    c = c * square + 0.25366924402955786f;
    c = c * square + -1.2337005433534637f;
    c = 1.0f + square * c;
    const bool odd = (quarter & 1) != 0;
    const float x = odd ? s : c;
    const float y = odd ? c : s;
    // The sign goes in by its bit: cos is negative in quarters 1 and 2, sin in quarters 2 and 3.
    const uint32_t x_sign = static_cast<uint32_t>((quarter + 1) & 2) << 30;
    const uint32_t y_sign = static_cast<uint32_t>(quarter & 2) << 30;
    *cosine = bits_to_float(static_cast<int32_t>(static_cast<uint32_t>(float_to_bits(x)) ^ x_sign));
    *sine = bits_to_float(static_cast<int32_t>(static_cast<uint32_t>(float_to_bits(y)) ^ y_sign));
}

// r cos(2 pi u2), r sin(2 pi u2) with r = sqrt(-2 ln u1), u1 = ((first >> 8) + 1) / 2^24, u2 = (second >> 8)
// / 2^24.
DEGRADE_HD void box_muller(uint32_t first, uint32_t second, float* z0, float* z1) {
    const float radius = sqrtf(-2.0f * log_of_24_bits(static_cast<int32_t>((first >> 8) + 1u)));
    float cosine, sine;
    turn(static_cast<int32_t>(second >> 8), &cosine, &sine);
    *z0 = radius * cosine;
    *z1 = radius * sine;
}

// The four normals of elements 4·block .. 4·block + 3 of one row.
DEGRADE_HD Normals4 normals4(uint32_t block, uint32_t step, uint32_t candidate, uint32_t pair,
                             uint32_t k0, uint32_t k1) {
    const Words4 w = philox4x32_10(Words4{block, step, candidate, pair}, k0, k1);
    Normals4 z;
    box_muller(w.x0, w.x1, &z.z0, &z.z1);
    box_muller(w.x2, w.x3, &z.z2, &z.z3);
    return z;
}

}  // namespace degrade
