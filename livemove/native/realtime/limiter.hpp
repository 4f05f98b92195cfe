// THE HOT PATH. A true-peak limiter with a short look-ahead, sample by sample.
// In: any finite frames of left and right. Out: the same, kDelay frames later, with no peak above kCeiling between the
// samples either; both sides are turned down by what the louder one needs, so that the stereo image stays where it is.
// Allocates nothing, locks nothing; the same work for every frame but where it limits. Knows no ring and no device.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "../finite.hpp"

namespace livemove {

// The gain a peak needs is known kHalf samples after it (interpolation looks both ways), held while the interpolator sees
// that peak, and approached along a straight line over kAttack samples: a moving average of held minima, which has
// arrived when the peak comes out. Below the ceiling the gain is exactly 1, and the sound the same to the bit.
// Gains are whole numbers, kOne is 1: their running sum is exact, so that a take is played again to the bit from any block.
struct Limiter {
    static constexpr uint32_t kSides = 2;                         // left and right
    static constexpr uint32_t kPhases = 8;                        // peaks are looked for at 8 times the rate
    static constexpr uint32_t kHalf = 12, kTaps = 2 * kHalf;      // of the interpolator, on either side and in all
    static constexpr uint32_t kAttack = 24;
    static constexpr uint32_t kDelay = kAttack + 2 * kHalf - 2;   // 46 samples: 0.96 ms at 48 kHz
    static constexpr uint32_t kHeld = kDelay + 2;                 // how long each gain is held; kDelay + 1 would do
    static constexpr uint32_t kPast = kHeld + kTaps;              // what the gains that are held were made from
    static constexpr int32_t kOne = 1 << 24;                      // kAttack of them fit into 32 bits
    // The gain waits so long before it rises again: it stands still over a period of 47 Hz at 48 kHz, where to rise and fall
    // with every wave would bend a lopsided one's mean away from zero.
    static constexpr uint32_t kWait = 1024;
    static constexpr int kRelease = 12;                           // time constant: 2^12 samples, 85 ms at 48 kHz
    // -1.43 dBFS. What leaves is below -1 dBTP as ITU-R BS.1770-4 measures it, and with 8 times the rate and 20 taps a phase;
    // in noise up to Nyquist an interpolator of 256 taps sees up to 1.6 dB more.
    static constexpr float kCeiling = 0.848f;

    float kernel[kTaps][kPhases];  // Kaiser-windowed sinc
    float past[kSides][2 * kPast];  // the newest samples, twice, so that any kPast of them lie side by side
    int32_t gains[kAttack];        // after hold and release, a ring
    int32_t needed[kHeld];         // by each of the newest peaks, a ring
    int32_t sum;                   // of gains
    int32_t last;                  // of gains, the newest
    uint32_t past_at, gain_at, need_at;
    uint32_t wait;                 // samples until the gain may rise
    uint32_t over;                 // samples until all of needed is kOne again; 0: it is

    void prepare() {  // not hot
        constexpr double pi = 3.14159265358979323846, beta = 2.0;
        for (uint32_t phase = 0; phase < kPhases; ++phase)
            for (uint32_t tap = 0; tap < kTaps; ++tap) {
                const double at = static_cast<double>(tap) - (kHalf - 1) - static_cast<double>(phase) / kPhases;
                const double edge = at / kHalf, inside = 1.0 - edge * edge;
                const double window = inside > 0.0 ? bessel(beta * std::sqrt(inside)) / bessel(beta) : 0.0;
                kernel[tap][phase] = static_cast<float>((at == 0.0 ? 1.0 : std::sin(pi * at) / (pi * at)) * window);
            }
        reset();
    }

    static double bessel(double x) {  // I0 (Abramowitz & Stegun 9.6.10); not hot
        double term = 1.0, total = 1.0;
        for (int k = 1; k < 40; ++k) total += term *= (x / (2 * k)) * (x / (2 * k));
        return total;
    }

    void reset() {  // silence behind it
        std::memset(past, 0, sizeof past);
        std::fill(gains, gains + kAttack, kOne);
        std::fill(needed, needed + kHeld, kOne);
        sum = kOne * static_cast<int32_t>(kAttack);
        last = kOne;
        past_at = gain_at = need_at = over = wait = 0;
    }

    // All that its future depends on besides `wait`, oldest first: samples [kSides * kPast], left then right; gains
    // [kAttack].
    void save(float* samples, int32_t* smoothed) const {
        for (uint32_t side = 0; side < kSides; ++side)
            std::memcpy(samples + side * kPast, past[side] + past_at, kPast * sizeof(float));
        for (uint32_t i = 0; i < kAttack; ++i) smoothed[i] = gains[(gain_at + i) % kAttack];
    }

    void restore(const float* samples, const int32_t* smoothed, uint64_t waits) {  // not hot; of any numbers
        reset();
        wait = static_cast<uint32_t>(std::min<uint64_t>(waits, kWait));
        for (uint32_t i = 0; i < kPast; ++i) {
            float frame[kSides];
            for (uint32_t side = 0; side < kSides; ++side) {
                const float x = samples[side * kPast + i];
                frame[side] = finite(x) ? x : 0.0f;
            }
            push(frame);
            if (i >= kTaps - 1) need();
        }
        sum = 0;
        for (uint32_t i = 0; i < kAttack; ++i) sum += gains[i] = std::min(std::max(smoothed[i], 0), kOne);
        gain_at = 0;
        last = gains[kAttack - 1];
    }

    // The frame [kSides] goes in, and becomes that of kDelay frames ago. hits counts the frames followed by a peak above
    // the ceiling.
    void step(float* frame, uint64_t& hits) {
        push(frame);
        if (need() < kOne) ++hits;
        int32_t held = kOne;
        if (over)
            for (uint32_t i = 0; i < kHeld; ++i) held = std::min(held, needed[i]);
        if (held <= last + (last >> 6)) wait = held < kOne ? kWait : 0;  // within 0.14 dB: the same wave again
        if (held <= last) last = held;
        else if (wait > 0) --wait;
        else last = std::min(held, last + ((kOne - last) >> kRelease) + 1);
        sum += last - gains[gain_at];
        gains[gain_at] = last;
        gain_at = gain_at + 1 == kAttack ? 0 : gain_at + 1;
        const float gain = static_cast<float>(sum) * (1.0f / (kOne * static_cast<float>(kAttack)));
        for (uint32_t side = 0; side < kSides; ++side) frame[side] = past[side][past_at + kPast - 1 - kDelay] * gain;
    }

private:
    void push(const float* frame) {
        for (uint32_t side = 0; side < kSides; ++side) past[side][past_at] = past[side][past_at + kPast] = frame[side];
        past_at = past_at + 1 == kPast ? 0 : past_at + 1;
    }

    // The gain that the newest kTaps frames need: from their middle to the next frame, the louder side's.
    int32_t need() {
        float peak = 0.0f;
        for (uint32_t side = 0; side < kSides; ++side) {
            float at[kPhases] = {};
            const float* x = past[side] + past_at + kPast - kTaps;
            for (uint32_t tap = 0; tap < kTaps; ++tap)
                for (uint32_t phase = 0; phase < kPhases; ++phase) at[phase] += kernel[tap][phase] * x[tap];
            for (uint32_t phase = 0; phase < kPhases; ++phase) peak = std::max(peak, std::fabs(at[phase]));
        }
        const int32_t gain = peak > kCeiling ? static_cast<int32_t>(kCeiling / peak * static_cast<float>(kOne)) : kOne;
        over = gain < kOne ? kHeld : over - (over > 0);
        needed[need_at] = gain;
        need_at = need_at + 1 == kHeld ? 0 : need_at + 1;
        return gain;
    }
};

}  // namespace livemove
