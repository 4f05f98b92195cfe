// AVX-512 kernels (Skylake-X and later; F, BW, DQ, VL); built twice, the second time with VNNI for the int8 products.
// In: the vector operations below. Out: kAvx512 or kAvx512Vnni. Runs only after the CPU said it can (machine.cpp).
#include <immintrin.h>

#include "compiler.hpp"
#include "isa.hpp"
#include "tiles.hpp"

#define LM_MAX_TILE 16
#define LM_HALF_IS_STORAGE 1
#define LM_GEMM_TILE 16
#ifdef LIVEMOVE_VNNI
#define LM_DIGITS 1
#else
#define LM_DIGITS 0
#endif

namespace livemove {
namespace {

constexpr int LANES = 16, MAX_TILE = LM_MAX_TILE, GEMM_TILE = LM_GEMM_TILE, INT_TILE = 8;
using V = __m512;
using VI = __m512i;
using Half = uint16_t;

LM_INLINE V v_set(float x) { return _mm512_set1_ps(x); }
LM_INLINE V v_load(const float* p) { return _mm512_load_ps(p); }
LM_INLINE V v_load_unaligned(const float* p) { return _mm512_loadu_ps(p); }
LM_INLINE void v_store(float* p, V x) { _mm512_store_ps(p, x); }
LM_INLINE void v_store_unaligned(float* p, V x) { _mm512_storeu_ps(p, x); }
LM_INLINE V v_half(const Half* p) { return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(p))); }
LM_INLINE V v_add(V a, V b) { return _mm512_add_ps(a, b); }
LM_INLINE V v_sub(V a, V b) { return _mm512_sub_ps(a, b); }
LM_INLINE V v_mul(V a, V b) { return _mm512_mul_ps(a, b); }
LM_INLINE V v_fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
LM_INLINE V v_min(V a, V b) { return _mm512_min_ps(a, b); }
LM_INLINE V v_max(V a, V b) { return _mm512_max_ps(a, b); }
LM_INLINE V v_round(V x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
LM_INLINE V v_scale(V x, V n) { return _mm512_scalef_ps(x, n); }
LM_INLINE float v_sum(V x) { return _mm512_reduce_add_ps(x); }
LM_INLINE V v_select_le(V a, V b, V yes, V no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LE_OQ), no, yes);
}

// One Newton step from the 14-bit estimate: as exact as needed and a third of the division's time.
LM_INLINE V v_div(V a, V b) {
    const V r = _mm512_rcp14_ps(b);
    return _mm512_mul_ps(a, _mm512_mul_ps(r, _mm512_fnmadd_ps(b, r, _mm512_set1_ps(2.0f))));
}

LM_INLINE V v_split(V x, V* exponent) {
    const V m = _mm512_getmant_ps(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src), one = _mm512_set1_ps(1.0f);
    const __mmask16 high = _mm512_cmp_ps_mask(m, _mm512_set1_ps(1.41421356f), _CMP_GT_OQ);
    const V e = _mm512_getexp_ps(x);
    *exponent = _mm512_mask_add_ps(e, high, e, one);
    return _mm512_mask_mul_ps(m, high, m, _mm512_set1_ps(0.5f));
}

LM_INLINE int v_positive(const float* x, int index, float* value, int32_t* where) {
    const V v = _mm512_load_ps(x);
    const __mmask16 keep = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_GT_OQ);
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    _mm512_storeu_ps(value, _mm512_maskz_compress_ps(keep, v));
    _mm512_storeu_si512(where, _mm512_maskz_compress_epi32(keep, _mm512_add_epi32(lane, _mm512_set1_epi32(index))));
    return _mm_popcnt_u32(keep);
}

LM_INLINE V v_abs(V x) { return _mm512_abs_ps(x); }
LM_INLINE float v_first(V x) { return _mm512_cvtss_f32(x); }
LM_INLINE V v_estimate(V x) { return _mm512_rcp14_ps(x); }

// The largest lane in every lane.
LM_INLINE V v_spread_max(V x) {
    x = _mm512_max_ps(x, _mm512_shuffle_f32x4(x, x, 0x4e));
    x = _mm512_max_ps(x, _mm512_shuffle_f32x4(x, x, 0xb1));
    x = _mm512_max_ps(x, _mm512_permute_ps(x, 0x4e));
    return _mm512_max_ps(x, _mm512_permute_ps(x, 0xb1));
}

// x - floor(x); whole is what v_scale needs of the rest: it takes the floor itself.
LM_INLINE V v_fraction(V x, V* whole) {
    *whole = x;
    return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

LM_INLINE VI vi_zero() { return _mm512_setzero_si512(); }
LM_INLINE VI vi_load(const void* p) { return _mm512_load_si512(p); }
LM_INLINE VI vi_add(VI a, VI b) { return _mm512_add_epi32(a, b); }
LM_INLINE V vi_float(VI x) { return _mm512_cvtepi32_ps(x); }

LM_INLINE void v_store_int16(int16_t* p, V x) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(x)));
}
LM_INLINE VI vi_pair(const int16_t* p) { return _mm512_set1_epi32(four_bytes(p)); }

#if LM_DIGITS
constexpr float RECTIFIED = 65535.0f;

LM_INLINE void store_digits(int16_t* row, int index, int rows, VI x) {
    uint8_t* bytes = reinterpret_cast<uint8_t*>(row) + index;
    _mm_store_si128(reinterpret_cast<__m128i*>(bytes), _mm512_cvtepi32_epi8(_mm512_srli_epi32(x, 8)));
    _mm_store_si128(reinterpret_cast<__m128i*>(bytes + rows), _mm512_cvtepi32_epi8(x));
}
LM_INLINE void v_store_fixed(int16_t* row, int index, int rows, V x) {
    store_digits(row, index, rows, _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(32768)));
}
LM_INLINE void v_store_rectified(int16_t* row, int index, int rows, V x) {
    store_digits(row, index, rows, _mm512_cvtps_epi32(x));
}
LM_INLINE VI vi_broadcast(const uint8_t* p) { return _mm512_set1_epi32(four_bytes(p)); }
LM_INLINE VI vi_sub(VI a, VI b) { return _mm512_sub_epi32(a, b); }
template <int N>
LM_INLINE VI vi_shift_left(VI x) {
    return _mm512_slli_epi32(x, N);
}
LM_INLINE VI vi_shift_right(VI x, unsigned n) { return _mm512_srai_epi32(x, n); }
// Each byte without its lowest n bits.
LM_INLINE VI vi_upper_bits(VI x, int n) { return _mm512_and_si512(x, _mm512_set1_epi8(static_cast<char>(0xff << n))); }
LM_INLINE VI vi_dot(VI sum, VI bytes, VI weights) {
#if defined(__GNUC__) && !defined(__clang__)
    // GCC 12 copies every accumulator twice around the intrinsic, which halves the rate.
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(weights));
    return sum;
#else
    return _mm512_dpbusd_epi32(sum, bytes, weights);
#endif
}
LM_INLINE VI vi_dot(VI sum, VI pair, const int16_t* w) {
#if defined(__GNUC__) && !defined(__clang__)
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(pair), "v"(vi_load(w)));
    return sum;
#else
    return _mm512_dpwssd_epi32(sum, pair, vi_load(w));
#endif
}
#else
LM_INLINE VI vi_dot(VI sum, VI pair, const int8_t* w) {
    const VI wide = _mm512_cvtepi8_epi16(_mm256_load_si256(reinterpret_cast<const __m256i*>(w)));
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pair, wide));
}
LM_INLINE VI vi_dot(VI sum, VI pair, const int16_t* w) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pair, vi_load(w)));
}
#endif

}  // namespace
}  // namespace livemove

#include "kernels.hpp"

namespace livemove {
#ifdef LIVEMOVE_VNNI
extern const Isa kAvx512Vnni = {"avx512vnni", LANES, MAX_TILE, GEMM_TILE, INT_TILE,
                                LM_DIGITS,    2,     hop,      synthesis, evaluate, read};
#else
extern const Isa kAvx512 = {"avx512", LANES, MAX_TILE, GEMM_TILE, INT_TILE, LM_DIGITS, 2, hop, synthesis, evaluate, read};
#endif
}  // namespace livemove
