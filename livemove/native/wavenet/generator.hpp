// The WaveNet generator: owns weights, and of one voice or several scratch and state, and drives hops of 256 samples.
// In: the arrays of contracts.weight_shapes, an instruction set's name, channels and noise. Out: audio, trace, state.
// Slow work (packing, allocation, errors) stands in the constructor; `run` allocates, locks and logs nothing. It knows no
// Python. Checking arguments for people is synthesis/native.py's work; what is checked here only keeps memory safe.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arena.hpp"
#include "harmonics.hpp"
#include "isa.hpp"
#include "packing.hpp"

namespace livemove {

constexpr int kHop = 256;

// Contiguous memory of the caller's.
template <class T>
struct Span {
    T* data;
    size_t size;
};
using In = Span<const float>;
using Out = Span<float>;
using Tensors = std::map<std::string, In>;

struct Sizes {
    int bands, classes, mixtures, residual, skip, hidden, conditioning, channels, styles, harmonics, taps;
    bool mulaw;
    double sample_rate;
    int pitch_channel;                // index, meaningless without harmonics
    int path_harmonics, path_hidden;  // of the harmonic path; 0: none
    int level_channel, gate_channel;  // -1: none
    double gate_closed, gate_full;
};

// Throws std::invalid_argument with what was wrong.
void expect(bool ok, const char* what);

class Generator {
public:
    // ranges [channels][low, high]; filters [bands][ages][samples] where there are several; response, the prototype's
    // for a harmonic path; decode [classes] for mu-law; precision "fp16" or "int8"; voices up to kMostVoices.
    Generator(const Sizes& sizes, const std::vector<int>& dilations, const Tensors& tensors, In ranges, In filters,
              In response, In decode, const std::string& isa, const std::string& precision, int voices);

    const char* isa() const { return isa_.name; }

    // Checks sizes, then runs all voices by as many hops. Every array has a leading axis of voices: style
    // [max(styles, 1)] weights; values [steps, bands] and parameters [steps, width] may be null.
    void generate(size_t hops, Out out, In channels, In noise, In style, In temperature, Out values, Out parameters);

    // At a hop's border, of one voice; the others play on as if nothing had happened.
    void get_state(int voice, Out inputs, Out queues, Out overlap, Span<double> phase, Out amplitudes) const;
    void set_state(int voice, In inputs, In queues, In overlap, Span<const double> phase, In amplitudes);

private:
    // What every voice has of its own and the plan does not know.
    struct Voice {
        double cycles = 0.0;  // running phase, 0..1
        std::unique_ptr<HarmonicPath> path;
    };

    static size_t bound(const Sizes& n, const std::vector<int>& dilations, int voices);
    void run(int hops, const float* channels, const float* noise, const float* style, const float* temperature,
             float* out, float* values, float* parameters) noexcept;
    void pack(const Tensors& tensors, bool fixed);
    void prepare(const Tensors& tensors, In ranges, In filters, In response, In decode);
    void make_voices(int voices);
    void lay_out_voice(Plan& plan, std::vector<Layer>& layers, Voice& voice);
    void check_state(int voice, size_t inputs, size_t queues, size_t overlap, size_t phase, size_t amplitudes) const;
    // Voice v's of what the plan has of voice 0.
    template <class T>
    T* of(int voice, T* first) const noexcept {
        return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(first) + static_cast<size_t>(voice) * plan_.apart);
    }
    float within(const float* channels, int channel) const noexcept;
    void condition(int voice, const float* channels, const float* style) noexcept;
    void gate(int voice, const float* channels) noexcept;
    void emit(int voice, float* out) noexcept;
    float* copy(const float* from, size_t count);

    const Isa& isa_;
    Sizes n_;
    std::vector<int> dilations_;
    Arena arena_;
    Packer packer_;
    std::vector<Layer> layers_;
    Plan plan_{};
    const float *ranges_ = nullptr, *conditioner_ = nullptr, *conditioner_bias_ = nullptr, *styles_ = nullptr;
    const float *decode_ = nullptr, *scale_ = nullptr, *response_ = nullptr;
    const float* path_weights_[6] = {};
    int response_count_ = 0;
    float* filters_ = nullptr;
    size_t overlap_ = 0;  // floats, before plan_.values: the stack [overlap + steps][bands] of the filter bank
    std::vector<Voice> voices_;
};

}  // namespace livemove
