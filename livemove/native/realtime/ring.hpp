// Audio on its way: Ring from synthesis to the callback (one producer, one consumer), Tap from the callback to readers.
// In: frames of left and right, interleaved, and which pose they were made from. Out: the same. All counts and places
// are frames, which the names call samples: one sample per side. HOT: allocates, locks and logs nothing.
#pragma once

#include <cstring>

#include "atomics.hpp"

namespace livemove {

constexpr uint64_t kSides = 2;  // left, right

// Which pose a hop was made from: sample first_sample of the ring's life is the hop's first.
struct Mark {
    uint64_t first_sample;
    double capture_s;  // NaN: no pose (rest)
};

// When samples went into the ring: all before end that no earlier stamp covers.
struct Stamp {
    uint64_t end;
    double written_s;
};

struct Ring {
    static constexpr uint64_t kCapacity = 1u << 16;
    static constexpr uint64_t kMarks = 1u << 12;
    alignas(64) Count written;        // producer only
    Count marks_written;              // producer only
    Count stamps_written;             // producer only
    Count target;                     // producer only: fill in samples it keeps, and the fill from which playing (re)starts
    alignas(64) Count read;           // consumer only
    Count marks_read;                 // consumer only
    Count stamps_read;                // consumer only
    alignas(64) float samples[kCapacity][kSides];
    Mark marks[kMarks];
    Stamp stamps[kMarks];

    uint64_t fill() const {  // anyone; exact for producer and consumer up to what the other just did
        const uint64_t r = read.load(std::memory_order_acquire), w = written.load(std::memory_order_acquire);
        return w > r ? w - r : 0;
    }

    uint64_t room() const {  // producer; it only grows until the next write
        return kCapacity - (written.load(std::memory_order_relaxed) - read.load(std::memory_order_acquire));
    }

    bool mark(uint64_t first_sample, double capture_s) {  // producer, before the samples it describes
        const uint64_t w = marks_written.load(std::memory_order_relaxed);
        if (w - marks_read.load(std::memory_order_acquire) >= kMarks) return false;
        marks[w & (kMarks - 1)] = {first_sample, capture_s};
        marks_written.store(w + 1, std::memory_order_release);
        return true;
    }

    // Producer; n frames of `sides` samples, all or nothing. One side is played on both.
    bool write(const float* data, uint64_t n, uint64_t sides = kSides) {
        const uint64_t w = written.load(std::memory_order_relaxed);
        if (n > room()) return false;
        for (uint64_t i = 0; i < n; ++i, data += sides) {
            float* frame = samples[(w + i) & (kCapacity - 1)];
            for (uint64_t side = 0; side < kSides; ++side) frame[side] = data[side < sides ? side : 0];
        }
        const uint64_t stamp = stamps_written.load(std::memory_order_relaxed);
        if (n > 0 && stamp - stamps_read.load(std::memory_order_acquire) < kMarks) {
            stamps[stamp & (kMarks - 1)] = {w + n, now_s()};
            stamps_written.store(stamp + 1, std::memory_order_release);
        }
        written.store(w + n, std::memory_order_release);
        return true;
    }

    void skip_to_newest() {  // consumer: a new playback process does not play what went stale while nobody listened
        marks_read.store(marks_written.load(std::memory_order_acquire), std::memory_order_release);
        stamps_read.store(stamps_written.load(std::memory_order_acquire), std::memory_order_release);
        read.store(written.load(std::memory_order_acquire), std::memory_order_release);
    }
};

// What was really played, after the limiter, for recorder and monitor. Never waits for its readers: a reader that falls
// more than kCapacity samples behind has lost some, and can tell.
struct Tap {
    static constexpr uint64_t kCapacity = 1u << 17;
    alignas(64) Count written;  // callback only
    Count begun;                // callback only: raised before samples are overwritten, as in a Log
    alignas(64) std::atomic<float> samples[kCapacity][kSides];

    void begin(uint64_t n) {  // callback, before the n samples from `written` on
        begun.store(written.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_release);
    }

    // A reader; start + n <= written. out: n frames of `sides` samples; one side is the mean of both.
    bool read(uint64_t start, uint64_t n, float* out, uint64_t sides = kSides) const {
        for (uint64_t i = 0; i < n; ++i) {
            const std::atomic<float>* frame = samples[(start + i) & (kCapacity - 1)];
            const float left = frame[0].load(std::memory_order_relaxed), right = frame[1].load(std::memory_order_relaxed);
            if (sides == 1) {
                *out++ = 0.5f * (left + right);
            } else {
                *out++ = left;
                *out++ = right;
            }
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        return begun.load(std::memory_order_relaxed) <= start + kCapacity;
    }
};

}  // namespace livemove
