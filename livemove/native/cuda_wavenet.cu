// The cuda engine's network as one persistent kernel: four streams of a WaveNet per thread-block cluster.
//
// In: packed weights (livemove/synthesis/cuda_cluster.py), state, conditions, noise. Out: values, state, distributions.
// Over 500 lines: one kernel, whose roles talk through the same shared memory.
// Sizes are macros that the same file gives to the compiler. Runs per sample: no step reads a weight from outside the
// multiprocessor it is used on, and the host is not asked between the first and the last step of a launch.
//
// How the work is cut (H200: a step has 11,000 clocks at 60 times real time in the stage setting):
// - The layers are spread over CTAS multiprocessors, at most PER_CTA each; one more has the head and draws. What they
//   tell one another goes through distributed shared memory with its own completion count (st.async).
// - On a layer's critical path are two products: of its input (now) and of the gated units (residual). Four warps make
//   them with weights that stay in their registers. The same warps make the products of the past (known a step ahead)
//   while other multiprocessors have the turn. Four more warps make the skip products beside them.
// - Tensor cores multiply 8 columns at a time: four streams, each as two float16 that sum to 22 bits of a float32 (see
//   cuda_kernels.matmul). So four streams take the time of one.
// - Rows and columns of every matrix are permuted so that a thread's own results are neighbours in what the next product
//   reads: the thread of rows j and j + 8 of tile i, stream s writes one word of the high and one of the low halves.
// - Reckoned from the machine code, not measured: some 470 clocks a layer, 300 a message, 1,000 to 1,500 for head and draw.
//   About 7,700 clocks a step for stage, 13,000 for classic: 85 times real time and 150,000 samples/s at 1.98 GHz.
//   `python -m livemove.diagnostics.gpu` measures it, down to the clocks of one step (mark).

#ifndef LIVEMOVE_ON_CPU
#include "cuda_intrinsics.cuh"
#endif

constexpr int R = 64;            // residual channels; fewer are padded with zeros
constexpr int STREAMS = 4;       // of a cluster
constexpr int WARPS = 8;         // of a CTA; in layer CTAs four for the chain, four for the skip sums
constexpr int GROUP = 128;       // threads of four warps
constexpr int LAST = CTAS - 1;   // rank of the last CTA with layers
constexpr int HEAD = CTAS;       // rank of the CTA with the head
constexpr int PHASE_TILES = FEATURES / 16;
constexpr int BAND_TILES = MULAW ? 0 : 2 + PATH;  // older and newest values, the harmonic path's means
constexpr int INPUT_TILES = BAND_TILES + PHASE_TILES;
constexpr int MIXTURES_OR_1 = MIXTURES > 0 ? MIXTURES : 1;
constexpr int SKIP_TILES = SKIP / 16, HIDDEN_TILES = HIDDEN / 16, PARAMETER_TILES = PARAMETERS / 16;

enum Named { ALL = 0, CHAIN = 1, FEATURES_READY = 2, GATED = 3 };  // GATED + layer of the CTA

struct Job {
    const Words4 *now, *past, *residual, *skip, *input, *head_1, *head_2;
    const float *input_bias, *residual_bias, *skip_bias, *head_bias_1, *head_bias_2;
    const u16* embedding;  // mu-law: [2, CLASSES, R] float16
    const int* rings;      // [LAYERS, 3]: first row, mask, dilation
    float *queues, *inputs, *values;  // inputs: [2, lanes, BAND_STRIDE]; values: gated, for the filter bank
    double* phases;
    const float* conditions;  // [hops, lanes, LAYERS, 2 R]
    const double* hz;         // [hops, lanes]
    const float* noise;       // [steps, lanes, 1 (mu-law) or 2 BAND_STRIDE]
    const float* temperatures;
    const float* offsets;  // PATH: [steps, lanes, BAND_STRIDE] added to all means of a band
    const float* gates;    // [hops, lanes]
    float* drawn;          // [steps, lanes, BAND_STRIDE]
    float* parameters;     // [steps, lanes, REAL_PARAMETERS], or null
    u64* clocks;           // [CTAS + 1, 2, MARKS] of the first cluster in MARKED_STEP, if MARKED
    double step_rate, sample_rate;
    float fade_low, fade_high, margin, log_scale_floor;
    int start, hops, lanes, values_mask;
};

constexpr int MARKS = 16;
constexpr int MARKED_STEP = 8;  // neither the first nor the last of a hop

/// This multiprocessor's clock, for diagnostics: who waits for what. group: 0 chain or head, 1 skip sums.
DEVICE void mark(const Job& job, int at, int group, int what) {
    if (MARKED && at == MARKED_STEP && thread_index() == group * GROUP && cluster_index() == 0)
        job.clocks[(cluster_rank() * 2 + group) * MARKS + what] = clock_now();
}

// Right sides of products: [pair of k-tiles][lane] with the two words of each of the two tiles.
typedef Words4 Fragments32[32];

struct Mail {
    u64 h, skip, x;  // completed once a step: a layer's input, a skip sum, network values have arrived
    u64 unused;
};

struct LayerMemory {
    Mail mail;
    Fragments32 h[PER_CTA][2], g[PER_CTA][2];
    Words2 partial[SKIP_TILES][32];
    alignas(16) float x[STREAMS][16];  // mu-law: x[s][0] is the class
    alignas(16) float features[STREAMS][FEATURES > 0 ? FEATURES : 4];
    Words4 past[PER_CTA][4][2][4][32];
    Words4 skip[PER_CTA][SKIP_TILES][4][32];
    u16 embedding[MULAW ? CLASSES : 1][R];  // of the newest class
};

struct HeadMemory {
    Mail mail;
    Fragments32 skip[SKIP / 32], hidden[HIDDEN / 32];
    alignas(16) float drawn[STREAMS][PARAMETERS + 4];
    Words4 head_1[HIDDEN_TILES][SKIP_TILES][32];
};

struct Place {
    int warp, lane, row, stream;  // row (and row + 8) of a tile and stream whose sums this thread holds
};

DEVICE Place place() {
    const int lane = thread_index() % 32;
    return {thread_index() / 32, lane, lane / 4, lane % 4};
}

DEVICE void copy_to_shared(Words4* to, const Words4* from, int count) {
    for (int i = thread_index(); i < count; i += 32 * WARPS) to[i] = from[i];
}

/// The two words that hold the values of rows j and j + 8: rounded to float16, and what the rounding takes away.
DEVICE Words2 split(float a, float b) {
    const u32 high = pack_halves(a, b);
    return {high, pack_halves(a - half_to_float(high & 0xffff), b - half_to_float(high >> 16))};
}

/// Where in fragments the word of k-tile `tile` for this thread's rows and stream is: part 0 high, 1 low.
DEVICE u32* word_of(Fragments32* fragments, int tile, Place p, int part) {
    Words4& four = fragments[tile / 2][4 * (2 * p.stream + part) + p.row % 4];
    return &four.x + (tile % 2) * 2 + p.row / 4;
}

DEVICE void write(Fragments32* fragments, int tile, Place p, float a, float b) {
    const Words2 words = split(a, b);
    *word_of(fragments, tile, p, 0) = words.x;
    *word_of(fragments, tile, p, 1) = words.y;
}

DEVICE void read(Fragments32* fragments, int tile, Place p, float (&values)[2]) {
    const u32 high = *word_of(fragments, tile, p, 0), low = *word_of(fragments, tile, p, 1);
    values[0] = half_to_float(high & 0xffff) + half_to_float(low & 0xffff);
    values[1] = half_to_float(high >> 16) + half_to_float(low >> 16);
}

DEVICE void send_fragments(int rank, Fragments32* fragments, int tile, Place p, float a, float b, const u64* mail) {
    const Words2 words = split(a, b);
    send(rank, word_of(fragments, tile, p, 0), words.x, mail);
    send(rank, word_of(fragments, tile, p, 1), words.y, mail);
}

/// Right side of a product from four floats [stream = lane / 8][4 (lane % 4) ...]: high or low halves by the column.
DEVICE Words2 from_floats(const float* four, Place p) {
    const Floats4 f = *reinterpret_cast<const Floats4*>(four);
    float v[4] = {f.x, f.y, f.z, f.w};
    if (p.row & 1) {
#pragma unroll
        for (int i = 0; i < 4; ++i) v[i] -= half_to_float(pack_halves(v[i], 0.0f) & 0xffff);
    }
    return {pack_halves(v[0], v[1]), pack_halves(v[2], v[3])};
}

/// tanh(a) sigmoid(b), relative error some 1e-6. Clipped where float32 shows no difference.
DEVICE float gated(float a, float b) {
    constexpr float LOG2E = 1.4426950408889634f;
    const float x = exp2_approximate(-2.0f * LOG2E * fminf(fmaxf(a, -12.0f), 12.0f));
    const float y = exp2_approximate(-LOG2E * fmaxf(b, -40.0f));
    return (1.0f - x) * reciprocal_approximate((1.0f + x) * (1.0f + y));
}

// --- the chain: what every sample waits for ---------------------------------------------------------------------

struct Chain {
    const Job& job;
    LayerMemory& memory;
    const Place p = place();
    const int rank, first, count, base;
    Words4 now[PER_CTA][2][4], residual[PER_CTA][4], newest;  // newest: the input's product with the last values
    float z[PER_CTA][2][4];  // of the next step: condition, bias and product of the past
    float bias[PER_CTA][2];
    float h[2], first_h[2];  // of the layer at hand, of the first one
    float next_h[4];         // the part of the input that is known a step ahead
    Words2 x;               // newest values as the right side of a product; mu-law: the newest class
    float input_bias[2];

    DEVICE_METHOD Chain(const Job& job, LayerMemory& memory, int rank, int first, int count, int base)
        : job(job), memory(memory), rank(rank), first(first), count(count), base(base) {
#pragma unroll
        for (int i = 0; i < PER_CTA; ++i) {
            if (i >= count) break;
            const int layer = first + i;
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                now[i][0][k] = job.now[((layer * 4 + p.warp) * 2 * 4 + k) * 32 + p.lane];
                now[i][1][k] = job.now[((layer * 4 + p.warp) * 2 * 4 + 4 + k) * 32 + p.lane];
                residual[i][k] = job.residual[((layer * 4 + p.warp) * 4 + k) * 32 + p.lane];
            }
            bias[i][0] = job.residual_bias[layer * R + 16 * p.warp + p.row];
            bias[i][1] = job.residual_bias[layer * R + 16 * p.warp + p.row + 8];
        }
        if (rank == 0) {
            if (!MULAW) newest = input_tile(1);
            input_bias[0] = job.input_bias[16 * p.warp + p.row];
            input_bias[1] = job.input_bias[16 * p.warp + p.row + 8];
        }
    }

    DEVICE_METHOD void product(float (&c)[4], const Words4 (&a)[4], const Fragments32* fragments) {
        const Words4 b0 = fragments[0][p.lane], b1 = fragments[1][p.lane];
        float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};  // two short chains instead of a long one
        mma(c, a[0], b0.x, b0.y);
        mma(d, a[2], b1.x, b1.y);
        mma(c, a[1], b0.z, b0.w);
        mma(d, a[3], b1.z, b1.w);
#pragma unroll
        for (int i = 0; i < 4; ++i) c[i] += d[i];
    }

    /// The newest values, before the first step of a launch.
    DEVICE_METHOD void begin() {
        if (rank == 0) {
            const float *older = job.inputs, *newest = older + job.lanes * BAND_STRIDE;
            if (MULAW) {
                x.x = (u32)newest[(base + p.stream) * BAND_STRIDE];
                x.y = (u32)older[(base + p.stream) * BAND_STRIDE];
                known_input(0, x.y);
            } else {
                x = from_floats(older + (base + p.row / 2) * BAND_STRIDE + 4 * p.stream, p);
                known_input(0, 0);
                x = from_floats(newest + (base + p.row / 2) * BAND_STRIDE + 4 * p.stream, p);
            }
        }
        past(0);
    }

    /// Everything of the next step's input but the newest values. older: mu-law class; otherwise it is in x.
    DEVICE_METHOD void known_input(int at, u32 older) {
        next_h[0] = input_bias[0];
        next_h[2] = input_bias[1];
        next_h[1] = next_h[3] = 0.0f;
        if (PHASE_TILES > 0) {
            sync_named(FEATURES_READY, 2 * GROUP);
#pragma unroll
            for (int k = 0; k < PHASE_TILES; ++k) {
                const Words2 b = from_floats(&memory.features[p.row / 2][16 * k + 4 * p.stream], p);
                mma(next_h, input_tile(BAND_TILES + k), b.x, b.y);
            }
        }
        if (PATH) {
            const float* means = job.offsets + ((u64)at * job.lanes + base + p.row / 2) * BAND_STRIDE + 4 * p.stream;
            const Words2 b = from_floats(means, p);
            mma(next_h, input_tile(2), b.x, b.y);
        }
        if (MULAW) {
            const u16* embedded = job.embedding + older * R + 16 * p.warp + p.row;
            next_h[0] += half_to_float(embedded[0]);
            next_h[2] += half_to_float(embedded[8]);
        } else {
            mma(next_h, input_tile(0), x.x, x.y);
        }
    }

    /// Only one of them is needed at once: the others stay in the cache.
    DEVICE_METHOD Words4 input_tile(int k) { return job.input[(p.warp * INPUT_TILES + k) * 32 + p.lane]; }

    /// h of the first layer, for the others to read.
    DEVICE_METHOD void begin_step(int at) {
        if (rank > 0) {
            mailbox_wait(&memory.mail.h, at & 1);
            if (thread_index() == 0) mailbox_expect(&memory.mail.h, GROUP * 8);
            read(memory.h[0], p.warp, p, h);
            return;
        }
        if (at > 0) {
            mailbox_wait(&memory.mail.x, (at - 1) & 1);
            if (thread_index() == 0) mailbox_expect(&memory.mail.x, STREAMS * 4 * (MULAW ? 1 : BANDS));
            if (MULAW)
                x.x = (u32)memory.x[p.stream][0];
            else
                x = from_floats(&memory.x[p.row / 2][4 * p.stream], p);
        }
        if (MULAW) {
            const u16* embedded = &memory.embedding[x.x][16 * p.warp + p.row];
            next_h[0] += half_to_float(embedded[0]);
            next_h[2] += half_to_float(embedded[8]);
        } else {
            mma(next_h, newest, x.x, x.y);
        }
        h[0] = next_h[0] + next_h[1];
        h[1] = next_h[2] + next_h[3];
        write(memory.h[0], p.warp, p, h[0], h[1]);
        sync_named(CHAIN, GROUP);
    }

    DEVICE_METHOD void step(int at) {
        mark(job, at, 0, 0);
        begin_step(at);
        first_h[0] = h[0];
        first_h[1] = h[1];
        mark(job, at, 0, 1);
#pragma unroll
        for (int i = 0; i < PER_CTA; ++i) {
            if (i >= count) break;
            product(z[i][0], now[i][0], memory.h[i]);
            product(z[i][1], now[i][1], memory.h[i]);
            write(memory.g[i], p.warp, p, gated(z[i][0][0] + z[i][0][1], z[i][0][2] + z[i][0][3]),
                  gated(z[i][1][0] + z[i][1][1], z[i][1][2] + z[i][1][3]));
            mark(job, at, 0, 2 + 4 * i);
            sync_named(CHAIN, GROUP);
            arrive_named(GATED + i, 2 * GROUP);
            mark(job, at, 0, 3 + 4 * i);
            if (first + i == LAYERS - 1) break;
            float c[4] = {h[0] + bias[i][0], 0.0f, h[1] + bias[i][1], 0.0f};
            product(c, residual[i], memory.g[i]);
            h[0] = c[0] + c[1];
            h[1] = c[2] + c[3];
            mark(job, at, 0, 4 + 4 * i);
            if (i + 1 < count) {
                write(memory.h[i + 1 < PER_CTA ? i + 1 : i], p.warp, p, h[0], h[1]);
                sync_named(CHAIN, GROUP);
            } else {
                send_fragments(rank + 1, memory.h[0], p.warp, p, h[0], h[1], &memory.mail.h);
            }
            mark(job, at, 0, 5 + 4 * i);
        }
    }

    /// The layers' inputs of this step into their queues, once nobody waits for this multiprocessor any more. The first
    /// one's fragments may be overwritten by now.
    DEVICE_METHOD void remember(int at) {
#pragma unroll
        for (int i = 0; i < PER_CTA; ++i) {
            if (i >= count) break;
            float* queue = queue_row(first + i, job.start + at) + (base + p.stream) * R + 16 * p.warp + p.row;
            float values[2] = {first_h[0], first_h[1]};
            if (i > 0) read(memory.h[i], p.warp, p, values);
            queue[0] = values[0];
            queue[8] = values[1];
        }
    }

    /// What of the step `at` does not depend on the one before it.
    DEVICE_METHOD void prepare(int at) {
        if (rank == 0) known_input(at, MULAW ? x.x : 0);
        sync_named(CHAIN, GROUP);  // all of the queues' newest rows are written
        past(at);
        mark(job, at - 1, 0, 14);
    }

    DEVICE_METHOD float* queue_row(int layer, int t) {
        const int* ring = job.rings + layer * 3;
        return job.queues + (u64)(ring[0] + (t & ring[1])) * job.lanes * R;
    }

    DEVICE_METHOD void past(int at) {
        const float* condition = job.conditions + ((u64)(at / STEPS) * job.lanes + base + p.stream) * LAYERS * 2 * R;
#pragma unroll
        for (int i = 0; i < PER_CTA; ++i) {
            if (i >= count) break;
            const float* row = queue_row(first + i, job.start + at - job.rings[(first + i) * 3 + 2]);
            row += (base + p.row / 2) * R + 4 * p.stream;
            Words2 b[4];
#pragma unroll
            for (int k = 0; k < 4; ++k) b[k] = from_floats(row + 16 * k, p);
#pragma unroll
            for (int u = 0; u < 2; ++u) {
                const float* own = condition + (first + i) * 2 * R + 16 * p.warp + 8 * u + p.row;
                float (&c)[4] = z[i][u];
                c[0] = own[0];
                c[2] = own[R];
                c[1] = c[3] = 0.0f;
#pragma unroll
                for (int k = 0; k < 4; ++k) mma(c, memory.past[i][p.warp][u][k][p.lane], b[k].x, b[k].y);
            }
        }
    }
};

// --- the skip sums, and the phase ---------------------------------------------------------------------------------

struct Skips {
    static constexpr int TILES = SKIP_TILES / 4;
    const Job& job;
    LayerMemory& memory;
    Place p = place();
    const int rank, count, base;
    float bias[TILES][2];
    double cycles = 0.0;  // running phase at the begin of the hop

    DEVICE_METHOD Skips(const Job& job, LayerMemory& memory, int rank, int count, int base)
        : job(job), memory(memory), rank(rank), count(count), base(base) {
        p.warp -= 4;
#pragma unroll
        for (int u = 0; u < TILES; ++u) {
            const float* own = job.skip_bias + 16 * (p.warp * TILES + u) + p.row;
            bias[u][0] = rank == 0 ? own[0] : 0.0f;
            bias[u][1] = rank == 0 ? own[8] : 0.0f;
        }
        if (PHASE_TILES > 0 && rank == 0) cycles = job.phases[base + feature_stream()];
    }

    DEVICE_METHOD int feature_stream() { return (thread_index() - GROUP) / 32; }

    DEVICE_METHOD void step(int at) {
        float sum[TILES][4];
#pragma unroll
        for (int u = 0; u < TILES; ++u) {
            sum[u][0] = bias[u][0];
            sum[u][2] = bias[u][1];
            sum[u][1] = sum[u][3] = 0.0f;
        }
        for (int i = 0; i < count; ++i) {
            sync_named(GATED + i, 2 * GROUP);
            mark(job, at, 1, i);
            const Words4 b0 = memory.g[i][0][p.lane], b1 = memory.g[i][1][p.lane];
#pragma unroll
            for (int u = 0; u < TILES; ++u) {
                const Words4(&a)[4][32] = memory.skip[i][p.warp * TILES + u];
                mma(sum[u], a[0][p.lane], b0.x, b0.y);
                mma(sum[u], a[1][p.lane], b0.z, b0.w);
                mma(sum[u], a[2][p.lane], b1.x, b1.y);
                mma(sum[u], a[3][p.lane], b1.z, b1.w);
            }
        }
        mark(job, at, 1, 4);
        if (rank > 0) {
            mailbox_wait(&memory.mail.skip, at & 1);
            mark(job, at, 1, 5);
            if (thread_index() == GROUP) mailbox_expect(&memory.mail.skip, SKIP * STREAMS * 4);
        }
#pragma unroll
        for (int u = 0; u < TILES; ++u) {
            const int tile = p.warp * TILES + u;
            float a = sum[u][0] + sum[u][1], b = sum[u][2] + sum[u][3];
            if (rank > 0) {
                a += float_of(memory.partial[tile][p.lane].x);
                b += float_of(memory.partial[tile][p.lane].y);
            }
            if (rank < LAST) {
                send2(rank + 1, &memory.partial[tile][p.lane], {bits_of(a), bits_of(b)}, &memory.mail.skip);
            } else {
                HeadMemory& head = reinterpret_cast<HeadMemory&>(memory);
                send_fragments(HEAD, head.skip, tile, p, fmaxf(a, 0.0f), fmaxf(b, 0.0f), &head.mail.skip);
            }
        }
        mark(job, at, 1, 6);
    }

    /// Sines and cosines (conditioning.phase_features) for step `at`; a warp per stream.
    DEVICE_METHOD void features(int at) {
        if (PHASE_TILES == 0 || rank > 0) return;
        const int stream = feature_stream();
        const double hz = job.hz[(at / STEPS) * job.lanes + base + stream];
        const double cycle = cycles + hz / job.step_rate * (at % STEPS + 1);
        for (int i = p.lane; i < FEATURES; i += 32) {
            const int harmonic = i % (HARMONICS > 0 ? HARMONICS : 1) + 1;
            const double turns = harmonic * cycle;
            const float angle = 2.0f * (float)(turns - floor(turns));
            const float gain = (job.fade_high - (float)(harmonic * hz / job.sample_rate)) / (job.fade_high - job.fade_low);
            const float wave = i < HARMONICS ? sinpif(angle) : cospif(angle);
            memory.features[stream][i] = i < 2 * HARMONICS ? fminf(fmaxf(gain, 0.0f), 1.0f) * wave : 0.0f;
        }
        if (at % STEPS == STEPS - 1) {
            cycles += STEPS * (hz / job.step_rate);
            cycles -= floor(cycles);
        }
        arrive_named(FEATURES_READY, 2 * GROUP);
    }

    DEVICE_METHOD void end() {
        if (PHASE_TILES > 0 && rank == 0 && p.lane == 0) job.phases[base + feature_stream()] = cycles;
    }
};

DEVICE void play_layers(const Job& job, LayerMemory& memory, int rank, int base) {
    const int first = rank * LAYERS / CTAS, count = (rank + 1) * LAYERS / CTAS - first;
    copy_to_shared(&memory.past[0][0][0][0][0], job.past + first * 4 * 2 * 4 * 32, count * 4 * 2 * 4 * 32);
    copy_to_shared(&memory.skip[0][0][0][0], job.skip + first * SKIP_TILES * 4 * 32, count * SKIP_TILES * 4 * 32);
    if (MULAW && rank == 0) {
        const Words4* newest = reinterpret_cast<const Words4*>(job.embedding + CLASSES * R);
        copy_to_shared(reinterpret_cast<Words4*>(&memory.embedding[0][0]), newest, CLASSES * R / 8);
    }
    for (int i = thread_index(); i < STREAMS * 16; i += 32 * WARPS) memory.x[i / 16][i % 16] = 0.0f;
    if (thread_index() == 0) {
        mailbox_init(&memory.mail.h);
        mailbox_init(&memory.mail.skip);
        mailbox_init(&memory.mail.x);
        mailbox_expect(&memory.mail.h, GROUP * 8);
        mailbox_expect(&memory.mail.skip, SKIP * STREAMS * 4);
        mailbox_expect(&memory.mail.x, STREAMS * 4 * (MULAW ? 1 : BANDS));
    }
    sync_cluster();
    const int steps = job.hops * STEPS;
    if (thread_index() < GROUP) {
        Chain chain(job, memory, rank, first, count, base);
        chain.begin();
        for (int at = 0; at < steps; ++at) {
            chain.step(at);
            chain.remember(at);
            if (at + 1 < steps) chain.prepare(at + 1);
        }
    } else {
        Skips skips(job, memory, rank, count, base);
        skips.features(0);
        for (int at = 0; at < steps; ++at) {
            skips.step(at);
            if (at + 1 < steps) skips.features(at + 1);
        }
        skips.end();
    }
}

// --- the head -------------------------------------------------------------------------------------------------------

/// float32 as an int of the same order, to find the largest with integer reductions.
DEVICE int ordered(float value) {
    const int bits = (int)bits_of(value);
    return bits < 0 ? bits ^ 0x7fffffff : bits;
}

/// sampling.categorical of one stream by one warp: the class, in every lane.
DEVICE int draw_class(const float* logits, int lane, float uniform, float temperature) {
    constexpr int EACH = PARAMETERS / 32;
    float weight[EACH], largest = -3.0e38f;
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        weight[i] = logits[lane * EACH + i];
        if (lane * EACH + i < CLASSES) largest = fmaxf(largest, weight[i]);
    }
    const int top = warp_max(ordered(largest));
    largest = float_of((u32)(top < 0 ? top ^ 0x7fffffff : top));
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        sum += lane * EACH + i < CLASSES ? expf((weight[i] - largest) / temperature) : 0.0f;
        weight[i] = sum;
    }
    float before = sum;
#pragma unroll
    for (int by = 1; by < 32; by *= 2) {
        const float other = shuffle_up(before, by);
        if (lane >= by) before += other;
    }
    const float threshold = uniform * shuffle_from(before, 31);
    before -= sum;
    int below = 0;
#pragma unroll
    for (int i = 0; i < EACH; ++i) below += before + weight[i] <= threshold;
    const int chosen = warp_sum(below);
    return chosen < CLASSES ? chosen : CLASSES - 1;
}

/// sampling.sample of one band of a mixture of logistics; parameters [3, MIXTURES], logit: log(u / (1 - u)).
DEVICE float draw_logistic(const float* parameters, float uniform, float logit, float temperature, float offset,
                           float log_scale_floor) {
    float largest = parameters[0], cumulative[MIXTURES_OR_1], sum = 0.0f;
#pragma unroll
    for (int m = 1; m < MIXTURES; ++m) largest = fmaxf(largest, parameters[m]);
#pragma unroll
    for (int m = 0; m < MIXTURES; ++m) {
        sum += expf((parameters[m] - largest) / temperature);
        cumulative[m] = sum;
    }
    int chosen = 0;
#pragma unroll
    for (int m = 0; m < MIXTURES - 1; ++m) chosen += cumulative[m] <= uniform * sum;
    const float log_scale = fmaxf(parameters[2 * MIXTURES + chosen], log_scale_floor);
    const float value = parameters[MIXTURES + chosen] + offset + expf(log_scale) * temperature * logit;
    return fminf(fmaxf(value, -1.0f), 1.0f);
}

struct Head {
    static constexpr int EACH = (PARAMETER_TILES + WARPS - 1) / WARPS;
    const Job& job;
    HeadMemory& memory;
    const Place p = place();
    const int base;
    Words4 head_2[EACH][HIDDEN_TILES];
    float bias[EACH][2];
    // Who draws: mu-law a warp per stream, logistic a thread per stream and band.
    const bool draws = MULAW ? p.warp < STREAMS : thread_index() < STREAMS * 16 && thread_index() % 16 < BANDS;
    const int stream = MULAW ? p.warp % STREAMS : thread_index() / 16 % STREAMS, band = MULAW ? 0 : thread_index() % 16;
    float temperature, uniform, logit, offset = 0.0f;

    DEVICE_METHOD Head(const Job& job, HeadMemory& memory, int base) : job(job), memory(memory), base(base) {
#pragma unroll
        for (int u = 0; u < EACH; ++u) {
            const int tile = p.warp + u * WARPS;
            if (tile >= PARAMETER_TILES) break;
#pragma unroll
            for (int k = 0; k < HIDDEN_TILES; ++k)
                head_2[u][k] = job.head_2[(tile * HIDDEN_TILES + k) * 32 + p.lane];
            bias[u][0] = job.head_bias_2[16 * tile + p.row];
            bias[u][1] = job.head_bias_2[16 * tile + p.row + 8];
        }
        temperature = job.temperatures[base + stream];
    }

    DEVICE_METHOD void prepare(int at) {
        if (!draws) return;
        const u64 row = (u64)at * job.lanes + base + stream;
        if (MULAW) {
            uniform = job.noise[row];
            return;
        }
        uniform = job.noise[row * 2 * BAND_STRIDE + band];
        const float u = fminf(fmaxf(job.noise[(row * 2 + 1) * BAND_STRIDE + band], job.margin), 1.0f - job.margin);
        logit = logf(u) - log1pf(-u);
        offset = PATH ? job.offsets[row * BAND_STRIDE + band] : 0.0f;
    }

    DEVICE_METHOD void step(int at) {
        prepare(at);
        mark(job, at, 0, 0);
        mailbox_wait(&memory.mail.skip, at & 1);
        mark(job, at, 0, 1);
        if (thread_index() == 0) mailbox_expect(&memory.mail.skip, SKIP * STREAMS * 4);
        for (int tile = p.warp; tile < HIDDEN_TILES; tile += WARPS) {
            float c[4] = {job.head_bias_1[16 * tile + p.row], 0.0f, job.head_bias_1[16 * tile + p.row + 8], 0.0f};
            float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll 4
            for (int k = 0; k < SKIP_TILES / 2; ++k) {
                const Words4 b = memory.skip[k][p.lane];
                mma(c, memory.head_1[tile][2 * k][p.lane], b.x, b.y);
                mma(d, memory.head_1[tile][2 * k + 1][p.lane], b.z, b.w);
            }
            write(memory.hidden, tile, p, fmaxf(c[0] + c[1] + d[0] + d[1], 0.0f),
                  fmaxf(c[2] + c[3] + d[2] + d[3], 0.0f));
        }
        mark(job, at, 0, 2);
        sync_all();
#pragma unroll
        for (int u = 0; u < EACH; ++u) {
            const int tile = p.warp + u * WARPS;
            if (tile >= PARAMETER_TILES) break;
            float c[4] = {bias[u][0], 0.0f, bias[u][1], 0.0f}, d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
            for (int k = 0; k < HIDDEN_TILES / 2; ++k) {
                const Words4 b = memory.hidden[k][p.lane];
                mma(c, head_2[u][2 * k], b.x, b.y);
                mma(d, head_2[u][2 * k + 1], b.z, b.w);
            }
            memory.drawn[p.stream][16 * tile + p.row] = c[0] + c[1] + d[0] + d[1];
            memory.drawn[p.stream][16 * tile + p.row + 8] = c[2] + c[3] + d[2] + d[3];
        }
        mark(job, at, 0, 3);
        sync_all();
        if (draws) draw(at);
        mark(job, at, 0, 4);
        if (job.parameters) {
            for (int i = thread_index(); i < STREAMS * REAL_PARAMETERS; i += 32 * WARPS) {
                const int s = i / REAL_PARAMETERS, n = i % REAL_PARAMETERS;
                const u64 row = (u64)at * job.lanes + base + s;
                const bool mean = PATH && n / MIXTURES_OR_1 % 3 == 1;
                const float moved = mean ? job.offsets[row * BAND_STRIDE + n / (3 * MIXTURES_OR_1)] : 0.0f;
                job.parameters[row * REAL_PARAMETERS + n] = memory.drawn[s][n] + moved;
            }
        }
    }

    DEVICE_METHOD void draw(int at) {
        float drawn;
        if (MULAW) {
            drawn = (float)draw_class(memory.drawn[stream], p.lane, uniform, temperature);
            if (p.lane > 0) return;
        } else {
            drawn = draw_logistic(&memory.drawn[stream][band * 3 * MIXTURES], uniform, logit, temperature, offset,
                                  job.log_scale_floor);
        }
        const float x = drawn - offset;  // what the network hears
        const int left = job.hops * STEPS - 1 - at, column = (base + stream) * BAND_STRIDE + band;
        if (left > 0) {  // nobody would wait for the last one: it could outlive its receiver
            LayerMemory& first = reinterpret_cast<LayerMemory&>(memory);
            send(0, &first.x[stream][band], bits_of(x), &first.mail.x);
        }
        const float gate = MULAW ? 1.0f : job.gates[at / STEPS * job.lanes + base + stream];
        job.values[(u64)((job.start + at) & job.values_mask) * job.lanes * BAND_STRIDE + column] = drawn * gate;
        job.drawn[(u64)at * job.lanes * BAND_STRIDE + column] = drawn;
        if (left < 2) job.inputs[(1 - left) * job.lanes * BAND_STRIDE + column] = x;
    }
};

DEVICE void play_head(const Job& job, HeadMemory& memory, int base) {
    copy_to_shared(&memory.head_1[0][0][0], job.head_1, HIDDEN_TILES * SKIP_TILES * 32);
    if (thread_index() == 0) {
        mailbox_init(&memory.mail.skip);
        mailbox_expect(&memory.mail.skip, SKIP * STREAMS * 4);
    }
    sync_cluster();
    Head head(job, memory, base);
    for (int at = 0; at < job.hops * STEPS; ++at) head.step(at);
}

extern "C" GLOBAL_KERNEL void wavenet(GRID_CONSTANT const Job job) {
    const int base = cluster_index() * STREAMS;
    if (cluster_rank() == HEAD)
        play_head(job, *reinterpret_cast<HeadMemory*>(dynamic_shared()), base);
    else
        play_layers(job, *reinterpret_cast<LayerMemory*>(dynamic_shared()), cluster_rank(), base);
    sync_cluster();  // nobody leaves while another may still write into its memory
}

extern "C" DEVICE_CONSTANT const int shared_bytes =
    sizeof(LayerMemory) > sizeof(HeadMemory) ? sizeof(LayerMemory) : sizeof(HeadMemory);
