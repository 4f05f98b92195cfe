// The network's hot path: one hop of WaveNet steps. HOT: runs per sample; allocates, locks, logs and calls nothing.
// In: a Plan. Out: plan.values, plan.distribution. Included once by each wavenet_<isa>.cpp after it has defined the
// vector type V, Half and their operations in an anonymous namespace; knows neither Python nor how weights were packed.
//
// Matrix-vector products run down the rows of a tile of columns: one broadcast input times T vectors of weights into T
// accumulators, so there is no horizontal sum and the weights stream through once, in the order they lie in memory.

namespace livemove {
namespace {

// --- elementary functions ------------------------------------------------------------------------------------------

// exp(x), x clamped to -87..87; relative error below 2e-7 (Cody-Waite reduction, degree-6 polynomial).
inline V v_exp(V x) {
    x = v_min(v_max(x, v_set(-87.0f)), v_set(87.0f));
    const V n = v_round(v_mul(x, v_set(1.44269504088896341f)));
    V r = v_fma(n, v_set(-0.693359375f), x);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    V p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_fma(p, v_mul(r, r), v_add(r, v_set(1.0f)));
    return v_scale(p, n);
}

// Natural logarithm of a positive normal number; absolute error below 2e-7 * max(1, |log x|) (Cephes).
inline V v_log(V x) {
    V e;
    V m = v_split(x, &e);  // x = m * 2^e, m in sqrt(1/2)..sqrt(2)
    m = v_sub(m, v_set(1.0f));
    const V square = v_mul(m, m);
    V p = v_set(7.0376836292e-2f);
    p = v_fma(p, m, v_set(-1.1514610310e-1f));
    p = v_fma(p, m, v_set(1.1676998740e-1f));
    p = v_fma(p, m, v_set(-1.2420140846e-1f));
    p = v_fma(p, m, v_set(1.4249322787e-1f));
    p = v_fma(p, m, v_set(-1.6668057665e-1f));
    p = v_fma(p, m, v_set(2.0000714765e-1f));
    p = v_fma(p, m, v_set(-2.4999993993e-1f));
    p = v_fma(p, m, v_set(3.3333331174e-1f));
    V y = v_mul(v_mul(p, m), square);
    y = v_fma(e, v_set(-2.12194440e-4f), y);
    y = v_fma(square, v_set(-0.5f), y);
    return v_fma(e, v_set(0.693359375f), v_add(m, y));
}

// tanh(a) * sigmoid(b) with one division; absolute error below 4e-7.
inline V v_gate(V a, V b) {
    const V ea = v_exp(v_mul(v_min(v_max(a, v_set(-10.0f)), v_set(10.0f)), v_set(-2.0f)));
    const V eb = v_exp(v_sub(v_set(0.0f), v_min(v_max(b, v_set(-30.0f)), v_set(30.0f))));
    const V one = v_set(1.0f);
    return v_div(v_sub(one, ea), v_mul(v_add(one, ea), v_add(one, eb)));
}

// 2^x for x up to 126; relative error below 4e-6 (degree 4 on the fraction).
inline V v_exp2_coarse(V x) {
    V whole;
    const V r = v_fraction(x, &whole);
    V p = v_set(1.3534168e-2f);
    p = v_fma(p, r, v_set(5.2011464e-2f));
    p = v_fma(p, r, v_set(2.4144275e-1f));
    p = v_fma(p, r, v_set(6.9300383e-1f));
    p = v_fma(p, r, v_set(1.0000026f));
    return v_scale(p, whole);
}

// v_gate(x / kTanhFactor, y / kSigmoidFactor) with an absolute error below 1e-5, a third of the step of the fixed-point
// result: the packer puts the factors into the weights.
inline V v_gate_coarse(V x, V y) {
    const V one = v_set(1.0f), most = v_set(60.0f);
    const V ea = v_exp2_coarse(v_min(x, most)), eb = v_exp2_coarse(v_min(y, most));
    return v_div(v_sub(one, ea), v_mul(v_add(one, ea), v_add(one, eb)));
}

// --- products ------------------------------------------------------------------------------------------------------

// y = init (+ init_2) + x @ w for T vectors of columns. U rows at a time into separate sums where T alone cannot hide
// the latency of the multiply-adds.
template <int T>
LM_INLINE void tile_product(const Half* LM_RESTRICT w, const float* LM_RESTRICT x, int rows, const float* init,
                            const float* init_2, float* y) {
    constexpr int U = T >= 8 ? 1 : 8 / T;
    V sum[U][T];
    LM_UNROLL
    for (int i = 0; i < T; ++i) {
        sum[0][i] = v_load(init + i * LANES);
        if (init_2) sum[0][i] = v_add(sum[0][i], v_load(init_2 + i * LANES));
    }
    LM_UNROLL
    for (int u = 1; u < U; ++u) {
        LM_UNROLL
        for (int i = 0; i < T; ++i) sum[u][i] = v_set(0.0f);
    }
    int row = 0;
    for (; row + U <= rows; row += U) {
        LM_UNROLL
        for (int u = 0; u < U; ++u) {
            const V broadcast = v_set(x[row + u]);
            LM_UNROLL
            for (int i = 0; i < T; ++i) sum[u][i] = v_fma(broadcast, v_half(w + i * LANES), sum[u][i]);
            w += T * LANES;
        }
    }
    for (; row < rows; ++row, w += T * LANES) {
        const V broadcast = v_set(x[row]);
        LM_UNROLL
        for (int i = 0; i < T; ++i) sum[0][i] = v_fma(broadcast, v_half(w + i * LANES), sum[0][i]);
    }
    LM_UNROLL
    for (int u = 1; u < U; ++u) {
        LM_UNROLL
        for (int i = 0; i < T; ++i) sum[0][i] = v_add(sum[0][i], sum[u][i]);
    }
    LM_UNROLL
    for (int i = 0; i < T; ++i) v_store(y + i * LANES, sum[0][i]);
}

inline void product(const void* packed, const float* x, int rows, int columns, const float* init, const float* init_2,
                    float* y) {
    const Half* w = static_cast<const Half*>(packed);
    for (int left = columns / LANES; left > 0;) {
        const int tile = next_tile(left, MAX_TILE);
        switch (tile) {
#if LM_MAX_TILE >= 16
            case 16: tile_product<16>(w, x, rows, init, init_2, y); break;
#endif
            case 8: tile_product<8>(w, x, rows, init, init_2, y); break;
            case 4: tile_product<4>(w, x, rows, init, init_2, y); break;
            case 2: tile_product<2>(w, x, rows, init, init_2, y); break;
            default: tile_product<1>(w, x, rows, init, init_2, y); break;
        }
        left -= tile;
        w += static_cast<size_t>(tile) * LANES * rows;
        init += tile * LANES;
        if (init_2) init_2 += tile * LANES;
        y += tile * LANES;
    }
}

// The same for `count` inputs of which only those at rows where[] are not zero: a rectifier leaves about half, and the
// weights of the others need not be read at all.
template <int T>
LM_INLINE void tile_product_sparse(const Half* LM_RESTRICT w, const float* LM_RESTRICT x,
                                   const int32_t* LM_RESTRICT where, int count, const float* init, float* y) {
    V sum[T];
    LM_UNROLL
    for (int i = 0; i < T; ++i) sum[i] = v_load(init + i * LANES);
    for (int k = 0; k < count; ++k) {
        const V broadcast = v_set(x[k]);
        const Half* row = w + static_cast<size_t>(where[k]) * (T * LANES);
        LM_UNROLL
        for (int i = 0; i < T; ++i) sum[i] = v_fma(broadcast, v_half(row + i * LANES), sum[i]);
    }
    LM_UNROLL
    for (int i = 0; i < T; ++i) v_store(y + i * LANES, sum[i]);
}

inline void product_sparse(const void* packed, const float* x, const int32_t* where, int count, int rows, int columns,
                           const float* init, float* y) {
    const Half* w = static_cast<const Half*>(packed);
    for (int left = columns / LANES; left > 0;) {
        const int tile = next_tile(left, MAX_TILE);
        switch (tile) {
#if LM_MAX_TILE >= 16
            case 16: tile_product_sparse<16>(w, x, where, count, init, y); break;
#endif
            case 8: tile_product_sparse<8>(w, x, where, count, init, y); break;
            case 4: tile_product_sparse<4>(w, x, where, count, init, y); break;
            case 2: tile_product_sparse<2>(w, x, where, count, init, y); break;
            default: tile_product_sparse<1>(w, x, where, count, init, y); break;
        }
        left -= tile;
        w += static_cast<size_t>(tile) * LANES * rows;
        init += tile * LANES;
        y += tile * LANES;
    }
}

LM_INLINE V v_weight(const Half* w) { return v_half(w); }
#if LM_HALF_IS_STORAGE
LM_INLINE V v_weight(const float* w) { return v_load(w); }
#endif

// y[m] = x[m] @ w for M steps and T vectors of columns: each weight is read and widened once for M steps.
template <int M, int T, class Weight>
LM_INLINE void tile_batch(const Weight* LM_RESTRICT w, const float* const* x, int rows, float* y, int stride) {
    V sum[M][T];
    LM_UNROLL
    for (int m = 0; m < M; ++m) {
        LM_UNROLL
        for (int i = 0; i < T; ++i) sum[m][i] = v_set(0.0f);
    }
    const float* source[M];
    LM_UNROLL
    for (int m = 0; m < M; ++m) source[m] = x[m];
    for (int row = 0; row < rows; ++row, w += T * LANES) {
        V weight[T];
        LM_UNROLL
        for (int i = 0; i < T; ++i) weight[i] = v_weight(w + i * LANES);
        LM_UNROLL
        for (int m = 0; m < M; ++m) {
            const V broadcast = v_set(source[m][row]);
            LM_UNROLL
            for (int i = 0; i < T; ++i) sum[m][i] = v_fma(broadcast, weight[i], sum[m][i]);
        }
    }
    LM_UNROLL
    for (int m = 0; m < M; ++m) {
        LM_UNROLL
        for (int i = 0; i < T; ++i) v_store(y + static_cast<size_t>(m) * stride + i * LANES, sum[m][i]);
    }
}

template <int M>
inline void batch_rows(const Half* w, const float* const* x, int rows, int columns, int widest, float* y) {
    for (int at = 0; at < columns;) {
        const int tile = next_tile((columns - at) / LANES, widest);
        switch (tile) {
#if LM_GEMM_TILE >= 16
            case 16:
                if constexpr (M <= 1) tile_batch<M, 16>(w, x, rows, y + at, columns);
                break;
#endif
            case 8:
                if constexpr (M * 8 <= GEMM_TILE) tile_batch<M, 8>(w, x, rows, y + at, columns);
                break;
            case 4:
                if constexpr (M * 4 <= GEMM_TILE) tile_batch<M, 4>(w, x, rows, y + at, columns);
                break;
            case 2:
                if constexpr (M * 2 <= GEMM_TILE) tile_batch<M, 2>(w, x, rows, y + at, columns);
                break;
            default: tile_batch<M, 1>(w, x, rows, y + at, columns); break;
        }
        at += tile * LANES;
        w += static_cast<size_t>(tile) * LANES * rows;
    }
}

// Fixed-point products. Inputs are 16-bit fixed point, weights int8, 10-bit or int16 with one unit per column. All sums
// are exact in int32: the packer sees to it that the magnitudes of an int16 or 10-bit column sum to no more than 65535,
// and a column of int8 has at most 512 rows.

// total[m] = x[m] @ w for M inputs `apart` entries apart; weights lie as [tile][pair of rows][column][2].
template <int M, int T, class Integer>
LM_INLINE void sum_pairs(const Integer* LM_RESTRICT w, const int16_t* LM_RESTRICT x, int rows, int apart,
                         VI (&total)[M][T]) {
    constexpr int SPARE = GEMM_TILE / (M * T), U = SPARE < 1 ? 1 : SPARE > 8 ? 8 : SPARE;  // 16 rows divide everything
    VI sum[U][M][T];
    LM_UNROLL
    for (int k = 0; k < U * M * T; ++k) sum[k / (M * T)][k / T % M][k % T] = vi_zero();
    for (int row = 0; row < rows; row += 2 * U) {
        LM_UNROLL
        for (int u = 0; u < U; ++u, w += 2 * T * LANES) {
            LM_UNROLL
            for (int m = 0; m < M; ++m) {
                const VI pair = vi_pair(x + m * apart + row + 2 * u);
                LM_UNROLL
                for (int i = 0; i < T; ++i) sum[u][m][i] = vi_dot(sum[u][m][i], pair, w + 2 * i * LANES);
            }
        }
    }
    LM_UNROLL
    for (int k = 0; k < M * T; ++k) {
        VI all = sum[0][k / T][k % T];
        LM_UNROLL
        for (int u = 1; u < U; ++u) all = vi_add(all, sum[u][k / T][k % T]);
        total[k / T][k % T] = all;
    }
}

#if LM_DIGITS
// int8 and 10-bit products here take unsigned times signed bytes, four at a time. An input x lies as the two unsigned
// digits of x + 32768 (of x itself behind a rectifier): the high bytes of all rows, then the low ones. int8
// weights lie as [tile][four rows][column][4]; 10-bit ones as their upper eight bits like that, then their lower two,
// of four columns a quarter tile apart to a byte: those of the tile's last quarter signed in the uppermost bits, the
// others unsigned. What the 32768 adds to a column is a constant times the input's scale: it stands in a bias where
// that scale is known, in `offset` where not.
template <int T>
LM_INLINE void sum_int8(const int8_t* LM_RESTRICT w, const int16_t* x, int rows, V (&total)[T]) {
    const uint8_t *high = reinterpret_cast<const uint8_t*>(x), *low = high + rows;
    VI coarse[T], fine[T];
    LM_UNROLL
    for (int i = 0; i < T; ++i) coarse[i] = fine[i] = vi_zero();
    for (int row = 0; row < rows; row += 4, w += 4 * T * LANES) {
        const VI h = vi_broadcast(high + row), l = vi_broadcast(low + row);
        LM_UNROLL
        for (int i = 0; i < T; ++i) {
            const VI weight = vi_load(w + 4 * i * LANES);
            coarse[i] = vi_dot(coarse[i], h, weight);
            fine[i] = vi_dot(fine[i], l, weight);
        }
    }
    LM_UNROLL
    for (int i = 0; i < T; ++i) total[i] = v_fma(v_set(256.0f), vi_float(coarse[i]), vi_float(fine[i]));
}

// A quarter of x @ w. The lower digit of the input times the lower two bits of the weight is left out but for its mean:
// it is 1e-3 of the rounding of the weights.
template <int T>
LM_INLINE void sum_int10(const int8_t* LM_RESTRICT w, const int16_t* x, int rows, V (&total)[T]) {
    constexpr int FIELDS = T < 4 ? T : 4, BYTES = T / FIELDS;  // fields in a byte, vectors of such bytes
    const uint8_t *high = reinterpret_cast<const uint8_t*>(x), *low = high + rows;
    VI coarse[T], middle[T], from[FIELDS][BYTES];  // from[f]: fields f and above
    LM_UNROLL
    for (int i = 0; i < T; ++i) coarse[i] = middle[i] = from[i / BYTES][i % BYTES] = vi_zero();
    for (int row = 0; row < rows; row += 4, w += 4 * (T + BYTES) * LANES) {
        const VI h = vi_broadcast(high + row), l = vi_broadcast(low + row);
        LM_UNROLL
        for (int i = 0; i < T; ++i) {
            const VI weight = vi_load(w + 4 * i * LANES);
            coarse[i] = vi_dot(coarse[i], h, weight);
            middle[i] = vi_dot(middle[i], l, weight);
        }
        LM_UNROLL
        for (int i = 0; i < BYTES; ++i) {
            const VI fields = vi_load(w + 4 * (T + i) * LANES);
            from[0][i] = vi_dot(from[0][i], h, fields);
            LM_UNROLL
            for (int f = 1; f < FIELDS; ++f) from[f][i] = vi_dot(from[f][i], h, vi_upper_bits(fields, 2 * f));
        }
    }
    LM_UNROLL
    for (int i = 0; i < T; ++i) {
        const int f = i / BYTES, byte = i % BYTES;
        const VI field = f + 1 < FIELDS ? vi_sub(from[f][byte], from[f + 1][byte]) : from[f][byte];
        const VI whole = vi_add(vi_shift_left<2>(coarse[i]), vi_shift_right(field, 2 * f));
        total[i] = v_fma(v_set(64.0f), vi_float(whole), vi_float(middle[i]));
    }
}
#else
// int8 weights lie as the int16 ones do; 10-bit weights and all inputs are int16 in memory.
constexpr float RECTIFIED = 32767.0f;
LM_INLINE void v_store_fixed(int16_t* row, int index, int, V x) { v_store_int16(row + index, x); }
LM_INLINE void v_store_rectified(int16_t* row, int index, int, V x) { v_store_int16(row + index, x); }

template <int T>
LM_INLINE void sum_int8(const int8_t* w, const int16_t* x, int rows, V (&total)[T]) {
    VI whole[1][T];
    sum_pairs<1, T>(w, x, rows, 0, whole);
    LM_UNROLL
    for (int i = 0; i < T; ++i) total[i] = vi_float(whole[0][i]);
}

template <int T>
LM_INLINE void sum_int10(const int8_t* w, const int16_t* x, int rows, V (&total)[T]) {
    VI whole[1][T];
    sum_pairs<1, T>(reinterpret_cast<const int16_t*>(w), x, rows, 0, whole);
    LM_UNROLL
    for (int i = 0; i < T; ++i) total[i] = vi_float(whole[0][i]);
}
#endif

// sum += scale * unit * (x @ w), int8 weights.
template <int T>
LM_INLINE void tile_int8(const int8_t* w, const int16_t* x, int rows, const float* LM_RESTRICT unit, float scale,
                         float* LM_RESTRICT sum) {
    V total[T];
    sum_int8<T>(w, x, rows, total);
    const V factor = v_set(scale);
    LM_UNROLL
    for (int i = 0; i < T; ++i) {
        const V by = v_mul(factor, v_load(unit + i * LANES));
        v_store(sum + i * LANES, v_fma(by, total[i], v_load(sum + i * LANES)));
    }
}

inline void product_int8(const Fixed& f, const int16_t* x, int rows, int columns, float scale, float* sum) {
    const int8_t* w = f.weights;
    for (int at = 0; at < columns;) {
        const int tile = next_tile((columns - at) / LANES, INT_TILE);
        switch (tile) {
            case 8: tile_int8<8>(w, x, rows, f.unit + at, scale, sum + at); break;
            case 4: tile_int8<4>(w, x, rows, f.unit + at, scale, sum + at); break;
            case 2: tile_int8<2>(w, x, rows, f.unit + at, scale, sum + at); break;
            default: tile_int8<1>(w, x, rows, f.unit + at, scale, sum + at); break;
        }
        at += tile * LANES;
        w += static_cast<size_t>(tile) * LANES * rows;
    }
}

// y = scale * (unit * (x @ w) - offset) (+ init) (+ init_2), 10-bit weights.
template <int T>
LM_INLINE void affine_int10(const int8_t* w, const int16_t* x, int rows, const float* LM_RESTRICT unit,
                            const float* LM_RESTRICT offset, float scale, const float* init, const float* init_2,
                            V (&y)[T]) {
    sum_int10<T>(w, x, rows, y);
    const V factor = v_set(scale);
    LM_UNROLL
    for (int i = 0; i < T; ++i) {
        V start = init ? v_load(init + i * LANES) : v_set(0.0f);
        if (init_2) start = v_add(start, v_load(init_2 + i * LANES));
        if (LM_DIGITS) start = v_sub(start, v_mul(factor, v_load(offset + i * LANES)));
        y[i] = v_fma(v_mul(factor, v_load(unit + i * LANES)), y[i], start);
    }
}

template <int T>
LM_INLINE void tile_int10(const int8_t* w, const int16_t* x, int rows, const float* unit, const float* offset,
                          float scale, const float* init, const float* init_2, float* y) {
    V sum[T];
    affine_int10<T>(w, x, rows, unit, offset, scale, init, init_2, sum);
    LM_UNROLL
    for (int i = 0; i < T; ++i) v_store(y + i * LANES, sum[i]);
}

inline void product_int10(const Fixed& f, const int16_t* x, int rows, int columns, float scale, const float* init,
                          const float* init_2, float* y) {
    const int8_t* w = f.weights;
    for (int at = 0; at < columns;) {
        const int tile = next_tile((columns - at) / LANES, INT_TILE);
        const float *u = f.unit + at, *o = f.offset + at;
        const float *a = init ? init + at : nullptr, *b = init_2 ? init_2 + at : nullptr;
        switch (tile) {
            case 8: tile_int10<8>(w, x, rows, u, o, scale, a, b, y + at); break;
            case 4: tile_int10<4>(w, x, rows, u, o, scale, a, b, y + at); break;
            case 2: tile_int10<2>(w, x, rows, u, o, scale, a, b, y + at); break;
            default: tile_int10<1>(w, x, rows, u, o, scale, a, b, y + at); break;
        }
        at += tile * LANES;
        w += int10_bytes(tile, LM_DIGITS) * LANES * rows;
    }
}

// Present tap and gate of a layer, 10-bit weights, in the order of columns of `gate_order` (wavenet.cpp): a tile holds
// the arguments of the tanh of T / 2 vectors, then those of their sigmoid. They stay in registers; g in fixed point.
template <int T>
LM_INLINE void tile_gated(const int8_t* w, const int16_t* x, int r, const float* unit, const float* offset, float scale,
                          const float* ahead, const float* base, int16_t* g, int at) {
    V z[T];
    affine_int10<T>(w, x, r, unit, offset, scale, ahead, base, z);
    LM_UNROLL
    for (int i = 0; i < T / 2; ++i) {
        const V gate = v_gate_coarse(z[i], z[T / 2 + i]);
        v_store_fixed(g, at + i * LANES, r, v_mul(gate, v_set(32767.0f)));
    }
}

inline void gated_fixed(const Layer& layer, const int16_t* x, int r, float scale, const float* ahead, int16_t* g) {
    const Fixed& f = layer.fixed_now;
    const int8_t* w = f.weights;
    for (int at = 0; at < 2 * r;) {
        const int tile = next_tile((2 * r - at) / LANES, INT_TILE);  // never 1: 2R is an even number of vectors
        const float *u = f.unit + at, *o = f.offset + at, *a = ahead + at, *b = layer.base + at;
        switch (tile) {
            case 8: tile_gated<8>(w, x, r, u, o, scale, a, b, g, at / 2); break;
            case 4: tile_gated<4>(w, x, r, u, o, scale, a, b, g, at / 2); break;
            default: tile_gated<2>(w, x, r, u, o, scale, a, b, g, at / 2); break;
        }
        at += tile * LANES;
        w += int10_bytes(tile, LM_DIGITS) * LANES * r;
    }
}

// y[m] = scale[m] * unit * (x[m] @ w) for M inputs and T vectors of columns, int16 weights.
template <int M, int T>
LM_INLINE void tile_int16(const int16_t* w, const int16_t* x, int rows, const float* LM_RESTRICT unit,
                          const float* scale, float* LM_RESTRICT y, int stride) {
    VI total[M][T];
    sum_pairs<M, T>(w, x, rows, rows, total);
    LM_UNROLL
    for (int m = 0; m < M; ++m) {
        const V factor = v_set(scale[m]);
        LM_UNROLL
        for (int i = 0; i < T; ++i) {
            v_store(y + static_cast<size_t>(m) * stride + i * LANES,
                    v_mul(v_mul(factor, v_load(unit + i * LANES)), vi_float(total[m][i])));
        }
    }
}

template <int M>
inline void batch_int16(const Fixed& f, const int16_t* x, int rows, int columns, const float* scale, float* y) {
    const int16_t* w = reinterpret_cast<const int16_t*>(f.weights);
    for (int at = 0; at < columns;) {
        const int tile = next_tile((columns - at) / LANES, batch_tile(M, GEMM_TILE, INT_TILE));
        switch (tile) {
            case 8:
                if constexpr (M * 8 <= GEMM_TILE) tile_int16<M, 8>(w, x, rows, f.unit + at, scale, y + at, columns);
                break;
            case 4:
                if constexpr (M * 4 <= GEMM_TILE) tile_int16<M, 4>(w, x, rows, f.unit + at, scale, y + at, columns);
                break;
            case 2:
                if constexpr (M * 2 <= GEMM_TILE) tile_int16<M, 2>(w, x, rows, f.unit + at, scale, y + at, columns);
                break;
            default: tile_int16<M, 1>(w, x, rows, f.unit + at, scale, y + at, columns); break;
        }
        at += tile * LANES;
        w += static_cast<size_t>(tile) * LANES * rows;
    }
}

// The factor that brings the largest magnitude of x just below `most`.
LM_INLINE V fixed_factor(const float* x, int count, float most) {
    V largest = v_set(1e-20f);
    for (int i = 0; i < count; i += LANES) largest = v_max(largest, v_abs(v_load(x + i)));
    return v_mul(v_estimate(v_spread_max(largest)), v_set(most * 0.9999f));  // the estimate may be 1 / 2^14 too large
}

// x as signed fixed point for int8 and 10-bit products; returns the value of one step.
inline float to_fixed(const float* x, int count, int16_t* y) {
    const V factor = fixed_factor(x, count, 32767.0f);
    for (int i = 0; i < count; i += LANES) v_store_fixed(y, i, count, v_mul(v_load(x + i), factor));
    return 1.0f / v_first(factor);
}

// The same for int16 products.
inline float to_int16(const float* x, int count, int16_t* y) {
    const V factor = fixed_factor(x, count, 32767.0f);
    for (int i = 0; i < count; i += LANES) v_store_int16(y + i, v_mul(v_load(x + i), factor));
    return 1.0f / v_first(factor);
}

// relu(x), in place and as unsigned fixed point for 10-bit products.
inline float to_rectified(float* x, int count, int16_t* y) {
    for (int i = 0; i < count; i += LANES) v_store(x + i, v_max(v_load(x + i), v_set(0.0f)));
    const V factor = fixed_factor(x, count, RECTIFIED);
    for (int i = 0; i < count; i += LANES) v_store_rectified(y, i, count, v_mul(v_load(x + i), factor));
    return 1.0f / v_first(factor);
}

// The past taps of a layer for its `batch` steps from `first` on, known now because the layer looks `dilation` >= batch
// steps back.
inline void past_taps(const Plan& plan, const Layer& layer, uint64_t first) {
    const int r = plan.residual, rows = layer.batch < 8 ? layer.batch : 8;
    const int widest = batch_tile(rows, GEMM_TILE, MAX_TILE);
    const Half* w = static_cast<const Half*>(layer.past);
    for (int done = 0; done < layer.batch; done += 8) {
        const float* x[8];
        for (int m = 0; m < rows; ++m) {
            x[m] = layer.ring + ((first + done + m - static_cast<uint64_t>(layer.dilation)) & layer.mask) * r;
        }
        float* y = layer.ahead + static_cast<size_t>(done) * 2 * r;
        if (!plan.fixed) {
            switch (rows) {
                case 8: batch_rows<8>(w, x, r, 2 * r, widest, y); break;
                case 4: batch_rows<4>(w, x, r, 2 * r, widest, y); break;
                case 2: batch_rows<2>(w, x, r, 2 * r, widest, y); break;
                default: batch_rows<1>(w, x, r, 2 * r, widest, y); break;
            }
            continue;
        }
        if (LM_DIGITS && rows <= kFewRows) {
            for (int m = 0; m < rows; ++m) {
                const float step = to_fixed(x[m], r, plan.past_fixed);
                product_int10(layer.fixed_past, plan.past_fixed, r, 2 * r, step, nullptr, nullptr, y + m * 2 * r);
            }
            continue;
        }
        float step[8];
        for (int m = 0; m < rows; ++m) step[m] = to_int16(x[m], r, plan.past_fixed + m * r);
        switch (rows) {
            case 8: batch_int16<8>(layer.fixed_past, plan.past_fixed, r, 2 * r, step, y); break;
            case 4: batch_int16<4>(layer.fixed_past, plan.past_fixed, r, 2 * r, step, y); break;
            case 2: batch_int16<2>(layer.fixed_past, plan.past_fixed, r, 2 * r, step, y); break;
            default: batch_int16<1>(layer.fixed_past, plan.past_fixed, r, 2 * r, step, y); break;
        }
    }
}

// --- one step ------------------------------------------------------------------------------------------------------

// Indices and values of the positive entries of x: relu for the sparse products.
inline int positive(const float* x, int count, float* value, int32_t* where) {
    int n = 0;
    for (int i = 0; i < count; i += LANES) n += v_positive(x + i, i, value + n, where + n);
    return n;
}

// The input convolution: layer 0's input of this step into its ring.
inline float* first_input(const Plan& plan, int at) {
    const int r = plan.residual;
    float* h = plan.layer[0].ring + (plan.step & plan.layer[0].mask) * r;
    const float* start = plan.start + static_cast<size_t>(at) * r;
    if (plan.mulaw) {
        const Half* a = static_cast<const Half*>(plan.input[0]) + static_cast<size_t>(plan.inputs[0]) * r;
        const Half* b = static_cast<const Half*>(plan.input[1]) + static_cast<size_t>(plan.inputs[1]) * r;
        for (int i = 0; i < r; i += LANES) {
            v_store(h + i, v_add(v_load(start + i), v_add(v_half(a + i), v_half(b + i))));
        }
    } else {
        product(plan.input[0], plan.inputs, plan.bands, r, start, nullptr, h);
        product(plan.input[1], plan.inputs + plan.bands, plan.bands, r, h, nullptr, h);
    }
    return h;
}

// Layers and head with float sums. The skip product of a layer stands after the gate of the next one: it does not
// depend on it, so its multiply-adds fill the latency of the exponentials.
inline void float_step(const Plan& plan, const float* h) {
    const int r = plan.residual, s = plan.skip;
    for (int l = 0; l < plan.layers; ++l) {
        const Layer& layer = plan.layer[l];
        float *g = plan.gated + (l & 1) * r, *before = plan.gated + (~l & 1) * r;
        product(layer.now, h, r, 2 * r, layer.ahead + turn_of(layer, plan.step) * 2 * r, layer.base, plan.z);
        for (int i = 0; i < r; i += LANES) v_store(g + i, v_gate(v_load(plan.z + i), v_load(plan.z + r + i)));
        if (l > 0) product(plan.layer[l - 1].skip, before, r, s, plan.sum, nullptr, plan.sum);
        if (l == plan.layers - 1) {
            product(layer.skip, g, r, s, plan.sum, nullptr, plan.sum);
            break;
        }
        const Layer& next = plan.layer[l + 1];
        float* to = next.ring + (plan.step & next.mask) * r;
        product(layer.residual, g, r, r, h, layer.residual_bias, to);
        h = to;
    }
    const int n = positive(plan.sum, s, plan.dense, plan.where);
    product_sparse(plan.head_1, plan.dense, plan.where, n, s, plan.hidden, plan.head_bias_1, plan.middle);
    const int k = positive(plan.middle, plan.hidden, plan.dense, plan.where);
    product_sparse(plan.head_2, plan.dense, plan.where, k, plan.hidden, plan.parameters_padded, plan.head_bias_2,
                   plan.distribution);
}

// A rectified layer of the head: y = bias + relu(x) @ w.
inline void head_fixed(const Fixed& f, float* x, int rows, int columns, const float* bias, int16_t* fixed, float* y) {
    const float scale = to_rectified(x, rows, fixed);
    product_int10(f, fixed, rows, columns, scale, bias, nullptr, y);
}

// Layers and head in fixed point. The two halves of a layer's skip product fill the latencies of the next layer: of the
// range of its input, and of its gate.
inline void fixed_point_step(const Plan& plan, const float* h) {
    const int r = plan.residual;
    const auto skip = [&](int l, int half) {
        const Fixed& f = plan.layer[l].fixed_skip[half];
        const int at = half ? plan.skip_split : 0, columns = half ? plan.skip - plan.skip_split : plan.skip_split;
        product_int8(f, plan.gated_fixed + (l & 1) * r, r, columns, kFixedStep, plan.sum + at);
    };
    for (int l = 0; l < plan.layers; ++l) {
        const Layer& layer = plan.layer[l];
        int16_t* g = plan.gated_fixed + (l & 1) * r;
        const float step = to_fixed(h, r, plan.input_fixed);
        if (l > 0) skip(l - 1, 0);
        gated_fixed(layer, plan.input_fixed, r, step, layer.ahead + turn_of(layer, plan.step) * 2 * r, g);
        if (l > 0) skip(l - 1, 1);
        if (l == plan.layers - 1) break;
        const Layer& next = plan.layer[l + 1];
        float* to = next.ring + (plan.step & next.mask) * r;
        product_int10(layer.fixed_residual, g, r, r, kFixedStep, h, layer.residual_bias, to);
        h = to;
    }
    skip(plan.layers - 1, 0);
    skip(plan.layers - 1, 1);
    head_fixed(plan.fixed_head_1, plan.sum, plan.skip, plan.hidden, plan.head_bias_1, plan.input_fixed, plan.middle);
    head_fixed(plan.fixed_head_2, plan.middle, plan.hidden, plan.parameters_padded, plan.head_bias_2, plan.input_fixed,
               plan.distribution);
}

// All of one step up to the distribution.
inline void network_step(const Plan& plan, int at) {
    for (int l = 0; l < plan.layers; ++l) {
        const Layer& layer = plan.layer[l];
        const uint64_t turn = turn_of(layer, plan.step);
        if (turn == 0 || plan.step == 0) past_taps(plan, layer, plan.step - turn);
    }
    const float* h = first_input(plan, at);
    for (int i = 0; i < plan.skip; i += LANES) v_store(plan.sum + i, v_load(plan.skip_bias + i));
    if (plan.fixed) {
        fixed_point_step(plan, h);
    } else {
        float_step(plan, h);
    }
}

// --- sampling ------------------------------------------------------------------------------------------------------

// First class whose cumulative probability exceeds u: whole vectors first, then inside one.
inline float sample_mulaw(const Plan& plan, float u, float temperature) {
    const int classes = plan.parameters, whole = padded(classes, LANES);
    float* logits = plan.distribution;
    for (int i = classes; i < whole; ++i) logits[i] = -1e30f;
    V top = v_load(logits);
    for (int i = LANES; i < whole; i += LANES) top = v_max(top, v_load(logits + i));
    float lane[LANES];
    v_store_unaligned(lane, top);
    float largest = lane[0];
    for (int i = 1; i < LANES; ++i) largest = lane[i] > largest ? lane[i] : largest;
    const V inverse = v_set(1.0f / temperature), offset = v_set(largest);
    float* mass = plan.work + whole;  // [vectors]
    float total = 0.0f;
    for (int i = 0, k = 0; i < whole; i += LANES, ++k) {
        const V e = v_exp(v_mul(v_sub(v_load(logits + i), offset), inverse));
        v_store(plan.work + i, e);
        mass[k] = v_sum(e);
        total += mass[k];
    }
    const float target = u * total;
    float cumulative = 0.0f;
    int k = 0;
    while (k < whole / LANES - 1 && cumulative + mass[k] <= target) cumulative += mass[k++];
    int chosen = k * LANES;
    const int end = chosen + LANES < classes ? chosen + LANES : classes;
    while (chosen < end) {
        cumulative += plan.work[chosen];
        if (cumulative > target) break;
        ++chosen;
    }
    return static_cast<float>(chosen < classes - 1 ? chosen : classes - 1);
}

// Mixture of logistics, one vector of bands at a time; distribution is [3, mixtures, bands] here.
inline void sample_logistic(const Plan& plan, const float* noise, const float* draw, float temperature, float* value) {
    const int bands = plan.bands, mixtures = plan.mixtures, plane = mixtures * bands;
    const V inverse = v_set(1.0f / temperature), scale = v_set(temperature);
    for (int band = 0; band < bands; band += LANES) {
        const float* logits = plan.distribution + band;
        const float *means = logits + plane, *log_scales = means + plane;
        V top = v_load_unaligned(logits);
        for (int m = 1; m < mixtures; ++m) top = v_max(top, v_load_unaligned(logits + m * bands));
        V total = v_set(0.0f);
        for (int m = 0; m < mixtures; ++m) {
            const V e = v_exp(v_mul(v_sub(v_load_unaligned(logits + m * bands), top), inverse));
            total = v_add(total, e);
            v_store(plan.work + m * LANES, total);
        }
        float uniform[LANES];
        for (int i = 0; i < LANES; ++i) uniform[i] = band + i < bands ? noise[band + i] : 0.0f;
        const V target = v_mul(v_load_unaligned(uniform), total);
        V mean = v_load_unaligned(means), log_scale = v_load_unaligned(log_scales);
        for (int m = 1; m < mixtures; ++m) {  // component m where the mass before it does not reach the target
            const V before = v_load(plan.work + (m - 1) * LANES);
            mean = v_select_le(before, target, v_load_unaligned(means + m * bands), mean);
            log_scale = v_select_le(before, target, v_load_unaligned(log_scales + m * bands), log_scale);
        }
        const V spread = v_mul(v_exp(v_max(log_scale, v_set(-7.0f))), scale);
        V x = v_fma(spread, v_load_unaligned(draw + band), mean);
        x = v_min(v_max(x, v_set(-1.0f)), v_set(1.0f));
        float result[LANES];
        v_store_unaligned(result, x);
        for (int i = 0; i < LANES && band + i < bands; ++i) value[band + i] = result[i];
    }
}

// --- one hop -------------------------------------------------------------------------------------------------------

void hop(Plan& plan, const float* noise, float temperature, float* parameters) {
    const int r = plan.residual, bands = plan.bands, width = plan.mulaw ? 1 : 2 * bands, slot = padded(bands, 16);
    for (int l = 0; l < plan.layers; ++l) {
        const Layer& layer = plan.layer[l];
        product(layer.condition, plan.embedded, plan.conditioning, 2 * r, layer.bias, nullptr, layer.base);
    }
    for (int at = 0; at < plan.steps; ++at) {
        product(plan.input_phase, plan.phase + static_cast<size_t>(at) * plan.phase_width, plan.phase_width, r,
                plan.input_bias, nullptr, plan.start + static_cast<size_t>(at) * r);
    }
    if (!plan.mulaw) {
        for (int at = 0; at < plan.steps; ++at) {
            float* draw = plan.draw + static_cast<size_t>(at) * slot;
            for (int i = 0; i < slot; ++i) draw[i] = i < bands ? noise[at * width + bands + i] : 0.5f;
            for (int i = 0; i < slot; i += LANES) {
                const V u = v_min(v_max(v_load(draw + i), v_set(1e-5f)), v_set(1.0f - 1e-5f));
                v_store(draw + i, v_sub(v_log(u), v_log(v_sub(v_set(1.0f), u))));
            }
        }
    }
    for (int at = 0; at < plan.steps; ++at, ++plan.step) {
        network_step(plan, at);
        float* value = plan.values + static_cast<size_t>(at) * bands;
        if (plan.mulaw) {
            if (parameters) {
                for (int i = 0; i < plan.parameters; ++i) parameters[at * plan.parameters + i] = plan.distribution[i];
            }
            value[0] = sample_mulaw(plan, noise[at], temperature);
        } else {
            if (parameters) {
                float* to = parameters + static_cast<size_t>(at) * plan.parameters;
                for (int band = 0; band < bands; ++band) {
                    for (int k = 0; k < 3 * plan.mixtures; ++k) *to++ = plan.distribution[k * bands + band];
                }
            }
            sample_logistic(plan, noise + static_cast<size_t>(at) * width, plan.draw + static_cast<size_t>(at) * slot,
                            temperature, value);
        }
        for (int i = 0; i < bands; ++i) {
            plan.inputs[i] = plan.inputs[bands + i];
            plan.inputs[bands + i] = value[i];
        }
    }
}

// PQMF synthesis: audio [steps][bands] of stack [steps + overlap][bands], the overlap before the values. filters is
// [vectors of bands][rows = (overlap + 1) * bands][LANES], oldest step first, so that a step reads one contiguous run
// of the stack.
void synthesis(const float* stack, const float* filters, int rows, int steps, int bands, float* audio) {
    alignas(64) float block[8 * LANES];
    for (int at = 0; at < steps; at += 8) {
        const float* x[8];
        for (int m = 0; m < 8; ++m) x[m] = stack + static_cast<size_t>(at + m) * bands;
        for (int band = 0; band < bands; band += LANES) {
            tile_batch<8, 1>(filters + static_cast<size_t>(band) * rows, x, rows, block, LANES);
            const int width = bands - band < LANES ? bands - band : LANES;
            for (int m = 0; m < 8; ++m) {
                for (int i = 0; i < width; ++i) audio[(at + m) * bands + band + i] = block[m * LANES + i];
            }
        }
    }
}

// count is a multiple of LANES; gate reads a from x[0..count) and b from x[count..2 count).
void evaluate(int which, const float* x, float* y, int count) {
    for (int i = 0; i < count; i += LANES) {
        const V v = v_load_unaligned(x + i);
        V result;
        switch (which) {
            case 0: result = v_exp(v); break;
            case 1: result = v_log(v); break;
            case 2: result = v_gate(v, v_load_unaligned(x + count + i)); break;
            default:
                result = v_gate_coarse(v_mul(v, v_set(kTanhFactor)),
                                       v_mul(v_load_unaligned(x + count + i), v_set(kSigmoidFactor)));
        }
        v_store_unaligned(y + i, result);
    }
}

}  // namespace
}  // namespace livemove
