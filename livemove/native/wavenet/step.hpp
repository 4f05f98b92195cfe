// One step of the network: past taps of layers whose batch begins, input convolution, layers, head; in float or fixed point.
// HOT: part of kernels.hpp, which says how it is included. In: a Plan. Out: plan.distribution, the layers' rings.

namespace livemove {
namespace {

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

}  // namespace
}  // namespace livemove
