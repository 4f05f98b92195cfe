// THE HOT PATH. What the processes share, and the PortAudio callback that turns it into sound.
// In: the audio ring (filled by synthesis) and the controls. Out: the device's buffer, the tap, telemetry.
// Code here allocates nothing, locks nothing, logs nothing and makes no system call but reading the clock. It knows no Python.
#pragma once

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace livemove {

static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<double>::is_always_lock_free,
              "shared memory needs address-free atomics");

// One clock for all processes of a machine: CLOCK_MONOTONIC, mach_absolute_time or QueryPerformanceCounter.
inline double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

using Count = std::atomic<uint64_t>;   // exactly one writer each: a load and a store suffice, no read-modify-write
using Number = std::atomic<double>;

inline void add(Count& count, uint64_t n) {
    count.store(count.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}
inline void set(Number& number, double value) { number.store(value, std::memory_order_relaxed); }

// --- latest-value mailbox: a seqlock, one writer, any number of readers ------------------------------------------------

// sequence is odd while a write is under way. A writer killed in mid-write leaves it odd: readers give up after a bounded
// number of tries and keep what they had; the next writer starts from the odd value. Payload words are relaxed atomics,
// so that the race a seqlock lives on is defined behaviour.
template <size_t Words>
struct Mailbox {
    static constexpr size_t kBytes = Words * 8;
    Count sequence;
    Count words[Words];

    // count: how many words of the payload there are; readers of a box with varying payloads find it in the payload.
    void write(const void* payload, size_t count = Words) {  // the one writer
        const uint64_t odd = sequence.load(std::memory_order_relaxed) | 1;
        sequence.store(odd, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_release);
        const auto* bytes = static_cast<const unsigned char*>(payload);
        for (size_t i = 0; i < count; ++i) {
            uint64_t word;
            std::memcpy(&word, bytes + 8 * i, 8);
            words[i].store(word, std::memory_order_relaxed);
        }
        sequence.store(odd + 1, std::memory_order_release);
    }

    // Any reader. Returns the even sequence number of a consistent copy, or 0: never written, or the writer was in the way.
    uint64_t read(void* payload, int tries, size_t count = Words) const {
        auto* bytes = static_cast<unsigned char*>(payload);
        for (; tries > 0; --tries) {
            const uint64_t before = sequence.load(std::memory_order_acquire);
            if (before & 1) continue;
            if (before == 0) return 0;
            for (size_t i = 0; i < count; ++i) {
                const uint64_t word = words[i].load(std::memory_order_relaxed);
                std::memcpy(bytes + 8 * i, &word, 8);
            }
            std::atomic_thread_fence(std::memory_order_acquire);
            if (sequence.load(std::memory_order_relaxed) == before) return before;
        }
        return 0;
    }
};

constexpr size_t kMaxPeople = 4, kLandmarks = 33;
constexpr size_t kRoles = 5;  // children, in the order of exchange.ROLES

struct PosePayload {
    double capture_s;
    int64_t sequence;
    int64_t people;
    float image[kMaxPeople][kLandmarks][3];
    float world[kMaxPeople][kLandmarks][3];
    float visibility[kMaxPeople][kLandmarks];
};
static_assert(sizeof(PosePayload) % 8 == 0);

// contracts.Controls, its three numbers first. The callback looks at gain and mute only.
struct ControlsPayload {
    double gain;
    double temperature;
    double look_ahead_s;
    int64_t mute;
    int64_t choices[10];  // whatever else Controls has, in the order of exchange.ControlsMailbox
};

// The camera's picture for the monitor, downscaled so that its longer edge has at most kPictureEdge pixels.
constexpr size_t kPictureEdge = 320;

struct PicturePayload {
    double capture_s;
    int64_t width;
    int64_t height;
    uint8_t rgb[kPictureEdge * kPictureEdge * 3];  // height rows of width pixels, without gaps
};
static_assert(sizeof(PicturePayload) % 8 == 0);

constexpr size_t kCameraNames = 2048, kDeviceNames = 8192;

// What only the supervisor knows, for the monitor. Texts are NUL-terminated; notice: the newest line for the person;
// cameras, devices: what there is to switch to, one a line; camera, device: which of them is in use, or -1.
struct BulletinPayload {
    double written_s;
    double playing_since_s;
    int64_t restarts[kRoles];
    int64_t notices;
    double recording_since_s;
    int64_t camera;
    int64_t device;
    char notice[504];
    char cameras[kCameraNames];
    char devices[kDeviceNames];
};
static_assert(sizeof(BulletinPayload) % 8 == 0);

// --- requests: one process that asks (the monitor; control has a queue of its own), one that decides (the supervisor) ---

struct Request {
    int64_t action;  // contracts.Action; negative: to this value, not by it
    double value;
    char text[496];  // NUL-terminated, if it is shorter
};

struct Requests {
    static constexpr uint64_t kCapacity = 64;
    Count written;           // asker only
    alignas(64) Count read;  // supervisor only
    Request items[kCapacity];

    bool push(const Request& request) {  // asker; false: the supervisor has not looked for very long
        const uint64_t w = written.load(std::memory_order_relaxed);
        if (w - read.load(std::memory_order_acquire) >= kCapacity) return false;
        items[w & (kCapacity - 1)] = request;
        written.store(w + 1, std::memory_order_release);
        return true;
    }

    bool waiting() const {  // supervisor
        return read.load(std::memory_order_relaxed) != written.load(std::memory_order_acquire);
    }

    bool pop(Request& request) {  // supervisor
        const uint64_t r = read.load(std::memory_order_relaxed);
        if (r == written.load(std::memory_order_acquire)) return false;
        request = items[r & (kCapacity - 1)];
        read.store(r + 1, std::memory_order_release);
        return true;
    }
};

// --- audio ring: one producer (synthesis), one consumer (the callback) --------------------------------------------------

// Which pose a hop was made from: sample first_sample of the ring's life is the hop's first.
struct Mark {
    uint64_t first_sample;
    double capture_s;  // NaN: no pose (rest)
};

// When samples went into the ring: all before end that no earlier stamp covers.
struct Stamp {
    uint64_t end;
    double written_s;
};

struct Ring {
    static constexpr uint64_t kCapacity = 1u << 16;
    static constexpr uint64_t kMarks = 1u << 12;
    alignas(64) Count written;        // producer only
    Count marks_written;              // producer only
    Count stamps_written;             // producer only
    Count target;                     // producer only: fill in samples it keeps, and the fill from which playing (re)starts
    alignas(64) Count read;           // consumer only
    Count marks_read;                 // consumer only
    Count stamps_read;                // consumer only
    alignas(64) float samples[kCapacity];
    Mark marks[kMarks];
    Stamp stamps[kMarks];

    uint64_t fill() const {  // anyone; exact for producer and consumer up to what the other just did
        const uint64_t r = read.load(std::memory_order_acquire), w = written.load(std::memory_order_acquire);
        return w > r ? w - r : 0;
    }

    bool mark(uint64_t first_sample, double capture_s) {  // producer, before the samples it describes
        const uint64_t w = marks_written.load(std::memory_order_relaxed);
        if (w - marks_read.load(std::memory_order_acquire) >= kMarks) return false;
        marks[w & (kMarks - 1)] = {first_sample, capture_s};
        marks_written.store(w + 1, std::memory_order_release);
        return true;
    }

    bool write(const float* data, uint64_t n) {  // producer; all or nothing
        const uint64_t w = written.load(std::memory_order_relaxed);
        if (w + n - read.load(std::memory_order_acquire) > kCapacity) return false;
        const uint64_t at = w & (kCapacity - 1), first = n < kCapacity - at ? n : kCapacity - at;
        std::memcpy(samples + at, data, first * sizeof(float));
        std::memcpy(samples, data + first, (n - first) * sizeof(float));
        const uint64_t stamp = stamps_written.load(std::memory_order_relaxed);
        if (n > 0 && stamp - stamps_read.load(std::memory_order_acquire) < kMarks) {
            stamps[stamp & (kMarks - 1)] = {w + n, now_s()};
            stamps_written.store(stamp + 1, std::memory_order_release);
        }
        written.store(w + n, std::memory_order_release);
        return true;
    }

    void skip_to_newest() {  // consumer: a new playback process does not play what went stale while nobody listened
        marks_read.store(marks_written.load(std::memory_order_acquire), std::memory_order_release);
        stamps_read.store(stamps_written.load(std::memory_order_acquire), std::memory_order_release);
        read.store(written.load(std::memory_order_acquire), std::memory_order_release);
    }
};

// What was really played, after the limiter, for recorder and monitor. Never waits for its readers: a reader that falls
// more than kCapacity samples behind has lost some, and can tell.
struct Tap {
    static constexpr uint64_t kCapacity = 1u << 17;
    alignas(64) Count written;  // callback only
    alignas(64) float samples[kCapacity];
};

// --- the log: all that happened lately, for takes ------------------------------------------------------------------------

// The last items of a kind, in order. One writer, which never waits; a reader that falls behind has lost some, and can tell.
template <class Item, uint64_t Capacity>
struct Log {
    static constexpr uint64_t kCapacity = Capacity;
    alignas(64) Count written;
    alignas(64) Item items[Capacity];

    void add(const Item& item) {  // the one writer
        const uint64_t w = written.load(std::memory_order_relaxed);
        items[w & (Capacity - 1)] = item;
        written.store(w + 1, std::memory_order_release);
    }

    bool read(uint64_t start, uint64_t count, Item* out) const {  // the reader; start + count <= written
        for (uint64_t i = 0; i < count; ++i) out[i] = items[(start + i) & (Capacity - 1)];
        std::atomic_thread_fence(std::memory_order_acquire);
        return written.load(std::memory_order_relaxed) < start + Capacity;  // the writer may be at the next one already
    }
};

// One call of the callback: all that its sound depends on besides the ring's samples, and when it was.
struct Block {
    uint64_t tap_at, frames;          // where in the tap, and how many
    uint64_t read, written, target;   // the ring when it began
    uint64_t fresh, state, starving, position, tail;  // the output when it began; fresh: its first block
    uint64_t stop;
    double gain, dc_in, dc_out;
    double gain_target;               // what the controls said
    double start_s, dac_s;            // when it was called, and when its first sample is heard
};

// One hop as synthesis made it; exchange.HOP_ROW says what stands where.
struct Hop {
    double words[160];
};

// An engine's state every few seconds, so that a take can begin anywhere; its first word says how many bytes it has.
constexpr size_t kSnapshotBytes = 4u << 20;

// --- telemetry: each record has one writing process -------------------------------------------------------------------

constexpr size_t kBins = 4096;
constexpr double kBinMs = 0.25;
constexpr size_t kMaxChannels = 64, kMaxFeatures = 64;

struct Life {  // one per child; written by that child, but for leave; cleared by the supervisor before it starts one
    Number heartbeat_s;
    Count pid;
    Count state;  // exchange.State
    char label[128];
    char error[64];
    char message[1024];
    Count remarks;     // how many there were
    char remark[512];  // the newest: something the person should read that ends nothing
    Count leave;       // supervisor: this child is to end, for another one takes its place
};

struct Supervisor {
    Number device_rate;  // playback only: samples per second from sample rate_since of the tap on
    Count rate_since;    // playback only
    Count stop;          // supervisor only
};

struct Devices {  // playback only, before it runs: the sound cards there are, one a line, NUL-terminated
    char names[kDeviceNames];
};

struct Capture {  // capture only
    Count frames_seen;
    Count frames_used;
    Count poses;
    Count people;
    Number first_pose_s;
    Number last_used_s;
    Number last_pose_ms;
    Count pose_ms[kBins];
};

struct Synthesis {  // synthesis only
    Number rate;  // of the samples it writes into the ring
    Count hops;
    Count audio_samples;
    Number busy_s;
    Count channel_count;
    Number channels[kMaxChannels];
    Count feature_count;
    Number features[kMaxFeatures];
};

// Numbers from outside (OSC, MIDI) that play channels. synthesis says which it wants, control fills them in.
constexpr size_t kMaxSources = 64;

struct Sources {
    Count wanted;              // synthesis only: how many names there are; it only grows
    char names[4096];          // synthesis only: one a line
    Number value[kMaxSources]; // control only, from the moment it is wanted; NaN until something came
};

struct Playback {  // the callback only
    Number heartbeat_s;
    Count callbacks;
    Count late_callbacks;
    Count portaudio_underflows;
    Count ring_starvations;
    Count ring_starvations_settled;  // those later than one second after the first sound left the ring
    Count starved_samples;
    Count limiter_hits;
    Count nonfinite_samples;
    Number peak;
    Number rms;
    Number playing_since_s;  // DAC time of the first sample that came from the ring
    Number first_sound_s;    // DAC time of the first sample above -80 dBFS
    Number output_latency_s;
    Number margin_s;         // how long the last block's newest sample had been in the ring; 0 after a starvation
    Count latencies;
    Number latency_max_ms;
    Number latency_last_ms;
    Count latency_ms[kBins];
};

constexpr uint64_t kMagic = 0x31766f6d65766c07;  // raised with every change of the layout

struct Shared {
    Count magic;
    alignas(64) Supervisor supervisor;
    alignas(64) Life lives[kRoles];
    alignas(64) Capture capture;
    alignas(64) Synthesis synthesis;
    alignas(64) Playback playback;
    alignas(64) Devices devices;
    alignas(64) Mailbox<sizeof(PosePayload) / 8> pose;
    alignas(64) Mailbox<sizeof(ControlsPayload) / 8> controls;
    alignas(64) Ring ring;
    alignas(64) Tap tap;
    alignas(64) Requests requests;  // the monitor's
    alignas(64) Requests commands;  // control's
    alignas(64) Sources sources;
    alignas(64) Mailbox<sizeof(BulletinPayload) / 8> bulletin;
    alignas(64) Mailbox<sizeof(PicturePayload) / 8> picture;
    alignas(64) Log<PosePayload, 128> poses;  // capture's
    alignas(64) Log<Hop, 1024> hops;          // synthesis'
    alignas(64) Log<Block, 4096> blocks;      // the callback's
    alignas(64) Mailbox<kSnapshotBytes / 8> snapshot;  // synthesis'
};

// When the next hop is due: as late as can be, for every millisecond in the ring is a millisecond between motion and sound.
// Private to the producer. Callbacks come on a grid of one block; one that is late does not move the grid (the next will
// be on time again), one that is early does.
struct Pacer {
    double period_s, block;
    double grid_s = 0.0;   // the last callback's place on the grid
    uint64_t callbacks = 0;

    Pacer(double rate, uint64_t block_frames) : period_s(block_frames / rate), block(static_cast<double>(block_frames)) {}

    // Samples the ring should hold at `now`: all that callbacks before now + lead_s will take.
    uint64_t demand(const Playback& p, double now, double lead_s) {
        const uint64_t count = p.callbacks.load(std::memory_order_relaxed);
        if (count != callbacks) {
            const double at = p.heartbeat_s.load(std::memory_order_relaxed);
            const double expected = grid_s + period_s * static_cast<double>(count - callbacks);
            const double late = at - expected;
            grid_s = late < 0.0 || late > 4.0 * period_s ? at : expected + 0.02 * late;
            callbacks = count;
        }
        if (count == 0) return static_cast<uint64_t>(start_level(lead_s));
        const double most = start_level(lead_s) / block + 2.0;
        return static_cast<uint64_t>(std::fmin(std::fmax(std::floor((now + lead_s - grid_s) / period_s), 0.0), most) * block);
    }

    // Seconds until the demand grows by itself.
    double until_more_s(double now, double lead_s) const {
        const double phase = (now + lead_s - grid_s) / period_s;
        return (std::floor(phase) + 1.0 - phase) * period_s;
    }

    // The fill that is reached if nobody takes anything.
    double start_level(double lead_s) const { return (std::floor(lead_s / period_s) + 1.0) * block; }
};

// --- the callback -----------------------------------------------------------------------------------------------------

constexpr double kPi = 3.14159265358979323846;

// PortAudio's types, as portaudio.h declares them; only these are needed, so its headers are not.
struct StreamTime {
    double input_adc_s, current_s, output_dac_s;
};
constexpr unsigned long kOutputUnderflow = 0x4;
constexpr int kContinue = 0;

constexpr float kKnee = 0.891f;     // -1 dBFS: transparent below
constexpr float kBroken = 8.0f;     // +18 dBFS: no music is that loud; clamped so that one broken sample cannot ring in the DC block
constexpr float kAudible = 1e-4f;   // -80 dBFS
constexpr uint32_t kMaxFade = 2048;

inline bool finite(float x) {  // on the bits: holds under any floating-point flags
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

// Userdata of the callback: private to the playback process, filled before the stream starts.
struct Output {
    enum class State : uint32_t { silent, playing, tail };

    Shared* shared;
    double rate;
    uint32_t channels;
    double fallback_latency_s;  // for hosts that give no DAC time
    std::atomic<bool> stopping;  // set by the process to fade out
    std::atomic<bool> faded;     // set by the callback once stopping has become silence, -80 dBFS

    State state;
    bool starving;
    uint32_t fade;               // samples of a fade: 10 ms
    uint32_t position;           // 0 silence .. fade full level
    uint32_t tail;               // samples of tail played
    float ramp[kMaxFade + 1];    // raised cosine
    float history[kMaxFade];     // last raw samples played, a ring
    uint32_t history_at;
    float gain, gain_step;       // one-pole smoothing over 10 ms
    float gain_target;
    float dc_pole, dc_in, dc_out;
    double last_start_s;
    double last_block_s;
    double mean_square;
    bool fresh;                  // no block yet

    void prepare(Shared* memory, double sample_rate, uint32_t channel_count, double latency_s) {  // not hot
        shared = memory;
        rate = sample_rate;
        channels = channel_count;
        fallback_latency_s = latency_s;
        stopping.store(false);
        faded.store(false);
        state = State::silent;
        starving = false;
        fade = static_cast<uint32_t>(std::fmin(std::fmax(rate * 0.010, 16.0), kMaxFade));
        position = tail = history_at = 0;
        for (uint32_t i = 0; i <= fade; ++i) ramp[i] = static_cast<float>(0.5 - 0.5 * std::cos(kPi * i / fade));
        std::memset(history, 0, sizeof history);
        gain = gain_target = 1.0f;
        gain_step = static_cast<float>(1.0 - std::exp(-1.0 / (0.010 * rate)));
        dc_pole = static_cast<float>(std::exp(-2.0 * kPi * 5.0 / rate));  // 5 Hz
        dc_in = dc_out = 0.0f;
        last_start_s = last_block_s = mean_square = 0.0;
        fresh = true;
        shared->ring.skip_to_newest();
    }

    // Before a block that is played again: what it met. The ring must still hold what was played before.  (not hot)
    void restore(const Block& block) {
        state = static_cast<State>(block.state);
        starving = block.starving != 0;
        position = static_cast<uint32_t>(block.position);
        tail = static_cast<uint32_t>(block.tail);
        gain = static_cast<float>(block.gain);
        gain_target = static_cast<float>(block.gain_target);
        dc_in = static_cast<float>(block.dc_in);
        dc_out = static_cast<float>(block.dc_out);
        history_at = 0;
        for (uint32_t i = 1; i <= kMaxFade; ++i) {  // history_at is the newest
            const bool there = !block.fresh && block.read + i > kMaxFade;
            history[i & (kMaxFade - 1)] = there ? shared->ring.samples[(block.read + i - 1 - kMaxFade) & (Ring::kCapacity - 1)] : 0.0f;
        }
        shared->ring.read.store(block.read, std::memory_order_release);
    }

    void begin_tail() {
        state = State::tail;
        tail = 0;
    }

    // The raw sample to play next: from the ring, or, when it ran dry or carried a NaN, the recent past played backwards
    // under the falling fade: continuous in value, and it needs no sample that is not there.
    float next_sample(uint64_t& read, uint64_t written, bool stop) {
        Playback& p = shared->playback;
        float x = 0.0f;
        if (state == State::playing) {
            if (read == written) {
                starving = true;
                add(p.ring_starvations, 1);
                if (last_start_s > p.playing_since_s.load(std::memory_order_relaxed) + 1.0) add(p.ring_starvations_settled, 1);
                begin_tail();
            } else {
                x = shared->ring.samples[read++ & (Ring::kCapacity - 1)];
                if (finite(x)) {
                    history_at = (history_at + 1) & (kMaxFade - 1);
                    history[history_at] = x;
                    if (stop) {
                        if (position > 0) --position;
                        if (position == 0) state = State::silent;
                    } else if (position < fade) {
                        ++position;
                    }
                } else {
                    add(p.nonfinite_samples, 1);
                    begin_tail();
                }
            }
        }
        if (starving) add(p.starved_samples, 1);
        if (state == State::tail) {
            x = history[(history_at - tail) & (kMaxFade - 1)];
            ++tail;
            if (position > 0) --position;
            if (position == 0) state = State::silent;
        }
        return state == State::silent ? 0.0f : x * ramp[position];
    }

    // Gain, DC block, soft limiter. Input is finite, so output is finite and within -1..1.
    float shape(float x, uint64_t& hits) {
        gain += gain_step * (gain_target - gain);
        x *= gain;
        x = x > kBroken ? kBroken : x < -kBroken ? -kBroken : x;
        float y = x - dc_in + dc_pole * dc_out;
        if (std::fabs(y) < 1e-12f) y = 0.0f;  // no denormals in the long silence
        dc_in = x;
        dc_out = y;
        const float level = std::fabs(y);
        if (level <= kKnee) return y;
        ++hits;
        const float over = (level - kKnee) / (1.0f - kKnee);
        return std::copysign(kKnee + (1.0f - kKnee) * over / (1.0f + over), y);
    }

    void note_time(double now, uint64_t frames, unsigned long flags) {
        Playback& p = shared->playback;
        set(p.heartbeat_s, now);
        add(p.callbacks, 1);
        if (flags & kOutputUnderflow) add(p.portaudio_underflows, 1);
        // Late: the last block and everything the device holds were surely played out before we were asked again. Hosts
        // that ask in bursts (PulseAudio) are not late while their buffer lasts.
        const double held_s = last_block_s + std::fmax(p.output_latency_s.load(std::memory_order_relaxed), last_block_s);
        if (last_start_s > 0.0 && now - last_start_s > held_s) add(p.late_callbacks, 1);
        last_start_s = now;
        last_block_s = static_cast<double>(frames) / rate;
    }

    void note_latencies(uint64_t first, uint64_t end, double dac_s) {
        Ring& ring = shared->ring;
        Playback& p = shared->playback;
        const uint64_t written = ring.marks_written.load(std::memory_order_acquire);
        uint64_t at = ring.marks_read.load(std::memory_order_relaxed);
        for (; at < written; ++at) {
            const Mark& mark = ring.marks[at & (Ring::kMarks - 1)];
            if (mark.first_sample >= end) break;
            if (mark.first_sample < first || !(mark.capture_s == mark.capture_s)) continue;
            const double ms = 1e3 * (dac_s + static_cast<double>(mark.first_sample - first) / rate - mark.capture_s);
            const double bin = ms / kBinMs;
            add(p.latency_ms[bin < 0.0 ? 0 : bin >= kBins ? kBins - 1 : static_cast<size_t>(bin)], 1);
            add(p.latencies, 1);
            set(p.latency_last_ms, ms);
            if (ms > p.latency_max_ms.load(std::memory_order_relaxed)) set(p.latency_max_ms, ms);
        }
        ring.marks_read.store(at, std::memory_order_release);
    }

    void note_margin(uint64_t end, double now) {
        Ring& ring = shared->ring;
        const uint64_t written = ring.stamps_written.load(std::memory_order_acquire);
        uint64_t at = ring.stamps_read.load(std::memory_order_relaxed);
        while (at < written && ring.stamps[at & (Ring::kMarks - 1)].end < end) ++at;  // played before the last sample was
        if (starving) set(shared->playback.margin_s, 0.0);
        else if (at < written && state == State::playing)
            set(shared->playback.margin_s, now - ring.stamps[at & (Ring::kMarks - 1)].written_s);
        ring.stamps_read.store(at, std::memory_order_release);
    }

    void render(float* out, uint64_t frames, const StreamTime* time, unsigned long flags) {
        const double now = now_s();
        Playback& p = shared->playback;
        Ring& ring = shared->ring;
        note_time(now, frames, flags);

        double delay_s = fallback_latency_s;
        if (time && time->output_dac_s > 0.0) {
            const double given = time->output_dac_s - time->current_s;
            if (given > -0.1 && given < 5.0) delay_s = given;
        }
        const double dac_s = now + delay_s;
        set(p.output_latency_s, delay_s);

        ControlsPayload controls;
        if (shared->controls.read(&controls, 4)) gain_target = controls.mute ? 0.0f : static_cast<float>(controls.gain);

        const bool stop = stopping.load(std::memory_order_relaxed);
        const uint64_t written = ring.written.load(std::memory_order_acquire);
        uint64_t read = ring.read.load(std::memory_order_relaxed);
        const uint64_t target = ring.target.load(std::memory_order_relaxed);
        const Block block{shared->tap.written.load(std::memory_order_relaxed), frames, read, written, target, fresh,
                          static_cast<uint64_t>(state), starving, position, tail, stop, gain, dc_in, dc_out, gain_target,
                          now, dac_s};
        fresh = false;
        if (state == State::silent && !stop) {
            while (read < written && !finite(ring.samples[read & (Ring::kCapacity - 1)])) {
                ++read;
                add(p.nonfinite_samples, 1);
            }
            if (written - read >= (target > frames ? target : frames)) {
                state = State::playing;
                starving = false;
                if (p.playing_since_s.load(std::memory_order_relaxed) == 0.0) set(p.playing_since_s, dac_s);
            }
        }

        const uint64_t first = read, tap_at = shared->tap.written.load(std::memory_order_relaxed);
        uint64_t hits = 0;
        float peak = 0.0f;
        double square = 0.0;
        for (uint64_t i = 0; i < frames; ++i) {
            const float y = shape(next_sample(read, written, stop), hits);
            const float level = std::fabs(y);
            if (level > kAudible && p.first_sound_s.load(std::memory_order_relaxed) == 0.0)
                set(p.first_sound_s, dac_s + static_cast<double>(i) / rate);
            peak = level > peak ? level : peak;
            square += static_cast<double>(y) * y;
            shared->tap.samples[(tap_at + i) & (Tap::kCapacity - 1)] = y;
            for (uint32_t c = 0; c < channels; ++c) *out++ = y;
        }
        shared->tap.written.store(tap_at + frames, std::memory_order_release);
        shared->blocks.add(block);
        note_latencies(first, read, dac_s);
        note_margin(read, now);
        ring.read.store(read, std::memory_order_release);
        if (hits) add(p.limiter_hits, hits);
        // Over once the DC block has come to rest, too: at the end of a fade it still holds some -40 dBFS, a click if cut off.
        if (stop && state == State::silent && std::fabs(dc_out) < kAudible) faded.store(true, std::memory_order_release);

        // Meters: peak falls, and RMS follows, over 0.3 s.
        const double pull = std::fmin(1.0, static_cast<double>(frames) / (0.3 * rate));
        set(p.peak, std::fmax(peak, p.peak.load(std::memory_order_relaxed) * (1.0 - pull)));
        if (frames) mean_square += pull * (square / static_cast<double>(frames) - mean_square);
        set(p.rms, std::sqrt(mean_square));
    }
};

// The PortAudio stream callback; userdata is an Output.
inline int output_callback(const void*, void* out, unsigned long frames, const StreamTime* time, unsigned long flags,
                           void* userdata) {
    static_cast<Output*>(userdata)->render(static_cast<float*>(out), frames, time, flags);
    return kContinue;
}

}  // namespace livemove
