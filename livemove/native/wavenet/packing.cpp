// See packing.hpp. Quantisation, tiles, and the order of bytes that fixed_point.hpp explains.
#include "packing.hpp"

#include <algorithm>
#include <cmath>

#include "half.hpp"

namespace livemove {
namespace {

// The block / unit, rounded, [rows][columns]; the unit lets the largest entry be `most` and the magnitudes sum to
// no more than `sum` (rounding may add 1/2 per row).
std::vector<int> quantise(const Block& b, double most, double sum, float* units) {
    std::vector<int> whole(static_cast<size_t>(b.rows) * b.columns);
    for (int c = 0; c < b.columns; ++c) {
        double largest = 0.0, total = 0.0;
        for (int row = 0; row < b.rows; ++row) {
            const double magnitude = std::fabs(b.w[row * b.stride + c]);
            largest = std::max(largest, magnitude);
            total += magnitude;
        }
        const double fits = std::max(largest / most, total / (sum - b.rows));
        units[c] = static_cast<float>(fits > 0.0 ? fits : 1.0);
        for (int row = 0; row < b.rows; ++row) {
            const double rounded = std::rint(static_cast<double>(b.w[row * b.stride + c]) / units[c]);
            whole[static_cast<size_t>(row) * b.columns + c] =
                static_cast<int>(std::min(std::max(rounded, -most), most));
        }
    }
    return whole;
}

}  // namespace

void Packer::store_half(void* packed, size_t at, float x) const {
    const uint16_t half = to_half(x);
    if (isa_.half_bytes == 2) {
        static_cast<uint16_t*>(packed)[at] = half;
    } else {
        static_cast<float*>(packed)[at] = from_half(half);
    }
}

const void* Packer::pack_matrix(const float* w, int rows, int columns, int widest) {
    void* packed = arena_.take<char>(static_cast<size_t>(rows) * columns * isa_.half_bytes);
    size_t at = 0;
    tiles(columns, widest, [&](int column, int width) {
        for (int row = 0; row < rows; ++row) {
            for (int c = column; c < column + width; ++c, ++at) {
                store_half(packed, at, w[static_cast<size_t>(row) * columns + c]);
            }
        }
    });
    return packed;
}

const void* Packer::pack_rows(const float* w, size_t count) {
    void* rows = arena_.take<char>(count * isa_.half_bytes);
    for (size_t i = 0; i < count; ++i) store_half(rows, i, w[i]);
    return rows;
}

// The integers in the order of the products, [tile][`together` rows][column][together]; returns the end.
template <class Integer>
Integer* Packer::lay_out(const std::vector<int>& whole, int rows, int columns, int together, int widest,
                         Integer* to) const {
    tiles(columns, widest, [&](int column, int width) {
        for (int row = 0; row < rows; row += together) {
            for (int c = column; c < column + width; ++c) {
                for (int k = row; k < row + together; ++k) {
                    *to++ = static_cast<Integer>(whole[static_cast<size_t>(k) * columns + c]);
                }
            }
        }
    });
    return to;
}

template <class Integer>
const int8_t* Packer::laid_out(const std::vector<int>& whole, int rows, int columns, int together, int widest) {
    Integer* first = arena_.take<Integer>(whole.size());
    lay_out(whole, rows, columns, together, widest, first);
    return reinterpret_cast<const int8_t*>(first);
}

// What digits add for inputs whose one is kFixedStep, taken off a bias.
void Packer::take_off(float* bias, const std::vector<int>& whole, const float* unit, const Block& b) const {
    if (!isa_.digits) return;
    const double middle = 32768.0 - 257.0 * digit_middle();
    for (int c = 0; c < b.columns; ++c) {
        int64_t sum = 0;
        for (int row = 0; row < b.rows; ++row) sum += whole[static_cast<size_t>(row) * b.columns + c];
        bias[c] -= static_cast<float>(middle * kFixedStep * unit[c] * static_cast<double>(sum));
    }
}

Fixed Packer::pack_int8(const Block& b, float* bias) {
    float* unit = arena_.take<float>(b.columns);
    const std::vector<int> whole = quantise(b, 127.0, 1e9, unit);
    take_off(bias, whole, unit, b);
    return {laid_out<int8_t>(whole, b.rows, b.columns, isa_.digits ? 4 : 2, isa_.int_tile), unit, nullptr};
}

Fixed Packer::pack_int16(const Block& b, int widest) {
    float* unit = arena_.take<float>(b.columns);
    const std::vector<int> whole = quantise(b, 32767.0, 65535.0, unit);
    return {laid_out<int16_t>(whole, b.rows, b.columns, 2, widest), unit, nullptr};
}

Fixed Packer::pack_int10(const Block& b, double middle, double lower_mean) {
    float* unit = arena_.take<float>(b.columns);
    // 509 is 4 * 127 + 1: the upper eight bits hold it whichever sign the lower two have.
    const std::vector<int> whole = quantise(b, 509.0, 65535.0, unit);
    if (!isa_.digits) return {laid_out<int16_t>(whole, b.rows, b.columns, 2, isa_.int_tile), unit, nullptr};
    const auto at = [&](int row, int c) { return whole[static_cast<size_t>(row) * b.columns + c]; };
    size_t bytes = 0;
    std::vector<int> field(b.columns), fields(b.columns);  // place in the byte of lower bits, and how many it has
    tiles(b.columns, isa_.int_tile, [&](int column, int width) {
        const int tile = width / isa_.lanes, count = std::min(tile, 4);
        bytes += int10_bytes(tile, isa_.digits) * isa_.lanes * b.rows;
        for (int c = 0; c < width; ++c) field[column + c] = c / (width / count), fields[column + c] = count;
    });
    const auto low = [&](int row, int c) {
        return field[c] == 3 ? ((at(row, c) + 2) & 3) - 2 : at(row, c) & 3;
    };
    middle -= 257.0 * digit_middle();
    lower_mean -= digit_middle();
    float* offset = arena_.take<float>(b.columns);
    for (int c = 0; c < b.columns; ++c) {
        double added = 0.0;
        for (int row = 0; row < b.rows; ++row) added += middle * at(row, c) - lower_mean * low(row, c);
        offset[c] = static_cast<float>(unit[c] * added);
        unit[c] *= 4.0f;
    }
    int8_t* to = arena_.take<int8_t>(bytes);
    const Fixed fixed{to, unit, offset};
    tiles(b.columns, isa_.int_tile, [&](int column, int width) {
        const int quarter = width / fields[column];
        for (int row = 0; row < b.rows; row += 4) {
            for (int c = column; c < column + width; ++c) {
                for (int k = row; k < row + 4; ++k) *to++ = static_cast<int8_t>((at(k, c) - low(k, c)) / 4);
            }
            for (int c = column; c < column + quarter; ++c) {
                for (int k = row; k < row + 4; ++k) {
                    int byte = 0;
                    for (int f = 0; f < fields[c]; ++f) byte += low(k, c + f * quarter) * (1 << 2 * f);
                    *to++ = static_cast<int8_t>(byte);
                }
            }
        }
    });
    return fixed;
}

std::vector<float> Packer::gate_order(const float* w, int rows, int r) const {
    std::vector<float> ordered(static_cast<size_t>(rows) * 2 * r);
    tiles(2 * r, isa_.int_tile, [&](int column, int width) {
        for (int row = 0; row < rows; ++row) {
            const float* from = w + static_cast<size_t>(row) * 2 * r + column / 2;
            float* to = ordered.data() + static_cast<size_t>(row) * 2 * r + column;
            for (int i = 0; i < width / 2; ++i) {
                to[i] = kTanhFactor * from[i];
                to[width / 2 + i] = kSigmoidFactor * from[r + i];
            }
        }
    });
    return ordered;
}

}  // namespace livemove
