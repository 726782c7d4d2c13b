// The filter's distance: sums in 256 lanes, then down a tree, as a block of 256 GPU threads adds. Twin:
// select.py.
#pragma once

#include "portable.h"

namespace degrade {

constexpr int kLanes = 256;
constexpr float kTiny = 1e-12f;  // the least squared norm that a target is divided by

DEGRADE_HD float squared_difference(float feature, float target) {
    const float difference = feature - target;
    return difference * difference;
}

DEGRADE_HD float normalised(float distance, float squared_norm) {
    return distance / (squared_norm > kTiny ? squared_norm : kTiny);
}

}  // namespace degrade
