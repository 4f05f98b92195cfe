// The native WaveNet generator as Python sees it: packs weights for the machine's vectors, owns the state, drives hops.
// In: the arrays of contracts.weight_shapes, a name of an instruction set, channels and noise. Out: audio, trace,
// state. Slow work (packing, allocation, errors) stands in the constructor; `generate` allocates, locks and logs
// nothing. Argument checking for people is synthesis/native.py's work; what is checked here only keeps memory safe.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(LIVEMOVE_X86)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "wavenet.hpp"

namespace nb = nanobind;

namespace livemove {
namespace {

constexpr int kHop = 256;
constexpr double kTurn = 6.283185307179586476925286766559;

// --- the machine ---------------------------------------------------------------------------------------------------

#ifdef LIVEMOVE_X86
struct Registers {
    uint32_t a, b, c, d;
};

Registers cpuid(uint32_t leaf) {
    Registers r{};
#if defined(_MSC_VER)
    int v[4];
    __cpuidex(v, static_cast<int>(leaf), 0);
    r = {static_cast<uint32_t>(v[0]), static_cast<uint32_t>(v[1]), static_cast<uint32_t>(v[2]),
         static_cast<uint32_t>(v[3])};
#else
    __cpuid_count(leaf, 0, r.a, r.b, r.c, r.d);
#endif
    return r;
}

// Register sets the operating system saves on a context switch.
uint64_t saved_registers() {
#if defined(_MSC_VER)
    return _xgetbv(0);
#else
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (static_cast<uint64_t>(high) << 32) | low;
#endif
}
#endif

// Instruction sets this machine can run, fastest first.
std::vector<const Isa*> available() {
    std::vector<const Isa*> sets;
#ifdef LIVEMOVE_X86
    const auto has = [](uint32_t word, int bit) { return ((word >> bit) & 1) != 0; };
    if (cpuid(0).a >= 7) {
        const Registers one = cpuid(1), seven = cpuid(7);
        const uint64_t saved = has(one.c, 27) ? saved_registers() : 0;
        const bool avx2 = (saved & 0x6) == 0x6 && has(one.c, 12) && has(one.c, 29) && has(seven.b, 5);
        const bool avx512 = avx2 && (saved & 0xe6) == 0xe6 && has(seven.b, 16) && has(seven.b, 17) &&
                            has(seven.b, 30) && has(seven.b, 31);
        if (avx512 && has(seven.c, 11)) sets.push_back(&kAvx512Vnni);
        if (avx512) sets.push_back(&kAvx512);
        if (avx2) sets.push_back(&kAvx2);
    }
#endif
    sets.push_back(&kPortable);
    return sets;
}

const Isa& find_isa(const std::string& name) {
    for (const Isa* isa : available()) {
        if (name == "auto" || name == isa->name) return *isa;
    }
    throw std::invalid_argument("this machine has no instruction set named " + name);
}

// --- memory --------------------------------------------------------------------------------------------------------

// One block for weights, scratch and state, in order of use, on huge pages where the system grants them: 2 MB of
// weights are read every step, and 4 KB pages would cost a TLB miss for every 64 cache lines.
class Arena {
public:
    explicit Arena(size_t bytes) : size_(bytes), base_(static_cast<char*>(::operator new(bytes, kAlign))) {
#if defined(__linux__)
        madvise(base_, bytes, MADV_HUGEPAGE);  // advice: refusal costs speed only
#endif
    }
    ~Arena() { ::operator delete(base_, kAlign); }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    template <class T>
    T* take(size_t count) {
        const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
        if (used_ + bytes > size_) throw std::bad_alloc();
        char* p = base_ + used_;
        used_ += bytes;
        std::memset(p, 0, bytes);
        return reinterpret_cast<T*>(p);
    }

private:
    static constexpr std::align_val_t kAlign{size_t{2} << 20};
    size_t size_, used_ = 0;
    char* base_;
};

// IEEE 754 binary16 of x, to nearest even; overflow saturates to infinity.
uint16_t to_half(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | (magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u));
    if (magnitude < 0x38800000u) {  // subnormal: the unit is 2^-24, and a float addition rounds to it
        float m;
        std::memcpy(&m, &magnitude, 4);
        m += 0.5f;
        uint32_t rounded;
        std::memcpy(&rounded, &m, 4);
        return static_cast<uint16_t>(sign | (rounded - 0x3f000000u));
    }
    return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13));
}

float from_half(uint16_t h) {
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16, exponent = (h >> 10) & 0x1fu, mantissa = h & 0x3ffu;
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * std::ldexp(static_cast<float>(mantissa), -24);
    const uint32_t bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112u) << 23) | (mantissa << 13);
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

// --- arguments -----------------------------------------------------------------------------------------------------

using In = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Phase64 = nb::ndarray<double, nb::c_contig, nb::device::cpu>;

void expect(bool ok, const char* what) {
    if (!ok) throw std::invalid_argument(std::string("_wavenet: wrong size or value: ") + what);
}

struct Sizes {
    int bands, classes, mixtures, residual, skip, hidden, conditioning, channels, styles, harmonics, taps;
    bool mulaw;
    double sample_rate;
    int pitch_channel;  // index, meaningless without harmonics
};

// --- the generator -------------------------------------------------------------------------------------------------

class Generator {
public:
    Generator(const Sizes& sizes, const std::vector<int>& dilations, const nb::dict& tensors, const In& ranges,
              const In& filters, const In& decode, const std::string& isa, const std::string& precision)
        : isa_(find_isa(isa)), n_(sizes), dilations_(dilations), arena_(bound(sizes, dilations)) {
        expect(precision == "fp16" || precision == "int8", "precision");
        expect(n_.bands == 1 || n_.bands == 2 || n_.bands == 4 || n_.bands == 8 || n_.bands == 16, "bands");
        expect(n_.residual % 16 == 0 && n_.skip % 16 == 0 && n_.hidden % 16 == 0, "multiples of 16");
        expect(n_.residual <= 512 && !dilations_.empty() && n_.channels > 0, "residual, dilations, channels");
        expect(n_.mulaw ? n_.bands == 1 && n_.classes > 1 : n_.mixtures > 0, "head");
        expect(!n_.harmonics || (n_.pitch_channel >= 0 && n_.pitch_channel < n_.channels), "pitch channel");
        pack(tensors, precision == "int8");
        prepare(tensors, ranges, filters, decode);
    }

    const char* isa() const { return isa_.name; }

    // Hot. See contracts.Engine.generate; values [steps, bands] and parameters [steps, width] may be null.
    void run(int hops, const float* channels, const float* noise, int style, float temperature, float* out,
             float* values, float* parameters) noexcept {
        const size_t noise_width = n_.mulaw ? 1 : 2 * static_cast<size_t>(n_.bands);
        for (int hop = 0; hop < hops; ++hop) {
            condition(channels + static_cast<size_t>(hop) * n_.channels, style);
            isa_.hop(plan_, noise + hop * plan_.steps * noise_width, temperature, parameters);
            const size_t count = static_cast<size_t>(plan_.steps) * n_.bands;
            if (values) values = std::copy_n(plan_.values, count, values);
            if (parameters) parameters += static_cast<size_t>(plan_.steps) * plan_.parameters;
            emit(out + static_cast<size_t>(hop) * kHop);
        }
    }

    void generate(const Out& out, const In& channels, const In& noise, int style, float temperature,
                  const std::optional<Out>& values, const std::optional<Out>& parameters) {
        const size_t hops = channels.ndim() == 2 ? channels.shape(0) : 0;
        const size_t steps = hops * plan_.steps, width = n_.mulaw ? 1 : 2 * static_cast<size_t>(n_.bands);
        expect(channels.size() == hops * n_.channels, "channels");
        expect(out.size() == hops * kHop && noise.size() == steps * width, "out, noise");
        expect(style >= 0 && style < std::max(n_.styles, 1), "style");
        expect(temperature > 0.0f, "temperature");
        expect(!values || values->size() == steps * n_.bands, "trace values");
        expect(!parameters || parameters->size() == steps * plan_.parameters, "trace parameters");
        float *v = values ? values->data() : nullptr, *p = parameters ? parameters->data() : nullptr;
        nb::gil_scoped_release released;
        run(static_cast<int>(hops), channels.data(), noise.data(), style, temperature, out.data(), v, p);
    }

    void get_state(const Out& inputs, const Out& queues, const Out& overlap, const Phase64& phase) const {
        check_state(inputs.size(), queues.size(), overlap.size(), phase.size());
        std::copy_n(plan_.inputs, 2 * static_cast<size_t>(n_.bands), inputs.data());
        std::copy_n(stack_, overlap_, overlap.data());
        phase.data()[0] = cycles_;
        float* to = queues.data();
        for (const Layer& layer : layers_) {
            for (int age = layer.dilation; age > 0; --age) {
                to = std::copy_n(layer.ring + ((plan_.step - age) & layer.mask) * n_.residual, n_.residual, to);
            }
        }
    }

    void set_state(const In& inputs, const In& queues, const In& overlap, const Phase64& phase) {
        check_state(inputs.size(), queues.size(), overlap.size(), phase.size());
        for (int i = 0; i < 2 * n_.bands && n_.mulaw; ++i) {
            expect(inputs.data()[i] >= 0 && inputs.data()[i] < static_cast<float>(n_.classes), "class in the state");
        }
        plan_.step = 0;
        std::copy_n(inputs.data(), 2 * static_cast<size_t>(n_.bands), plan_.inputs);
        std::copy_n(overlap.data(), overlap_, stack_);
        cycles_ = phase.data()[0];
        const float* from = queues.data();
        for (const Layer& layer : layers_) {
            for (int age = layer.dilation; age > 0; --age, from += n_.residual) {
                std::copy_n(from, n_.residual, layer.ring + ((plan_.step - age) & layer.mask) * n_.residual);
            }
        }
    }

private:
    // An upper bound of the arena; what is not used is never touched.
    static size_t bound(const Sizes& n, const std::vector<int>& dilations) {
        const size_t r = n.residual, s = n.skip, a = n.hidden, e = n.conditioning, layers = dilations.size();
        const size_t symbols = n.mulaw ? n.classes : n.bands;
        const size_t out = (n.mulaw ? n.classes : 3 * n.mixtures * n.bands) + 64;
        size_t floats = layers * (2 * r * (2 * r + e + 7 + kBatch) + r * (r + s + 4) + 2 * s);
        floats += 2 * symbols * r + s * a + a * out + 16 * (s + a + out + r + e);
        floats += 2 * static_cast<size_t>(n.channels) * (e + 2) + std::max(n.styles, 1) * e + 2 * n.harmonics * r;
        floats += (kHop / n.bands) * (2 * n.harmonics + r + 16 + n.bands) + 20 * static_cast<size_t>(n.taps);
        floats += 16 * static_cast<size_t>(n.taps + n.bands) + 2 * static_cast<size_t>(n.classes);
        floats += static_cast<size_t>(std::max(n.classes, 16 * n.mixtures)) * 3 + 1024;
        for (int d : dilations) {
            expect(d > 0 && d <= (1 << 20), "dilation");
            floats += 2 * static_cast<size_t>(d) * r;
        }
        return floats * sizeof(float) + (layers * 16 + 64) * 128;
    }

    static In tensor(const nb::dict& tensors, const char* name, size_t count) {
        In array = nb::cast<In>(tensors[name]);
        expect(array.size() == count, name);
        return array;
    }

    template <class T>
    float* copy(const T* from, size_t count, size_t slack = 0) {
        float* to = arena_.take<float>(count + slack);
        std::copy_n(from, count, to);
        return to;
    }

    void store_half(void* packed, size_t at, float x) const {
        const uint16_t half = to_half(x);
        if (isa_.half_bytes == 2) {
            static_cast<uint16_t*>(packed)[at] = half;
        } else {
            static_cast<float*>(packed)[at] = from_half(half);
        }
    }

    // w [rows, columns] as tiles of columns, each row-major, in the order the products walk them.
    const void* pack_matrix(const float* w, int rows, int columns, int widest) {
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

    const void* pack(const float* w, int rows, int columns) { return pack_matrix(w, rows, columns, isa_.max_tile); }

    // A block of a matrix: columns of w that are `stride` entries long, with one unit per column.
    struct Block {
        const float* w;
        size_t stride;
        int rows, columns;
    };

    // The block / unit, rounded, [rows][columns]; the unit lets the largest entry be `most` and the magnitudes sum to
    // no more than `sum` (rounding may add 1/2 per row).
    static std::vector<int> quantise(const Block& b, double most, double sum, float* units) {
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

    // The columns of a matrix tile by tile: visit(first column, columns).
    template <class Visit>
    void tiles(int columns, int widest, Visit visit) const {
        for (int column = 0; column < columns;) {
            const int width = next_tile((columns - column) / isa_.lanes, widest) * isa_.lanes;
            visit(column, width);
            column += width;
        }
    }

    // The integers in the order of the products, [tile][`together` rows][column][together]; returns the end.
    template <class Integer>
    Integer* lay_out(const std::vector<int>& whole, int rows, int columns, int together, int widest, Integer* to) {
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
    const int8_t* laid_out(const std::vector<int>& whole, int rows, int columns, int together, int widest) {
        Integer* first = arena_.take<Integer>(whole.size());
        lay_out(whole, rows, columns, together, widest, first);
        return reinterpret_cast<const int8_t*>(first);
    }

    // What digits add for inputs whose one is kFixedStep, taken off a bias.
    void take_off(float* bias, const std::vector<int>& whole, const float* unit, const Block& b) const {
        if (!isa_.digits) return;
        for (int c = 0; c < b.columns; ++c) {
            int64_t sum = 0;
            for (int row = 0; row < b.rows; ++row) sum += whole[static_cast<size_t>(row) * b.columns + c];
            bias[c] -= static_cast<float>(32768.0 * kFixedStep * unit[c] * static_cast<double>(sum));
        }
    }

    // int8 weights of gate outputs; `bias` is that of the product.
    Fixed pack_int8(const Block& b, float* bias) {
        float* unit = arena_.take<float>(b.columns);
        const std::vector<int> whole = quantise(b, 127.0, 1e9, unit);
        take_off(bias, whole, unit, b);
        return {laid_out<int8_t>(whole, b.rows, b.columns, isa_.digits ? 4 : 2, isa_.int_tile), unit, nullptr};
    }

    Fixed pack_int16(const Block& b, int widest) {
        float* unit = arena_.take<float>(b.columns);
        const std::vector<int> whole = quantise(b, 32767.0, 65535.0, unit);
        return {laid_out<int16_t>(whole, b.rows, b.columns, 2, widest), unit, nullptr};
    }

    // 10-bit weights. lower_mean: of the lower digit of the inputs.
    Fixed pack_int10(const Block& b, double middle, double lower_mean) {
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

    // For signed inputs: the digits are those of x + 32768.
    Fixed pack_signed(const Block& b) { return pack_int10(b, 32768.0, 127.5); }

    // For inputs behind a rectifier: half of them are zero.
    Fixed pack_rectified(const float* w, int rows, int columns) {
        return pack_int10({w, static_cast<size_t>(columns), rows, columns}, 0.0, 63.75);
    }

    // A matrix or vector [rows, 2R] of the gate's arguments as the fixed-point plan has them: in each tile those of
    // tanh before those of the sigmoid of the same outputs, times their factors.
    std::vector<float> gate_order(const float* w, int rows) const {
        const int r = n_.residual;
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

    void pack(const nb::dict& tensors, bool fixed) {
        const int layers = static_cast<int>(dilations_.size());
        const size_t r = n_.residual, s = n_.skip, a = n_.hidden, e = n_.conditioning;
        const int ri = n_.residual, si = n_.skip;
        const In past = tensor(tensors, "layers.past", layers * r * 2 * r),
                 now = tensor(tensors, "layers.now", layers * r * 2 * r);
        const In cond = tensor(tensors, "layers.condition", layers * e * 2 * r),
                 bias = tensor(tensors, "layers.bias", layers * 2 * r);
        const In residual = tensor(tensors, "layers.residual", (layers - 1) * r * r);
        const In residual_bias = tensor(tensors, "layers.residual_bias", (layers - 1) * r);
        const In skip = tensor(tensors, "layers.skip", layers * r * s);
        Plan& p = plan_;
        float* skip_bias = copy(tensor(tensors, "skip.bias", s).data(), s);
        p.skip_bias = skip_bias;
        p.skip_split = si / isa_.lanes / 2 * isa_.lanes;
        layers_.resize(layers);
        for (int l = 0; l < layers; ++l) {  // what every step reads, in the order it is read
            Layer& layer = layers_[l];
            const float *now_l = now.data() + l * r * 2 * r, *skip_l = skip.data() + l * r * s;
            const float* residual_l = l < layers - 1 ? residual.data() + l * r * r : nullptr;
            layer.residual_bias = residual_l ? copy(residual_bias.data() + l * r, r) : nullptr;
            if (fixed) {
                const auto skip_part = [&](int at, int columns) {
                    return pack_int8({skip_l + at, s, ri, columns}, skip_bias + at);
                };
                layer.fixed_now = pack_signed({gate_order(now_l, ri).data(), 2 * r, ri, 2 * ri});
                if (residual_l) layer.fixed_residual = pack_signed({residual_l, r, ri, ri});
                layer.fixed_skip[0] = skip_part(0, p.skip_split);
                layer.fixed_skip[1] = skip_part(p.skip_split, si - p.skip_split);
            } else {
                layer.now = pack(now_l, ri, 2 * ri);
                layer.skip = pack(skip_l, ri, si);
                if (residual_l) layer.residual = pack(residual_l, ri, ri);
            }
        }
        p.mulaw = n_.mulaw;
        p.bands = n_.bands;
        p.mixtures = n_.mixtures;
        p.parameters = n_.mulaw ? n_.classes : 3 * n_.mixtures * n_.bands;
        p.parameters_padded = padded(p.parameters, 16);
        p.residual = ri, p.skip = si, p.hidden = n_.hidden, p.conditioning = n_.conditioning, p.layers = layers;
        p.steps = kHop / n_.bands;
        p.phase_width = 2 * n_.harmonics;
        p.fixed = fixed;
        const In head_1 = tensor(tensors, "head.weight_1", s * a);
        if (fixed) {
            p.fixed_head_1 = pack_rectified(head_1.data(), si, n_.hidden);
        } else {
            p.head_1 = pack(head_1.data(), si, n_.hidden);
        }
        p.head_bias_1 = copy(tensor(tensors, "head.bias_1", a).data(), a);
        std::vector<int> order(p.parameters);  // packed column -> column of the model
        for (int i = 0; i < p.parameters; ++i) {
            const int band = i % n_.bands, component = i / n_.bands;  // [3, mixtures, bands] of [bands, 3, mixtures]
            order[i] = n_.mulaw ? i : band * 3 * n_.mixtures + component;
        }
        const In head_2 = tensor(tensors, "head.weight_2", a * p.parameters);
        std::vector<float> ordered(a * p.parameters_padded);
        for (size_t row = 0; row < a; ++row) {
            for (int i = 0; i < p.parameters; ++i) {
                ordered[row * p.parameters_padded + i] = head_2.data()[row * p.parameters + order[i]];
            }
        }
        if (fixed) {
            p.fixed_head_2 = pack_rectified(ordered.data(), n_.hidden, p.parameters_padded);
        } else {
            p.head_2 = pack(ordered.data(), n_.hidden, p.parameters_padded);
        }
        const In bias_2 = tensor(tensors, "head.bias_2", p.parameters);
        float* head_bias_2 = arena_.take<float>(p.parameters_padded);
        for (int i = 0; i < p.parameters; ++i) head_bias_2[i] = bias_2.data()[order[i]];
        p.head_bias_2 = head_bias_2;

        const int symbols = n_.mulaw ? n_.classes : n_.bands;
        const In input = tensor(tensors, "input.weight", 2 * static_cast<size_t>(symbols) * r);
        for (int tap = 0; tap < 2; ++tap) {  // an embedding is read by rows: one tile as wide as the matrix
            const float* w = input.data() + tap * symbols * r;
            if (!n_.mulaw) {
                p.input[tap] = pack(w, symbols, ri);
                continue;
            }
            void* rows = arena_.take<char>(symbols * r * isa_.half_bytes);
            for (size_t i = 0; i < symbols * r; ++i) store_half(rows, i, w[i]);
            p.input[tap] = rows;
        }
        p.input_bias = copy(tensor(tensors, "input.bias", r).data(), r);
        p.input_phase = nullptr;
        if (n_.harmonics) {
            p.input_phase = pack(tensor(tensors, "input.phase", p.phase_width * r).data(), p.phase_width, ri);
        }

        for (int l = 0; l < layers; ++l) {  // what is read once a batch or once a hop
            Layer& layer = layers_[l];
            layer.dilation = dilations_[l];
            layer.batch = 1;
            while (layer.batch * 2 <= std::min({layer.dilation, kBatch, p.steps})) layer.batch *= 2;
            layer.lead = l % layer.batch;
            const float* past_l = past.data() + l * r * 2 * r;
            if (fixed) {
                const std::vector<float> ordered = gate_order(past_l, ri);
                const Block block{ordered.data(), 2 * r, ri, 2 * ri};
                layer.fixed_past = isa_.digits && layer.batch <= kFewRows
                                       ? pack_signed(block)
                                       : pack_int16(block, batch_tile(layer.batch, isa_.gemm_tile, isa_.int_tile));
            } else {
                layer.past = pack_matrix(past_l, ri, 2 * ri, batch_tile(layer.batch, isa_.gemm_tile, isa_.max_tile));
            }
            const float *cond_l = cond.data() + l * e * 2 * r, *bias_l = bias.data() + l * 2 * r;
            layer.condition =
                pack(fixed ? gate_order(cond_l, n_.conditioning).data() : cond_l, n_.conditioning, 2 * ri);
            layer.bias = copy(fixed ? gate_order(bias_l, 1).data() : bias_l, 2 * r);
            layer.base = arena_.take<float>(2 * r);
        }
        p.layer = layers_.data();
    }

    void prepare(const nb::dict& tensors, const In& ranges, const In& filters, const In& decode) {
        const size_t r = n_.residual, e = n_.conditioning, bands = n_.bands, steps = plan_.steps;
        Plan& p = plan_;
        expect(ranges.size() == 2 * static_cast<size_t>(n_.channels), "ranges");
        ranges_ = copy(ranges.data(), ranges.size());
        conditioner_ = copy(tensor(tensors, "conditioner.weight", n_.channels * e).data(), n_.channels * e);
        conditioner_bias_ = copy(tensor(tensors, "conditioner.bias", e).data(), e);
        const size_t styles = std::max(n_.styles, 1);
        styles_ = copy(tensor(tensors, "style.embedding", styles * e).data(), styles * e);
        const size_t width = std::max(n_.skip, n_.hidden) + 16;
        p.embedded = arena_.take<float>(e);
        p.phase = arena_.take<float>(steps * p.phase_width);
        p.start = arena_.take<float>(steps * r);
        p.draw = arena_.take<float>(steps * padded(n_.bands, 16) + 16);
        p.gated = arena_.take<float>(2 * r);
        p.gated_fixed = arena_.take<int16_t>(2 * r);
        p.input_fixed = arena_.take<int16_t>(std::max({n_.residual, n_.skip, n_.hidden}));
        p.past_fixed = arena_.take<int16_t>(8 * r);
        p.z = arena_.take<float>(2 * r);
        p.sum = arena_.take<float>(n_.skip);
        p.dense = arena_.take<float>(width);
        p.where = arena_.take<int32_t>(width);
        p.middle = arena_.take<float>(n_.hidden);
        p.distribution = arena_.take<float>(p.parameters_padded + 32);
        p.work = arena_.take<float>(2 * static_cast<size_t>(padded(std::max(n_.classes, 16 * n_.mixtures), 16)) + 64);
        p.inputs = arena_.take<float>(2 * bands);
        overlap_ = n_.bands > 1 ? n_.taps - n_.bands : 0;
        stack_ = arena_.take<float>(overlap_ + steps * bands);
        p.values = stack_ + overlap_;
        for (Layer& layer : layers_) {
            uint64_t capacity = 1;
            while (capacity < static_cast<uint64_t>(layer.dilation)) capacity *= 2;
            layer.mask = capacity - 1;
            layer.ahead = arena_.take<float>(static_cast<size_t>(layer.batch) * 2 * r);
            layer.ring = arena_.take<float>(capacity * r);
        }
        if (n_.mulaw) {
            expect(decode.size() == static_cast<size_t>(n_.classes), "decode");
            decode_ = copy(decode.data(), n_.classes);
            return;
        }
        const In scale = tensor(tensors, "bands.scale", bands);
        scale_ = copy(scale.data(), bands);
        if (bands == 1) return;
        expect(n_.taps % n_.bands == 0 && filters.size() == bands * n_.taps, "filters");
        // filters [band, age, sample] of the newest step first -> [vectors of samples][oldest step first, band][LANES]
        const int ages = n_.taps / n_.bands, lanes = isa_.lanes;
        const int vectors = padded(n_.bands, lanes) / lanes;
        filters_ = arena_.take<float>(static_cast<size_t>(vectors) * n_.taps * lanes);
        for (int v = 0; v < vectors; ++v) {
            for (int row = 0; row < n_.taps; ++row) {
                const int age = ages - 1 - row / n_.bands, band = row % n_.bands;
                for (int i = 0; i < lanes; ++i) {
                    const int sample = v * lanes + i;
                    const float x = sample < n_.bands ? filters.data()[band * n_.taps + age * n_.bands + sample] : 0.0f;
                    filters_[(static_cast<size_t>(v) * n_.taps + row) * lanes + i] = x * scale_[band];
                }
            }
        }
    }

    void check_state(size_t inputs, size_t queues, size_t overlap, size_t phase) const {
        size_t rows = 0;
        for (int d : dilations_) rows += d;
        expect(inputs == 2 * static_cast<size_t>(n_.bands) && queues == rows * n_.residual && overlap == overlap_ &&
                   phase == 1,
               "state");
    }

    // Once a hop: normalised channels -> embedding; pitch -> phase of every step, its sines and cosines.
    void condition(const float* channels, int style) noexcept {
        const int e = n_.conditioning;
        const float* embedding = styles_ + static_cast<size_t>(style) * e;
        for (int i = 0; i < e; ++i) plan_.embedded[i] = conditioner_bias_[i] + embedding[i];
        for (int c = 0; c < n_.channels; ++c) {
            const float low = ranges_[2 * c], high = ranges_[2 * c + 1];
            // In this order NaN becomes the lower end: it would stay in the queues for good.
            const float x = std::min(1.0f, std::max(-1.0f, (channels[c] - low) / (high - low) * 2.0f - 1.0f));
            for (int i = 0; i < e; ++i) plan_.embedded[i] += x * conditioner_[static_cast<size_t>(c) * e + i];
        }
        for (int i = 0; i < e; ++i) plan_.embedded[i] = std::tanh(plan_.embedded[i]);
        if (!n_.harmonics) return;
        const int k = n_.harmonics, pitch = n_.pitch_channel;
        const double low = ranges_[2 * pitch], high = ranges_[2 * pitch + 1];
        const double note = std::min(high, std::max(low, static_cast<double>(channels[pitch])));
        const double hz = 440.0 * std::exp2((note - 69.0) / 12.0), advance = hz * n_.bands / n_.sample_rate;
        double cycles = cycles_;
        for (int step = 0; step < plan_.steps; ++step) {
            cycles = cycles_ + advance * (step + 1);
            const double turn = kTurn * (cycles - std::floor(cycles));
            const double sine = std::sin(turn), cosine = std::cos(turn);
            // Harmonics by rotation: in double the error after k products stays below k * 3e-16.
            double s = 0.0, c = 1.0;
            float* features = plan_.phase + static_cast<size_t>(step) * 2 * k;
            for (int i = 0; i < k; ++i) {
                const double turned = s * cosine + c * sine;
                c = c * cosine - s * sine;
                s = turned;
                const double fade = std::min(std::max((0.5 - hz * (i + 1) / n_.sample_rate) / 0.1, 0.0), 1.0);
                features[i] = static_cast<float>(fade * s);
                features[k + i] = static_cast<float>(fade * c);
            }
        }
        cycles_ = cycles - std::floor(cycles);
    }

    // One hop of network values to audio; keeps the PQMF overlap.
    void emit(float* out) noexcept {
        if (n_.mulaw) {
            for (int i = 0; i < kHop; ++i) out[i] = decode_[static_cast<int>(plan_.values[i])];
        } else if (n_.bands == 1) {
            for (int i = 0; i < kHop; ++i) out[i] = plan_.values[i] * scale_[0];
        } else {
            isa_.synthesis(stack_, filters_, n_.taps, plan_.steps, n_.bands, out);
            std::memmove(stack_, stack_ + static_cast<size_t>(plan_.steps) * n_.bands, overlap_ * sizeof(float));
        }
    }

    const Isa& isa_;
    Sizes n_;
    std::vector<int> dilations_;
    Arena arena_;
    std::vector<Layer> layers_;
    Plan plan_{};
    const float *ranges_ = nullptr, *conditioner_ = nullptr, *conditioner_bias_ = nullptr, *styles_ = nullptr;
    const float *decode_ = nullptr, *scale_ = nullptr;
    float *filters_ = nullptr, *stack_ = nullptr;  // stack_ [overlap + steps][bands]
    size_t overlap_ = 0;                           // floats
    double cycles_ = 0.0;                          // running phase, 0..1
};

}  // namespace
}  // namespace livemove

NB_MODULE(_wavenet, m) {
    using namespace livemove;
    nb::set_leak_warnings(false);
    m.def("instruction_sets", [] {
        std::vector<std::string> names;
        for (const Isa* isa : available()) names.emplace_back(isa->name);
        return names;
    });
    m.def("evaluate", [](const std::string& isa, int which, const In& x, const Out& y) {
        const Isa& set = find_isa(isa);
        expect(y.size() % 16 == 0 && x.size() == y.size() * (which >= 2 ? 2 : 1), "evaluate");
        set.evaluate(which, x.data(), y.data(), static_cast<int>(y.size()));
    });
    nb::class_<Generator>(m, "Generator")
        .def(
            "__init__",
            [](Generator* self, const nb::dict& n, const std::vector<int>& dilations, const nb::dict& tensors,
               const In& ranges, const In& filters, const In& decode, const std::string& isa,
               const std::string& precision) {
                const auto get = [&](const char* key) { return nb::cast<int>(n[key]); };
                Sizes s{get("bands"),
                        get("classes"),
                        get("mixtures"),
                        get("residual"),
                        get("skip"),
                        get("hidden"),
                        get("conditioning"),
                        get("channels"),
                        get("styles"),
                        get("harmonics"),
                        get("taps"),
                        get("mulaw") != 0,
                        nb::cast<double>(n["sample_rate"]),
                        get("pitch_channel")};
                new (self) Generator(s, dilations, tensors, ranges, filters, decode, isa, precision);
            },
            nb::arg("sizes"), nb::arg("dilations"), nb::arg("tensors"), nb::arg("ranges"), nb::arg("filters"),
            nb::arg("decode"), nb::arg("isa"), nb::arg("precision"))
        .def_prop_ro("isa", &Generator::isa)
        .def("generate", &Generator::generate, nb::arg("out").noconvert(), nb::arg("channels").noconvert(),
             nb::arg("noise").noconvert(), nb::arg("style"), nb::arg("temperature"), nb::arg("values").none(),
             nb::arg("parameters").none())
        .def("get_state", &Generator::get_state, nb::arg("inputs").noconvert(), nb::arg("queues").noconvert(),
             nb::arg("overlap").noconvert(), nb::arg("phase").noconvert())
        .def("set_state", &Generator::set_state, nb::arg("inputs").noconvert(), nb::arg("queues").noconvert(),
             nb::arg("overlap").noconvert(), nb::arg("phase").noconvert());
}
