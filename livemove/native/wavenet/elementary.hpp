// Elementary functions on vectors: exp, log, the gate, and a coarse gate for fixed point, each with its error bound.
// HOT: part of kernels.hpp, which says how it is included. In and out: vectors V.

namespace livemove {
namespace {

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

}  // namespace
}  // namespace livemove
