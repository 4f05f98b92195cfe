// Packing: weights laid out in the order in which an instruction set's products read them, as fp16 or in fixed point.
// In: matrices of float, an instruction set. Out: arrays in an arena. Slow; knows neither the network nor Python.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "arena.hpp"
#include "isa.hpp"
#include "tiles.hpp"

namespace livemove {

// A block of a matrix: columns of w that are `stride` entries long.
struct Block {
    const float* w;
    size_t stride;
    int rows, columns;
};

class Packer {
public:
    Packer(const Isa& isa, Arena& arena) : isa_(isa), arena_(arena) {}

    // w [rows, columns] in fp16 for the dense and sparse products.
    const void* pack(const float* w, int rows, int columns) { return pack_matrix(w, rows, columns, isa_.max_tile); }

    // The same for a product whose widest tile is `widest` vectors.
    const void* pack_matrix(const float* w, int rows, int columns, int widest);

    // w in fp16 as it lies, for an embedding, which is read by rows: one tile as wide as the matrix.
    const void* pack_rows(const float* w, size_t count);

    // int8 weights of gate outputs; `bias` is that of the product.
    Fixed pack_int8(const Block& block, float* bias);

    // int16 weights for a product whose widest tile is `widest` vectors.
    Fixed pack_int16(const Block& block, int widest);

    // 10-bit weights for signed inputs: their digits are those of x + 32768.
    Fixed pack_signed(const Block& block) { return pack_int10(block, 32768.0, 127.5); }

    // 10-bit weights for inputs behind a rectifier: half of them are zero.
    Fixed pack_rectified(const float* w, int rows, int columns) {
        return pack_int10({w, static_cast<size_t>(columns), rows, columns}, 0.0, 63.75);
    }

    // A matrix or vector [rows, 2R] of the gate's arguments as the fixed-point plan has them: in each tile those of
    // tanh before those of the sigmoid of the same outputs, times their factors.
    std::vector<float> gate_order(const float* w, int rows, int residual) const;

private:
    // The columns of a matrix tile by tile: visit(first column, columns).
    template <class Visit>
    void tiles(int columns, int widest, Visit visit) const {
        for (int column = 0; column < columns;) {
            const int width = next_tile((columns - column) / isa_.lanes, widest) * isa_.lanes;
            visit(column, width);
            column += width;
        }
    }

    // What is taken off each digit of an input before it is stored: signed bytes hold no 255.
    double digit_middle() const { return isa_.digits == 2 ? 128.0 : 0.0; }

    // 10-bit weights. lower_mean: of the lower digit of the inputs.
    Fixed pack_int10(const Block& b, double middle, double lower_mean);

    template <class Integer>
    Integer* lay_out(const std::vector<int>& whole, int rows, int columns, int together, int widest, Integer* to) const;
    template <class Integer>
    const int8_t* laid_out(const std::vector<int>& whole, int rows, int columns, int together, int widest);
    void store_half(void* packed, size_t at, float x) const;
    void take_off(float* bias, const std::vector<int>& whole, const float* unit, const Block& b) const;

    const Isa& isa_;
    Arena& arena_;
};

}  // namespace livemove
