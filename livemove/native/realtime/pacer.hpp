// Pacer: when the next hop is due.
// In: the callback's count and the time of its last call. Out: how many samples the ring should hold. HOT; private to
// the producer.
#pragma once

#include <cmath>
#include <cstdint>

#include "layout.hpp"

namespace livemove {

// When the next hop is due: as late as can be, for every millisecond in the ring is a millisecond between motion and sound.
// Private to the producer. Callbacks come on a grid of one block; one that is late does not move the grid (the next will
// be on time again), one that is early does.
struct Pacer {
    double period_s, block;
    double grid_s = 0.0;   // the last callback's place on the grid
    uint64_t callbacks = 0;

    Pacer(double rate, uint64_t block_frames) : period_s(block_frames / rate), block(static_cast<double>(block_frames)) {}

    // Samples the ring should hold at `now`: all that callbacks before now + lead_s will take.
    uint64_t demand(const Playback& p, double now, double lead_s) {
        const uint64_t count = p.callbacks.load(std::memory_order_relaxed);
        if (count != callbacks) {
            const double at = p.heartbeat_s.load(std::memory_order_relaxed);
            const double expected = grid_s + period_s * static_cast<double>(count - callbacks);
            const double late = at - expected;
            grid_s = late < 0.0 || late > 4.0 * period_s ? at : expected + 0.02 * late;
            callbacks = count;
        }
        if (count == 0) return static_cast<uint64_t>(start_level(lead_s));
        const double most = start_level(lead_s) / block + 2.0;
        return static_cast<uint64_t>(std::fmin(std::fmax(std::floor((now + lead_s - grid_s) / period_s), 0.0), most) * block);
    }

    // Seconds until the demand grows by itself.
    double until_more_s(double now, double lead_s) const {
        const double phase = (now + lead_s - grid_s) / period_s;
        return (std::floor(phase) + 1.0 - phase) * period_s;
    }

    // The fill that is reached if nobody takes anything: a block at least, or playing would never start.
    double start_level(double lead_s) const { return (std::floor(std::fmax(lead_s, 0.0) / period_s) + 1.0) * block; }
};

}  // namespace livemove
