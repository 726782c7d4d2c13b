// The grids of kernels/cuda.cu as a host library with one entry, which takes arguments as the CUDA driver's
// cuLaunchKernel does: a kernel's name, its grid, and the address of each argument.
#include "cuda_on_host.h"
// The shim first: the kernels use what it defines.
#include "cuda.cu"

#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

namespace {

template <typename... Arguments, size_t... I>
void call(void (*kernel)(Arguments...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cv_t<Arguments>*>(arguments[I])...);
}

template <typename... Arguments>
void launch(void (*kernel)(Arguments...), unsigned x, unsigned y, unsigned threads, void** arguments) {
    cuda_on_host::body = [=] { call(kernel, arguments, std::index_sequence_for<Arguments...>{}); };
    cuda_on_host::run_grid(x, y, threads);
}

// A letter for each argument: pointer, int32, long (int64), word (uint32), float.
template <typename T>
constexpr char letter() {
    if (std::is_pointer_v<T>) return 'p';
    if (std::is_same_v<T, int32_t>) return 'i';
    if (std::is_same_v<T, int64_t>) return 'l';
    if (std::is_same_v<T, uint32_t>) return 'w';
    return std::is_same_v<T, float> ? 'f' : '?';
}

template <typename... Arguments>
const char* letters(void (*)(Arguments...)) {
    static const char found[] = {letter<Arguments>()..., 0};
    return found;
}

}  // namespace

#define EVERY_KERNEL(DO)   \
    DO(degrade_to_planar)  \
    DO(degrade_to_bytes)   \
    DO(degrade_start)      \
    DO(degrade_update)     \
    DO(degrade_load)       \
    DO(degrade_advance)    \
    DO(degrade_squared_l2) \
    DO(degrade_finite)     \
    DO(degrade_choose)     \
    DO(degrade_gather)     \
    DO(degrade_tile)       \
    DO(degrade_cut)        \
    DO(degrade_blend)

extern "C" {

// The kernel's arguments as letters, or null when there is no such kernel.
const char* arguments_of(const char* name) {
#define LETTERS(NAME) \
    if (strcmp(name, #NAME) == 0) return letters(NAME);
    EVERY_KERNEL(LETTERS)
    return nullptr;
}

// 0, or 1 when there is no such kernel.
int32_t launch_on_host(const char* name, uint32_t x, uint32_t y, uint32_t threads, void** arguments) {
#define LAUNCH(NAME) \
    if (strcmp(name, #NAME) == 0) return launch(NAME, x, y, threads, arguments), 0;
    EVERY_KERNEL(LAUNCH)
    return 1;
}

}  // extern "C"
