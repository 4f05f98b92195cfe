// One step of the network for all voices: past taps of layers whose batch begins, input convolution, layers, head; in
// float or fixed point.
// HOT: part of kernels.hpp, which says how it is included. In: a Plan. Out: plan.distribution, the layers' rings.

namespace livemove {
namespace {

// The past taps of a layer for its `batch` steps from `first` on, known now because the layer looks `dilation` >= batch
// steps back. Steps of several voices are one product where a voice has few of them.
template <class P>
inline void past_taps(const P& plan, const Layer& layer, uint64_t first) {
    const int r = plan.residual, count = plan.voices * layer.batch;
    const int widest = batch_tile(layer.rows, GEMM_TILE, MAX_TILE);
    const Half* w = static_cast<const Half*>(layer.past);
    for (int done = 0, voice = 0, turn = 0; done < count;) {
        const float* x[8];
        float* y[8];
        int rows = layer.rows;
        while (rows > count - done) rows /= 2;
        for (int m = 0; m < rows; ++m) {
            const uint64_t from = (first + static_cast<uint64_t>(turn) - static_cast<uint64_t>(layer.dilation)) & layer.mask;
            x[m] = each(plan, layer.ring)(voice) + from * r;
            y[m] = each(plan, layer.ahead)(voice) + static_cast<size_t>(turn) * 2 * r;
            if (++turn == layer.batch) turn = 0, ++voice;
        }
        switch (rows) {
            case 8: batch_rows<8>(w, x, r, 2 * r, widest, y); break;
            case 4: batch_rows<4>(w, x, r, 2 * r, widest, y); break;
            case 2: batch_rows<2>(w, x, r, 2 * r, widest, y); break;
            default: batch_rows<1>(w, x, r, 2 * r, widest, y); break;
        }
        done += rows;
    }
}

// The same in fixed point: batches up to kFewRows as 10-bit products where those take digits, others as int16 ones.
template <class P>
inline void past_taps_fixed(const P& plan, const Layer& layer, uint64_t first) {
    const int r = plan.residual, rows = layer.batch < 8 ? layer.batch : 8;
    const bool few = LM_DIGITS && rows <= kFewRows;
    const auto past_fixed = each(plan, plan.past_fixed);
    const auto ring = each(plan, layer.ring);
    for (int done = 0; done < layer.batch; done += few ? 1 : 8) {
        const auto input = [&](int voice, int m) {
            return ring(voice) + ((first + static_cast<uint64_t>(done + m - layer.dilation)) & layer.mask) * r;
        };
        const Each<float> y = each(plan, layer.ahead + static_cast<size_t>(done) * 2 * r);
        if (few) {
            float step[kMostVoices];
            every(plan, [&](int v) { step[v] = to_fixed(input(v, 0), r, past_fixed(v)); });
            product_int10(plan, layer.fixed_past, {plan.past_fixed, plan.apart}, r, 2 * r, step, NONE, NONE, y);
            continue;
        }
        every(plan, [&](int v) {
            float step[8];
            for (int m = 0; m < rows; ++m) step[m] = to_int16(input(v, m), r, past_fixed(v) + m * r);
            switch (rows) {
                case 8: batch_int16<8>(layer.fixed_past, past_fixed(v), r, 2 * r, step, y(v)); break;
                case 4: batch_int16<4>(layer.fixed_past, past_fixed(v), r, 2 * r, step, y(v)); break;
                case 2: batch_int16<2>(layer.fixed_past, past_fixed(v), r, 2 * r, step, y(v)); break;
                default: batch_int16<1>(layer.fixed_past, past_fixed(v), r, 2 * r, step, y(v)); break;
            }
        });
    }
}

// Indices and values of the positive entries of x: relu for the sparse products.
inline int positive(const float* x, int count, float* value, int32_t* where) {
    int n = 0;
    for (int i = 0; i < count; i += LANES) n += v_positive(x + i, i, value + n, where + n);
    return n;
}

// The input convolution: layer 0's input of this step into its ring.
template <class P>
inline float* first_input(const P& plan, int at) {
    const int r = plan.residual;
    float* h = plan.layer[0].ring + (plan.step & plan.layer[0].mask) * r;
    const Floats start = each<const float>(plan, plan.start + static_cast<size_t>(at) * r);
    const Floats inputs = each<const float>(plan, plan.inputs);
    if (plan.mulaw) {
        every(plan, [&](int v) {
            const Half* a = static_cast<const Half*>(plan.input[0]) + static_cast<size_t>(inputs(v)[0]) * r;
            const Half* b = static_cast<const Half*>(plan.input[1]) + static_cast<size_t>(inputs(v)[1]) * r;
            float* to = each(plan, h)(v);
            for (int i = 0; i < r; i += LANES) {
                v_store(to + i, v_add(v_load(start(v) + i), v_add(v_half(a + i), v_half(b + i))));
            }
        });
    } else {
        product(plan, plan.input[0], inputs, plan.bands, r, start, NONE, each(plan, h));
        product(plan, plan.input[1], inputs + plan.bands, plan.bands, r, each<const float>(plan, h), NONE, each(plan, h));
    }
    return h;
}

// Layers and head with float sums. The skip product of a layer stands after the gate of the next one: it does not
// depend on it, so its multiply-adds fill the latency of the exponentials.
template <class P>
inline void float_step(const P& plan, const float* h) {
    const int r = plan.residual, s = plan.skip;
    const Each<float> sum = each(plan, plan.sum);
    const Floats sum_so_far = each<const float>(plan, plan.sum);
    for (int l = 0; l < plan.layers; ++l) {
        const Layer& layer = plan.layer[l];
        float *g = plan.gated + (l & 1) * r, *before = plan.gated + (~l & 1) * r;
        const Floats input = each(plan, h);
        const float* ahead = layer.ahead + turn_of(layer, plan.step) * 2 * r;
        product(plan, layer.now, input, r, 2 * r, each(plan, ahead), each<const float>(plan, layer.base),
                each(plan, plan.z));
        every(plan, [&](int v) {
            const float* z = each(plan, plan.z)(v);
            float* to = each(plan, g)(v);
            for (int i = 0; i < r; i += LANES) v_store(to + i, v_gate(v_load(z + i), v_load(z + r + i)));
        });
        if (l > 0) {
            product(plan, plan.layer[l - 1].skip, each<const float>(plan, before), r, s, sum_so_far, NONE, sum);
        }
        const Floats gated = each<const float>(plan, g);
        if (l == plan.layers - 1) {
            product(plan, layer.skip, gated, r, s, sum_so_far, NONE, sum);
            break;
        }
        const Layer& next = plan.layer[l + 1];
        float* to = next.ring + (plan.step & next.mask) * r;
        product(plan, layer.residual, gated, r, r, input, shared(layer.residual_bias), each(plan, to));
        h = to;
    }
    every(plan, [&](int v) {
        float *dense = each(plan, plan.dense)(v), *middle = each(plan, plan.middle)(v);
        int32_t* where = each(plan, plan.where)(v);
        const int n = positive(sum(v), s, dense, where);
        product_sparse(plan.head_1, dense, where, n, s, plan.hidden, plan.head_bias_1, middle);
        const int k = positive(middle, plan.hidden, dense, where);
        product_sparse(plan.head_2, dense, where, k, plan.hidden, plan.parameters_padded, plan.head_bias_2,
                       each(plan, plan.distribution)(v));
    });
}

// A rectified layer of the head: y = bias + relu(x) @ w.
template <class P>
inline void head_fixed(const P& plan, const Fixed& f, float* x, int rows, int columns, const float* bias, float* y) {
    float scale[kMostVoices];
    every(plan, [&](int v) { scale[v] = to_rectified(each(plan, x)(v), rows, each(plan, plan.input_fixed)(v)); });
    product_int10(plan, f, {plan.input_fixed, plan.apart}, rows, columns, scale, shared(bias), NONE, each(plan, y));
}

// Layers and head in fixed point. The two halves of a layer's skip product fill the latencies of the next layer: of the
// range of its input, and of its gate.
template <class P>
inline void fixed_point_step(const P& plan, const float* h) {
    const int r = plan.residual;
    const Each<const int16_t> input = {plan.input_fixed, plan.apart};
    const auto skip = [&](int l, int half) {
        const Fixed& f = plan.layer[l].fixed_skip[half];
        const int at = half ? plan.skip_split : 0, columns = half ? plan.skip - plan.skip_split : plan.skip_split;
        product_int8(plan, f, {plan.gated_fixed + (l & 1) * r, plan.apart}, r, columns, kFixedStep,
                     each(plan, plan.sum + at));
    };
    float gated_step[kMostVoices], step[kMostVoices];
    every(plan, [&](int v) { gated_step[v] = kFixedStep; });
    for (int l = 0; l < plan.layers; ++l) {
        const Layer& layer = plan.layer[l];
        int16_t* g = plan.gated_fixed + (l & 1) * r;
        every(plan, [&](int v) { step[v] = to_fixed(each(plan, h)(v), r, each(plan, plan.input_fixed)(v)); });
        if (l > 0) skip(l - 1, 0);
        const float* ahead = layer.ahead + turn_of(layer, plan.step) * 2 * r;
        gated_fixed(plan, layer, input, r, step, each(plan, ahead), each(plan, g));
        if (l > 0) skip(l - 1, 1);
        if (l == plan.layers - 1) break;
        const Layer& next = plan.layer[l + 1];
        float* to = next.ring + (plan.step & next.mask) * r;
        product_int10(plan, layer.fixed_residual, {g, plan.apart}, r, r, gated_step, each(plan, h),
                      shared(layer.residual_bias), each(plan, to));
        h = to;
    }
    skip(plan.layers - 1, 0);
    skip(plan.layers - 1, 1);
    head_fixed(plan, plan.fixed_head_1, plan.sum, plan.skip, plan.hidden, plan.head_bias_1, plan.middle);
    head_fixed(plan, plan.fixed_head_2, plan.middle, plan.hidden, plan.parameters_padded, plan.head_bias_2,
               plan.distribution);
}

// All of one step up to the distributions.
template <class P>
inline void network_step(const P& plan, int at) {
    for (int l = 0; l < plan.layers; ++l) {
        const Layer& layer = plan.layer[l];
        const uint64_t turn = turn_of(layer, plan.step);
        if (turn != 0 && !plan.fresh) continue;
        if (plan.fixed) {
            past_taps_fixed(plan, layer, plan.step - turn);
        } else {
            past_taps(plan, layer, plan.step - turn);
        }
    }
    const float* h = first_input(plan, at);
    every(plan, [&](int v) {
        float* sum = each(plan, plan.sum)(v);
        for (int i = 0; i < plan.skip; i += LANES) v_store(sum + i, v_load(plan.skip_bias + i));
    });
    if (plan.fixed) {
        fixed_point_step(plan, h);
    } else {
        float_step(plan, h);
    }
}

}  // namespace
}  // namespace livemove
