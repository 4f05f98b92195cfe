// What an instruction set offers (isa.hpp): a hop of network steps, PQMF synthesis, the elementary functions for tests.
// HOT: part of kernels.hpp, which says how it is included. In: a Plan, noise. Out: plan.values, audio.

namespace livemove {
namespace {

// What the harmonic path adds to the means of every step: amplitudes go from those of the hop before to this hop's in a
// straight line.
inline void harmonic_bands(const Plan& plan) {
    const int rows = plan.path_width, slot = padded(plan.bands, 16);
    alignas(64) float block[2][8 * LANES];
    for (int first = 0; first < plan.steps; first += 8) {
        const float* x[8];
        for (int m = 0; m < 8; ++m) x[m] = plan.path + static_cast<size_t>(first + m) * rows;
        const float *before = plan.path_sums, *now = before + static_cast<size_t>(padded(plan.bands, LANES)) * rows;
        for (int band = 0; band < plan.bands; band += LANES) {
            tile_batch<8, 1>(before + static_cast<size_t>(band) * rows, x, rows, block[0], LANES);
            tile_batch<8, 1>(now + static_cast<size_t>(band) * rows, x, rows, block[1], LANES);
            const int width = plan.bands - band < LANES ? plan.bands - band : LANES;
            for (int m = 0; m < 8; ++m) {
                const float part = static_cast<float>(first + m + 1) / static_cast<float>(plan.steps);
                float* to = plan.harmonics + static_cast<size_t>(first + m) * slot + band;
                for (int i = 0; i < width; ++i) {
                    to[i] = (1.0f - part) * block[0][m * LANES + i] + part * block[1][m * LANES + i];
                }
            }
        }
    }
}

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
    if (plan.path_width) {
        harmonic_bands(plan);
        for (int at = 0; at < plan.steps; ++at) {
            float* start = plan.start + static_cast<size_t>(at) * r;
            product(plan.input_harmonics, plan.harmonics + static_cast<size_t>(at) * slot, bands, r, start, nullptr, start);
        }
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
            if (plan.path_width) {
                const float* added = plan.harmonics + static_cast<size_t>(at) * slot;
                float* means = plan.distribution + plan.mixtures * bands;
                for (int k = 0; k < plan.mixtures; ++k, means += bands) {
                    for (int band = 0; band < bands; ++band) means[band] += added[band];
                }
            }
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
        if (plan.path_width) {
            const float* added = plan.harmonics + static_cast<size_t>(at) * slot;
            for (int i = 0; i < bands; ++i) plan.inputs[bands + i] -= added[i];
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
