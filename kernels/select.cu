// The filter on a GPU: distances, finiteness, scores, the choice and the kept rows (RealDGen, section 2.3 and
// A.6). Twin: select.py.
#include "grid.cuh"
#include "select.h"

// Distances of all candidates to one target (grid y = 1) or to both (grid y = 2) in one launch. One block a
// row: lane j adds elements j, j + 256, ... in order, then the upper half of the lanes is added to the lower.
// That order is the host's, so a near tie falls the same way; it also fixes the accesses at 4 bytes a lane,
// 1 KiB in a row by the block.
//
// Bytes: (rows + batch) · elements · 4, since the K rows of a pair share their target in the second-level cache.
// Bound by memory bandwidth when rows fill the GPU; with few rows by a lane's chain, elements / 256 dependent
// additions.
extern "C" __global__ void __launch_bounds__(degrade::kLanes)
degrade_squared_l2(const float* features_0,  // [rows, elements_0], row = k·batch + pair
                   const float* target_0,    // [batch, elements_0]
                   float* out_0,             // [rows]
                   int64_t elements_0,
                   const float* features_1,  // [rows, elements_1]; the second four are not read when grid y = 1
                   const float* target_1,    // [batch, elements_1]
                   float* out_1,             // [rows]
                   int64_t elements_1, int64_t rows, int64_t batch) {
    using namespace degrade;
    __shared__ float distances[kLanes], norms[kLanes];
    const int lane = static_cast<int>(threadIdx.x);
    const bool second = blockIdx.y != 0;
    const int64_t elements = second ? elements_1 : elements_0;
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        const float* __restrict__ feature = (second ? features_1 : features_0) + row * elements;
        const float* __restrict__ target = (second ? target_1 : target_0) + pair_of(row, batch) * elements;
        float distance = 0.0f, norm = 0.0f;
#pragma unroll 8
        for (int64_t i = lane; i < elements; i += kLanes) {
            const float wanted = target[i];
            distance = distance + squared_difference(feature[i], wanted);
            norm = norm + squared_difference(wanted, 0.0f);
        }
        distances[lane] = distance;
        norms[lane] = norm;
        __syncthreads();
        for (int half = kLanes / 2; half > 0; half /= 2) {
            if (lane < half) {
                distances[lane] = distances[lane] + distances[lane + half];
                norms[lane] = norms[lane] + norms[lane + half];
            }
            __syncthreads();
        }
        if (lane == 0) (second ? out_1 : out_0)[row] = normalised(distances[0], norms[0]);
        __syncthreads();  // before the next row takes the lanes
    }
}

// Whether every pixel of a candidate is a number. One block a row; 4 bytes an element, bound by memory bandwidth.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_finite(const float* __restrict__ x,  // [rows, elements]
               uint8_t* __restrict__ out,    // [rows], 1 or 0
               int64_t rows, int64_t elements) {
    using namespace degrade;
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        bool bad = false;
        for (int64_t group = threadIdx.x; 4 * group < elements; group += blockDim.x) {
            float value[4];
            load4(x + row * elements + 4 * group, elements - 4 * group, value);
            for (int i = 0; i < 4; ++i) bad = bad || !is_finite(value[i]);
        }
        const bool any = __syncthreads_or(bad) != 0;
        if (threadIdx.x == 0) out[row] = any ? 0 : 1;
    }
}

// 13 bytes a candidate; the launch itself is the cost.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_score(const float* degradation,  // [count]
              const float* content,      // [count]
              const uint8_t* finite,     // [count]
              float w_d, float w_c,
              float* out,                // [count]
              int64_t count) {
    for (int64_t i = degrade::first_in_x(); i < count; i += degrade::stride_in_x())
        out[i] = degrade::score_of(degradation[i], content[i], finite[i] != 0, w_d, w_c);
}

// argmin over the candidates, the lowest index on ties; a pair whose scores are all NaN or infinite gets 0. One
// thread a pair, 4·K + 4 bytes a pair; the launch itself is the cost.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_choose(const float* scores,  // [candidates, batch]
               int32_t* kept,        // [batch]
               int64_t candidates, int64_t batch) {
    for (int64_t pair = degrade::first_in_x(); pair < batch; pair += degrade::stride_in_x()) {
        float best = degrade::infinity();
        int32_t at = 0;
        for (int64_t k = 0; k < candidates; ++k) {
            const float score = scores[degrade::row_of(k, batch, pair)];
            if (!degrade::is_better(score, best)) continue;
            best = score;
            at = static_cast<int32_t>(k);
        }
        kept[pair] = at;
    }
}

// The kept candidate's row of each pair; `kept` must hold 0 .. K - 1, as `choose` writes it. 2 bytes moved a
// byte of the result, bound by memory bandwidth.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_gather(const uint8_t* __restrict__ x,  // [candidates·batch, row_bytes]
               const int32_t* kept,            // [batch]
               uint8_t* __restrict__ out,      // [batch, row_bytes]
               int64_t batch, int64_t row_bytes) {
    using namespace degrade;
    for (int64_t pair = blockIdx.y; pair < batch; pair += gridDim.y) {
        const uint8_t* from = x + row_of(kept[pair], batch, pair) * row_bytes;
        for (int64_t i = 16 * first_in_x(); i < row_bytes; i += 16 * stride_in_x())
            copy16(out + pair * row_bytes + i, from + i, row_bytes - i);
    }
}

// Every pair's row into each candidate's slice. The source may be the first slice of `out` itself, which is then
// left alone; any other overlap is not allowed. At most 2 bytes moved a byte of the result, bound by memory
// bandwidth.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_tile(const uint8_t* source,  // [batch, row_bytes]
             uint8_t* out,           // [rows, row_bytes]
             int64_t rows, int64_t batch, int64_t row_bytes) {
    using namespace degrade;
    for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
        const uint8_t* from = source + pair_of(row, batch) * row_bytes;
        uint8_t* to = out + row * row_bytes;
        if (from == to) continue;
        for (int64_t i = 16 * first_in_x(); i < row_bytes; i += 16 * stride_in_x())
            copy16(to + i, from + i, row_bytes - i);
    }
}
