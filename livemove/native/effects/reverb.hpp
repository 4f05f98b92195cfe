// THE HOT PATH. A stereo reverberator: a feedback delay network of 16 lines (Jot & Chaigne 1991), one hop at a time.
// In: a hop of stereo, how much of it goes in, how long it rings. Out: the same hop with the reverberation added.
// `process` allocates, locks and logs nothing and makes no system call; it knows no ring and no device.
//
//   in -> 4 allpasses a side -> + -> 16 delay lines -> absorbent filters -+-> sums -> out
//                               ^                                        |
//                               +------ rotations <- Hadamard matrix <---+
//
// Lines: prime lengths from 23 to 89 ms: 0.7 resonances per Hz. Hadamard: every line feeds every other one alike, and loses
// nothing. Absorbent filters: line i of m samples loses 60 dB * m / (rate * T(f)) a pass, so that at every frequency all lines
// die in the same time. Rotations: pairs of lines turn into each other by some slow angle, which loses nothing either: no
// resonance stands long enough to ring (time-varying feedback matrices: Schlecht & Habets 2015).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "hop.hpp"

namespace livemove::effects {

struct Reverb {
    static constexpr size_t kLines = 16, kPairs = kLines / 2, kPasses = 4;
    static constexpr double kShortest = 0.023, kLongest = 0.089;  // lines, seconds
    static constexpr double kLowestRate = 12000.0;  // below it lines are as long as here: none is shorter than a hop
    static constexpr float kCrossover = 4000.0f;    // Hz: where the decay rate is half way from that of the lows to the highs'
    static constexpr float kSoonest = 0.1f, kLatest = 30.0f;  // seconds
    static constexpr float kHighShare = 0.85f;      // damping 1: highs decay in 0.15 of the time
    static constexpr float kDepth = 1.2f;           // radians
    static constexpr float kMostFeed = 2.0f;
    static constexpr float kGlide = 0.08f;          // seconds in which a decay that is set is approached (time constant)

    // Schroeder's allpass: as many echoes, no colour. Lengths in seconds and coefficients after Dattorro (1997).
    struct Pass {
        std::vector<float> past;
        size_t at = 0;
        float g = 0.0f;
    };
    struct Line {
        std::vector<float> past;
        size_t at = 0;
        float x1 = 0.0f, y1 = 0.0f;       // of its filter
        float b0 = 0.0f, b1 = 0.0f, a1 = 0.0f;
    };

    double rate;
    Line lines[kLines];
    Pass passes[2][kPasses];
    float phase[kPairs] = {};  // of the rotations, in turns
    float speed[kPairs];       // turns a hop
    Ramp send, feed;           // feed: so that a long decay is no louder than a short one
    float octaves = 0.0f, damping = 0.0f;  // log2 of the decay in seconds; where they have glided to
    float rate_k;              // of the crossover, tan(pi f / rate)
    float quiet = 0.0f;        // hops without input and sound
    float awake = 0.0f;        // 0: all is silent behind it
    uint64_t broken = 0;       // samples that were no numbers
    float out[2][kHop], wet[kLines][kHop], side[2][kHop];

    explicit Reverb(double sample_rate) : rate(sample_rate) {  // not hot
        static constexpr double kPassSeconds[2][kPasses] = {{0.00477, 0.00360, 0.01273, 0.00931},
                                                            {0.00509, 0.00337, 0.01211, 0.00983}};
        const double lasting = std::fmax(rate, kLowestRate);
        for (size_t i = 0; i < kLines; ++i) {
            const double seconds = kShortest * std::pow(kLongest / kShortest, static_cast<double>(i) / (kLines - 1));
            lines[i].past.assign(prime_from(static_cast<size_t>(seconds * lasting)), 0.0f);
        }
        for (size_t s = 0; s < 2; ++s)
            for (size_t i = 0; i < kPasses; ++i) {
                passes[s][i].past.assign(prime_from(static_cast<size_t>(kPassSeconds[s][i] * rate)), 0.0f);
                passes[s][i].g = i < 2 ? 0.75f : 0.625f;
            }
        for (size_t i = 0; i < kPairs; ++i) speed[i] = static_cast<float>((0.3 + 0.13 * static_cast<double>(i)) * kHop / rate);
        rate_k = static_cast<float>(std::tan(0.5 * kTau * std::fmin(kCrossover, 0.4 * rate) / rate));
        clear();
    }

    static size_t prime_from(size_t n) {
        for (n = n < 3 ? 3 : n | 1;; n += 2) {
            bool prime = true;
            for (size_t d = 3; prime && d * d <= n; d += 2) prime = n % d != 0;
            if (prime) return n;
        }
    }

    void clear() {  // silence behind it
        for (Line& line : lines) {
            std::fill(line.past.begin(), line.past.end(), 0.0f);
            line.at = 0;
            line.x1 = line.y1 = 0.0f;
        }
        for (auto& chain : passes)
            for (Pass& pass : chain) {
                std::fill(pass.past.begin(), pass.past.end(), 0.0f);
                pass.at = 0;
            }
        for (size_t i = 0; i < kPairs; ++i) phase[i] = static_cast<float>(i) / kPairs;
        quiet = awake = 0.0f;
    }

    void reset() {  // as never played
        clear();
        send = feed = Ramp{};
    }

    struct Absorbent {
        float b0, b1, a1;
    };

    // First order, with exactly these gains at 0 and at half the rate, and their geometric mean at the crossover.
    Absorbent absorbent(float length, float decay_s, float damped) const {
        const float low = std::pow(10.0f, -3.0f * length / (decay_s * static_cast<float>(rate)));
        const float high = std::pow(low, 1.0f / (1.0f - kHighShare * damped));
        const float g = high / low, k = rate_k * std::sqrt(g), scale = 1.0f / (1.0f + k);
        return {low * (g + k) * scale, low * (k - g) * scale, (k - 1.0f) * scale};
    }

    // The decay that is asked for, approached hop by hop; true: filters change in this hop.
    bool glide(float decay_s, float damped) {
        const float goal = std::log2(decay_s), k = static_cast<float>(1.0 - std::exp(-static_cast<double>(kHop) / (kGlide * rate)));
        if (awake == 0.0f) {
            const bool other = octaves != goal || damping != damped || lines[0].b0 == 0.0f;
            octaves = goal;
            damping = damped;
            return other;
        }
        if (octaves == goal && damping == damped) return false;
        octaves = std::fabs(goal - octaves) < 1e-3f ? goal : octaves + k * (goal - octaves);
        damping = std::fabs(damped - damping) < 1e-3f ? damped : damping + k * (damped - damping);
        return true;
    }

    // block [kHop][2]; level 0..1 of it goes in; decay_s: time to fall by 60 dB at low frequencies; damped 0..1: how much
    // sooner the highs do. No click, whatever changes.
    void process(float* block, float level, float decay_s, float damped) {
        const NoDenormals guard;
        send.aim(within(level, 0.0f, 1.0f, 0.0f));
        bool turned = glide(within(decay_s, kSoonest, kLatest, 2.0f), within(damped, 0.0f, 1.0f, 0.0f));
        heal(block, 2 * kHop, broken);
        const bool fed = !send.silent() && peak_of(block, 2 * kHop) > 0.0f;
        feed.aim(loudness());
        if (awake == 0.0f) {
            if (turned) set_filters();
            turned = false;
            feed.from = feed.to;
            if (!fed) return;
            awake = 1.0f;
        }
        diffuse(block);
        read_lines(turned);
        sum_up();
        mix();
        turn();
        write_lines();
        for (size_t i = 0; i < kHop; ++i) {
            block[2 * i] += out[0][i];
            block[2 * i + 1] += out[1][i];
        }
        rest(fed);
    }

    // Of what goes in, so that as much power comes out of noise, however long it rings: of the energy in the lines, a pass
    // leaves the mean of what each of them leaves.
    float loudness() const {
        float left = 0.0f;
        for (const Line& line : lines)
            left += std::pow(10.0f, -6.0f * static_cast<float>(line.past.size()) / (std::exp2(octaves) * static_cast<float>(rate)));
        left /= kLines;
        return std::fmin(std::sqrt((1.0f - left) / (left * kPairs)), kMostFeed);
    }

    void set_filters() {
        for (Line& line : lines) {
            const Absorbent now = absorbent(static_cast<float>(line.past.size()), std::exp2(octaves), damping);
            line.b0 = now.b0;
            line.b1 = now.b1;
            line.a1 = now.a1;
        }
    }

    void diffuse(const float* block) {
        for (size_t s = 0; s < 2; ++s) {
            for (size_t i = 0; i < kHop; ++i) {
                const float x = std::fmin(std::fmax(block[2 * i + s], -kBroken), kBroken);
                side[s][i] = x * send.at(i) * feed.at(i);
            }
            for (Pass& pass : passes[s]) {
                float* past = pass.past.data();
                size_t at = pass.at;
                for (size_t i = 0; i < kHop; ++i) {
                    const float delayed = past[at], x = side[s][i] + pass.g * delayed;
                    side[s][i] = delayed - pass.g * x;
                    past[at] = x;
                    if (++at == pass.past.size()) at = 0;
                }
                pass.at = at;
                heal(past, pass.past.size(), broken);
            }
            heal(side[s], kHop, broken);
        }
    }

    // What left each line, filtered. A line is longer than a hop: all of it was written before.
    void read_lines(bool turned) {
        for (size_t l = 0; l < kLines; ++l) {
            Line& line = lines[l];
            const size_t size = line.past.size(), first = std::min(kHop, size - line.at);
            std::copy_n(line.past.begin() + static_cast<ptrdiff_t>(line.at), first, wet[l]);
            std::copy_n(line.past.begin(), kHop - first, wet[l] + first);
            Absorbent to{line.b0, line.b1, line.a1};
            if (turned) to = absorbent(static_cast<float>(size), std::exp2(octaves), damping);
            const float steps = 1.0f / kHop, db0 = (to.b0 - line.b0) * steps, db1 = (to.b1 - line.b1) * steps,
                        da1 = (to.a1 - line.a1) * steps;
            float b0 = line.b0, b1 = line.b1, a1 = line.a1, x1 = line.x1, y1 = line.y1;
            for (size_t i = 0; i < kHop; ++i) {
                b0 += db0;
                b1 += db1;
                a1 += da1;
                const float x = wet[l][i], y = b0 * x + b1 * x1 - a1 * y1;
                x1 = x;
                wet[l][i] = y1 = y;
            }
            line.b0 = to.b0;
            line.b1 = to.b1;
            line.a1 = to.a1;
            const bool healed = heal(wet[l], kHop, broken);
            line.x1 = healed ? 0.0f : x1;
            line.y1 = healed ? 0.0f : y1;
        }
    }

    // Even lines are heard on the left, odd ones on the right, with signs that differ from those of the input.
    void sum_up() {
        for (size_t s = 0; s < 2; ++s) {
            std::fill(out[s], out[s] + kHop, 0.0f);
            for (size_t l = s; l < kLines; l += 2) {
                const float sign = (l / 2) % 4 < 2 ? 1.0f : -1.0f;
                for (size_t i = 0; i < kHop; ++i) out[s][i] += sign * wet[l][i];
            }
        }
    }

    void mix() {  // fast Walsh-Hadamard transform, orthonormal
        for (size_t width = 1; width < kLines; width *= 2)
            for (size_t l = 0; l < kLines; ++l) {
                if (l & width) continue;
                float *a = wet[l], *b = wet[l + width];
                for (size_t i = 0; i < kHop; ++i) {
                    const float sum = a[i] + b[i];
                    b[i] = a[i] - b[i];
                    a[i] = sum;
                }
            }
    }

    // Lines l and l + 8 turn into each other. The angle swings as a sine; within a hop it moves evenly.
    void turn() {
        constexpr float kNormal = 0.25f;  // of the transform: 1 / sqrt(16)
        for (size_t p = 0; p < kPairs; ++p) {
            const double begin = kDepth * std::sin(kTau * phase[p]);
            phase[p] += speed[p];
            if (phase[p] >= 1.0f) phase[p] -= 1.0f;
            const double step = (kDepth * std::sin(kTau * phase[p]) - begin) / kHop;
            float c = static_cast<float>(std::cos(begin)) * kNormal, s = static_cast<float>(std::sin(begin)) * kNormal;
            const float dc = static_cast<float>(std::cos(step)), ds = static_cast<float>(std::sin(step));
            float *a = wet[p], *b = wet[p + kPairs];
            for (size_t i = 0; i < kHop; ++i) {
                const float left = a[i], right = b[i], next = c * dc - s * ds;
                a[i] = c * left - s * right;
                b[i] = s * left + c * right;
                s = s * dc + c * ds;
                c = next;
            }
        }
    }

    void write_lines() {
        for (size_t l = 0; l < kLines; ++l) {
            Line& line = lines[l];
            const float sign = (l / 2) % 2 ? -1.0f : 1.0f;
            const float* in = side[l % 2];
            size_t at = line.at;
            for (size_t i = 0; i < kHop; ++i) {
                line.past[at] = wet[l][i] + sign * in[i];
                if (++at == line.past.size()) at = 0;
            }
            line.at = at;
        }
    }

    // Once nothing went in and nothing sounded for as long as the longest line, all of it is silence.
    void rest(bool fed) {
        float loudest = std::fmax(peak_of(out[0], kHop), peak_of(out[1], kHop));
        for (size_t l = 0; l < kLines; ++l) loudest = std::fmax(loudest, peak_of(wet[l], kHop));
        quiet = fed || loudest > kSilent ? 0.0f : quiet + 1.0f;
        if (quiet * kHop > 2.0 * kLongest * std::fmax(rate, kLowestRate)) clear();
    }

    // All its future depends on, in an order that is the same both ways. Asleep, only what is set.
    template <class Visit>
    void settings(Visit&& visit) {
        for (float* each : {&awake, &send.to, &feed.to, &octaves, &damping, &quiet}) visit(*each);
        for (float& each : phase) visit(each);
        for (Line& line : lines)
            for (float* each : {&line.b0, &line.b1, &line.a1}) visit(*each);
    }
    template <class Visit>
    void tails(Visit&& visit) {
        for (Line& line : lines) {
            for (float* each : {&line.x1, &line.y1}) visit(*each);
            place(line.at, line.past.size(), visit);
            visit(line.past.data(), line.past.size());
        }
        for (auto& chain : passes)
            for (Pass& pass : chain) {
                place(pass.at, pass.past.size(), visit);
                visit(pass.past.data(), pass.past.size());
            }
    }
    template <class Visit>
    static void place(size_t& at, size_t size, Visit&& visit) {
        float value = static_cast<float>(at);
        visit(value);
        at = static_cast<size_t>(within(value, 0.0f, static_cast<float>(size - 1), 0.0f));
    }

    // Strangers' numbers (a take's): none of them may make it ring for ever.
    void make_safe() {
        octaves = within(octaves, std::log2(kSoonest), std::log2(kLatest), 1.0f);
        damping = within(damping, 0.0f, 1.0f, 0.0f);
        send.to = within(send.to, 0.0f, 1.0f, 0.0f);
        feed.to = within(feed.to, 0.0f, kMostFeed, 0.0f);
        for (float& each : phase) each = within(each, 0.0f, 1.0f, 0.0f);
        bool sound = true;  // no filter gives more than it gets; of the first order, the ends of its spectrum say so
        for (const Line& line : lines)
            sound = sound && std::fabs(line.a1) < 1.0f && std::fabs(line.b0 + line.b1) <= 1.0f + line.a1 &&
                    std::fabs(line.b0 - line.b1) <= 1.0f - line.a1;
        if (!sound) set_filters();
    }
};

}  // namespace livemove::effects
