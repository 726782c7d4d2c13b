// The filter's arithmetic. Sums run in 256 lanes, then down a tree, as a block of 256 GPU threads adds. Twin:
// select.py.
#pragma once

#include "portable.h"

namespace degrade {

constexpr int kLanes = 256;
constexpr int kParts = 8;  // blocks that share a row
constexpr float kTiny = 1e-12f;  // the least squared norm that a target is divided by

DEGRADE_HD float infinity() { return bits_to_float(0x7F800000); }

DEGRADE_HD float squared_difference(float feature, float target) {
    const float difference = feature - target;
    return difference * difference;
}

DEGRADE_HD float normalised(float distance, float squared_norm) {
    return distance / (squared_norm > kTiny ? squared_norm : kTiny);
}

DEGRADE_HD float not_a_number() { return bits_to_float(0x7FC00000); }

// Neither infinite nor NaN: the exponent is not all ones.
DEGRADE_HD bool is_finite(float value) { return (float_to_bits(value) & 0x7F800000) != 0x7F800000; }

// w_d·degradation + w_c·content; infinite where that is NaN or the candidate has a pixel that is no number.
DEGRADE_HD float score_of(float degradation, float content, bool finite, float w_d, float w_c) {
    const float score = w_d * degradation + w_c * content;
    return finite && score == score ? score : infinity();
}

// Whether a candidate takes the place of the best so far. NaN never does, a tie never does.
DEGRADE_HD bool is_better(float score, float best) { return score < best; }

// Rows are candidate-major.
DEGRADE_HD int64_t row_of(int64_t candidate, int64_t batch, int64_t pair) { return candidate * batch + pair; }

DEGRADE_HD int64_t pair_of(int64_t row, int64_t batch) { return row % batch; }

}  // namespace degrade
