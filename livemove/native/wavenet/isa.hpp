// The instruction sets the kernels are built for: how each lays out weights, and its functions.
// In: a Plan. Out: Isa, one table for each set (isa_<name>.cpp); machine.hpp says which of them run here.
// Included by translation units built with different machine flags: plain data and static functions only, so that the
// linker can never keep an AVX-512 copy of an inline function for a machine that lacks it.
#pragma once
#include "plan.hpp"

namespace livemove {

struct Isa {
    const char* name;
    int lanes;       // floats per vector
    int max_tile;    // most accumulators of a matrix-vector tile
    int gemm_tile;   // accumulators of a batched tile
    int int_tile;    // widest tile of the integer products
    int digits;      // 0: integer products take int16, two rows together; 1: unsigned bytes, four rows; 2: signed bytes
    int half_bytes;  // 2: weights in memory are fp16; 4: no conversion instruction here, fp16 values are held as float
    // One hop of network steps of all voices; fills plan.values and, when not null, the parameters.
    void (*hop)(Plan& plan, const HopArrays& arrays);
    // PQMF synthesis of a hop, see hop.hpp.
    void (*synthesis)(const float* stack, const float* filters, int rows, int steps, int bands, float* audio);
    // The elementary functions on their own, so that their error bounds can be tested. which: exp, log, gate (pairs).
    void (*evaluate)(int which, const float* x, float* y, int count);
    // Reads x `times` times and adds it up, to measure the bandwidth of where it lies; count: a multiple of 128.
    float (*read)(const float* x, size_t count, int times);
};

extern const Isa kPortable;
#ifdef LIVEMOVE_X86
extern const Isa kAvx2;
extern const Isa kAvx512;
extern const Isa kAvx512Vnni;
#ifdef LIVEMOVE_AVX_VNNI_BUILT
extern const Isa kAvxVnni;
#endif
#endif
#ifdef LIVEMOVE_ARM
extern const Isa kNeonDot;
#endif

}  // namespace livemove
