// Log: all that happened lately of a kind, in order, for takes.
// In: items from one writer. Out: the last of them, and whether some were lost. HOT: the writer waits for nobody.
#pragma once

#include "atomics.hpp"

namespace livemove {

// The last items of a kind, in order. One writer, which never waits; a reader that falls behind has lost some, and can tell.
template <class Item, uint64_t Capacity>
struct Log {
    static constexpr uint64_t kCapacity = Capacity;
    alignas(64) Count written;
    alignas(64) Item items[Capacity];

    void add(const Item& item) {  // the one writer
        const uint64_t w = written.load(std::memory_order_relaxed);
        items[w & (Capacity - 1)] = item;
        written.store(w + 1, std::memory_order_release);
    }

    bool read(uint64_t start, uint64_t count, Item* out) const {  // the reader; start + count <= written
        for (uint64_t i = 0; i < count; ++i) out[i] = items[(start + i) & (Capacity - 1)];
        std::atomic_thread_fence(std::memory_order_acquire);
        return written.load(std::memory_order_relaxed) < start + Capacity;  // the writer may be at the next one already
    }
};

}  // namespace livemove
