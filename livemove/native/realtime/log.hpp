// Log: all that happened lately of a kind, in order, for takes.
// In: items from one writer. Out: the last of them, and whether some were lost. HOT: the writer waits for nobody.
#pragma once

#include <cstring>

#include "atomics.hpp"

namespace livemove {

// The last items of a kind, in order. One writer, which never waits; a reader that falls behind has lost some, and can
// tell: `begun` is raised before an item is overwritten and looked at after it was read, as the sequence of a seqlock
// (seqlock.hpp). Items are relaxed atomic words, so that the race this lives on is defined behaviour, on Arm as on x86.
template <class Item, uint64_t Capacity>
struct Log {
    static constexpr uint64_t kCapacity = Capacity;
    static constexpr size_t kWords = sizeof(Item) / 8;
    static_assert(sizeof(Item) % 8 == 0);
    using Type = Item;
    alignas(64) Count written;
    Count begun;  // written, or one more
    alignas(64) Count items[Capacity][kWords];

    void add(const Item& item) {  // the one writer
        const uint64_t w = written.load(std::memory_order_relaxed);
        begun.store(w + 1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_release);
        const auto* bytes = reinterpret_cast<const unsigned char*>(&item);
        Count* words = items[w & (Capacity - 1)];
        for (size_t i = 0; i < kWords; ++i) {
            uint64_t word;
            std::memcpy(&word, bytes + 8 * i, 8);
            words[i].store(word, std::memory_order_relaxed);
        }
        written.store(w + 1, std::memory_order_release);
    }

    bool read(uint64_t start, uint64_t count, void* out) const {  // the reader; start + count <= written
        auto* bytes = static_cast<unsigned char*>(out);
        for (uint64_t i = 0; i < count; ++i) {
            const Count* words = items[(start + i) & (Capacity - 1)];
            for (size_t k = 0; k < kWords; ++k, bytes += 8) {
                const uint64_t word = words[k].load(std::memory_order_relaxed);
                std::memcpy(bytes, &word, 8);
            }
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        return begun.load(std::memory_order_relaxed) <= start + Capacity;
    }
};

}  // namespace livemove
