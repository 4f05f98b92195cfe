// What an instruction set offers (isa.hpp): a hop of network steps, PQMF synthesis, the elementary functions for tests.
// HOT: part of kernels.hpp, which says how it is included. In: a Plan, noise. Out: plan.values, audio.

namespace livemove {
namespace {

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
