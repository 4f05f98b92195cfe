// Compiler words the kernels need, spelled for GCC, Clang and MSVC. In: nothing. Out: macros; knows nothing of
// WaveNets.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(_MSC_VER) && !defined(__clang__)
#define LM_INLINE __forceinline
#define LM_RESTRICT __restrict
#define LM_UNROLL
#elif defined(__clang__)
#define LM_INLINE inline __attribute__((always_inline))
#define LM_RESTRICT __restrict__
#define LM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LM_INLINE inline __attribute__((always_inline))
#define LM_RESTRICT __restrict__
#define LM_UNROLL _Pragma("GCC unroll 32")
#endif

namespace livemove {
// Four bytes of whatever type, for an instruction that spreads them: a load, once compiled.
LM_INLINE int32_t four_bytes(const void* p) {
    int32_t x;
    std::memcpy(&x, p, 4);
    return x;
}
}  // namespace livemove
