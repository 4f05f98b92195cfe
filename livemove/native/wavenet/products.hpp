// Matrix-vector products with float sums: dense for all voices, sparse behind a rectifier, batched over steps.
// HOT: part of kernels.hpp, which says how it is included. In: packed weights, inputs. Out: sums, rounded as float.
//
// They run down the rows of a tile of columns: one broadcast input times T vectors of weights into T accumulators, so
// there is no horizontal sum and the weights stream through once, in the order they lie in memory.

namespace livemove {
namespace {

// A plan of one voice: its loops over voices are gone when it is compiled. Kernels take either as P.
struct OneVoice : Plan {
    explicit OneVoice(const Plan& plan) : Plan(plan) {}
    static constexpr int voices = 1;
    static constexpr size_t apart = 0;
};

// An array of every voice, `apart` bytes from one to the next; 0: they share it.
template <class T>
struct Each {
    T* at;
    size_t apart;
    LM_INLINE T* operator()(int voice) const {
        return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(at) + static_cast<size_t>(voice) * apart);
    }
    LM_INLINE Each operator+(size_t count) const { return {at ? at + count : at, apart}; }
};
using Floats = Each<const float>;

template <class T, class P>
LM_INLINE Each<T> each(const P& plan, T* of_first_voice) {
    return {of_first_voice, plan.apart};
}
LM_INLINE Floats shared(const float* by_all) { return {by_all, 0}; }
constexpr Floats NONE{nullptr, 0};

template <class P, class Visit>
LM_INLINE void every(const P& plan, Visit visit) {
    for (int voice = 0; voice < plan.voices; ++voice) visit(voice);
}

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

// tile_product for M voices from `voice` on, each of which sums in that order: weights are read and widened once for M
// voices, part by part of the tile's columns, as many as there are registers for.
template <int M, int T>
LM_INLINE void tile_voices(const Half* LM_RESTRICT w, Floats x, int rows, Floats init, Floats init_2, Each<float> y,
                           int voice) {
    constexpr int U = T >= 8 ? 1 : 8 / T, FIT = GEMM_TILE / (M * U), PART = FIT < T ? FIT : T;
    const float* source[M];
    LM_UNROLL
    for (int m = 0; m < M; ++m) source[m] = x(voice + m);
    for (int part = 0; part < T; part += PART, w += PART * LANES) {
        V sum[U][M][PART];
        LM_UNROLL
        for (int m = 0; m < M; ++m) {
            LM_UNROLL
            for (int i = 0; i < PART; ++i) {
                sum[0][m][i] = v_load(init(voice + m) + (part + i) * LANES);
                if (init_2.at) sum[0][m][i] = v_add(sum[0][m][i], v_load(init_2(voice + m) + (part + i) * LANES));
            }
        }
        LM_UNROLL
        for (int k = M * PART; k < U * M * PART; ++k) sum[k / (M * PART)][k / PART % M][k % PART] = v_set(0.0f);
        int row = 0;
        const Half* from = w;
        for (; row + U <= rows; row += U) {
            LM_UNROLL
            for (int u = 0; u < U; ++u, from += T * LANES) {
                V weight[PART];
                LM_UNROLL
                for (int i = 0; i < PART; ++i) weight[i] = v_half(from + i * LANES);
                LM_UNROLL
                for (int m = 0; m < M; ++m) {
                    const V broadcast = v_set(source[m][row + u]);
                    LM_UNROLL
                    for (int i = 0; i < PART; ++i) sum[u][m][i] = v_fma(broadcast, weight[i], sum[u][m][i]);
                }
            }
        }
        for (; row < rows; ++row, from += T * LANES) {
            LM_UNROLL
            for (int m = 0; m < M; ++m) {
                const V broadcast = v_set(source[m][row]);
                LM_UNROLL
                for (int i = 0; i < PART; ++i) sum[0][m][i] = v_fma(broadcast, v_half(from + i * LANES), sum[0][m][i]);
            }
        }
        LM_UNROLL
        for (int m = 0; m < M; ++m) {
            LM_UNROLL
            for (int i = 0; i < PART; ++i) {
                V all = sum[0][m][i];
                LM_UNROLL
                for (int u = 1; u < U; ++u) all = v_add(all, sum[u][m][i]);
                v_store(y(voice + m) + (part + i) * LANES, all);
            }
        }
    }
}

template <int T>
LM_INLINE void tile_all(const Half* w, Floats x, int rows, Floats init, Floats init_2, Each<float> y, int voices) {
    constexpr int U = T >= 8 ? 1 : 8 / T;
    int voice = 0;
    if constexpr (GEMM_TILE >= 4 * U) {
        for (; voice + 4 <= voices; voice += 4) tile_voices<4, T>(w, x, rows, init, init_2, y, voice);
    }
    if constexpr (GEMM_TILE >= 2 * U) {
        for (; voice + 2 <= voices; voice += 2) tile_voices<2, T>(w, x, rows, init, init_2, y, voice);
    }
    for (; voice < voices; ++voice) {
        tile_product<T>(w, x(voice), rows, init(voice), init_2.at ? init_2(voice) : nullptr, y(voice));
    }
}

// One voice's.
inline void product_of_one(const Half* w, const float* x, int rows, int columns, const float* init, const float* init_2,
                           float* y) {
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

LM_INLINE void product(const OneVoice&, const void* w, Floats x, int rows, int columns, Floats init, Floats init_2,
                       Each<float> y) {
    product_of_one(static_cast<const Half*>(w), x.at, rows, columns, init.at, init_2.at, y.at);
}

// Tile by tile for all voices: the second and further groups of voices find a tile in the first-level cache.
inline void product(const Plan& plan, const void* packed, Floats x, int rows, int columns, Floats init, Floats init_2,
                    Each<float> y) {
    const Half* w = static_cast<const Half*>(packed);
    for (int left = columns / LANES; left > 0;) {
        const int tile = next_tile(left, MAX_TILE);
        switch (tile) {
#if LM_MAX_TILE >= 16
            case 16: tile_all<16>(w, x, rows, init, init_2, y, plan.voices); break;
#endif
            case 8: tile_all<8>(w, x, rows, init, init_2, y, plan.voices); break;
            case 4: tile_all<4>(w, x, rows, init, init_2, y, plan.voices); break;
            case 2: tile_all<2>(w, x, rows, init, init_2, y, plan.voices); break;
            default: tile_all<1>(w, x, rows, init, init_2, y, plan.voices); break;
        }
        left -= tile;
        w += static_cast<size_t>(tile) * LANES * rows;
        init = init + static_cast<size_t>(tile) * LANES;
        init_2 = init_2 + static_cast<size_t>(tile) * LANES;
        y = y + static_cast<size_t>(tile) * LANES;
    }
}

// One voice's for `count` inputs of which only those at rows where[] are not zero: a rectifier leaves about half, and the
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

// y[m] = x[m] @ w for M steps, of one voice or several, and T vectors from `column` on: each weight is read and widened
// once for M steps.
template <int M, int T, class Weight>
LM_INLINE void tile_batch(const Weight* LM_RESTRICT w, const float* const* x, int rows, float* const* y, int column) {
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
        for (int i = 0; i < T; ++i) v_store(y[m] + column + i * LANES, sum[m][i]);
    }
}

template <int M>
inline void batch_rows(const Half* w, const float* const* x, int rows, int columns, int widest, float* const* y) {
    for (int at = 0; at < columns;) {
        const int tile = next_tile((columns - at) / LANES, widest);
        switch (tile) {
#if LM_GEMM_TILE >= 16
            case 16:
                if constexpr (M <= 1) tile_batch<M, 16>(w, x, rows, y, at);
                break;
#endif
            case 8:
                if constexpr (M * 8 <= GEMM_TILE) tile_batch<M, 8>(w, x, rows, y, at);
                break;
            case 4:
                if constexpr (M * 4 <= GEMM_TILE) tile_batch<M, 4>(w, x, rows, y, at);
                break;
            case 2:
                if constexpr (M * 2 <= GEMM_TILE) tile_batch<M, 2>(w, x, rows, y, at);
                break;
            default: tile_batch<M, 1>(w, x, rows, y, at); break;
        }
        at += tile * LANES;
        w += static_cast<size_t>(tile) * LANES * rows;
    }
}

}  // namespace
}  // namespace livemove
