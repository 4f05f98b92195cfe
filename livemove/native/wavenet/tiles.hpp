// How packed weights are cut into tiles of columns: the rules that packer and kernels walk by.
// In: numbers of vectors and rows. Out: widths of tiles, bytes.
// Included by translation units built with different machine flags: plain data and static functions only, so that the
// linker can never keep an AVX-512 copy of an inline function for a machine that lacks it.
#pragma once
#include <stddef.h>

namespace livemove {

// Width of the next tile of a matrix-vector product, in vectors; packer and kernels walk the columns by this one rule.
static inline int next_tile(int vectors_left, int max_tile) {
    int tile = max_tile;
    while (tile > vectors_left) tile /= 2;
    return tile;
}

// Widest tile of the batched product of `rows` steps.
static inline int batch_tile(int rows, int gemm_tile, int max_tile) {
    const int tile = gemm_tile / (rows < 8 ? rows : 8);
    return tile < 1 ? 1 : tile > max_tile ? max_tile : tile;
}

// Bytes of a 10-bit weight times columns / LANES of its tile; see fixed_point.hpp for the order.
static inline size_t int10_bytes(int tile, int digits) {
    return digits ? static_cast<size_t>(tile) + (tile > 4 ? tile / 4 : 1) : 2 * static_cast<size_t>(tile);
}

static inline int padded(int n, int to) { return (n + to - 1) / to * to; }

}  // namespace livemove
