// AVX2 kernels (Haswell, Zen and later: AVX2, FMA, F16C); built twice, the second time with AVX-VNNI (Alder Lake, Zen 5 and
// later) for the int8 products. In: the vector operations below. Out: kAvx2 or kAvxVnni. Runs only after the CPU said it
// can (machine.cpp).
#include <immintrin.h>

#include "compiler.hpp"
#include "isa.hpp"
#include "tiles.hpp"

#define LM_MAX_TILE 8
#define LM_HALF_IS_STORAGE 1
#define LM_GEMM_TILE 8
#ifdef LIVEMOVE_AVX_VNNI
#define LM_DIGITS 1
#define LM_INT_TILE 4  // 10-bit products have three sums a vector, and there are sixteen registers
#else
#define LM_DIGITS 0
#define LM_INT_TILE 8
#endif

namespace livemove {
namespace {

constexpr int LANES = 8, MAX_TILE = LM_MAX_TILE, GEMM_TILE = LM_GEMM_TILE, INT_TILE = LM_INT_TILE;
using V = __m256;
using VI = __m256i;
using Half = uint16_t;

LM_INLINE V v_set(float x) { return _mm256_set1_ps(x); }
LM_INLINE V v_load(const float* p) { return _mm256_load_ps(p); }
LM_INLINE V v_load_unaligned(const float* p) { return _mm256_loadu_ps(p); }
LM_INLINE void v_store(float* p, V x) { _mm256_store_ps(p, x); }
LM_INLINE void v_store_unaligned(float* p, V x) { _mm256_storeu_ps(p, x); }
LM_INLINE V v_half(const Half* p) { return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(p))); }
LM_INLINE V v_add(V a, V b) { return _mm256_add_ps(a, b); }
LM_INLINE V v_sub(V a, V b) { return _mm256_sub_ps(a, b); }
LM_INLINE V v_mul(V a, V b) { return _mm256_mul_ps(a, b); }
LM_INLINE V v_div(V a, V b) { return _mm256_div_ps(a, b); }
LM_INLINE V v_fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
LM_INLINE V v_min(V a, V b) { return _mm256_min_ps(a, b); }
LM_INLINE V v_max(V a, V b) { return _mm256_max_ps(a, b); }
LM_INLINE V v_round(V x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
LM_INLINE V v_select_le(V a, V b, V yes, V no) { return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LE_OQ)); }

// x * 2^n for whole n in -126..127.
LM_INLINE V v_scale(V x, V n) {
    const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(x, _mm256_castsi256_ps(power));
}

LM_INLINE float v_sum(V x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

LM_INLINE V v_split(V x, V* exponent) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i mantissa =
        _mm256_or_si256(_mm256_and_si256(bits, _mm256_set1_epi32(0x007fffff)), _mm256_set1_epi32(0x3f800000));
    const V m = _mm256_castsi256_ps(mantissa);
    const V e = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(127)));
    const V high = _mm256_cmp_ps(m, _mm256_set1_ps(1.41421356f), _CMP_GT_OQ);
    *exponent = _mm256_add_ps(e, _mm256_and_ps(high, _mm256_set1_ps(1.0f)));
    return _mm256_blendv_ps(m, _mm256_mul_ps(m, _mm256_set1_ps(0.5f)), high);
}

LM_INLINE int v_positive(const float* x, int index, float* value, int32_t* where) {
    int n = 0;
    for (int i = 0; i < LANES; ++i) {  // branch-free: writes every entry, keeps the positive ones
        value[n] = x[i];
        where[n] = index + i;
        n += x[i] > 0.0f;
    }
    return n;
}

LM_INLINE void v_store_int16(int16_t* p, V x) {
    const __m256i whole = _mm256_cvtps_epi32(x);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(whole, whole), 0x08);
    _mm_store_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}

LM_INLINE V v_abs(V x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
LM_INLINE float v_first(V x) { return _mm256_cvtss_f32(x); }
LM_INLINE V v_estimate(V x) { return v_div(v_set(1.0f), x); }

// The largest lane in every lane.
LM_INLINE V v_spread_max(V x) {
    x = _mm256_max_ps(x, _mm256_permute2f128_ps(x, x, 1));
    x = _mm256_max_ps(x, _mm256_permute_ps(x, 0x4e));
    return _mm256_max_ps(x, _mm256_permute_ps(x, 0xb1));
}

// x - floor(x) and the floor, for x clamped to -126 and more.
LM_INLINE V v_fraction(V x, V* whole) {
    x = v_max(x, v_set(-126.0f));
    *whole = _mm256_floor_ps(x);
    return v_sub(x, *whole);
}

LM_INLINE VI vi_zero() { return _mm256_setzero_si256(); }
LM_INLINE VI vi_pair(const int16_t* p) { return _mm256_set1_epi32(four_bytes(p)); }
LM_INLINE VI vi_add(VI a, VI b) { return _mm256_add_epi32(a, b); }
LM_INLINE V vi_float(VI x) { return _mm256_cvtepi32_ps(x); }
LM_INLINE VI vi_load(const void* p) { return _mm256_load_si256(static_cast<const __m256i*>(p)); }

#if LM_DIGITS
constexpr float RECTIFIED = 65535.0f;

LM_INLINE void store_digits(int16_t* row, int index, int rows, VI x) {
    uint8_t* bytes = reinterpret_cast<uint8_t*>(row) + index;
    const __m128i digits = _mm_setr_epi8(1, 5, 9, 13, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1);
    const VI each = _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(digits));
    const __m128i all = _mm_unpacklo_epi32(_mm256_castsi256_si128(each), _mm256_extracti128_si256(each, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(bytes), all);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(bytes + rows), _mm_unpackhi_epi64(all, all));
}
LM_INLINE void v_store_fixed(int16_t* row, int index, int rows, V x) {
    store_digits(row, index, rows, _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(32768)));
}
LM_INLINE void v_store_rectified(int16_t* row, int index, int rows, V x) {
    store_digits(row, index, rows, _mm256_cvtps_epi32(x));
}
LM_INLINE VI vi_broadcast(const uint8_t* p) { return _mm256_set1_epi32(four_bytes(p)); }
LM_INLINE VI vi_sub(VI a, VI b) { return _mm256_sub_epi32(a, b); }
template <int N>
LM_INLINE VI vi_shift_left(VI x) {
    return _mm256_slli_epi32(x, N);
}
LM_INLINE VI vi_shift_right(VI x, unsigned n) { return _mm256_srai_epi32(x, static_cast<int>(n)); }
// Each byte without its lowest n bits.
LM_INLINE VI vi_upper_bits(VI x, int n) { return _mm256_and_si256(x, _mm256_set1_epi8(static_cast<char>(0xff << n))); }
LM_INLINE VI vi_dot(VI sum, VI bytes, VI weights) {
#if defined(__GNUC__) && !defined(__clang__)
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(bytes), "xm"(weights));  // see isa_avx512.cpp
    return sum;
#else
    return _mm256_dpbusd_avx_epi32(sum, bytes, weights);
#endif
}
LM_INLINE VI vi_dot(VI sum, VI pair, const int16_t* w) {
#if defined(__GNUC__) && !defined(__clang__)
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(pair), "xm"(vi_load(w)));
    return sum;
#else
    return _mm256_dpwssd_avx_epi32(sum, pair, vi_load(w));
#endif
}
#else
LM_INLINE VI vi_dot(VI sum, VI pair, const int8_t* w) {
    const VI wide = _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(w)));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pair, wide));
}
LM_INLINE VI vi_dot(VI sum, VI pair, const int16_t* w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pair, vi_load(w)));
}
#endif

}  // namespace
}  // namespace livemove

#include "kernels.hpp"

namespace livemove {
#ifdef LIVEMOVE_AVX_VNNI
extern const Isa kAvxVnni = {"avxvnni", LANES, MAX_TILE,  GEMM_TILE, INT_TILE, LM_DIGITS,
                             2,         hop,   synthesis, evaluate,  read};
#else
extern const Isa kAvx2 = {"avx2", LANES, MAX_TILE, GEMM_TILE, INT_TILE, LM_DIGITS, 2, hop, synthesis, evaluate, read};
#endif
}  // namespace livemove
