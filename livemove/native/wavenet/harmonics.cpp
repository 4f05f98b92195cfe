// See harmonics.hpp.
#include "harmonics.hpp"

#include <algorithm>
#include <cmath>

namespace livemove {
namespace {

constexpr double kPi = 3.14159265358979323846;

int up(int count, int multiple) { return (count + multiple - 1) / multiple * multiple; }

}  // namespace

size_t HarmonicPath::bound(const PathSizes& n) {
    const size_t k2 = 2 * static_cast<size_t>(n.harmonics), bands = std::max(n.bands, 16);
    return n.conditioning + 2 * kPitchOctaves + 2 * static_cast<size_t>(n.hidden) + 2 * k2 + 2 * k2 * bands + 256;
}

HarmonicPath::HarmonicPath(const PathSizes& sizes, const Isa& isa, Arena& arena, const Floats (&weights)[6],
                           Floats scale, Floats response, int count)
    : n_(sizes), lanes_(isa.lanes), vectors_(up(sizes.bands, isa.lanes) / isa.lanes), count_(count), scale_(scale),
      response_(response) {
    std::copy_n(weights, 6, weights_);
    input_ = arena.take<float>(n_.conditioning + 2 * kPitchOctaves);
    for (float*& hidden : hidden_) hidden = arena.take<float>(n_.hidden);
    for (float*& amplitudes : amplitudes_) amplitudes = arena.take<float>(width());
    sums_ = arena.take<float>(2 * static_cast<size_t>(vectors_) * width() * lanes_);
}

// y = relu(x @ w + bias), w [rows][columns].
void HarmonicPath::dense(const float* x, int rows, const float* w, const float* bias, int columns,
                         float* y) const noexcept {
    std::copy_n(bias, columns, y);
    for (int row = 0; row < rows; ++row, w += columns) {
        const float value = x[row];
        for (int i = 0; i < columns; ++i) y[i] += value * w[i];
    }
    for (int i = 0; i < columns; ++i) y[i] = std::max(y[i], 0.0f);
}

// The last layer: y = sum of style[s] * (hidden @ w[s]), and the bias; w [styles][hidden][2K]. Silent styles cost nothing.
void HarmonicPath::blend(const float* style, float* y) const noexcept {
    const int columns = width();
    std::copy_n(weights_[5], columns, y);
    for (int s = 0; s < n_.styles; ++s) {
        const float share = n_.styles > 1 ? style[s] : 1.0f;
        if (share == 0.0f) continue;
        const float* w = weights_[4] + static_cast<size_t>(s) * n_.hidden * columns;
        for (int row = 0; row < n_.hidden; ++row, w += columns) {
            const float value = share * hidden_[1][row];
            for (int i = 0; i < columns; ++i) y[i] += value * w[i];
        }
    }
}

// The prototype at a distance from its centre in bands' widths.
float HarmonicPath::response(double bands) const noexcept {
    const double at = std::fabs(bands) * kResponsePoints;
    const int left = static_cast<int>(at);
    if (left >= count_ - 1) return left == count_ - 1 && at == left ? response_[left] : 0.0f;
    const float part = static_cast<float>(at - left);
    return response_[left] * (1.0f - part) + response_[left + 1] * part;
}

void HarmonicPath::update(const float* embedded, const float* style, float pitch, double hz, float level) noexcept {
    const int e = n_.conditioning, k2 = width(), count = n_.harmonics;
    std::copy_n(embedded, e, input_);
    for (int i = 0; i < kPitchOctaves; ++i) {
        const float angle = static_cast<float>(kPi) * pitch * static_cast<float>(1 << i);
        input_[e + i] = std::sin(angle);
        input_[e + kPitchOctaves + i] = std::cos(angle);
    }
    dense(input_, e + 2 * kPitchOctaves, weights_[0], weights_[1], n_.hidden, hidden_[0]);
    dense(hidden_[0], n_.hidden, weights_[2], weights_[3], n_.hidden, hidden_[1]);
    const float* before = amplitudes_[now_];
    now_ = 1 - now_;
    float* now = amplitudes_[now_];
    blend(style, now);
    for (int i = 0; i < k2; ++i) now[i] *= level;

    const size_t half = static_cast<size_t>(vectors_) * k2 * lanes_;
    std::fill_n(sums_, 2 * half, 0.0f);
    const float theta_cosine = std::cos(static_cast<float>(kPi) / 4);
    for (int k = 0; k < count; ++k) {
        const double frequency = hz * (k + 1), place = frequency * 2 * n_.bands / n_.sample_rate;
        const float turn = static_cast<float>(-kPi * frequency / n_.sample_rate);
        const float c = std::cos(turn), s = std::sin(turn);
        for (int band = 0; band < n_.bands; ++band) {
            const float below = response(place - (band + 0.5)), above = response(place + (band + 0.5));
            if (below == 0.0f && above == 0.0f) continue;
            const float real = theta_cosine * (above + below);
            const float imaginary = (band % 2 ? -theta_cosine : theta_cosine) * (below - above);
            const float gain = (real * c - imaginary * s) / scale_[band];
            const float quadrature = (real * s + imaginary * c) / scale_[band];
            float* to = sums_ + (static_cast<size_t>(band / lanes_) * k2 + k) * lanes_ + band % lanes_;
            for (const float* a : {before, static_cast<const float*>(now)}) {
                to[0] = -(a[k] * quadrature + a[count + k] * gain);
                to[static_cast<size_t>(count) * lanes_] = a[k] * gain - a[count + k] * quadrature;
                to += half;
            }
        }
    }
}

}  // namespace livemove
