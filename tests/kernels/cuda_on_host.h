// Just enough CUDA for g++ to compile the .cu files and run their grids on a CPU: what a kernel's index
// arithmetic, tails and barriers do is then tested on every machine. A test's tool, never part of the package.
//
// The blocks of a grid run one after another. The threads of a block are fibers of one system thread that
// switch at a barrier only, so a run is deterministic; they take turns upwards and downwards, from barrier to
// barrier and from block to block, so that a missing barrier shows. A thread that has left the kernel no longer
// counts at barriers.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__ static

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) ushort4 { uint16_t x, y, z, w; };
struct alignas(4) uchar4 { uint8_t x, y, z, w; };

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;

template <typename T>
void __stwb(T* p, T value) { *p = value; }

namespace cuda_on_host {

struct Fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(64 << 10);
    bool ended = true;
};

inline std::vector<Fiber> fibers;
inline ucontext_t scheduler;
inline unsigned current;
inline int any, any_before;  // of __syncthreads_or: being gathered, and the last barrier's result
inline std::function<void()> body;

inline void enter() {
    body();
    fibers[current].ended = true;
    swapcontext(&fibers[current].context, &scheduler);
}

inline void barrier() { swapcontext(&fibers[current].context, &scheduler); }

// One block: every fiber up to its next barrier, again and again until all have ended.
inline void run_block(unsigned threads) {
    if (fibers.size() < threads) fibers.resize(threads);
    for (unsigned i = 0; i < threads; ++i) {
        Fiber& fiber = fibers[i];
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.ended = false;
        makecontext(&fiber.context, enter, 0);
    }
    bool running = true;
    for (bool upwards = (blockIdx.x + blockIdx.y) % 2 == 0; running; upwards = !upwards) {
        running = false;
        any = 0;
        for (unsigned turn = 0; turn < threads; ++turn) {
            current = upwards ? turn : threads - 1 - turn;
            if (fibers[current].ended) continue;
            threadIdx = {current, 0, 0};
            swapcontext(&scheduler, &fibers[current].context);
            running = running || !fibers[current].ended;
        }
        any_before = any;
    }
}

inline void run_grid(unsigned x, unsigned y, unsigned threads) {
    gridDim = {x, y, 1};
    blockDim = {threads, 1, 1};
    for (unsigned j = 0; j < y; ++j)
        for (unsigned i = 0; i < x; ++i) {
            blockIdx = {i, j, 0};
            run_block(threads);
        }
}

}  // namespace cuda_on_host

inline void __syncthreads() { cuda_on_host::barrier(); }

inline int __syncthreads_or(int mine) {
    cuda_on_host::any |= mine;
    cuda_on_host::barrier();
    return cuda_on_host::any_before;
}
