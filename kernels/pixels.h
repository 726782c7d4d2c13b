// Bytes to [-1, 1] and back. Twin: pixels.py, equal to the last bit.
#pragma once

#include "portable.h"

namespace degrade {

// u8 / 127.5 - 1
DEGRADE_HD float to_network(uint8_t value) { return static_cast<float>(value) / 127.5f - 1.0f; }

// clip(rint((x + 1)·127.5), 0, 255), NaN to 0. Adding and taking off 1.5·2^23 rounds to the nearest integer,
// ties to even.
DEGRADE_HD uint8_t to_byte(float x) {
    const float scaled = (x + 1.0f) * 127.5f;
    const float above = scaled > 0.0f ? scaled : 0.0f;
    const float clipped = above < 255.0f ? above : 255.0f;
    return static_cast<uint8_t>(static_cast<int32_t>((clipped + 12582912.0f) - 12582912.0f));
}

}  // namespace degrade
