// IEEE 754 half as its 16 bits: what an FP16 network reads and writes. Twin: numpy's float16.
//
// A GPU converts by one instruction, a host in integers; both round to nearest, ties to even, and keep
// subnormals. A NaN stays a NaN, with another payload.
#pragma once

#include "portable.h"

namespace degrade {

struct Half {
    uint16_t bits;
};

DEGRADE_HD float to_float(float value) { return value; }

DEGRADE_HD float to_float(Half half) {
#if defined(__CUDA_ARCH__)
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half.bits));
    return value;
#else
    const int32_t magnitude = (half.bits & 0x7FFF) << 13;
    const int32_t sign = static_cast<int32_t>(static_cast<uint32_t>(half.bits & 0x8000) << 16);
    // The exponent's bias differs by 112: a product by 2^112 mends it, for subnormals too, exactly.
    const int32_t number = float_to_bits(bits_to_float(magnitude) * 5.192296858534828e+33f);
    const bool is_number = magnitude < 0x0F800000;
    return bits_to_float((is_number ? number : (magnitude | 0x7F800000)) | sign);
#endif
}

template <typename T>
DEGRADE_HD T from_float(float value);

template <>
DEGRADE_HD float from_float<float>(float value) {
    return value;
}

template <>
DEGRADE_HD Half from_float<Half>(float value) {
#if defined(__CUDA_ARCH__)
    Half half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half.bits) : "f"(value));
    return half;
#else
    const uint32_t bits = static_cast<uint32_t>(float_to_bits(value));
    const uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    uint32_t half;
    if (magnitude > 0x7F800000u) {
        half = 0x7FFFu;  // NaN
    } else if (magnitude >= 0x477FF000u) {
        half = 0x7C00u;  // 65520, the middle between the largest half and the next, or more: infinity
    } else if (magnitude < 0x38800000u) {
        // Below 2^-14, where halves lie 2^-24 apart, as floats do from 1/2 on: the sum rounds.
        const float sum = bits_to_float(static_cast<int32_t>(magnitude)) + 0.5f;
        half = static_cast<uint32_t>(float_to_bits(sum)) - 0x3F000000u;
    } else {
        // The bias's difference, and half of the last place but for what makes a tie even.
        half = (magnitude - (112u << 23) + 0xFFFu + ((magnitude >> 13) & 1u)) >> 13;
    }
    return Half{static_cast<uint16_t>(half | sign)};
#endif
}

}  // namespace degrade
