// Tiles on a GPU: cut out of images, and blended into images again (aggregation sampling). Twin: tiles.py.
//
// A thread takes one element, neighbours in x by neighbouring threads. Wide accesses would need every start to lie on
// a multiple of four, which the smaller grids of features do not promise; the networks between the two take far longer.
// An image's elements are counted in 32 bits (tiles.py): with divisions in 64 `cut` spilled.
#include "grid.cuh"
#include "tiles.h"

// A batch of tiles, of whatever has four bytes an element. 8 bytes an element, bound by memory bandwidth.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_cut(const uint32_t* __restrict__ source,  // [images, channels, height, width]
            uint32_t* __restrict__ out,           // [slots, channels, tile_height, tile_width]
            const int32_t* tops,                  // [down]
            const int32_t* lefts,                 // [across]
            int64_t first,                        // slot 0's number among all images·down·across tiles
            int64_t slots, int64_t images, int64_t channels, int64_t height, int64_t width, int64_t tile_height,
            int64_t tile_width, int64_t down, int64_t across) {
    using namespace degrade;
    const Tiling t{channels, height, width, tile_height, tile_width, down, across};
    const int64_t elements = channels * tile_height * tile_width;
    const uint32_t h = static_cast<uint32_t>(tile_height), w = static_cast<uint32_t>(tile_width);
    for (int64_t slot = blockIdx.y; slot < slots; slot += gridDim.y) {
        const Place place = place_of(slot, first, images, t, tops, lefts);
        for (int64_t at = first_in_x(); at < elements; at += stride_in_x()) {
            const uint32_t row = static_cast<uint32_t>(at) / w, x = static_cast<uint32_t>(at) % w;
            out[slot * elements + at] = source[row_in_images(place, row / h, row % h, t) + x];
        }
    }
}

// Every pixel is the weighted sum of the tiles over it, in the order of the tiles: no two threads add to one value, so
// the bytes are the same every time. 4 bytes an element of the result and 4 for each tile over it, bound by memory
// bandwidth.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_blend(const float* __restrict__ tiles,  // [images·down·across or more, channels, tile_height, tile_width]
              float* __restrict__ out,          // [images, channels, height, width]
              const int32_t* tops,              // [down]
              const int32_t* cover_y,           // [height, 2]
              const float* weights_y,           // [down, tile_height]
              const int32_t* lefts,             // [across]
              const int32_t* cover_x,           // [width, 2]
              const float* weights_x,           // [across, tile_width]
              int64_t images, int64_t channels, int64_t height, int64_t width, int64_t tile_height,
              int64_t tile_width, int64_t down, int64_t across) {
    using namespace degrade;
    const Tiling t{channels, height, width, tile_height, tile_width, down, across};
    const int64_t elements = channels * height * width;
    const uint32_t h = static_cast<uint32_t>(height), w = static_cast<uint32_t>(width);
    for (int64_t image = blockIdx.y; image < images; image += gridDim.y) {
        for (int64_t at = first_in_x(); at < elements; at += stride_in_x()) {
            const uint32_t row = static_cast<uint32_t>(at) / w, x = static_cast<uint32_t>(at) % w;
            const uint32_t channel = row / h, y = row % h;
            float sum = 0.0f;
            for (int64_t i = cover_y[2 * y]; i < cover_y[2 * y + 1]; ++i) {
                const float weight_y = weights_y[i * tile_height + y - tops[i]];
                for (int64_t j = cover_x[2 * x]; j < cover_x[2 * x + 1]; ++j) {
                    const float weight_x = weights_x[j * tile_width + x - lefts[j]];
                    const float value = tiles[pixel_in_tiles(image, channel, y, x, i, j, t, tops, lefts)];
                    sum = add_weighted(sum, weight_y, weight_x, value);
                }
            }
            out[image * elements + at] = sum;
        }
    }
}
