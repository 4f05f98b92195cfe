// What the effects share: the hop they work in, samples made safe, denormals out of the way, a fade.
// In: a hop of stereo. Out: the same. HOT: allocates, locks and logs nothing.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../finite.hpp"

#if defined(__SSE__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace livemove::effects {

constexpr size_t kHop = 256;       // contracts.HOP
constexpr float kSilent = 1e-7f;   // -140 dBFS: below it an effect without input ends, and is left out until it is fed
constexpr float kBroken = 8.0f;    // +18 dBFS, as in realtime/output.hpp
constexpr double kTau = 6.28318530717958647692;

// The processor takes numbers below the smallest normal one for 0 while this lives: a tail that dies away costs no more than
// one that sounds. On a processor we do not know, nothing.
class NoDenormals {
public:
#if defined(__SSE__) || defined(_M_X64)
    NoDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }  // flush to zero, denormals are zero
    ~NoDenormals() { _mm_setcsr(before_); }

private:
    unsigned before_;
#elif defined(__aarch64__) && !defined(_MSC_VER)
    NoDenormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" ::"r"(before_ | (1ull << 24)));
    }
    ~NoDenormals() { asm volatile("msr fpcr, %0" ::"r"(before_)); }

private:
    uint64_t before_;
#else
    NoDenormals() {}
    ~NoDenormals() {}
#endif
public:
    NoDenormals(const NoDenormals&) = delete;
    NoDenormals& operator=(const NoDenormals&) = delete;
};

// Whatever is no number becomes 0 and is counted; true: something was.
inline bool heal(float* samples, size_t count, uint64_t& broken) {
    uint32_t bad = 0;
    for (size_t i = 0; i < count; ++i) bad |= !finite(samples[i]);
    if (!bad) return false;
    for (size_t i = 0; i < count; ++i)
        if (!finite(samples[i])) {
            samples[i] = 0.0f;
            ++broken;
        }
    return true;
}

inline float peak_of(const float* samples, size_t count) {
    float peak = 0.0f;
    for (size_t i = 0; i < count; ++i) peak = std::fmax(peak, std::fabs(samples[i]));
    return peak;
}

inline float within(float value, float low, float high, float otherwise) {
    return !finite(value) ? otherwise : value < low ? low : value > high ? high : value;
}

// A setting along a straight line from hop to hop.
struct Ramp {
    float from = 0.0f, to = 0.0f;

    void aim(float value) {
        from = to;
        to = value;
    }
    float at(size_t i) const { return from + (to - from) * (static_cast<float>(i + 1) * (1.0f / kHop)); }
    bool silent() const { return from == 0.0f && to == 0.0f; }
};

// Out of and into arrays, in the same order both ways: how effects tell their state.
struct Writer {
    std::vector<float>& out;
    void operator()(float& value) { out.push_back(value); }
    void operator()(float* values, size_t count) { out.insert(out.end(), values, values + count); }
};

struct Reader {
    const float* at;
    void operator()(float& value) { value = *at++; }
    void operator()(float* values, size_t count) {
        std::copy_n(at, count, values);
        at += count;
    }
};

struct Counter {
    size_t count = 0;
    void operator()(float&) { ++count; }
    void operator()(float*, size_t n) { count += n; }
};

}  // namespace livemove::effects
