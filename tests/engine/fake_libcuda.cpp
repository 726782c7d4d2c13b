// A libcuda.so.1 without a GPU, for the tests: memory is the host's, kernels are the project's own grids compiled by g++
// (tests/kernels/grids_on_host.cpp), and the driver is as strict and as late as CUDA allows. cuda-bindings and pycuda
// load it as they would NVIDIA's. Needs no header of CUDA: the few types and numbers that it knows stand here.
//
// Late: work of a stream runs when somebody waits for it, so a missing wait gives old bytes. Pageable memory is read
// when a copy is asked for, pinned memory when it runs. Strict: every address lies within one allocation, allocations
// have margins that nobody may touch, a context is current, a capture allows what CUDA allows. What is wrong is
// answered as CUDA would, and written down for `fake_said`, since a caller may not look at an answer.
//
// In order: what each stream and the host know to have ended is counted (vector clocks), so memory that two streams use,
// and one writes, without an event between them is found whichever runs first. Of a kernel all allocations that it is
// given count as written. Pinned memory must be the same when a copy from it is asked for and when it runs.
#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#define CUDA extern "C" __attribute__((visibility("default")))

namespace {

enum Result {
    OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201, FILE_NOT_FOUND = 301, INVALID_HANDLE = 400, ILLEGAL_STATE = 401, NOT_FOUND = 500,
    NOT_READY = 600, ILLEGAL_ADDRESS = 700, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901,
    CAPTURE_ISOLATION = 905, CAPTURE_WRONG_THREAD = 908,
};

struct Said { const char *name, *text; };
const std::map<int, Said> TEXTS = {
    {OK, {"CUDA_SUCCESS", "no error"}},
    {INVALID_VALUE, {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}},
    {OUT_OF_MEMORY, {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}},
    {NOT_INITIALIZED, {"CUDA_ERROR_NOT_INITIALIZED", "initialization error"}},
    {NO_DEVICE, {"CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}},
    {INVALID_IMAGE, {"CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"}},
    {INVALID_CONTEXT, {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}},
    {FILE_NOT_FOUND, {"CUDA_ERROR_FILE_NOT_FOUND", "file not found"}},
    {INVALID_HANDLE, {"CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}},
    {ILLEGAL_STATE, {"CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"}},
    {NOT_FOUND, {"CUDA_ERROR_NOT_FOUND", "named symbol not found"}},
    {NOT_READY, {"CUDA_ERROR_NOT_READY", "device not ready"}},
    {ILLEGAL_ADDRESS, {"CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}},
    {CAPTURE_UNSUPPORTED,
     {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"}},
    {CAPTURE_INVALIDATED,
     {"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"}},
    {CAPTURE_ISOLATION,
     {"CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"}},
    {CAPTURE_WRONG_THREAD,
     {"CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "attempt to terminate a thread-local capture sequence from another thread"}},
};

using Address = unsigned long long;
struct Span {
    Address first, end;
    bool writes;
};

struct Work {
    std::function<void()> run;
    std::vector<Span> spans;  // memory that it uses
    void operator()() const { run(); }
};

constexpr size_t MARGIN = 512, MOST = size_t{1} << 36;  // of one allocation; more is "out of memory"
constexpr unsigned char UNTOUCHED = 0xA5, UNWRITTEN = 0xFF;
constexpr unsigned FATBIN = 0xBA55ED50;

struct Allocation {
    size_t bytes;
    char* block;
};

using Clock = std::map<int, uint64_t>;  // up to which work of each stream has ended before

struct Stream {
    std::deque<std::pair<uint64_t, Work>> waiting;  // with their numbers in the stream
    uint64_t last = 0;
    int number = 0;
    Clock known;
    bool capturing = false, broken = false;
    int mode = 0;
    std::thread::id by;
    std::vector<Work> captured;
};

struct Event {
    unsigned flags;
    Stream* stream = nullptr;  // where it was recorded, and after which work
    uint64_t after = 0;
    Clock known{};
};

struct Use {
    Span span;
    int stream;
    uint64_t number;
};

struct Graph { std::vector<Work> work; };
struct Module { int functions = 0; };
struct Function { std::string name, letters; };

std::recursive_mutex mutex;
bool initialised = false;
int primary = 0;  // how often the primary context is retained
int primary_handle;
thread_local std::vector<void*> stack;
std::map<Address, Allocation> memory;
std::map<char*, size_t> pinned;
std::vector<Use> uses;  // that the host has not waited for
Clock host;
int stream_numbers = 0;
std::set<Stream*> streams;
std::set<Event*> events;
std::set<Graph*> graphs, executables;
std::set<Module*> modules;
std::set<Function*> functions;
std::map<std::string, int> calls;
std::string said;
const char* (*arguments_of)(const char*) = nullptr;
int32_t (*launch_on_host)(const char*, uint32_t, uint32_t, uint32_t, void**) = nullptr;

// Writes down what the caller did wrong; the answer is CUDA's.
int wrong(const char* function, const std::string& what, int answer) {
    said += std::string(function) + ": " + what + "\n";
    return answer;
}

struct AtExit {
    ~AtExit() {
        if (primary) fprintf(stderr, "fake libcuda: the primary context was never released\n");
        if (!said.empty()) fprintf(stderr, "fake libcuda: %s", said.c_str());
    }
} at_exit;

bool within(Address first, size_t bytes) {
    auto after = memory.upper_bound(first);
    if (after == memory.begin()) return false;
    const auto& [base, one] = *--after;
    return first >= base && first + bytes <= base + one.bytes;
}

bool is_pinned(const void* at, size_t bytes) {
    auto after = pinned.upper_bound(const_cast<char*>(static_cast<const char*>(at)));
    if (after == pinned.begin()) return false;
    const auto& [base, size] = *--after;
    return static_cast<const char*>(at) + bytes <= base + size;
}

void check_margins() {
    for (const auto& [base, one] : memory)
        for (size_t i = 0; i < MARGIN; ++i) {
            const char *before = reinterpret_cast<char*>(base) - MARGIN, *behind = reinterpret_cast<char*>(base) + one.bytes;
            if (static_cast<unsigned char>(before[i]) != UNTOUCHED || static_cast<unsigned char>(behind[i]) != UNTOUCHED) {
                wrong("a kernel", "wrote outside an allocation of " + std::to_string(one.bytes) + " bytes", 0);
                return;
            }
        }
}

// Runs a stream's work up to that number; waits for other streams' events are work themselves.
void run(Stream* stream, uint64_t up_to) {
    while (!stream->waiting.empty() && stream->waiting.front().first <= up_to) {
        Work work = std::move(stream->waiting.front().second);
        stream->waiting.pop_front();
        work();
    }
    check_margins();
}


// CUDA refuses in this thread what a capture cannot hold, and the capture is lost.
bool breaks_a_capture() {
    for (Stream* stream : streams)
        if (stream->capturing && (stream->mode == 0 || (stream->mode == 1 && stream->by == std::this_thread::get_id()))) {
            stream->broken = true;
            return true;
        }
    return false;
}

void learn(Clock& known, const Clock& from) {
    for (const auto& [stream, number] : from) known[stream] = std::max(known[stream], number);
}

bool knows(Clock& known, const Use& use) { return known[use.stream] >= use.number; }

// The host has waited for what is in the clock.
void waited(const Clock& from) {
    learn(host, from);
    uses.erase(std::remove_if(uses.begin(), uses.end(), [](const Use& use) { return knows(host, use); }), uses.end());
}

void run_all() {
    for (Stream* stream : streams) run(stream, stream->last), waited(stream->known);
}

void check_order(const char* function, Stream* stream, const Work& work) {
    for (const Span& span : work.spans)
        for (const Use& use : uses)
            if (use.stream != stream->number && (span.writes || use.span.writes) && span.first < use.span.end &&
                use.span.first < span.end && !knows(stream->known, use)) {
                wrong(function, "memory that another stream uses, without an event between them", OK);
                return;
            }
}

int put(const char* function, Stream* stream, Work work) {
    if (!streams.count(stream)) return wrong(function, "no stream of ours (the default one?)", INVALID_HANDLE);
    if (stream->capturing) return stream->captured.push_back(std::move(work)), OK;
    learn(stream->known, host);
    check_order(function, stream, work);
    const uint64_t number = stream->known[stream->number] = ++stream->last;
    for (const Span& span : work.spans) {
        auto same = std::find_if(uses.begin(), uses.end(), [&](const Use& use) {
            return use.stream == stream->number && use.span.first == span.first && use.span.end == span.end &&
                   use.span.writes == span.writes;
        });
        if (same != uses.end()) same->number = number;  // a stream keeps its order, so the last use says it all
        else uses.push_back({span, stream->number, number});
    }
    return stream->waiting.emplace_back(number, std::move(work)), OK;
}

Span reads(Address at, size_t bytes) { return {at, at + bytes, false}; }
Span reads(const void* at, size_t bytes) { return reads(reinterpret_cast<Address>(at), bytes); }
Span writes(Address at, size_t bytes) { return {at, at + bytes, true}; }
Span writes(const void* at, size_t bytes) { return writes(reinterpret_cast<Address>(at), bytes); }

#define ENTER(NAME)                                                                         \
    std::lock_guard<std::recursive_mutex> lock(mutex);                                      \
    const char* const self = NAME;                                                          \
    (void)self;                                                                             \
    ++calls[NAME];                                                                          \
    if (!initialised) return wrong(NAME, "before cuInit", NOT_INITIALIZED);

#define ENTER_CURRENT(NAME) \
    ENTER(NAME)             \
    if (stack.empty() || !primary) return wrong(NAME, "no context is current", INVALID_CONTEXT);

#define REFUSED_IN_A_CAPTURE \
    if (breaks_a_capture()) return CAPTURE_UNSUPPORTED;

}  // namespace

// ------------------------------------------------------------------------------------------- for the tests

CUDA void fake_grids(void* arguments, void* launch) {
    arguments_of = reinterpret_cast<decltype(arguments_of)>(arguments);
    launch_on_host = reinterpret_cast<decltype(launch_on_host)>(launch);
}

// What callers did wrong since it was asked last, a line each.
CUDA const char* fake_said() {
    static std::string answer;
    answer.swap(said);
    said.clear();
    return answer.c_str();
}

// What was not given back: memory, pinned memory, streams, events, graphs, executable graphs, modules, this thread's contexts.
CUDA void fake_left(int* counts) {
    const size_t found[] = {memory.size(), pinned.size(), streams.size(), events.size(), graphs.size(),
                            executables.size(), modules.size(), stack.size()};
    for (int i = 0; i < 8; ++i) counts[i] = static_cast<int>(found[i]);
}

// How much work of a stream has not run.
CUDA int fake_waiting(Stream* stream) { return static_cast<int>(stream->waiting.size()); }

// How often a function was called since it was asked last.
CUDA int fake_calls(const char* name) {
    const int count = calls[name];
    calls[name] = 0;
    return count;
}

// -------------------------------------------------------------------------------------- device and context

CUDA int cuInit(unsigned flags) {
    ++calls["cuInit"];
    if (flags) return wrong("cuInit", "flags", INVALID_VALUE);
    initialised = true;
    return OK;
}

CUDA int cuDriverGetVersion(int* version) { return *version = 13000, OK; }

CUDA int cuDeviceGetCount(int* count) {
    ENTER("cuDeviceGetCount")
    return *count = 1, OK;
}

CUDA int cuDeviceGet(int* device, int number) {
    ENTER("cuDeviceGet")
    if (number) return INVALID_VALUE;
    return *device = 0, OK;
}

CUDA int cuDeviceGetName(char* name, int length, int device) {
    ENTER("cuDeviceGetName")
    if (device || length < 9) return INVALID_VALUE;
    return snprintf(name, static_cast<size_t>(length), "Fake GPU"), OK;
}

CUDA int cuDevicePrimaryCtxRetain(void** context, int device) {
    ENTER("cuDevicePrimaryCtxRetain")
    if (device) return INVALID_VALUE;
    ++primary;
    return *context = &primary_handle, OK;
}

CUDA int cuDevicePrimaryCtxRelease_v2(int) {
    ENTER("cuDevicePrimaryCtxRelease")
    if (!primary) return wrong(self, "more often than it was retained", INVALID_CONTEXT);
    return --primary, OK;
}

CUDA int cuCtxPushCurrent_v2(void* context) {
    ENTER("cuCtxPushCurrent")
    if (context != &primary_handle || !primary) return wrong(self, "no context that is held", INVALID_CONTEXT);
    return stack.push_back(context), OK;
}

CUDA int cuCtxPopCurrent_v2(void** context) {
    ENTER("cuCtxPopCurrent")
    if (stack.empty()) return wrong(self, "of an empty stack", INVALID_CONTEXT);
    *context = stack.back();
    return stack.pop_back(), OK;
}

CUDA int cuCtxGetCurrent(void** context) {
    ENTER("cuCtxGetCurrent")
    return *context = stack.empty() ? nullptr : stack.back(), OK;
}

// pycuda calls it for a context whose destructor runs while it is held.
CUDA int cuCtxDetach(void*) { return wrong("cuCtxDetach", "of the primary context", INVALID_CONTEXT); }

// -------------------------------------------------------------------------------------------------- memory

CUDA int cuMemAlloc_v2(Address* address, size_t bytes) {
    ENTER_CURRENT("cuMemAlloc")
    REFUSED_IN_A_CAPTURE
    if (!bytes) return wrong(self, "of nothing", INVALID_VALUE);
    if (bytes > MOST) return OUT_OF_MEMORY;
    const size_t aligned = (bytes + 511) / 512 * 512;  // CUDA's own allocations begin at a multiple of 512
    char* block = static_cast<char*>(std::aligned_alloc(512, aligned + 2 * MARGIN));
    if (!block) return OUT_OF_MEMORY;
    memset(block, UNTOUCHED, aligned + 2 * MARGIN);
    memset(block + MARGIN, UNWRITTEN, bytes);
    *address = reinterpret_cast<Address>(block + MARGIN);
    memory[*address] = {bytes, block};
    return OK;
}

CUDA int cuMemFree_v2(Address address) {
    ENTER_CURRENT("cuMemFree")
    REFUSED_IN_A_CAPTURE
    auto found = memory.find(address);
    if (found == memory.end()) return wrong(self, "of what was not allocated", INVALID_VALUE);
    run_all();  // CUDA waits, too
    free(found->second.block);
    return memory.erase(found), OK;
}

CUDA int cuMemHostAlloc(void** at, size_t bytes, unsigned) {
    ENTER_CURRENT("cuMemHostAlloc")
    REFUSED_IN_A_CAPTURE
    if (!bytes || bytes > MOST) return OUT_OF_MEMORY;
    *at = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    pinned[static_cast<char*>(*at)] = bytes;
    return OK;
}

CUDA int cuMemFreeHost(void* at) {
    ENTER_CURRENT("cuMemFreeHost")
    if (!pinned.count(static_cast<char*>(at))) return wrong(self, "of what is not pinned", INVALID_VALUE);
    run_all();
    pinned.erase(static_cast<char*>(at));
    return free(at), OK;
}

CUDA int cuMemsetD8Async(Address address, unsigned char value, size_t bytes, Stream* stream) {
    ENTER_CURRENT("cuMemsetD8Async")
    if (!within(address, bytes)) return wrong(self, "outside of memory", INVALID_VALUE);
    return put(self, stream, {[=] { memset(reinterpret_cast<void*>(address), value, bytes); }, {writes(address, bytes)}});
}

CUDA int cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, Stream* stream) {
    ENTER_CURRENT("cuMemcpyHtoDAsync")
    if (!within(to, bytes)) return wrong(self, "outside of memory", INVALID_VALUE);
    const bool late = is_pinned(from, bytes);
    if (!late) REFUSED_IN_A_CAPTURE
    std::vector<char> staged(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
    return put(self, stream, {[=] {
        if (late && memcmp(from, staged.data(), bytes))
            wrong("cuMemcpyHtoDAsync", "pinned memory was written before a copy from it had run", OK);
        memcpy(reinterpret_cast<void*>(to), late ? from : staged.data(), bytes);
    }, {reads(from, late ? bytes : 0), writes(to, bytes)}});
}

CUDA int cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, Stream* stream) {
    ENTER_CURRENT("cuMemcpyDtoHAsync")
    if (!within(from, bytes)) return wrong(self, "outside of memory", INVALID_VALUE);
    if (!is_pinned(to, bytes)) REFUSED_IN_A_CAPTURE
    return put(self, stream, {[=] { memcpy(to, reinterpret_cast<void*>(from), bytes); }, {reads(from, bytes), writes(to, bytes)}});
}

CUDA int cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, Stream* stream) {
    ENTER_CURRENT("cuMemcpyDtoDAsync")
    if (!within(to, bytes) || !within(from, bytes)) return wrong(self, "outside of memory", INVALID_VALUE);
    return put(self, stream, {[=] { memmove(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes); },
                              {reads(from, bytes), writes(to, bytes)}});
}

// --------------------------------------------------------------------------------------- streams and events

CUDA int cuStreamCreate(Stream** stream, unsigned flags) {
    ENTER_CURRENT("cuStreamCreate")
    REFUSED_IN_A_CAPTURE
    if (flags != 1) return wrong(self, "a stream that waits for the default one", INVALID_VALUE);
    streams.insert(*stream = new Stream);
    return (*stream)->number = ++stream_numbers, OK;
}

CUDA int cuStreamDestroy_v2(Stream* stream) {
    ENTER_CURRENT("cuStreamDestroy")
    if (!streams.count(stream)) return wrong(self, "no such stream", INVALID_HANDLE);
    if (stream->capturing) return wrong(self, "of a stream that is capturing", INVALID_VALUE);
    run(stream, stream->last);
    waited(stream->known);
    streams.erase(stream);
    return delete stream, OK;
}

CUDA int cuStreamSynchronize(Stream* stream) {
    ENTER_CURRENT("cuStreamSynchronize")
    if (!streams.count(stream)) return wrong(self, "no such stream", INVALID_HANDLE);
    REFUSED_IN_A_CAPTURE
    run(stream, stream->last);
    return waited(stream->known), OK;
}

CUDA int cuStreamWaitEvent(Stream* stream, Event* event, unsigned) {
    ENTER_CURRENT("cuStreamWaitEvent")
    if (!events.count(event)) return wrong(self, "no such event", INVALID_HANDLE);
    Stream* const other = event->stream;
    if (!other) return OK;  // an event that was never recorded is no reason to wait
    const uint64_t after = event->after;
    if (stream->capturing) {  // the event is of work outside the capture
        stream->broken = true;
        return CAPTURE_ISOLATION;
    }
    learn(stream->known, event->known);
    return put(self, stream, {[=] { if (streams.count(other)) run(other, after); }, {}});
}

CUDA int cuEventCreate(Event** event, unsigned flags) {
    ENTER_CURRENT("cuEventCreate")
    return events.insert(*event = new Event{flags}).second, OK;
}

CUDA int cuEventDestroy_v2(Event* event) {
    ENTER_CURRENT("cuEventDestroy")
    if (!events.erase(event)) return wrong(self, "no such event", INVALID_HANDLE);
    return delete event, OK;
}

CUDA int cuEventRecord(Event* event, Stream* stream) {
    ENTER_CURRENT("cuEventRecord")
    if (!events.count(event) || !streams.count(stream)) return wrong(self, "no such event or stream", INVALID_HANDLE);
    event->stream = stream, event->known = stream->known;
    return event->after = stream->last, OK;
}

CUDA int cuEventSynchronize(Event* event) {
    ENTER_CURRENT("cuEventSynchronize")
    if (!events.count(event)) return wrong(self, "no such event", INVALID_HANDLE);
    REFUSED_IN_A_CAPTURE
    if (event->stream && streams.count(event->stream)) run(event->stream, event->after);
    return waited(event->known), OK;
}

CUDA int cuEventElapsedTime_v2(float* milliseconds, Event* first, Event* second) {
    ENTER_CURRENT("cuEventElapsedTime")
    for (Event* event : {first, second}) {
        if (!events.count(event) || !event->stream || event->flags & 2) return wrong(self, "an event without a time", INVALID_HANDLE);
        if (!event->stream->waiting.empty() && event->stream->waiting.front().first <= event->after) return NOT_READY;
    }
    return *milliseconds = 1.25f, OK;
}

CUDA int cuEventElapsedTime(float* milliseconds, Event* first, Event* second) {
    return cuEventElapsedTime_v2(milliseconds, first, second);
}

// -------------------------------------------------------------------------------------------------- kernels

CUDA int cuModuleLoad(Module** module, const char* path) {
    ENTER_CURRENT("cuModuleLoad")
    FILE* file = fopen(path, "rb");
    if (!file) return FILE_NOT_FOUND;
    unsigned magic = 0;
    const size_t read = fread(&magic, sizeof magic, 1, file);
    fclose(file);
    if (read != 1 || magic != FATBIN) return INVALID_IMAGE;
    return modules.insert(*module = new Module).second, OK;
}

CUDA int cuModuleUnload(Module* module) {
    ENTER_CURRENT("cuModuleUnload")
    if (!modules.erase(module)) return wrong(self, "no such module", INVALID_HANDLE);
    return delete module, OK;
}

CUDA int cuModuleGetFunction(Function** function, Module* module, const char* name) {
    ENTER_CURRENT("cuModuleGetFunction")
    if (!modules.count(module)) return wrong(self, "no such module", INVALID_HANDLE);
    const char* letters = arguments_of(name);
    if (!letters) return NOT_FOUND;
    return functions.insert(*function = new Function{name, letters}).second, OK;
}

CUDA int cuFuncSetBlockShape(Function*, int, int, int) { return OK; }

CUDA int cuLaunchKernel(
    Function* function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y, unsigned threads_z,
    unsigned shared, Stream* stream, void** parameters, void** extra) {
    ENTER_CURRENT("cuLaunchKernel")
    if (!functions.count(function)) return wrong(self, "no such function", INVALID_HANDLE);
    const std::string name = function->name;
    if (!x || !y || z != 1 || y > 65535 || x > 0x7fffffff) return wrong(self, name + ": a grid that CUDA refuses", INVALID_VALUE);
    if (threads != 256 || threads_y != 1 || threads_z != 1 || shared)
        return wrong(self, name + ": a block that the kernels are not written for", INVALID_VALUE);

    // `extra` is one packed buffer (pycuda), `parameters` the address of each argument (cuda-bindings).
    const char* buffer = nullptr;
    size_t bytes = 0, at = 0;
    for (void** one = extra; one && *one; one += 2) {
        if (*one == reinterpret_cast<void*>(1)) buffer = static_cast<const char*>(one[1]);
        if (*one == reinterpret_cast<void*>(2)) bytes = *static_cast<size_t*>(one[1]);
    }
    std::vector<uint64_t> boxes(function->letters.size());
    std::vector<Span> spans;
    for (size_t i = 0; i < boxes.size(); ++i) {
        const char letter = function->letters[i];
        const size_t size = letter == 'p' || letter == 'l' ? 8 : 4;
        at = (at + size - 1) / size * size;
        if (buffer && at + size > bytes) return wrong(self, name + ": too few bytes of arguments", INVALID_VALUE);
        memcpy(&boxes[i], buffer ? buffer + at : parameters[i], size);
        at += size;
        if (letter != 'p' || !boxes[i]) continue;
        if (!within(boxes[i], 1))
            return wrong(self, name + ": argument " + std::to_string(i) + " is no address of ours", ILLEGAL_ADDRESS);
        const auto& [base, one] = *--memory.upper_bound(boxes[i]);
        spans.push_back(writes(base, one.bytes));  // it may use all of it
    }
    if (buffer && at != bytes)
        return wrong(self, name + ": " + std::to_string(bytes) + " bytes of arguments instead of " + std::to_string(at), INVALID_VALUE);
    return put(self, stream, {[=]() mutable {
        std::vector<void*> addresses;
        for (uint64_t& box : boxes) addresses.push_back(&box);
        launch_on_host(name.c_str(), x, y, threads, addresses.data());
    }, spans});
}

// What a network's runtime does on a stream: here, the host's function in its place among the rest.
CUDA int cuLaunchHostFunc(Stream* stream, void (*function)(void*), void* data) {
    ENTER("cuLaunchHostFunc")
    return put(self, stream, {[=] { function(data); }, {}});
}

// --------------------------------------------------------------------------------------------------- graphs

CUDA int cuStreamBeginCapture_v2(Stream* stream, int mode) {
    ENTER_CURRENT("cuStreamBeginCapture")
    if (!streams.count(stream)) return wrong(self, "no such stream", INVALID_HANDLE);
    if (stream->capturing) return ILLEGAL_STATE;
    if (!stream->waiting.empty()) wrong(self, "the first, plain run was not waited for", OK);
    stream->capturing = true, stream->broken = false, stream->mode = mode, stream->by = std::this_thread::get_id();
    return stream->captured.clear(), OK;
}

CUDA int cuStreamEndCapture(Stream* stream, Graph** graph) {
    ENTER_CURRENT("cuStreamEndCapture")
    *graph = nullptr;
    if (!streams.count(stream) || !stream->capturing) return ILLEGAL_STATE;
    if (stream->mode != 2 && stream->by != std::this_thread::get_id()) return CAPTURE_WRONG_THREAD;
    stream->capturing = false;
    if (stream->broken) return CAPTURE_INVALIDATED;
    return graphs.insert(*graph = new Graph{stream->captured}).second, OK;
}

CUDA int cuGraphInstantiateWithFlags(Graph** executable, Graph* graph, unsigned long long flags) {
    ENTER_CURRENT("cuGraphInstantiate")
    if (!graphs.count(graph) || flags) return wrong(self, "no such graph, or flags", INVALID_VALUE);
    return executables.insert(*executable = new Graph(*graph)).second, OK;
}

CUDA int cuGraphLaunch(Graph* executable, Stream* stream) {
    ENTER_CURRENT("cuGraphLaunch")
    if (!executables.count(executable)) return wrong(self, "no such graph", INVALID_VALUE);
    for (const Work& work : executable->work)
        if (const int answer = put(self, stream, work)) return answer;
    return OK;
}

CUDA int cuGraphDestroy(Graph* graph) {
    ENTER_CURRENT("cuGraphDestroy")
    if (!graphs.erase(graph)) return wrong(self, "no such graph", INVALID_VALUE);
    return delete graph, OK;
}

CUDA int cuGraphExecDestroy(Graph* executable) {
    ENTER_CURRENT("cuGraphExecDestroy")
    if (!executables.erase(executable)) return wrong(self, "no such graph", INVALID_VALUE);
    return delete executable, OK;
}

// --------------------------------------------------------------------------------------------------- errors

CUDA int cuGetErrorString(int code, const char** text) {
    auto found = TEXTS.find(code);
    *text = found == TEXTS.end() ? nullptr : found->second.text;
    return *text ? OK : INVALID_VALUE;
}

CUDA int cuGetErrorName(int code, const char** name) {
    auto found = TEXTS.find(code);
    *name = found == TEXTS.end() ? nullptr : found->second.name;
    return *name ? OK : INVALID_VALUE;
}

// cuda-bindings asks for functions by their plain names; the newest of ours is the answer.
CUDA int cuGetProcAddress_v2(const char* name, void** function, int, uint64_t, int* status) {
    static void* self = nullptr;
    if (Dl_info about; !self && dladdr(reinterpret_cast<void*>(&cuInit), &about))
        self = dlopen(about.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    *function = nullptr;
    for (const char* ending : {"WithFlags", "_v2", ""})
        if (!*function) *function = dlsym(self, (std::string(name) + ending).c_str());
    if (status) *status = *function ? 0 : 1;
    return *function ? OK : NOT_FOUND;
}
