// THE HOT PATH. A stereo delay with feedback, one hop at a time.
// In: a hop of stereo, how much of it goes in, after what time it comes back. Out: the same hop with the echoes added.
// `process` allocates, locks and logs nothing and makes no system call; it knows no tempo, no ring and no device.
//
// The time glides as a tape machine's does: the head that reads moves, no faster than at a third of the tape's speed, and what
// it passes is heard higher or lower; between samples it reads by a polynomial of the third order (Lagrange). At rest it stands
// on a whole sample, where that is exact. What goes round is thinned out by two filters of the first order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "hop.hpp"

namespace livemove::effects {

struct Delay {
    static constexpr double kShortest = 0.01, kLongest = 2.0;  // seconds
    static constexpr float kMostFeedback = 0.95f;
    static constexpr double kLowpass = 4500.0, kHighpass = 80.0;  // Hz, of each time round
    static constexpr double kGlide = 0.06;   // seconds in which a time that is set is approached (time constant)
    static constexpr double kFastest = 0.33;  // samples a sample, of the head

    double rate;
    size_t size;                        // samples of the past, a side
    std::vector<float> past;            // [size][2]
    size_t at = 0;                      // where the next sample goes
    Ramp send, back;                    // back: the feedback
    float whole = 0.0f, part = 0.0f;    // delay in samples, where it has glided to: two numbers, that floats hold it exactly
    float low[2] = {}, high[2] = {};    // of the filters
    float quiet = 0.0f, awake = 0.0f;   // as in reverb.hpp
    float low_k, high_k;
    uint64_t broken = 0;

    explicit Delay(double sample_rate)  // not hot
        : rate(sample_rate), size(static_cast<size_t>(kLongest * sample_rate) + 8), past(2 * size, 0.0f) {
        low_k = coefficient(kLowpass);
        high_k = coefficient(kHighpass);
    }

    float coefficient(double hz) const { return static_cast<float>(1.0 - std::exp(-kTau * std::fmin(hz, 0.4 * rate) / rate)); }

    void clear() {  // silence behind it
        std::fill(past.begin(), past.end(), 0.0f);
        at = 0;
        for (float* each : {&low[0], &low[1], &high[0], &high[1], &quiet, &awake}) *each = 0.0f;
    }

    void reset() {  // as never played
        clear();
        send = back = Ramp{};
    }

    // block [kHop][2]; level 0..1 of it goes in; seconds until it comes back; feedback 0..0.95 of that goes in again.
    void process(float* block, float level, float seconds, float feedback) {
        const NoDenormals guard;
        send.aim(within(level, 0.0f, 1.0f, 0.0f));
        back.aim(within(feedback, 0.0f, kMostFeedback, 0.0f));
        const double wanted = within(seconds, static_cast<float>(kShortest), static_cast<float>(kLongest), 0.5f);
        const double goal = std::fmax(std::floor(wanted * rate + 0.5), 2.0);
        heal(block, 2 * kHop, broken);
        const bool fed = !send.silent() && peak_of(block, 2 * kHop) > 0.0f;
        if (awake == 0.0f) {
            whole = static_cast<float>(goal);
            part = 0.0f;
            if (!fed) return;
            awake = 1.0f;
        }
        float loudest = 0.0f;
        double where = static_cast<double>(whole) + part;
        const double k = 1.0 - std::exp(-1.0 / (kGlide * rate));
        for (size_t i = 0; i < kHop; ++i) {
            if (where != goal) {
                const double far = goal - where;
                where += std::fmin(std::fmax(k * far, -kFastest), kFastest);
                if (std::fabs(goal - where) < 0.01) where = goal;
            }
            const auto steps = static_cast<size_t>(where);
            const float f = static_cast<float>(where - static_cast<double>(steps));
            const float level_now = send.at(i), back_now = back.at(i);
            for (size_t s = 0; s < 2; ++s) {
                float x = std::fmin(std::fmax(block[2 * i + s], -kBroken), kBroken);
                float echo = f == 0.0f ? past[2 * place(steps) + s] : between(steps, f, s);
                low[s] += low_k * (echo - low[s]);
                high[s] += high_k * (low[s] - high[s]);
                float in = level_now * x + back_now * (low[s] - high[s]);
                if (!finite(echo) || !finite(in)) {
                    ++broken;
                    echo = low[s] = high[s] = 0.0f;
                    in = level_now * x;
                }
                past[2 * at + s] = in;
                block[2 * i + s] += echo;
                loudest = std::fmax(loudest, std::fmax(std::fabs(in), std::fabs(echo)));
            }
            if (++at == size) at = 0;
        }
        whole = static_cast<float>(std::floor(where));
        part = static_cast<float>(where - std::floor(where));
        quiet = fed || loudest > kSilent ? 0.0f : quiet + 1.0f;
        if (quiet * kHop > static_cast<float>(size)) clear();
    }

    size_t place(size_t steps) const { return at >= steps ? at - steps : at + size - steps; }  // of that many samples ago

    float between(size_t steps, float f, size_t s) const {  // Lagrange, of samples steps - 1 .. steps + 2
        const float a = past[2 * place(steps - 1) + s], b = past[2 * place(steps) + s];
        const float c = past[2 * place(steps + 1) + s], d = past[2 * place(steps + 2) + s];
        return -f * (f - 1.0f) * (f - 2.0f) / 6.0f * a + (f + 1.0f) * (f - 1.0f) * (f - 2.0f) / 2.0f * b -
               (f + 1.0f) * f * (f - 2.0f) / 2.0f * c + (f + 1.0f) * f * (f - 1.0f) / 6.0f * d;
    }

    template <class Visit>
    void settings(Visit&& visit) {
        for (float* each : {&awake, &send.to, &back.to, &whole, &part, &quiet}) visit(*each);
    }
    template <class Visit>
    void tails(Visit&& visit) {
        visit(low, 2);
        visit(high, 2);
        float place = static_cast<float>(at);
        visit(place);
        at = static_cast<size_t>(within(place, 0.0f, static_cast<float>(size - 1), 0.0f));
        visit(past.data(), past.size());
    }

    void make_safe() {  // strangers' numbers
        send.to = within(send.to, 0.0f, 1.0f, 0.0f);
        back.to = within(back.to, 0.0f, kMostFeedback, 0.0f);
        whole = std::floor(within(whole, 2.0f, static_cast<float>(size - 4), 2.0f));
        part = within(part, 0.0f, 0.999f, 0.0f);
    }
};

}  // namespace livemove::effects
