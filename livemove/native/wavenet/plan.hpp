// The plan of one WaveNet: plain pointers and sizes that the generator fills once and the kernels run every step, for one
// voice or several at once.
// In: nothing. Out: Plan, Layer, Fixed and the constants of the fixed-point plan.
// Included by translation units built with different machine flags: plain data and static functions only, so that the
// linker can never keep an AVX-512 copy of an inline function for a machine that lacks it.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace livemove {

// Steps whose past taps are computed together: weights of a layer with dilation d are read once for min(d, kBatch)
// steps. Every hop of every spec (256 / bands steps, bands <= 16) is a whole number of batches.
constexpr int kBatch = 16;

// Past taps of batches up to this size are 10-bit products where those take digits: fewer bytes count for more than the
// fewer instructions of a batched int16 product.
constexpr int kFewRows = 4;

// Voices that one plan can play at once.
constexpr int kMostVoices = 16;

// A gate output or a scaled input of 1 is 32767 in fixed point.
constexpr float kFixedStep = 1.0f / 32767.0f;

// The fixed-point plan holds the arguments of tanh and sigmoid times -2 log2 e and -log2 e: their exponentials are then
// powers of two.
constexpr float kTanhFactor = -2.88539008f, kSigmoidFactor = -1.44269504f;

// A matrix in int8, 10 bits or int16: integer = weight / unit of its column.
struct Fixed {
    const int8_t* weights;  // in the order the instruction set's products want
    const float* unit;      // [columns]
    const float* offset;    // [columns] or none: see fixed_point.hpp
};

// Arrays marked [V] are voice 0's: voice v's lies v * Plan::apart bytes further. All voices make the same steps, and
// each of them computes what it would compute alone, bit by bit.
struct Layer {
    const void* past;       // packed for products of `rows` rows
    const void* now;        // packed [R -> 2R]
    const void* condition;  // packed [E -> 2R]
    const float* bias;      // [2R]
    const void* residual;   // packed [R -> R]; none in the last layer
    const float* residual_bias;
    const void* skip;  // packed [R -> S]
    // Instead of past, now, residual and skip in the fixed-point plan; skip in two parts, split at plan.skip_split.
    Fixed fixed_past, fixed_now, fixed_residual, fixed_skip[2];
    float* ring;   // [V][mask + 1][R] inputs of this layer, a power of two of them
    float* base;   // [V][2R] this hop's condition and bias
    float* ahead;  // [V][batch][2R] past taps of the steps of the running batch
    uint64_t mask;
    int dilation;
    int batch;
    int rows;  // most steps of all voices whose past taps are one product: a power of two up to 8
    int lead;  // steps by which this layer's batches begin earlier: not all layers' in the same step
};

struct Plan {
    int voices;
    size_t apart;  // bytes
    int mulaw, bands, mixtures, parameters, parameters_padded;
    int residual, skip, hidden, conditioning, layers, steps, phase_width;
    int path_width;  // sines and cosines of the harmonic path; 0: none
    int fixed;       // fixed-point: skip in int8, now, residual and head in 10 bits, past in int16 or 10
    int skip_split;  // columns of the first part of a fixed-point skip product
    Layer* layer;
    const void* input[2];       // packed [symbols -> R]; mulaw: rows of an embedding
    const void* input_phase;    // packed [phase_width -> R]
    const void* input_harmonics;  // packed [bands -> R]; none without a harmonic path
    const float* input_bias;    // [R]
    const float* skip_bias;     // [S]
    const void* head_1;         // packed [S -> A]
    Fixed fixed_head_1, fixed_head_2;  // instead of head_1 and head_2 in fixed point
    const float* head_bias_1;   // [A]
    const void* head_2;         // packed [A -> parameters_padded]; logistic columns reordered to [3, mixtures, bands]
    const float* head_bias_2;   // [parameters_padded]
    // scratch, written every step or hop, all [V]
    float* embedded;       // [E] conditioner's output of this hop
    float* phase;          // [steps][phase_width] sines and cosines of this hop
    float* path;           // [steps][path_width] the same of the harmonic path
    const float* path_sums;  // [2][vectors of bands][path_width][LANES], see harmonics.hpp
    float* harmonics;      // [steps][bands padded] what it adds to the means
    float* start;          // [steps][R] bias and phase part of the layer-0 input
    float* draw;           // [steps][bands padded] logit of the noise (logistic)
    float* gated;          // [2][R] gate outputs of this layer and the one before
    int16_t* gated_fixed;  // [2][R] the same in fixed point
    int16_t* input_fixed;  // [max(R, S, A)] inputs in fixed point of their own range
    int16_t* past_fixed;   // [8][R] the same of a batch
    float* z;              // [2R]
    float* sum;            // [S] skip sum
    float* dense;          // [max(S, A)] positive activations, compacted
    int32_t* where;        // [max(S, A)] their indices
    float* middle;         // [A]
    float* distribution;   // [parameters_padded + slack] head output
    float* work;           // [max(classes, mixtures * padded bands) + slack] for sampling
    float* values;         // [steps][bands] network values of this hop
    // state
    float* inputs;  // [V][2][bands]: x[t-2], x[t-1]
    uint64_t step;  // steps of all voices; a multiple of `steps` at hop borders
    int fresh;      // a state was set: the past taps of all running batches are due again
};

// What a hop takes from the caller and gives back besides plan.values; voice v's lies v * (its apart) floats further.
struct HopArrays {
    const float* noise;  // [steps][noise width]
    size_t noise_apart;
    const float* temperature;  // [voices], floored
    float* parameters;         // [steps][plan.parameters], or null
    size_t parameters_apart;
};

// Place of a step in its layer's batch.
static inline uint64_t turn_of(const Layer& layer, uint64_t step) {
    return (step + static_cast<uint64_t>(layer.lead)) % static_cast<uint64_t>(layer.batch);
}

}  // namespace livemove
