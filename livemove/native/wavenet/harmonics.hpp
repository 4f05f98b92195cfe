// The harmonic path: per hop, amplitudes of the harmonics from the conditioner's output, and the matrices that turn the
// sines and cosines of the phase into band signals. In: arrays of contracts.weight_shapes, what of a hop is conditioned.
// Out: matrices in the order in which hop.hpp reads them. Runs once a hop, allocates nothing then; knows no network.
// The formulas and their sources are those of synthesis/harmonic_path.py.
#pragma once
#include <map>
#include <string>

#include "arena.hpp"
#include "isa.hpp"

namespace livemove {

constexpr int kPitchOctaves = 5;
constexpr float kLevel = 0.25f;      // contracts.LEVEL
constexpr int kResponsePoints = 256;  // per band's width, see harmonic_path.py

struct PathSizes {
    int harmonics, hidden, conditioning, bands, styles;
    double sample_rate;
};

class HarmonicPath {
public:
    using Floats = const float*;

    // weights: weight_1, bias_1 ... bias_3, already copied; scale [bands]; response [count], the prototype's.
    HarmonicPath(const PathSizes& sizes, const Isa& isa, Arena& arena, const Floats (&weights)[6], Floats scale,
                 Floats response, int count);

    static size_t bound(const PathSizes& sizes);

    // HOT, once a hop: style [styles] their weights (of one style: not looked at), pitch is the normalised channel,
    // level what amplitudes are in units of.
    void update(const float* embedded, const float* style, float pitch, double hz, float level) noexcept;

    int width() const { return 2 * n_.harmonics; }
    // [before, now][vectors of bands][2K][lanes], divided by the bands' scales.
    const float* sums() const { return sums_; }
    float* amplitudes() const { return amplitudes_[now_]; }

private:
    void dense(const float* x, int rows, const float* w, const float* bias, int columns, float* y) const noexcept;
    void blend(const float* style, float* y) const noexcept;
    float response(double bands) const noexcept;

    PathSizes n_;
    int lanes_, vectors_, count_;
    Floats weights_[6];
    Floats scale_, response_;
    float *input_, *hidden_[2], *amplitudes_[2], *sums_;
    int now_ = 0;
};

}  // namespace livemove
