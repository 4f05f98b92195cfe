// Sampling a step's value from the network's distribution: mu-law classes or mixtures of logistics.
// HOT: part of kernels.hpp, which says how it is included. In: plan.distribution, noise, temperature. Out: values.

namespace livemove {
namespace {

// First class whose cumulative probability exceeds u: whole vectors first, then inside one. work [2 classes].
inline float sample_mulaw(float* logits, int classes, float u, float temperature, float* work) {
    const int whole = padded(classes, LANES);
    for (int i = classes; i < whole; ++i) logits[i] = -1e30f;
    V top = v_load(logits);
    for (int i = LANES; i < whole; i += LANES) top = v_max(top, v_load(logits + i));
    float lane[LANES];
    v_store_unaligned(lane, top);
    float largest = lane[0];
    for (int i = 1; i < LANES; ++i) largest = lane[i] > largest ? lane[i] : largest;
    const V inverse = v_set(1.0f / temperature), offset = v_set(largest);
    float* mass = work + whole;  // [vectors]
    float total = 0.0f;
    for (int i = 0, k = 0; i < whole; i += LANES, ++k) {
        const V e = v_exp(v_mul(v_sub(v_load(logits + i), offset), inverse));
        v_store(work + i, e);
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
        cumulative += work[chosen];
        if (cumulative > target) break;
        ++chosen;
    }
    return static_cast<float>(chosen < classes - 1 ? chosen : classes - 1);
}

// Mixture of logistics of a voice, one vector of bands at a time; distribution is [3, mixtures, bands] here.
template <class P>
inline void sample_logistic(const P& plan, int voice, const float* noise, const float* draw, float temperature,
                            float* value) {
    const int bands = plan.bands, mixtures = plan.mixtures, plane = mixtures * bands;
    const float* distribution = each(plan, plan.distribution)(voice);
    float* work = each(plan, plan.work)(voice);
    const V inverse = v_set(1.0f / temperature), scale = v_set(temperature);
    for (int band = 0; band < bands; band += LANES) {
        const float* logits = distribution + band;
        const float *means = logits + plane, *log_scales = means + plane;
        V top = v_load_unaligned(logits);
        for (int m = 1; m < mixtures; ++m) top = v_max(top, v_load_unaligned(logits + m * bands));
        V total = v_set(0.0f);
        for (int m = 0; m < mixtures; ++m) {
            const V e = v_exp(v_mul(v_sub(v_load_unaligned(logits + m * bands), top), inverse));
            total = v_add(total, e);
            v_store(work + m * LANES, total);
        }
        float uniform[LANES];
        for (int i = 0; i < LANES; ++i) uniform[i] = band + i < bands ? noise[band + i] : 0.0f;
        const V target = v_mul(v_load_unaligned(uniform), total);
        V mean = v_load_unaligned(means), log_scale = v_load_unaligned(log_scales);
        for (int m = 1; m < mixtures; ++m) {  // component m where the mass before it does not reach the target
            const V before = v_load(work + (m - 1) * LANES);
            mean = v_select_le(before, target, v_load_unaligned(means + m * bands), mean);
            log_scale = v_select_le(before, target, v_load_unaligned(log_scales + m * bands), log_scale);
        }
        const V spread = v_mul(v_exp(v_max(log_scale, v_set(-9.0f))), scale);
        V x = v_fma(spread, v_load_unaligned(draw + band), mean);
        x = v_min(v_max(x, v_set(-1.0f)), v_set(1.0f));
        float result[LANES];
        v_store_unaligned(result, x);
        for (int i = 0; i < LANES && band + i < bands; ++i) value[band + i] = result[i];
    }
}

}  // namespace
}  // namespace livemove
