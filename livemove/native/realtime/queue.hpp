// Requests: a queue from one process that asks (monitor or control, each has its own) to the supervisor, which decides.
// In: requests. Out: the same, in order. Lock-free; a full queue refuses. Knows nothing of what a request means.
#pragma once

#include "atomics.hpp"

namespace livemove {

struct Request {
    int64_t action;  // contracts.Action; negative: to this value, not by it
    double value;
    char text[496];  // NUL-terminated, if it is shorter
};

struct Requests {
    static constexpr uint64_t kCapacity = 64;
    Count written;           // asker only
    alignas(64) Count read;  // supervisor only
    Request items[kCapacity];

    bool push(const Request& request) {  // asker; false: the supervisor has not looked for very long
        const uint64_t w = written.load(std::memory_order_relaxed);
        if (w - read.load(std::memory_order_acquire) >= kCapacity) return false;
        items[w & (kCapacity - 1)] = request;
        written.store(w + 1, std::memory_order_release);
        return true;
    }

    bool waiting() const {  // supervisor
        return read.load(std::memory_order_relaxed) != written.load(std::memory_order_acquire);
    }

    bool pop(Request& request) {  // supervisor
        const uint64_t r = read.load(std::memory_order_relaxed);
        if (r == written.load(std::memory_order_acquire)) return false;
        request = items[r & (kCapacity - 1)];
        read.store(r + 1, std::memory_order_release);
        return true;
    }
};

}  // namespace livemove
