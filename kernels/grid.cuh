// What the grids share. A grid runs over rows in y and over groups of four elements in x, both by grid-stride
// loops: every grid of blocks of kThreads gives the same bytes, and any number of rows and elements fits.
#pragma once

#include "portable.h"

namespace degrade {

constexpr int kThreads = 256;

template <typename W>
DEGRADE_HD bool aligned(const void* p) {
    return reinterpret_cast<uintptr_t>(p) % sizeof(W) == 0;
}

// v = p[0 .. 4), of which only `left` exist; the missing ones are zero. One access where the four lie aligned,
// which they do in every row when a row's length is a multiple of four. float4, because nvcc splits other structs up.
__device__ __forceinline__ void load4(const float* p, int64_t left, float (&v)[4]) {
    if (left >= 4 && aligned<float4>(p)) {
        const float4 four = *reinterpret_cast<const float4*>(p);
        v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
    } else {
        for (int i = 0; i < 4; ++i) v[i] = i < left ? p[i] : 0.0f;
    }
}

// p[0 .. min(4, left)) = v.
__device__ __forceinline__ void store4(float* p, int64_t left, const float (&v)[4]) {
    if (left >= 4 && aligned<float4>(p)) {
        // Not an assignment: nvcc may split that into four stores.
        __stwb(reinterpret_cast<float4*>(p), float4{v[0], v[1], v[2], v[3]});
    } else {
        for (int i = 0; i < 4; ++i)
            if (i < left) p[i] = v[i];
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
