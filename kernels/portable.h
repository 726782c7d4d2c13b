// What lets one source be a CUDA kernel and a plain C++ loop.
//
// Every arithmetic function of the kernels is written once, in a header, as DEGRADE_HD. nvcc compiles it for
// both sides; g++ sees a plain inline function. The host library tests the arithmetic that a GPU runs.
//
// Contraction must be off (g++ -ffp-contract=off, nvcc --fmad=false): each product and each sum is rounded by
// itself. So numpy and C++ agree to the last bit (tested), and CUDA has the means to (its PTX is tested; no GPU
// has run it yet). Only the payload of a NaN is nobody's promise.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define DEGRADE_HD __host__ __device__ __forceinline__
#else
#define DEGRADE_HD inline __attribute__((always_inline))
#endif

// Raised with every change of a signature in host.cpp, and in a .cu; loader.py refuses another number. Macros, because
// CMake reads the second line too.
#define DEGRADE_ABI 3
#define DEGRADE_CUDA_ABI 4

namespace degrade {

DEGRADE_HD float bits_to_float(int32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

DEGRADE_HD int32_t float_to_bits(float value) {
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

}  // namespace degrade
