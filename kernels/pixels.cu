// Bytes to planes and back on a GPU: a thread takes four pixels, 12 bytes and four floats of each plane.
//
// Bound by memory bandwidth: 15 bytes a pixel either way (3 of bytes, 12 of floats), so the time is at least
// 15 · images · pixels / bandwidth. Twin: pixels.py.
#include "grid.cuh"
#include "pixels.h"
#include "select.h"

extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_to_planar(const uint8_t* __restrict__ images,  // [batch, pixels, 3]
                  float* __restrict__ out,             // [batch, 3, pixels]
                  int64_t batch, int64_t pixels) {
    using namespace degrade;
    for (int64_t image = blockIdx.y; image < batch; image += gridDim.y) {
        for (int64_t group = first_in_x(); 4 * group < pixels; group += stride_in_x()) {
            const int64_t first = 4 * group, left = pixels - first;
            const uint8_t* from = images + (image * pixels + first) * 3;
            uint8_t bytes[12] = {};
            if (left >= 4 && aligned<uchar4>(from)) {
                for (int i = 0; i < 3; ++i) {
                    const uchar4 four = reinterpret_cast<const uchar4*>(from)[i];
                    bytes[4 * i] = four.x, bytes[4 * i + 1] = four.y;
                    bytes[4 * i + 2] = four.z, bytes[4 * i + 3] = four.w;
                }
            } else {
                for (int i = 0; i < 12; ++i)
                    if (i < 3 * left) bytes[i] = from[i];
            }
            for (int plane = 0; plane < 3; ++plane) {
                float value[4];
                for (int i = 0; i < 4; ++i) value[i] = to_network(bytes[3 * i + plane]);
                store4(out + (image * 3 + plane) * pixels + first, left, value);
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_to_bytes(const float* __restrict__ x,  // [batch, 3, pixels]; of kept ones [candidates·batch, 3, pixels]
                 const int32_t* kept,          // [batch], which candidate of each pair, as `choose` writes it; null: x
                 uint8_t* __restrict__ out,    // [batch, pixels, 3]
                 int64_t batch, int64_t pixels) {
    using namespace degrade;
    for (int64_t image = blockIdx.y; image < batch; image += gridDim.y) {
        const int64_t row = kept ? row_of(kept[image], batch, image) : image;
        for (int64_t group = first_in_x(); 4 * group < pixels; group += stride_in_x()) {
            const int64_t first = 4 * group, left = pixels - first;
            uint8_t bytes[12];
            for (int plane = 0; plane < 3; ++plane) {
                float value[4];
                load4(x + (row * 3 + plane) * pixels + first, left, value);
                for (int i = 0; i < 4; ++i) bytes[3 * i + plane] = to_byte(value[i]);
            }
            uint8_t* to = out + (image * pixels + first) * 3;
            if (left >= 4 && aligned<uchar4>(to)) {
                for (int i = 0; i < 3; ++i)
                    reinterpret_cast<uchar4*>(to)[i] =
                        uchar4{bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]};
            } else {
                for (int i = 0; i < 12; ++i)
                    if (i < 3 * left) to[i] = bytes[i];
            }
        }
    }
}
