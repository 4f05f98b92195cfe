// What shared memory is made of: numbers that one process writes and others read without a lock, and a common clock.
// In: nothing. Out: Count, Number, now_s. HOT: allocates, locks and logs nothing; reading the clock is its one system
// call.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace livemove {

static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<double>::is_always_lock_free,
              "shared memory needs address-free atomics");

// One clock for all processes of a machine: CLOCK_MONOTONIC, mach_absolute_time or QueryPerformanceCounter.
inline double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

using Count = std::atomic<uint64_t>;   // exactly one writer each: a load and a store suffice, no read-modify-write
using Number = std::atomic<double>;

inline void add(Count& count, uint64_t n) {
    count.store(count.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}
inline void set(Number& number, double value) { number.store(value, std::memory_order_relaxed); }

}  // namespace livemove
