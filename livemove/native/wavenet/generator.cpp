// See generator.hpp. What runs in a hop stands last: run, condition, emit.
#include "generator.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "machine.hpp"

namespace livemove {
namespace {

constexpr double kTurn = 6.283185307179586476925286766559;

// Voices lie this far apart, counted modulo a page: the same array of several voices in different sets of the caches.
constexpr size_t kVoicePages = 4096, kVoiceSets = 1088;

In tensor(const Tensors& tensors, const char* name, size_t count) {
    const auto found = tensors.find(name);
    expect(found != tensors.end() && found->second.size == count, name);
    return found->second;
}

}  // namespace

void expect(bool ok, const char* what) {
    if (!ok) throw std::invalid_argument(std::string("_wavenet: wrong size or value: ") + what);
}

Generator::Generator(const Sizes& sizes, const std::vector<int>& dilations, const Tensors& tensors, In ranges,
                     In filters, In response, In decode, const std::string& isa, const std::string& precision, int voices)
    : isa_(find_isa(isa)), n_(sizes), dilations_(dilations), arena_(bound(sizes, dilations, voices)),
      packer_(isa_, arena_) {
    expect(precision == "fp16" || precision == "int8", "precision");
    expect(n_.bands == 1 || n_.bands == 2 || n_.bands == 4 || n_.bands == 8 || n_.bands == 16, "bands");
    expect(n_.residual % 16 == 0 && n_.skip % 16 == 0 && n_.hidden % 16 == 0, "multiples of 16");
    expect(n_.residual <= 512 && !dilations_.empty() && n_.channels > 0, "residual, dilations, channels");
    expect(n_.mulaw ? n_.bands == 1 && n_.classes > 1 : n_.mixtures > 0, "head");
    expect(!n_.harmonics || (n_.pitch_channel >= 0 && n_.pitch_channel < n_.channels), "pitch channel");
    expect(!n_.path_harmonics || (n_.harmonics && !n_.mulaw && n_.bands > 1 && n_.path_hidden > 0), "harmonic path");
    expect(n_.level_channel >= -1 && n_.level_channel < n_.channels, "level channel");
    expect(n_.gate_channel >= -1 && n_.gate_channel < n_.channels && n_.gate_full > n_.gate_closed, "gate");
    plan_.voices = voices;
    pack(tensors, precision == "int8");
    prepare(tensors, ranges, filters, response, decode);
    make_voices(voices);
}

// An upper bound of the arena; what is not used is never touched.
size_t Generator::bound(const Sizes& n, const std::vector<int>& dilations, int voices) {
    expect(voices >= 1 && voices <= kMostVoices, "voices");
    const size_t r = n.residual, s = n.skip, a = n.hidden, e = n.conditioning, layers = dilations.size();
    const size_t symbols = n.mulaw ? n.classes : n.bands, steps = kHop / n.bands;
    const size_t out = (n.mulaw ? n.classes : 3 * n.mixtures * n.bands) + 64;
    size_t floats = layers * (2 * r * (2 * r + e + 7) + r * (r + s + 4) + 2 * s);
    floats += 2 * symbols * r + s * a + a * out + 16 * (s + a + out + r + e);
    floats += 2 * static_cast<size_t>(n.channels) * (e + 2) + std::max(n.styles, 1) * e + 2 * n.harmonics * r;
    floats += 20 * static_cast<size_t>(n.taps) + 16 * static_cast<size_t>(n.taps + n.bands) + 2 * static_cast<size_t>(n.classes);
    const size_t path = 2 * n.path_harmonics, wide = n.path_hidden;
    floats += wide * (e + 2 * kPitchOctaves + wide + std::max(n.styles, 1) * path + 2) + path + 16 * r + 4096;
    size_t of_voice = layers * 2 * r * (kBatch + 1) + 16 * (s + a + out + r) + e + static_cast<size_t>(n.taps);
    of_voice += steps * (2 * n.harmonics + path + r + 2 * n.bands + 48) + kVoicePages / sizeof(float) * 2;
    of_voice += static_cast<size_t>(std::max(n.classes, 16 * n.mixtures)) * 3 + 1024;
    of_voice += path ? HarmonicPath::bound({n.path_harmonics, n.path_hidden, n.conditioning, n.bands, 1, 0.0}) : 0;
    for (int d : dilations) {
        expect(d > 0 && d <= (1 << 20), "dilation");
        of_voice += 2 * static_cast<size_t>(d) * r;
    }
    const size_t alignment = (layers * 16 + 64) * 128;
    return (floats + of_voice * voices) * sizeof(float) + alignment * (voices + 1);
}

float* Generator::copy(const float* from, size_t count) {
    float* to = arena_.take<float>(count);
    std::copy_n(from, count, to);
    return to;
}

void Generator::pack(const Tensors& tensors, bool fixed) {
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
    float* skip_bias = copy(tensor(tensors, "skip.bias", s).data, s);
    p.skip_bias = skip_bias;
    p.skip_split = si / isa_.lanes / 2 * isa_.lanes;
    layers_.resize(layers);
    for (int l = 0; l < layers; ++l) {  // what every step reads, in the order it is read
        Layer& layer = layers_[l];
        const float *now_l = now.data + l * r * 2 * r, *skip_l = skip.data + l * r * s;
        const float* residual_l = l < layers - 1 ? residual.data + l * r * r : nullptr;
        layer.residual_bias = residual_l ? copy(residual_bias.data + l * r, r) : nullptr;
        if (fixed) {
            const auto skip_part = [&](int at, int columns) {
                return packer_.pack_int8({skip_l + at, s, ri, columns}, skip_bias + at);
            };
            layer.fixed_now = packer_.pack_signed({packer_.gate_order(now_l, ri, ri).data(), 2 * r, ri, 2 * ri});
            if (residual_l) layer.fixed_residual = packer_.pack_signed({residual_l, r, ri, ri});
            layer.fixed_skip[0] = skip_part(0, p.skip_split);
            layer.fixed_skip[1] = skip_part(p.skip_split, si - p.skip_split);
        } else {
            layer.now = packer_.pack(now_l, ri, 2 * ri);
            layer.skip = packer_.pack(skip_l, ri, si);
            if (residual_l) layer.residual = packer_.pack(residual_l, ri, ri);
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
        p.fixed_head_1 = packer_.pack_rectified(head_1.data, si, n_.hidden);
    } else {
        p.head_1 = packer_.pack(head_1.data, si, n_.hidden);
    }
    p.head_bias_1 = copy(tensor(tensors, "head.bias_1", a).data, a);
    std::vector<int> order(p.parameters);  // packed column -> column of the model
    for (int i = 0; i < p.parameters; ++i) {
        const int band = i % n_.bands, component = i / n_.bands;  // [3, mixtures, bands] of [bands, 3, mixtures]
        order[i] = n_.mulaw ? i : band * 3 * n_.mixtures + component;
    }
    const In head_2 = tensor(tensors, "head.weight_2", a * p.parameters);
    std::vector<float> ordered(a * p.parameters_padded);
    for (size_t row = 0; row < a; ++row) {
        for (int i = 0; i < p.parameters; ++i) {
            ordered[row * p.parameters_padded + i] = head_2.data[row * p.parameters + order[i]];
        }
    }
    if (fixed) {
        p.fixed_head_2 = packer_.pack_rectified(ordered.data(), n_.hidden, p.parameters_padded);
    } else {
        p.head_2 = packer_.pack(ordered.data(), n_.hidden, p.parameters_padded);
    }
    const In bias_2 = tensor(tensors, "head.bias_2", p.parameters);
    float* head_bias_2 = arena_.take<float>(p.parameters_padded);
    for (int i = 0; i < p.parameters; ++i) head_bias_2[i] = bias_2.data[order[i]];
    p.head_bias_2 = head_bias_2;

    const int symbols = n_.mulaw ? n_.classes : n_.bands;
    const In input = tensor(tensors, "input.weight", 2 * static_cast<size_t>(symbols) * r);
    for (int tap = 0; tap < 2; ++tap) {  // an embedding is read by rows: one tile as wide as the matrix
        const float* w = input.data + tap * symbols * r;
        if (!n_.mulaw) {
            p.input[tap] = packer_.pack(w, symbols, ri);
            continue;
        }
        p.input[tap] = packer_.pack_rows(w, symbols * r);
    }
    p.input_bias = copy(tensor(tensors, "input.bias", r).data, r);
    const In phase = n_.harmonics ? tensor(tensors, "input.phase", p.phase_width * r) : In{nullptr, 0};
    p.input_phase = packer_.pack(phase.data, p.phase_width, ri);  // without harmonics: no rows
    p.input_harmonics = nullptr;
    if (n_.path_harmonics) {
        p.input_harmonics = packer_.pack(tensor(tensors, "input.harmonics", n_.bands * r).data, n_.bands, ri);
    }

    for (int l = 0; l < layers; ++l) {  // what is read once a batch or once a hop
        Layer& layer = layers_[l];
        layer.dilation = dilations_[l];
        layer.batch = 1;
        while (layer.batch * 2 <= std::min({layer.dilation, kBatch, p.steps})) layer.batch *= 2;
        layer.lead = l % layer.batch;
        layer.rows = 1;
        while (layer.rows < 8 && layer.rows * 2 <= layer.batch * p.voices) layer.rows *= 2;
        const float* past_l = past.data + l * r * 2 * r;
        if (fixed) {
            const std::vector<float> ordered = packer_.gate_order(past_l, ri, ri);
            const Block block{ordered.data(), 2 * r, ri, 2 * ri};
            layer.fixed_past = isa_.digits && layer.batch <= kFewRows
                                   ? packer_.pack_signed(block)
                                   : packer_.pack_int16(block, batch_tile(layer.batch, isa_.gemm_tile, isa_.int_tile));
        } else {
            layer.past = packer_.pack_matrix(past_l, ri, 2 * ri, batch_tile(layer.rows, isa_.gemm_tile, isa_.max_tile));
        }
        const float *cond_l = cond.data + l * e * 2 * r, *bias_l = bias.data + l * 2 * r;
        layer.condition =
            packer_.pack(fixed ? packer_.gate_order(cond_l, n_.conditioning, ri).data() : cond_l, n_.conditioning, 2 * ri);
        layer.bias = copy(fixed ? packer_.gate_order(bias_l, 1, ri).data() : bias_l, 2 * r);
    }
}

void Generator::prepare(const Tensors& tensors, In ranges, In filters, In response, In decode) {
    const size_t e = n_.conditioning, bands = n_.bands;
    expect(ranges.size == 2 * static_cast<size_t>(n_.channels), "ranges");
    ranges_ = copy(ranges.data, ranges.size);
    conditioner_ = copy(tensor(tensors, "conditioner.weight", n_.channels * e).data, n_.channels * e);
    conditioner_bias_ = copy(tensor(tensors, "conditioner.bias", e).data, e);
    const size_t styles = std::max(n_.styles, 1);
    styles_ = copy(tensor(tensors, "style.embedding", styles * e).data, styles * e);
    overlap_ = n_.bands > 1 ? n_.taps - n_.bands : 0;
    if (n_.path_harmonics) {
        const size_t hidden = n_.path_hidden, inputs = e + 2 * kPitchOctaves, width = 2 * n_.path_harmonics;
        const struct {
            const char* name;
            size_t count;
        } parts[6] = {{"harmonics.weight_1", inputs * hidden}, {"harmonics.bias_1", hidden},
                      {"harmonics.weight_2", hidden * hidden}, {"harmonics.bias_2", hidden},
                      {"harmonics.weight_3", styles * hidden * width}, {"harmonics.bias_3", width}};
        for (int i = 0; i < 6; ++i) {
            path_weights_[i] = copy(tensor(tensors, parts[i].name, parts[i].count).data, parts[i].count);
        }
        expect(response.size > 1, "response");
        response_ = copy(response.data, response.size);
        response_count_ = static_cast<int>(response.size);
    }
    if (n_.mulaw) {
        expect(decode.size == static_cast<size_t>(n_.classes), "decode");
        decode_ = copy(decode.data, n_.classes);
        return;
    }
    const In scale = tensor(tensors, "bands.scale", bands);
    scale_ = copy(scale.data, bands);
    if (bands == 1) return;
    expect(n_.taps % n_.bands == 0 && filters.size == bands * n_.taps, "filters");
    // filters [band, age, sample] of the newest step first -> [vectors of samples][oldest step first, band][LANES]
    const int ages = n_.taps / n_.bands, lanes = isa_.lanes;
    const int vectors = padded(n_.bands, lanes) / lanes;
    filters_ = arena_.take<float>(static_cast<size_t>(vectors) * n_.taps * lanes);
    for (int v = 0; v < vectors; ++v) {
        for (int row = 0; row < n_.taps; ++row) {
            const int age = ages - 1 - row / n_.bands, band = row % n_.bands;
            for (int i = 0; i < lanes; ++i) {
                const int sample = v * lanes + i;
                const float x = sample < n_.bands ? filters.data[band * n_.taps + age * n_.bands + sample] : 0.0f;
                filters_[(static_cast<size_t>(v) * n_.taps + row) * lanes + i] = x * scale_[band];
            }
        }
    }
}

// All voices lie alike, one behind the other: the plan keeps the first one's arrays and how far apart they are.
void Generator::make_voices(int voices) {
    voices_.resize(voices);
    size_t first = 0;
    for (int v = 0; v < voices; ++v) {
        const size_t at = arena_.used();
        if (v == 0) {
            first = at;
            lay_out_voice(plan_, layers_, voices_[v]);
        } else {
            Plan plan = plan_;
            std::vector<Layer> layers = layers_;
            lay_out_voice(plan, layers, voices_[v]);
        }
        const size_t over = (arena_.used() - at) % kVoicePages;
        arena_.take<char>((kVoicePages + kVoiceSets - over) % kVoicePages);
        if (v == 0) plan_.apart = arena_.used() - first;
    }
    plan_.layer = layers_.data();
}

void Generator::lay_out_voice(Plan& p, std::vector<Layer>& layers, Voice& voice) {
    const size_t r = n_.residual, steps = p.steps, bands = n_.bands, width = std::max(n_.skip, n_.hidden) + 16;
    p.embedded = arena_.take<float>(n_.conditioning);
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
    p.values = arena_.take<float>(overlap_ + steps * bands) + overlap_;
    for (Layer& layer : layers) {
        uint64_t capacity = 1;
        while (capacity < static_cast<uint64_t>(layer.dilation)) capacity *= 2;
        layer.mask = capacity - 1;
        layer.base = arena_.take<float>(2 * r);
        layer.ahead = arena_.take<float>(static_cast<size_t>(layer.batch) * 2 * r);
        layer.ring = arena_.take<float>(capacity * r);
    }
    if (!n_.path_harmonics) return;
    const PathSizes sizes{n_.path_harmonics, n_.path_hidden,          n_.conditioning,
                          n_.bands,          std::max(n_.styles, 1), n_.sample_rate};
    voice.path = std::make_unique<HarmonicPath>(sizes, isa_, arena_, path_weights_, scale_, response_, response_count_);
    p.path_width = voice.path->width();
    p.path_sums = voice.path->sums();
    p.path = arena_.take<float>(steps * p.path_width);
    p.harmonics = arena_.take<float>(steps * padded(n_.bands, 16));
}

void Generator::check_state(int voice, size_t inputs, size_t queues, size_t overlap, size_t phase, size_t amplitudes) const {
    size_t rows = 0;
    for (int d : dilations_) rows += d;
    expect(voice >= 0 && voice < plan_.voices, "voice");
    expect(inputs == 2 * static_cast<size_t>(n_.bands) && queues == rows * n_.residual && overlap == overlap_ &&
               phase == 1 && amplitudes == static_cast<size_t>(plan_.path_width),
           "state");
}

void Generator::get_state(int voice, Out inputs, Out queues, Out overlap, Span<double> phase, Out amplitudes) const {
    check_state(voice, inputs.size, queues.size, overlap.size, phase.size, amplitudes.size);
    const Voice& own = voices_[voice];
    if (own.path) std::copy_n(own.path->amplitudes(), amplitudes.size, amplitudes.data);
    std::copy_n(of(voice, plan_.inputs), 2 * static_cast<size_t>(n_.bands), inputs.data);
    std::copy_n(of(voice, plan_.values) - overlap_, overlap_, overlap.data);
    phase.data[0] = own.cycles;
    float* to = queues.data;
    for (const Layer& layer : layers_) {
        const float* ring = of(voice, layer.ring);
        for (int age = layer.dilation; age > 0; --age) {
            to = std::copy_n(ring + ((plan_.step - age) & layer.mask) * n_.residual, n_.residual, to);
        }
    }
}

void Generator::set_state(int voice, In inputs, In queues, In overlap, Span<const double> phase, In amplitudes) {
    check_state(voice, inputs.size, queues.size, overlap.size, phase.size, amplitudes.size);
    for (int i = 0; i < 2 * n_.bands && n_.mulaw; ++i) {
        expect(inputs.data[i] >= 0 && inputs.data[i] < static_cast<float>(n_.classes), "class in the state");
    }
    Voice& own = voices_[voice];
    if (own.path) std::copy_n(amplitudes.data, amplitudes.size, own.path->amplitudes());
    std::copy_n(inputs.data, 2 * static_cast<size_t>(n_.bands), of(voice, plan_.inputs));
    std::copy_n(overlap.data, overlap_, of(voice, plan_.values) - overlap_);
    own.cycles = phase.data[0];
    const float* from = queues.data;
    for (const Layer& layer : layers_) {
        float* ring = of(voice, layer.ring);
        for (int age = layer.dilation; age > 0; --age, from += n_.residual) {
            std::copy_n(from, n_.residual, ring + ((plan_.step - age) & layer.mask) * n_.residual);
        }
    }
    plan_.fresh = 1;
}

void Generator::generate(size_t hops, Out out, In channels, In noise, In style, In temperature, Out values,
                         Out parameters) {
    const size_t voices = plan_.voices, steps = voices * hops * plan_.steps;
    expect(channels.size == voices * hops * n_.channels, "channels");
    expect(out.size == voices * hops * kHop && noise.size == steps * (n_.mulaw ? 1 : 2 * n_.bands), "out, noise");
    expect(style.size == voices * std::max(n_.styles, 1), "style");
    expect(temperature.size == voices, "temperature");
    for (size_t v = 0; v < voices; ++v) expect(temperature.data[v] > 0.0f, "temperature");
    expect(!values.data || values.size == steps * n_.bands, "trace values");
    expect(!parameters.data || parameters.size == steps * plan_.parameters, "trace parameters");
    run(static_cast<int>(hops), channels.data, noise.data, style.data, temperature.data, out.data, values.data,
        parameters.data);
}

// HOT. See contracts.Engine.generate; the arrays of a voice lie behind those of the voice before.
void Generator::run(int hops, const float* channels, const float* noise, const float* style, const float* temperature,
                    float* out, float* values, float* parameters) noexcept {
    const size_t steps = plan_.steps, count = steps * n_.bands, noise_width = n_.mulaw ? 1 : 2 * n_.bands;
    const size_t of_hop = steps * noise_width, traced = steps * plan_.parameters, styles = std::max(n_.styles, 1);
    for (int hop = 0; hop < hops; ++hop) {
        const auto its = [&](int v) { return static_cast<size_t>(v) * hops + hop; };  // hop of a voice in the arrays
        for (int v = 0; v < plan_.voices; ++v) condition(v, channels + its(v) * n_.channels, style + v * styles);
        isa_.hop(plan_, {noise + hop * of_hop, hops * of_hop, temperature,
                         parameters ? parameters + hop * traced : nullptr, hops * traced});
        for (int v = 0; v < plan_.voices; ++v) {
            if (values) std::copy_n(of(v, plan_.values), count, values + its(v) * count);
            gate(v, channels + its(v) * n_.channels);
            emit(v, out + its(v) * kHop);
        }
    }
}

// Once a hop: normalised channels -> embedding; pitch -> phase of every step, its sines and cosines.
void Generator::condition(int voice, const float* channels, const float* style) noexcept {
    const int e = n_.conditioning;
    Voice& own = voices_[voice];
    float *embedded = of(voice, plan_.embedded), *phase = of(voice, plan_.phase), *path_phase = of(voice, plan_.path);
    std::copy_n(conditioner_bias_, e, embedded);
    for (int s = 0; s < std::max(n_.styles, 1); ++s) {
        const float* embedding = styles_ + static_cast<size_t>(s) * e;
        for (int i = 0; i < e && style[s] != 0.0f; ++i) embedded[i] += style[s] * embedding[i];
    }
    for (int c = 0; c < n_.channels; ++c) {
        const float low = ranges_[2 * c], high = ranges_[2 * c + 1];
        // In this order NaN becomes the lower end: it would stay in the queues for good.
        const float x = std::min(1.0f, std::max(-1.0f, (channels[c] - low) / (high - low) * 2.0f - 1.0f));
        for (int i = 0; i < e; ++i) embedded[i] += x * conditioner_[static_cast<size_t>(c) * e + i];
    }
    for (int i = 0; i < e; ++i) embedded[i] = std::tanh(embedded[i]);
    if (!n_.harmonics) return;
    const int k = n_.harmonics, path = n_.path_harmonics, pitch = n_.pitch_channel;
    const double low = ranges_[2 * pitch], high = ranges_[2 * pitch + 1];
    const double note = std::min(high, std::max(low, static_cast<double>(channels[pitch])));
    const double hz = 440.0 * std::exp2((note - 69.0) / 12.0), advance = hz * n_.bands / n_.sample_rate;
    double cycles = own.cycles;
    for (int step = 0; step < plan_.steps; ++step) {
        cycles = own.cycles + advance * (step + 1);
        const double turn = kTurn * (cycles - std::floor(cycles));
        const double sine = std::sin(turn), cosine = std::cos(turn);
        // Harmonics by rotation: in double the error after k products stays below k * 3e-16.
        double s = 0.0, c = 1.0;
        float* features = phase + static_cast<size_t>(step) * 2 * k;
        float* of_path = path_phase + static_cast<size_t>(step) * 2 * path;
        for (int i = 0; i < std::max(k, path); ++i) {
            const double turned = s * cosine + c * sine;
            c = c * cosine - s * sine;
            s = turned;
            const double fade = std::min(std::max((0.5 - hz * (i + 1) / n_.sample_rate) / 0.1, 0.0), 1.0);
            if (i < k) {
                features[i] = static_cast<float>(fade * s);
                features[k + i] = static_cast<float>(fade * c);
            }
            if (i < path) {
                of_path[i] = static_cast<float>(fade * s);
                of_path[path + i] = static_cast<float>(fade * c);
            }
        }
    }
    own.cycles = cycles - std::floor(cycles);
    if (!path) return;
    const float loudness = n_.level_channel < 0 ? 1.0f : within(channels, n_.level_channel);
    const float level = n_.level_channel < 0 ? 1.0f : kLevel * loudness * loudness;
    const float normalised = static_cast<float>((note - low) / (high - low) * 2.0 - 1.0);
    own.path->update(embedded, style, normalised, hz, level);
}

// A channel inside its range; NaN becomes the lower end.
float Generator::within(const float* channels, int channel) const noexcept {
    return std::min(ranges_[2 * channel + 1], std::max(ranges_[2 * channel], channels[channel]));
}

// Scales what the network emitted in this hop on its way into the filter bank, see contracts.Gate.
void Generator::gate(int voice, const float* channels) noexcept {
    if (n_.gate_channel < 0) return;
    const float closed = static_cast<float>(n_.gate_closed), width = static_cast<float>(n_.gate_full - n_.gate_closed);
    const float opening = std::min(1.0f, std::max(0.0f, (channels[n_.gate_channel] - closed) / width));
    float* values = of(voice, plan_.values);
    for (int i = 0; i < plan_.steps * n_.bands && opening < 1.0f; ++i) values[i] *= opening;
}

// One hop of network values to audio; keeps the PQMF overlap.
void Generator::emit(int voice, float* out) noexcept {
    const float* values = of(voice, plan_.values);
    if (n_.mulaw) {
        for (int i = 0; i < kHop; ++i) out[i] = decode_[static_cast<int>(values[i])];
    } else if (n_.bands == 1) {
        for (int i = 0; i < kHop; ++i) out[i] = values[i] * scale_[0];
    } else {
        float* stack = of(voice, plan_.values) - overlap_;
        isa_.synthesis(stack, filters_, n_.taps, plan_.steps, n_.bands, out);
        std::memmove(stack, stack + static_cast<size_t>(plan_.steps) * n_.bands, overlap_ * sizeof(float));
    }
}

}  // namespace livemove
