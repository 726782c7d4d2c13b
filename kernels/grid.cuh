// What the grids share. A grid runs over rows in y and over groups of four elements in x, both by grid-stride
// loops: every grid of blocks of kThreads gives the same bytes, and any number of rows and elements fits.
#pragma once

#include "half.h"

namespace degrade {

constexpr int kThreads = 256;

// Four neighbours that move in one access. CUDA's own vector types, because nvcc splits other structs up.
template <typename T>
struct WideOf;
template <>
struct WideOf<float> { using Type = float4; };  // 16 bytes
template <>
struct WideOf<Half> { using Type = ushort4; };  // 8 bytes
template <typename T>
using Wide = typename WideOf<T>::Type;

template <typename W>
DEGRADE_HD bool aligned(const void* p) {
    return reinterpret_cast<uintptr_t>(p) % sizeof(W) == 0;
}

DEGRADE_HD float wide_to_float(float value) { return value; }
DEGRADE_HD float wide_to_float(uint16_t bits) { return to_float(Half{bits}); }
DEGRADE_HD float4 pack(float a, float b, float c, float d) { return float4{a, b, c, d}; }
DEGRADE_HD ushort4 pack(Half a, Half b, Half c, Half d) { return ushort4{a.bits, b.bits, c.bits, d.bits}; }

// v = p[0 .. 4), of which only `left` exist; the missing ones are zero. One access where the four lie aligned,
// which they do in every row when a row's length is a multiple of four.
template <typename T>
__device__ __forceinline__ void load4(const T* p, int64_t left, float (&v)[4]) {
    if (left >= 4 && aligned<Wide<T>>(p)) {
        const Wide<T> four = *reinterpret_cast<const Wide<T>*>(p);
        v[0] = wide_to_float(four.x), v[1] = wide_to_float(four.y);
        v[2] = wide_to_float(four.z), v[3] = wide_to_float(four.w);
    } else {
        for (int i = 0; i < 4; ++i) v[i] = i < left ? to_float(p[i]) : 0.0f;
    }
}

// p[0 .. min(4, left)) = v, rounded to T.
template <typename T>
__device__ __forceinline__ void store4(T* p, int64_t left, const float (&v)[4]) {
    if (left >= 4 && aligned<Wide<T>>(p)) {
        // Not an assignment: nvcc may split that into four stores.
        __stwb(reinterpret_cast<Wide<T>*>(p),
               pack(from_float<T>(v[0]), from_float<T>(v[1]), from_float<T>(v[2]), from_float<T>(v[3])));
    } else {
        for (int i = 0; i < 4; ++i)
            if (i < left) p[i] = from_float<T>(v[i]);
    }
}

// to[0 .. min(16, left)) = from[...], bytes.
__device__ __forceinline__ void copy16(uint8_t* to, const uint8_t* from, int64_t left) {
    if (left >= 16 && aligned<uint4>(to) && aligned<uint4>(from)) {
        *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(from);
    } else {
        for (int i = 0; i < 16; ++i)
            if (i < left) to[i] = from[i];
    }
}

// This thread's place in x and how far its next one lies.
__device__ __forceinline__ int64_t first_in_x() {
    return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ int64_t stride_in_x() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

}  // namespace degrade
