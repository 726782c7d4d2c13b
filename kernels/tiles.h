// Tiles of images: where a tile's element comes from, and the weighted sum of the tiles that cover a pixel
// (aggregation sampling, engine/sampling/tiling.py). Twin: tiles.py.
#pragma once

#include "portable.h"

namespace degrade {

// Tiles lie in rows of `across`, tile p of an image at (p / across, p % across). Sizes in elements.
struct Tiling {
    int64_t channels, height, width;   // of an image
    int64_t tile_height, tile_width;
    int64_t down, across;              // tiles of an image
};

// An axis's tiles, as the kernels are given them: starts [tiles]; cover [size, 2], the first tile over an element and
// the one after the last; weights [tiles, tile size], of which those over an element add up to 1.

// A tile among all tiles of all images, in order.
struct Place {
    int64_t image, top, left;
};

// What slot i of a batch holds, the first slot's tile being number `first`; slots beyond the last hold the last again.
DEGRADE_HD Place place_of(int64_t slot, int64_t first, int64_t images, const Tiling& t, const int32_t* tops,
                          const int32_t* lefts) {
    const int64_t a_image = t.down * t.across, last = images * a_image - 1;
    const int64_t tile = first + slot < last ? first + slot : last, p = tile % a_image;
    return Place{tile / a_image, tops[p / t.across], lefts[p % t.across]};
}

// Offset in the images [images, channels, height, width] of row (channel, y) of a tile.
DEGRADE_HD int64_t row_in_images(const Place& place, int64_t channel, int64_t y, const Tiling& t) {
    return ((place.image * t.channels + channel) * t.height + place.top + y) * t.width + place.left;
}

// Offset in the tiles [images·down·across, channels, tile_height, tile_width] of a pixel of an image under tile (i, j).
DEGRADE_HD int64_t pixel_in_tiles(int64_t image, int64_t channel, int64_t y, int64_t x, int64_t i, int64_t j,
                                  const Tiling& t, const int32_t* tops, const int32_t* lefts) {
    const int64_t tile = (image * t.down + i) * t.across + j;
    return ((tile * t.channels + channel) * t.tile_height + y - tops[i]) * t.tile_width + x - lefts[j];
}

// The next term of a pixel's sum. The weight is the product of both axes' and rounded before it is used.
DEGRADE_HD float add_weighted(float sum, float weight_y, float weight_x, float value) {
    const float weight = weight_y * weight_x;
    return sum + weight * value;
}

}  // namespace degrade
