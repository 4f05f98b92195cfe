// Requests: a queue from one process that asks (monitor, control or synthesis, each has its own) to the supervisor, which
// decides; and from synthesis to control, which sends.
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
    Count panics_taken;      // supervisor only
    Request items[kCapacity];
    alignas(64) Count panics;  // asker only: how many were asked for. Not a request: never refused, and the callback looks itself

    bool push(const Request& request) {  // asker; false: the supervisor has not looked for very long
        const uint64_t w = written.load(std::memory_order_relaxed);
        if (w - read.load(std::memory_order_acquire) >= kCapacity) return false;
        items[w & (kCapacity - 1)] = request;
        written.store(w + 1, std::memory_order_release);
        return true;
    }

    bool waiting() const {  // supervisor
        return read.load(std::memory_order_relaxed) != written.load(std::memory_order_acquire) ||
               panics_taken.load(std::memory_order_relaxed) != panics.load(std::memory_order_acquire);
    }

    uint64_t take_panics() {  // supervisor: how many came since the last time
        const uint64_t asked = panics.load(std::memory_order_acquire), taken = panics_taken.load(std::memory_order_relaxed);
        panics_taken.store(asked, std::memory_order_relaxed);
        return asked - taken;
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
