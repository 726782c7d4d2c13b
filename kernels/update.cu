// The sampling loop's kernels on a GPU: start, load, update, advance (docs/design.md, sections 3 and 4; RealDGen,
// Algorithm 2). Twin: update.py.
//
// Nothing that changes from step to step comes from the host: coefficients and timesteps of all steps lie in
// device memory and are indexed by a device step counter, so one step can be captured and replayed. What is
// constant during a run, addresses, seed and clip, is an argument and thus part of the capture.
//
// A thread takes four elements, which is one Philox block. Bound by memory bandwidth: an element with noise costs
// about 80 instructions (counted in PTX) and 16 bytes or more, and an H100 issues about 9 instructions in the time
// of a byte. Rows that lie in the second-level cache may be bound by the arithmetic instead.
#include "grid.cuh"
#include "philox.h"
#include "update.h"

// Bytes an element: x in and out 8, eps 4, x0_prev out 4, and in 4 where c != 0. Time >= (16 + 4·[c != 0]) · moving
// rows · elements / bandwidth; a row that waits costs its 24 bytes of coefficients.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_update(float* __restrict__ x,                    // [rows, elements] in/out
               const float* __restrict__ eps,            // [rows, elements]
               float* __restrict__ x0_prev,              // [rows, elements] in/out
               const float* __restrict__ coefficients,   // [S, rows, 6]: p, q, a, b, c, d
               const uint32_t* __restrict__ timesteps,   // [S, rows]
               const int32_t* step,                      // [1], 0 .. S - 1
               int32_t clip, int64_t rows, int64_t elements, uint32_t k0, uint32_t k1,
               const uint32_t* pairs,                    // [rows]
               const uint32_t* candidates) {             // [rows]
    using namespace degrade;
    for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
        const int64_t entry = entry_at(*step, rows, row);
        const Coefficients k = coefficients_at(coefficients + 6 * entry);
        if (is_identity(k)) continue;
        const bool has_previous = k.c != 0.0f, has_noise = k.d != 0.0f;
        const uint32_t t = timesteps[entry], candidate = candidates[row], pair = pairs[row];
        for (int64_t block = first_in_x(); 4 * block < elements; block += stride_in_x()) {
            const int64_t at = row * elements + 4 * block, left = elements - 4 * block;
            float now[4], predicted[4], noise[4], previous[4] = {};
            load4(x + at, left, now);
            load4(eps + at, left, predicted);
            if (has_previous) load4(x0_prev + at, left, previous);
            Normals4 z = {};
            if (has_noise) z = normals4(static_cast<uint32_t>(block), t, candidate, pair, k0, k1);
            noise[0] = z.z0, noise[1] = z.z1, noise[2] = z.z2, noise[3] = z.z3;
            for (int i = 0; i < 4; ++i) {
                const float x0 = predict_x0(k, clip != 0, now[i], predicted[i]);
                now[i] = advance(k, has_previous, has_noise, now[i], x0, previous[i], noise[i]);
                previous[i] = x0;
            }
            store4(x + at, left, now);
            store4(x0_prev + at, left, previous);
        }
    }
}

// Bytes an element: x_start 4, x 4. Time >= 8 · rows · elements / bandwidth.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_start(float* __restrict__ x,                   // [rows, elements] out
              const float* __restrict__ x_start,       // [rows, elements]
              const float* __restrict__ coefficients,  // [rows, 2]: sqrt(abar_tau), sqrt(1 - abar_tau)
              int64_t rows, int64_t elements, uint32_t k0, uint32_t k1,
              const uint32_t* pairs,                   // [rows]
              const uint32_t* candidates) {            // [rows]
    using namespace degrade;
    for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
        const float s = coefficients[2 * row], n = coefficients[2 * row + 1];
        const uint32_t candidate = candidates[row], pair = pairs[row];
        for (int64_t block = first_in_x(); 4 * block < elements; block += stride_in_x()) {
            const int64_t at = row * elements + 4 * block, left = elements - 4 * block;
            float value[4];
            load4(x_start + at, left, value);
            if (n != 0.0f) {  // tau = 0 is an exact copy
                const Normals4 z = normals4(static_cast<uint32_t>(block), 0, candidate, pair, k0, k1);
                const float noise[4] = {z.z0, z.z1, z.z2, z.z3};
                for (int i = 0; i < 4; ++i) value[i] = noised_start(s, n, value[i], noise[i]);
            }
            store4(x + at, left, value);
        }
    }
}

// t[r] = timesteps[step, r]. 8 bytes a row; the launch itself is the cost.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_load(int32_t* t,                // [rows]
             const int32_t* timesteps,  // [S, rows]
             const int32_t* step,       // [1]
             int64_t rows) {
    for (int64_t row = degrade::first_in_x(); row < rows; row += degrade::stride_in_x())
        t[row] = timesteps[degrade::entry_at(*step, rows, row)];
}

// step += 1, by one thread, in its own launch: `update` of the same step has then ended.
extern "C" __global__ void degrade_advance(int32_t* step) {  // [1]
    if (degrade::first_in_x() == 0) *step = degrade::next_step(*step);
}
