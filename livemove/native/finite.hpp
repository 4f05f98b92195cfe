// Whether a sample is a number, told by its bits: holds under any floating-point flags.
// In: a float. Out: false for NaN and infinity. HOT: no branch, no call.
#pragma once

#include <cstdint>
#include <cstring>

namespace livemove {

inline bool finite(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

}  // namespace livemove
