// Matrix-vector products in fixed point: weights in int8, 10 bits or int16, and their inputs brought to fixed point.
// HOT: part of kernels.hpp, which says how it is included. In: packed weights, inputs. Out: sums, exact but for the units.

namespace livemove {
namespace {

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
// int8 and 10-bit products here take unsigned (LM_DIGITS 1) or signed (2) times signed bytes, four at a time. An input x
// lies as the two digits of x + 32768 (of x itself behind a rectifier), signed ones less 128 each: the high bytes of all
// rows, then the low ones. int8
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

// Tile by tile for all voices: further voices find a tile in the first-level cache. The integer products themselves bound
// how fast, so that registers shared by voices would gain nothing.
template <class P>
inline void product_int8(const P& plan, const Fixed& f, Each<const int16_t> x, int rows, int columns, float scale,
                         Each<float> sum) {
    const int8_t* w = f.weights;
    for (int at = 0; at < columns;) {
        const int tile = next_tile((columns - at) / LANES, INT_TILE);
        switch (tile) {
            case 8: every(plan, [&](int v) { tile_int8<8>(w, x(v), rows, f.unit + at, scale, sum(v) + at); }); break;
            case 4: every(plan, [&](int v) { tile_int8<4>(w, x(v), rows, f.unit + at, scale, sum(v) + at); }); break;
            case 2: every(plan, [&](int v) { tile_int8<2>(w, x(v), rows, f.unit + at, scale, sum(v) + at); }); break;
            default: every(plan, [&](int v) { tile_int8<1>(w, x(v), rows, f.unit + at, scale, sum(v) + at); }); break;
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

// scale [voices]
template <class P>
inline void product_int10(const P& plan, const Fixed& f, Each<const int16_t> x, int rows, int columns,
                          const float* scale, Floats init, Floats init_2, Each<float> y) {
    const int8_t* w = f.weights;
    for (int at = 0; at < columns;) {
        const int tile = next_tile((columns - at) / LANES, INT_TILE);
        const float *u = f.unit + at, *o = f.offset + at;
        const auto of = [at](Floats start, int v) { return start.at ? start(v) + at : nullptr; };
        switch (tile) {
            case 8:
                every(plan, [&](int v) {
                    tile_int10<8>(w, x(v), rows, u, o, scale[v], of(init, v), of(init_2, v), y(v) + at);
                });
                break;
            case 4:
                every(plan, [&](int v) {
                    tile_int10<4>(w, x(v), rows, u, o, scale[v], of(init, v), of(init_2, v), y(v) + at);
                });
                break;
            case 2:
                every(plan, [&](int v) {
                    tile_int10<2>(w, x(v), rows, u, o, scale[v], of(init, v), of(init_2, v), y(v) + at);
                });
                break;
            default:
                every(plan, [&](int v) {
                    tile_int10<1>(w, x(v), rows, u, o, scale[v], of(init, v), of(init_2, v), y(v) + at);
                });
                break;
        }
        at += tile * LANES;
        w += int10_bytes(tile, LM_DIGITS) * LANES * rows;
    }
}

// Present tap and gate of a layer, 10-bit weights, in the order of columns of `gate_order` (packing.cpp): a tile holds
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

// scale [voices]
template <class P>
inline void gated_fixed(const P& plan, const Layer& layer, Each<const int16_t> x, int r, const float* scale,
                        Floats ahead, Each<int16_t> g) {
    const Fixed& f = layer.fixed_now;
    const Floats base = each<const float>(plan, layer.base);
    const int8_t* w = f.weights;
    for (int at = 0; at < 2 * r;) {
        const int tile = next_tile((2 * r - at) / LANES, INT_TILE);  // never 1: 2R is an even number of vectors
        const float *u = f.unit + at, *o = f.offset + at;
        every(plan, [&](int v) {
            const float *a = ahead(v) + at, *b = base(v) + at;
            switch (tile) {
                case 8: tile_gated<8>(w, x(v), r, u, o, scale[v], a, b, g(v), at / 2); break;
                case 4: tile_gated<4>(w, x(v), r, u, o, scale[v], a, b, g(v), at / 2); break;
                default: tile_gated<2>(w, x(v), r, u, o, scale[v], a, b, g(v), at / 2); break;
            }
        });
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

}  // namespace
}  // namespace livemove
