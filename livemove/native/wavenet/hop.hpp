// What an instruction set offers (isa.hpp): a hop of network steps, PQMF synthesis, the elementary functions for tests.
// HOT: part of kernels.hpp, which says how it is included. In: a Plan, noise. Out: plan.values, audio.

namespace livemove {
namespace {

// What the harmonic path adds to the means of every step of a voice: amplitudes go from those of the hop before to this
// hop's in a straight line.
template <class P>
inline void harmonic_bands(const P& plan, int voice) {
    const int rows = plan.path_width, slot = padded(plan.bands, 16);
    const float* path = each(plan, plan.path)(voice);
    const float* before = each(plan, plan.path_sums)(voice);
    const float* now = before + static_cast<size_t>(padded(plan.bands, LANES)) * rows;
    float* harmonics = each(plan, plan.harmonics)(voice);
    alignas(64) float block[2][8 * LANES];
    float* y[2][8];
    for (int m = 0; m < 8; ++m) y[0][m] = block[0] + m * LANES, y[1][m] = block[1] + m * LANES;
    for (int first = 0; first < plan.steps; first += 8) {
        const float* x[8];
        for (int m = 0; m < 8; ++m) x[m] = path + static_cast<size_t>(first + m) * rows;
        for (int band = 0; band < plan.bands; band += LANES) {
            tile_batch<8, 1>(before + static_cast<size_t>(band) * rows, x, rows, y[0], 0);
            tile_batch<8, 1>(now + static_cast<size_t>(band) * rows, x, rows, y[1], 0);
            const int width = plan.bands - band < LANES ? plan.bands - band : LANES;
            for (int m = 0; m < 8; ++m) {
                const float part = static_cast<float>(first + m + 1) / static_cast<float>(plan.steps);
                float* to = harmonics + static_cast<size_t>(first + m) * slot + band;
                for (int i = 0; i < width; ++i) {
                    to[i] = (1.0f - part) * block[0][m * LANES + i] + part * block[1][m * LANES + i];
                }
            }
        }
    }
}

// The logits of the noise of a voice's values.
template <class P>
inline void draw_logistic(const P& plan, const float* noise, float* draw) {
    const int bands = plan.bands, slot = padded(bands, 16);
    for (int at = 0; at < plan.steps; ++at, noise += 2 * bands, draw += slot) {
        for (int i = 0; i < slot; ++i) draw[i] = i < bands ? noise[bands + i] : 0.5f;
        for (int i = 0; i < slot; i += LANES) {
            const V u = v_min(v_max(v_load(draw + i), v_set(1e-5f)), v_set(1.0f - 1e-5f));
            v_store(draw + i, v_sub(v_log(u), v_log(v_sub(v_set(1.0f), u))));
        }
    }
}

// What of a hop is known before its first step.
template <class P>
inline void prepare_hop(const P& plan, const HopArrays& arrays) {
    const int r = plan.residual, slot = padded(plan.bands, 16);
    for (int l = 0; l < plan.layers; ++l) {
        const Layer& layer = plan.layer[l];
        product(plan, layer.condition, each<const float>(plan, plan.embedded), plan.conditioning, 2 * r,
                shared(layer.bias), NONE, each(plan, layer.base));
    }
    if (plan.path_width) every(plan, [&](int v) { harmonic_bands(plan, v); });
    for (int at = 0; at < plan.steps; ++at) {
        float* start = plan.start + static_cast<size_t>(at) * r;
        const float* phase = plan.phase + static_cast<size_t>(at) * plan.phase_width;
        product(plan, plan.input_phase, each(plan, phase), plan.phase_width, r, shared(plan.input_bias), NONE,
                each(plan, start));
        if (!plan.path_width) continue;
        const float* harmonics = plan.harmonics + static_cast<size_t>(at) * slot;
        product(plan, plan.input_harmonics, each(plan, harmonics), plan.bands, r, each<const float>(plan, start), NONE,
                each(plan, start));
    }
    if (plan.mulaw) return;
    every(plan, [&](int v) { draw_logistic(plan, arrays.noise + v * arrays.noise_apart, each(plan, plan.draw)(v)); });
}

// The value of a voice's step: sampled from its distribution, and the next step's input. parameters: may be null.
template <class P>
inline void finish_step(const P& plan, int voice, int at, const float* noise, float temperature, float* parameters) {
    const int bands = plan.bands, slot = padded(bands, 16);
    float* value = each(plan, plan.values)(voice) + static_cast<size_t>(at) * bands;
    float *distribution = each(plan, plan.distribution)(voice), *inputs = each(plan, plan.inputs)(voice);
    const float* added =
        plan.path_width ? each<const float>(plan, plan.harmonics)(voice) + static_cast<size_t>(at) * slot : nullptr;
    float* to = parameters ? parameters + static_cast<size_t>(at) * plan.parameters : nullptr;
    if (plan.mulaw) {
        for (int i = 0; i < plan.parameters && to; ++i) to[i] = distribution[i];
        value[0] = sample_mulaw(distribution, plan.parameters, noise[at], temperature, each(plan, plan.work)(voice));
    } else {
        float* means = distribution + plan.mixtures * bands;
        for (int k = 0; k < plan.mixtures && plan.path_width; ++k, means += bands) {
            for (int band = 0; band < bands; ++band) means[band] += added[band];
        }
        for (int band = 0; band < bands && to; ++band) {
            for (int k = 0; k < 3 * plan.mixtures; ++k) *to++ = distribution[k * bands + band];
        }
        sample_logistic(plan, voice, noise + static_cast<size_t>(at) * 2 * bands,
                        each(plan, plan.draw)(voice) + static_cast<size_t>(at) * slot, temperature, value);
    }
    for (int i = 0; i < bands; ++i) {
        inputs[i] = inputs[bands + i];
        inputs[bands + i] = plan.path_width ? value[i] - added[i] : value[i];
    }
}

template <class P>
inline void hop_of(P& plan, const HopArrays& arrays) {
    prepare_hop(plan, arrays);
    for (int at = 0; at < plan.steps; ++at, ++plan.step) {
        network_step(plan, at);
        plan.fresh = 0;
        every(plan, [&](int v) {
            float* parameters = arrays.parameters ? arrays.parameters + v * arrays.parameters_apart : nullptr;
            finish_step(plan, v, at, arrays.noise + v * arrays.noise_apart, arrays.temperature[v], parameters);
        });
    }
}

void hop(Plan& plan, const HopArrays& arrays) {
    if (plan.voices > 1) return hop_of(plan, arrays);
    OneVoice one(plan);
    hop_of(one, arrays);
    plan.step = one.step;
    plan.fresh = one.fresh;
}

// PQMF synthesis: audio [steps][bands] of stack [steps + overlap][bands], the overlap before the values. filters is
// [vectors of bands][rows = (overlap + 1) * bands][LANES], oldest step first, so that a step reads one contiguous run
// of the stack.
void synthesis(const float* stack, const float* filters, int rows, int steps, int bands, float* audio) {
    alignas(64) float block[8 * LANES];
    float* y[8];
    for (int m = 0; m < 8; ++m) y[m] = block + m * LANES;
    for (int at = 0; at < steps; at += 8) {
        const float* x[8];
        for (int m = 0; m < 8; ++m) x[m] = stack + static_cast<size_t>(at + m) * bands;
        for (int band = 0; band < bands; band += LANES) {
            tile_batch<8, 1>(filters + static_cast<size_t>(band) * rows, x, rows, y, 0);
            const int width = bands - band < LANES ? bands - band : LANES;
            for (int m = 0; m < 8; ++m) {
                for (int i = 0; i < width; ++i) audio[(at + m) * bands + band + i] = block[m * LANES + i];
            }
        }
    }
}

float read(const float* x, size_t count, int times) {
    V sum[8];  // as many as hide the latency of an addition
    for (V& part : sum) part = v_set(0.0f);
    for (int time = 0; time < times; ++time) {
        for (size_t at = 0; at < count; at += 8 * LANES) {
            LM_UNROLL
            for (int i = 0; i < 8; ++i) sum[i] = v_add(sum[i], v_load(x + at + i * LANES));
        }
    }
    for (int i = 1; i < 8; ++i) sum[0] = v_add(sum[0], sum[i]);
    return v_sum(sum[0]);
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
