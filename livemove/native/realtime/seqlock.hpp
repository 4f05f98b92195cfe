// Mailbox: the latest value of a kind, from one writing process to any number of readers; a seqlock.
// In: a payload's bytes. Out: a consistent copy of them, or nothing. HOT: waits for nobody; knows no payload.
#pragma once

#include <cstring>

#include "atomics.hpp"

namespace livemove {

// sequence is odd while a write is under way. A writer killed in mid-write leaves it odd: readers give up after a bounded
// number of tries and keep what they had; the next writer starts from the odd value. Payload words are relaxed atomics,
// so that the race a seqlock lives on is defined behaviour.
template <size_t Words>
struct Mailbox {
    static constexpr size_t kBytes = Words * 8;
    Count sequence;
    Count words[Words];

    // count: how many words of the payload there are; readers of a box with varying payloads find it in the payload.
    void write(const void* payload, size_t count = Words) {  // the one writer
        const uint64_t odd = sequence.load(std::memory_order_relaxed) | 1;
        sequence.store(odd, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_release);
        const auto* bytes = static_cast<const unsigned char*>(payload);
        for (size_t i = 0; i < count; ++i) {
            uint64_t word;
            std::memcpy(&word, bytes + 8 * i, 8);
            words[i].store(word, std::memory_order_relaxed);
        }
        sequence.store(odd + 1, std::memory_order_release);
    }

    // Any reader. Returns the even sequence number of a consistent copy, or 0: never written, or the writer was in the way.
    uint64_t read(void* payload, int tries, size_t count = Words) const {
        auto* bytes = static_cast<unsigned char*>(payload);
        for (; tries > 0; --tries) {
            const uint64_t before = sequence.load(std::memory_order_acquire);
            if (before & 1) continue;
            if (before == 0) return 0;
            for (size_t i = 0; i < count; ++i) {
                const uint64_t word = words[i].load(std::memory_order_relaxed);
                std::memcpy(bytes + 8 * i, &word, 8);
            }
            std::atomic_thread_fence(std::memory_order_acquire);
            if (sequence.load(std::memory_order_relaxed) == before) return before;
        }
        return 0;
    }
};

}  // namespace livemove
