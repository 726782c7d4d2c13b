// The filter on a GPU: distances, finiteness, the choice and the kept rows (RealDGen, section 2.3 and A.6). Twin:
// select.py.
#include "grid.cuh"
#include "select.h"

// Distances of all candidates to one target (grid y = 1) or to both (grid y = 2) in one launch: the sum of each of a
// row's 256 lanes. Lane j adds elements j, j + 256, ... in order, which is the host's, so that a near tie falls the same
// way. A lane is one chain of sums; what feeds it is not. Eight blocks share a row, with 32 lanes each. The 256 threads
// of a block square 32 elements of each of its lanes, then one warp adds the distances in order and another the norms.
//
// Bytes: (rows + batch) · elements · 4, since the K rows of a pair share their target in the second-level cache. Bound
// by memory bandwidth when rows fill the GPU; with few rows by a lane's chain, elements / 256 dependent additions.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_squared_l2(const float* features_0,  // [rows, elements_0], row = k·batch + pair
                   const float* target_0,    // [batch, elements_0]
                   float* lanes_0,           // [rows, 2, kLanes]: distances, squared norms
                   int64_t elements_0,
                   const float* features_1,  // [rows, elements_1]; the second four are not read when grid y = 1
                   const float* target_1,    // [batch, elements_1]
                   float* lanes_1,           // [rows, 2, kLanes]
                   int64_t elements_1, int64_t rows, int64_t batch) {
    using namespace degrade;
    constexpr int kMine = kLanes / kParts, kWarps = kThreads / kMine, kDeep = 4, kChunk = kWarps * kDeep;
    __shared__ float squares[2][2][kChunk][kMine];  // two chunks in turns; of distances and of norms
    const int mine = static_cast<int>(threadIdx.x) % kMine, warp = static_cast<int>(threadIdx.x) / kMine;
    const bool second = blockIdx.y != 0;
    const int64_t elements = second ? elements_1 : elements_0;
    for (int64_t at = blockIdx.x; at < rows * kParts; at += gridDim.x) {
        const int64_t row = at / kParts;
        const int lane = static_cast<int>(at % kParts) * kMine + mine;
        const float* __restrict__ feature = (second ? features_1 : features_0) + row * elements;
        const float* __restrict__ target = (second ? target_1 : target_0) + pair_of(row, batch) * elements;
        float sum = 0.0f;
        int turn = 0;
        for (int64_t first = 0; first < elements; first += kChunk * kLanes, turn ^= 1) {
            for (int i = 0; i < kDeep; ++i) {
                const int place = warp * kDeep + i;
                const int64_t element = first + place * kLanes + lane;
                const float wanted = element < elements ? target[element] : 0.0f;  // + 0 changes no sum of squares
                const float found = element < elements ? feature[element] : 0.0f;
                squares[turn][0][place][mine] = squared_difference(found, wanted);
                squares[turn][1][place][mine] = squared_difference(wanted, 0.0f);
            }
            __syncthreads();
            if (warp < 2)
                for (int place = 0; place < kChunk; ++place) sum = sum + squares[turn][warp][place][mine];
        }
        float* const lanes = second ? lanes_1 : lanes_0;
        if (warp < 2) lanes[(row * 2 + warp) * kLanes + lane] = sum;
        __syncthreads();  // before the next row takes the squares
    }
}

// Whether every pixel of a candidate is a number, part by part. Eight blocks share a row; 4 bytes an element, bound by
// memory bandwidth.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_finite(const float* __restrict__ x,  // [rows, elements]
               uint8_t* __restrict__ parts,  // [rows, kParts], 1 or 0
               int64_t rows, int64_t elements) {
    using namespace degrade;
    for (int64_t at = blockIdx.x; at < rows * kParts; at += gridDim.x) {
        const int64_t row = at / kParts;
        bool bad = false;
        for (int64_t group = at % kParts * blockDim.x + threadIdx.x; 4 * group < elements;
             group += kParts * static_cast<int64_t>(blockDim.x)) {
            float value[4];
            load4(x + row * elements + 4 * group, elements - 4 * group, value);
            for (int i = 0; i < 4; ++i) bad = bad || !is_finite(value[i]);
        }
        const bool any = __syncthreads_or(bad) != 0;
        if (threadIdx.x == 0) parts[at] = any ? 0 : 1;
    }
}

// What the two above found, put together: errors and scores of all candidates and the one that is kept, argmin, the
// lowest index on ties; a pair whose scores are all NaN or infinite gets 0. Without lanes nothing was measured: errors
// and scores are NaN, and candidate 0 is kept. The upper half of the lanes is added to the lower, again and again. One
// block a pair, 4 KiB a candidate; the launch itself is the cost.
extern "C" __global__ void __launch_bounds__(degrade::kThreads)
degrade_choose(const float* lanes_0,  // [candidates·batch, 2, kLanes]; null: not measured
               const float* lanes_1,  // the same
               const uint8_t* parts,  // [candidates·batch, kParts]
               float w_0, float w_1,
               float* error_0,   // [candidates, batch]
               float* error_1,   // [candidates, batch]
               float* score,     // [candidates, batch]
               uint8_t* finite,  // [candidates, batch]
               int32_t* kept,    // [batch]
               int64_t candidates, int64_t batch) {
    using namespace degrade;
    __shared__ float sums[4][kLanes];  // distance and norm to the first target, to the second
    const int lane = static_cast<int>(threadIdx.x);
    for (int64_t pair = blockIdx.x; pair < batch; pair += gridDim.x) {
        float best = infinity();
        int32_t at = 0;
        for (int64_t k = 0; k < candidates; ++k) {
            const int64_t row = row_of(k, batch, pair);
            for (int i = 0; i < 2 && lanes_0; ++i) {
                sums[i][lane] = lanes_0[(row * 2 + i) * kLanes + lane];
                sums[2 + i][lane] = lanes_1[(row * 2 + i) * kLanes + lane];
            }
            __syncthreads();
            for (int half = kLanes / 2; half > 0; half /= 2) {
                if (lane < half)
                    for (int i = 0; i < 4; ++i) sums[i][lane] = sums[i][lane] + sums[i][lane + half];
                __syncthreads();
            }
            if (lane == 0) {
                bool all = true;
                for (int i = 0; i < kParts; ++i) all = all && parts[row * kParts + i] != 0;
                const float error = lanes_0 ? normalised(sums[0][0], sums[1][0]) : not_a_number();
                const float other = lanes_0 ? normalised(sums[2][0], sums[3][0]) : not_a_number();
                const float now = lanes_0 ? score_of(error, other, all, w_0, w_1) : not_a_number();
                finite[row] = all ? 1 : 0;
                error_0[row] = error, error_1[row] = other, score[row] = now;
                if (is_better(now, best)) best = now, at = static_cast<int32_t>(k);
            }
            __syncthreads();  // before the next candidate takes the sums
        }
        if (lane == 0) kept[pair] = at;
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
