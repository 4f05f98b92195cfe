// IEEE 754 binary16 to and from float, in integers: the same on every machine.
// In and out: one number. Used while packing, never per sample.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

namespace livemove {

// IEEE 754 binary16 of x, to nearest even; overflow saturates to infinity.
inline uint16_t to_half(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | (magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u));
    if (magnitude < 0x38800000u) {  // subnormal: the unit is 2^-24, and a float addition rounds to it
        float m;
        std::memcpy(&m, &magnitude, 4);
        m += 0.5f;
        uint32_t rounded;
        std::memcpy(&rounded, &m, 4);
        return static_cast<uint16_t>(sign | (rounded - 0x3f000000u));
    }
    return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13));
}

// The value of a binary16.
inline float from_half(uint16_t h) {
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16, exponent = (h >> 10) & 0x1fu, mantissa = h & 0x3ffu;
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * std::ldexp(static_cast<float>(mantissa), -24);
    const uint32_t bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112u) << 23) | (mantissa << 13);
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

}  // namespace livemove
