// One element of the solver update and of the start, and where a step's numbers lie. Twin: update.py, equal
// to the last bit.
#pragma once

#include "portable.h"

namespace degrade {

// A row of the solver's table (docs/design.md, section 3).
struct Coefficients {
    float p, q, a, b, c, d;
};

DEGRADE_HD Coefficients coefficients_at(const float* row) {
    return Coefficients{row[0], row[1], row[2], row[3], row[4], row[5]};
}

DEGRADE_HD bool is_identity(const Coefficients& k) {
    return k.p == 0.0f && k.q == 0.0f && k.a == 1.0f && k.b == 0.0f && k.c == 0.0f && k.d == 0.0f;
}

// x0 = p·x + q·eps, clipped to [-1, 1] on request; NaN stays NaN, so that the filter can refuse the
// candidate.
DEGRADE_HD float predict_x0(const Coefficients& k, bool clip, float x, float eps) {
    const float x0 = k.p * x + k.q * eps;
    const float upper = x0 > 1.0f ? 1.0f : x0;
    const float clipped = upper < -1.0f ? -1.0f : upper;
    return clip ? clipped : x0;
}

// a·x + b·x0 + c·x0_prev + d·z, left to right. Terms with a zero factor are left out, not multiplied: x0_prev
// may hold anything before the first step. The two flags are the same for a whole row.
DEGRADE_HD float advance(const Coefficients& k, bool has_previous, bool has_noise, float x, float x0,
                         float x0_prev, float z) {
    float moved = k.a * x + k.b * x0;
    if (has_previous) moved = moved + k.c * x0_prev;
    if (has_noise) moved = moved + k.d * z;
    return moved;
}

// s·x_start + n·z
DEGRADE_HD float noised_start(float s, float n, float x_start, float z) { return s * x_start + n * z; }

// Entry of a table [S, rows] at a step: the step counter lies on the device, so that a captured step can be
// replayed (docs/design.md, section 4).
DEGRADE_HD int64_t entry_at(int32_t step, int64_t rows, int64_t row) { return step * rows + row; }

DEGRADE_HD int32_t next_step(int32_t step) { return step + 1; }

}  // namespace degrade
