// Kernels in standard C++ on vectors of four, which compilers turn into SSE2 or NEON; built twice for AArch64, the second
// time with its dot products for the int8 ones. In: the operations below. Out: kPortable; kNeonDot.
// On AArch64 weights stay fp16 in memory (a conversion is one instruction); elsewhere they are floats.
#include <math.h>
#include <string.h>
#if defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
#include <arm_neon.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "compiler.hpp"
#include "isa.hpp"
#include "tiles.hpp"

#define LM_MAX_TILE 8
#define LM_GEMM_TILE 8
#ifdef LIVEMOVE_DOTPROD
#define LM_DIGITS 2
#else
#define LM_DIGITS 0
#endif

namespace livemove {
namespace {

constexpr int LANES = 4, MAX_TILE = LM_MAX_TILE, GEMM_TILE = LM_GEMM_TILE, INT_TILE = 8;

#if defined(__GNUC__) || defined(__clang__)
typedef float V __attribute__((vector_size(16)));
typedef int32_t VI __attribute__((vector_size(16)));
LM_INLINE V v_set(float x) { return V{x, x, x, x}; }
#else
struct V {
    float lane[4];
    float& operator[](int i) { return lane[i]; }
    float operator[](int i) const { return lane[i]; }
};
struct VI {
    int32_t lane[4];
    int32_t& operator[](int i) { return lane[i]; }
    int32_t operator[](int i) const { return lane[i]; }
};
LM_INLINE V v_set(float x) { return V{{x, x, x, x}}; }
LM_INLINE V operator+(V a, V b) { return V{{a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]}}; }
LM_INLINE V operator-(V a, V b) { return V{{a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]}}; }
LM_INLINE V operator*(V a, V b) { return V{{a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]}}; }
LM_INLINE V operator/(V a, V b) { return V{{a[0] / b[0], a[1] / b[1], a[2] / b[2], a[3] / b[3]}}; }
#endif

LM_INLINE V v_load(const float* p) {
    V x;
    memcpy(&x, p, sizeof x);
    return x;
}
LM_INLINE V v_load_unaligned(const float* p) { return v_load(p); }
LM_INLINE void v_store(float* p, V x) { memcpy(p, &x, sizeof x); }
LM_INLINE void v_store_unaligned(float* p, V x) { v_store(p, x); }

#if defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
#define LM_HALF_IS_STORAGE 1
using Half = uint16_t;
LM_INLINE V v_half(const Half* p) {
    typedef __fp16 H __attribute__((vector_size(8)));
    H x;
    memcpy(&x, p, sizeof x);
    return __builtin_convertvector(x, V);
}
#else
#define LM_HALF_IS_STORAGE 0
using Half = float;
LM_INLINE V v_half(const Half* p) { return v_load(p); }
#endif

LM_INLINE V v_add(V a, V b) { return a + b; }
LM_INLINE V v_sub(V a, V b) { return a - b; }
LM_INLINE V v_mul(V a, V b) { return a * b; }
LM_INLINE V v_div(V a, V b) { return a / b; }
#if LM_HALF_IS_STORAGE
LM_INLINE V v_fma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
#else
LM_INLINE V v_fma(V a, V b, V c) { return a * b + c; }
#endif

LM_INLINE V v_min(V a, V b) {
    for (int i = 0; i < LANES; ++i) a[i] = a[i] < b[i] ? a[i] : b[i];
    return a;
}
LM_INLINE V v_max(V a, V b) {
    for (int i = 0; i < LANES; ++i) a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}
LM_INLINE V v_select_le(V a, V b, V yes, V no) {
    for (int i = 0; i < LANES; ++i) no[i] = a[i] <= b[i] ? yes[i] : no[i];
    return no;
}
LM_INLINE float v_sum(V x) { return (x[0] + x[2]) + (x[1] + x[3]); }

// To the nearest whole number, for |x| < 2^22: adding 1.5 * 2^23 leaves no room for a fraction.
LM_INLINE V v_round(V x) { return v_sub(v_add(x, v_set(12582912.0f)), v_set(12582912.0f)); }

// x * 2^n for whole n in -126..127.
LM_INLINE V v_scale(V x, V n) {
    VI bits;
    for (int i = 0; i < LANES; ++i) bits[i] = (static_cast<int32_t>(n[i]) + 127) << 23;
    V power;
    memcpy(&power, &bits, sizeof power);
    return x * power;
}

LM_INLINE V v_split(V x, V* exponent) {
    VI bits, mantissa;
    memcpy(&bits, &x, sizeof bits);
    for (int i = 0; i < LANES; ++i) {
        mantissa[i] = (bits[i] & 0x007fffff) | 0x3f800000;
        bits[i] = (bits[i] >> 23) - 127;
    }
    V m, e;
    memcpy(&m, &mantissa, sizeof m);
    for (int i = 0; i < LANES; ++i) {
        const bool high = m[i] > 1.41421356f;
        e[i] = static_cast<float>(bits[i] + high);
        m[i] = high ? m[i] * 0.5f : m[i];
    }
    *exponent = e;
    return m;
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
    for (int i = 0; i < LANES; ++i) p[i] = static_cast<int16_t>(lrintf(x[i]));
}
LM_INLINE V v_abs(V x) {
    for (int i = 0; i < LANES; ++i) x[i] = x[i] < 0.0f ? -x[i] : x[i];
    return x;
}
LM_INLINE float v_first(V x) { return x[0]; }
LM_INLINE V v_estimate(V x) { return v_div(v_set(1.0f), x); }

// The largest lane in every lane.
LM_INLINE V v_spread_max(V x) {
    float largest = x[0];
    for (int i = 1; i < LANES; ++i) largest = x[i] > largest ? x[i] : largest;
    return v_set(largest);
}

// x - floor(x) and the floor, for x clamped to -126 and more.
LM_INLINE V v_fraction(V x, V* whole) {
    x = v_max(x, v_set(-126.0f));
    const V near = v_round(x);
    *whole = v_select_le(near, x, near, v_sub(near, v_set(1.0f)));
    return v_sub(x, *whole);
}

LM_INLINE VI vi_zero() {
    VI x;
    for (int i = 0; i < LANES; ++i) x[i] = 0;
    return x;
}
#if defined(__SSE2__)
LM_INLINE VI vi_pair(const int16_t* p) {
    const int32_t two = four_bytes(p);
    return VI{two, two, two, two};
}
#else
LM_INLINE VI vi_pair(const int16_t* p) {
    VI x;
    for (int i = 0; i < LANES; ++i) x[i] = p[i & 1];  // only the two numbers matter here
    return x;
}
#endif
LM_INLINE V vi_float(VI x) {
    V y;
    for (int i = 0; i < LANES; ++i) y[i] = static_cast<float>(x[i]);
    return y;
}
LM_INLINE VI vi_add(VI a, VI b) {
    for (int i = 0; i < LANES; ++i) a[i] += b[i];
    return a;
}
#if defined(__GNUC__) || defined(__clang__)
// Four columns, two rows each.
LM_INLINE VI dot(VI sum, VI pair, VI two_rows) {
#if defined(__SSE2__)
    return sum +
           reinterpret_cast<VI>(_mm_madd_epi16(reinterpret_cast<__m128i>(pair), reinterpret_cast<__m128i>(two_rows)));
#else
    const VI even = (two_rows << 16) >> 16, odd = two_rows >> 16;
    return sum + pair[0] * even + pair[1] * odd;
#endif
}
LM_INLINE VI vi_dot(VI sum, VI pair, const int16_t* w) {
    VI two_rows;
    memcpy(&two_rows, w, sizeof two_rows);
    return dot(sum, pair, two_rows);
}
LM_INLINE VI vi_dot(VI sum, VI pair, const int8_t* w) {
    typedef int8_t Bytes __attribute__((vector_size(8)));
    typedef int16_t Words __attribute__((vector_size(16)));
    Bytes bytes;
    memcpy(&bytes, w, sizeof bytes);
    const Words words = __builtin_convertvector(bytes, Words);
    VI two_rows;
    memcpy(&two_rows, &words, sizeof two_rows);
    return dot(sum, pair, two_rows);
}
#else
template <class Integer>
LM_INLINE VI vi_dot(VI sum, VI pair, const Integer* w) {
    for (int i = 0; i < LANES; ++i) sum[i] += pair[0] * w[2 * i] + pair[1] * w[2 * i + 1];
    return sum;
}
#endif

#if LM_DIGITS
constexpr float RECTIFIED = 65535.0f;

// The two digits of x in 0..65535 less 128 each: signed bytes, which is what these dot products take. What that leaves out
// of a sum is a constant of the column, which the packer adds.
LM_INLINE void store_digits(int16_t* row, int index, int rows, int32x4_t x) {
    int8_t* bytes = reinterpret_cast<int8_t*>(row) + index;
    const uint16x4_t digits = veor_u16(vmovn_u32(vreinterpretq_u32_s32(x)), vdup_n_u16(0x8080));
    const uint16x8_t both = vcombine_u16(vshr_n_u16(digits, 8), digits);
    const uint32x2_t stored = vreinterpret_u32_u8(vmovn_u16(both));
    const uint32_t high = vget_lane_u32(stored, 0), low = vget_lane_u32(stored, 1);
    memcpy(bytes, &high, sizeof high);
    memcpy(bytes + rows, &low, sizeof low);
}
LM_INLINE void v_store_fixed(int16_t* row, int index, int rows, V x) {
    store_digits(row, index, rows, vaddq_s32(vcvtnq_s32_f32(x), vdupq_n_s32(32768)));
}
LM_INLINE void v_store_rectified(int16_t* row, int index, int rows, V x) {
    store_digits(row, index, rows, vcvtnq_s32_f32(x));
}
LM_INLINE VI vi_load(const void* p) { return vld1q_s32(static_cast<const int32_t*>(p)); }
LM_INLINE VI vi_broadcast(const uint8_t* p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return vdupq_n_s32(four);
}
LM_INLINE VI vi_sub(VI a, VI b) { return a - b; }
template <int N>
LM_INLINE VI vi_shift_left(VI x) {
    return x << N;
}
LM_INLINE VI vi_shift_right(VI x, unsigned n) { return x >> static_cast<int>(n); }
// Each byte without its lowest n bits.
LM_INLINE VI vi_upper_bits(VI x, int n) {
    return x & vreinterpretq_s32_u8(vdupq_n_u8(static_cast<uint8_t>(0xff << n)));
}
LM_INLINE VI vi_dot(VI sum, VI bytes, VI weights) {
    return vdotq_s32(sum, vreinterpretq_s8_s32(bytes), vreinterpretq_s8_s32(weights));
}
#endif

}  // namespace
}  // namespace livemove

#include "kernels.hpp"

namespace livemove {
#ifdef LIVEMOVE_DOTPROD
extern const Isa kNeonDot = {"neon-dot", LANES, MAX_TILE,  GEMM_TILE, INT_TILE, LM_DIGITS,
                             2,          hop,   synthesis, evaluate,  read};
#else
extern const Isa kPortable = {
    "portable", LANES,     MAX_TILE, GEMM_TILE, INT_TILE, LM_DIGITS, static_cast<int>(sizeof(Half)),
    hop,        synthesis, evaluate, read};
#endif
}  // namespace livemove
