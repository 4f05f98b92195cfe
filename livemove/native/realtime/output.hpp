// THE HOT PATH. The PortAudio callback: ring -> DC block -> fade and gain -> true-peak limiter -> device.
// In: the audio ring (filled by synthesis) and the controls. Out: the device's buffer, the tap, telemetry. Left and right
// go through the same steps with the same gains; where they are alike, what leaves is alike, to the bit.
// Code here allocates nothing, locks nothing, logs nothing and makes no system call but reading the clock. It knows no
// Python.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "layout.hpp"
#include "limiter.hpp"

namespace livemove {

constexpr double kPi = 3.14159265358979323846;

// PortAudio's types, as portaudio.h declares them; only these are needed, so its headers are not.
struct StreamTime {
    double input_adc_s, current_s, output_dac_s;
};
constexpr unsigned long kOutputUnderflow = 0x4;
constexpr int kContinue = 0;

constexpr float kFullScale = 0.891f;  // -1 dBFS: nothing leaves above it
constexpr float kBroken = 8.0f;     // +18 dBFS: no music is that loud; clamped so that one broken sample cannot ring in the DC block
constexpr float kMaxGain = 10.0f;   // the most that controls.py knows
constexpr float kAudible = 1e-4f;   // -80 dBFS
constexpr uint32_t kMaxFade = 2048;

// Userdata of the callback: private to the playback process, filled before the stream starts.
struct Output {
    enum class State : uint32_t { silent, playing, tail };

    Shared* shared;
    double rate;
    uint32_t channels;
    double fallback_latency_s;  // for hosts that give no DAC time
    double untold_s;            // from the DAC time that the host gives to the sound, as far as measured
    std::atomic<bool> stopping;  // set by the process to fade out
    std::atomic<bool> faded;     // set by the callback once stopping has become silence

    State state;
    bool starving;
    uint32_t fade;               // samples of a fade: 10 ms
    uint32_t position;           // 0 silence .. fade full level
    uint32_t tail;               // samples of tail played
    float ramp[kMaxFade + 1];    // raised cosine
    float history[kMaxFade][kSides];  // last raw frames played, a ring
    uint32_t history_at;
    float gain, gain_target;     // along a straight line of gain_ramp samples: with the limiter's delay less than 10 ms
    float unmuted_target;        // what the controls last said, muted or not
    uint64_t answered;           // how many panics they are the answer to
    uint32_t gain_ramp, gain_left;
    bool gain_known;             // false: it is where the controls say at the first block, so that a muted start is silent
    float dc_pole, dc_in[kSides], dc_out[kSides];
    Limiter limiter;
    uint32_t still;              // samples of silence that went into the limiter last
    double last_start_s;
    double last_block_s;
    double mean_square;
    bool fresh;                  // no block yet

    void prepare(Shared* memory, double sample_rate, uint32_t channel_count, double latency_s) {  // not hot
        shared = memory;
        rate = sample_rate;
        channels = channel_count;
        fallback_latency_s = latency_s;
        untold_s = 0.0;
        stopping.store(false);
        faded.store(false);
        state = State::silent;
        starving = false;
        fade = static_cast<uint32_t>(std::fmin(std::fmax(rate * 0.010, 16.0), kMaxFade));
        position = tail = history_at = 0;
        for (uint32_t i = 0; i <= fade; ++i) ramp[i] = static_cast<float>(0.5 - 0.5 * std::cos(kPi * i / fade));
        std::memset(history, 0, sizeof history);
        gain = gain_target = unmuted_target = 1.0f;
        answered = 0;
        gain_ramp = static_cast<uint32_t>(std::fmax(rate * 0.008, 16.0));
        gain_left = 0;
        gain_known = false;
        limiter.prepare();
        still = 0;
        dc_pole = static_cast<float>(std::exp(-2.0 * kPi * 5.0 / rate));  // 5 Hz
        forget_dc();
        last_start_s = last_block_s = mean_square = 0.0;
        fresh = true;
        shared->ring.skip_to_newest();
    }

    // Before a block that is played again: what it met, made safe, as files of strangers say it. The ring must still hold
    // what was played before.  (not hot)
    void restore(const Block& block) {
        state = block.state <= static_cast<uint64_t>(State::tail) ? static_cast<State>(block.state) : State::silent;
        starving = block.starving != 0;
        position = static_cast<uint32_t>(block.position < fade ? block.position : fade);
        tail = static_cast<uint32_t>(block.tail & (kMaxFade - 1));
        gain_target = allowed_gain(block.gain_target, 1.0f);
        gain = allowed_gain(block.gain, gain_target);
        gain_left = static_cast<uint32_t>(block.gain_left < gain_ramp ? block.gain_left : gain_ramp);
        gain_known = true;
        for (uint64_t side = 0; side < kSides; ++side) {
            dc_in[side] = allowed_sample(block.dc_in[side]);
            dc_out[side] = allowed_sample(block.dc_out[side]);
        }
        limiter.restore(block.pending, block.gains, block.limiter_wait);
        history_at = 0;
        for (uint32_t i = 1; i <= kMaxFade; ++i) {  // history_at is the newest
            const bool there = !block.fresh && block.read + i > kMaxFade;
            const float* frame = shared->ring.samples[(block.read + i - 1 - kMaxFade) & (Ring::kCapacity - 1)];
            for (uint64_t side = 0; side < kSides; ++side) history[i & (kMaxFade - 1)][side] = there ? frame[side] : 0.0f;
        }
        shared->ring.read.store(block.read, std::memory_order_release);
    }

    static float allowed_gain(double gain, float otherwise) {
        const float value = static_cast<float>(gain);
        if (!finite(value)) return otherwise;
        return value > kMaxGain ? kMaxGain : value > 0.0f ? value : 0.0f;
    }

    static float allowed_sample(double sample) {
        const float value = static_cast<float>(sample);
        return !finite(value) ? 0.0f : value > 2 * kBroken ? 2 * kBroken : value < -2 * kBroken ? -2 * kBroken : value;
    }

    void forget_dc() {
        for (uint64_t side = 0; side < kSides; ++side) dc_in[side] = dc_out[side] = 0.0f;
    }

    void begin_tail() {
        state = State::tail;
        tail = 0;
    }

    // Fills the frame [kSides] to play next and, as position, how far it is faded in: from the ring, or, when it ran dry or
    // carried a NaN, the recent past played backwards under the falling fade: continuous in value, and it needs no sample
    // that is not there.
    void next_frame(float* x, uint64_t& read, uint64_t written, bool stop) {
        Playback& p = shared->playback;
        std::memset(x, 0, kSides * sizeof(float));
        if (state == State::playing) {
            if (read == written) {
                starving = true;
                add(p.ring_starvations, 1);
                if (last_start_s > p.playing_since_s.load(std::memory_order_relaxed) + 1.0) add(p.ring_starvations_settled, 1);
                begin_tail();
            } else {
                std::memcpy(x, shared->ring.samples[read++ & (Ring::kCapacity - 1)], kSides * sizeof(float));
                if (finite_frame(x)) {
                    history_at = (history_at + 1) & (kMaxFade - 1);
                    std::memcpy(history[history_at], x, kSides * sizeof(float));
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
            std::memcpy(x, history[(history_at - tail) & (kMaxFade - 1)], kSides * sizeof(float));
            ++tail;
            if (position > 0) --position;
            if (position == 0) state = State::silent;
        }
    }

    static bool finite_frame(const float* x) {
        for (uint64_t side = 0; side < kSides; ++side)
            if (!finite(x[side])) return false;
        return true;
    }

    // DC block, fade and gain, of a frame in place. Behind the DC block, so that a fade and a mute end in silence, not in its
    // echo.
    void shape(float* x) {
        if (gain_left > 0) {
            gain += (gain_target - gain) / static_cast<float>(gain_left);
            if (--gain_left == 0) gain = gain_target;
        }
        if (state == State::silent) {
            forget_dc();
            std::memset(x, 0, kSides * sizeof(float));
            return;
        }
        for (uint64_t side = 0; side < kSides; ++side) {
            const float in = x[side] > kBroken ? kBroken : x[side] < -kBroken ? -kBroken : x[side];
            float y = in - dc_in[side] + dc_pole * dc_out[side];
            if (std::fabs(y) < 1e-12f) y = 0.0f;  // no denormals in a long rest
            dc_in[side] = in;
            dc_out[side] = y;
            x[side] = y * (ramp[position] * gain);
        }
    }

    // The gate, last of all, of a frame in place: whatever happened before it, what leaves are numbers that do no harm, and
    // what made them is healed.
    void gate(float* y) {
        if (finite_frame(y)) {
            for (uint64_t side = 0; side < kSides; ++side)
                y[side] = y[side] > kFullScale ? kFullScale : y[side] < -kFullScale ? -kFullScale : y[side];
            return;
        }
        add(shared->playback.nonfinite_samples, 1);
        if (!finite(gain)) gain = gain_target;
        forget_dc();
        limiter.reset();
        std::memset(y, 0, kSides * sizeof(float));
    }

    // A frame to the device: left and right in turn, or, on a device of one channel, their mean.
    float* put(float* out, const float* frame) const {
        if (channels == 1) {
            *out++ = 0.5f * (frame[0] + frame[1]);
            return out;
        }
        for (uint32_t c = 0; c < channels; ++c) *out++ = frame[c % kSides];
        return out;
    }

    // Gain and mute as the controls say; silence while anybody asked for panic and the supervisor has not answered yet, be it
    // busy or dead.
    void follow_controls() {
        float target = gain_target;
        ControlsPayload controls;
        if (shared->controls.read(&controls, 4)) {
            answered = static_cast<uint64_t>(controls.panics);
            if (!finite(static_cast<float>(controls.gain))) add(shared->playback.nonfinite_samples, 1);
            unmuted_target = allowed_gain(controls.gain, unmuted_target);
            target = controls.mute ? 0.0f : unmuted_target;
        }
        const uint64_t asked = shared->requests.panics.load(std::memory_order_acquire) +
                               shared->commands.panics.load(std::memory_order_acquire) +
                               shared->supervisor.panics.load(std::memory_order_acquire);
        if (asked > answered) target = 0.0f;
        if (!gain_known) gain = gain_target = target;
        gain_known = true;
        if (target != gain_target) {
            gain_target = target;
            gain_left = gain_ramp;
        }
    }

    void note_time(double now, uint64_t frames, unsigned long flags) {
        Playback& p = shared->playback;
        set(p.heartbeat_s, now);
        add(p.callbacks, 1);
        if (flags & kOutputUnderflow) add(p.portaudio_underflows, 1);
        // Late: the last block and everything the device holds were surely played out before we were asked again. Hosts
        // that ask in bursts (PulseAudio) are not late while their buffer lasts.
        const double device_s = p.output_latency_s.load(std::memory_order_relaxed) - untold_s;
        const double held_s = last_block_s + std::fmax(device_s, last_block_s);
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
        delay_s += untold_s;
        const double dac_s = now + delay_s, held_s = Limiter::kDelay / rate;
        set(p.output_latency_s, delay_s);

        follow_controls();

        const bool stop = stopping.load(std::memory_order_relaxed);
        const uint64_t written = ring.written.load(std::memory_order_acquire);
        uint64_t read = ring.read.load(std::memory_order_relaxed);
        const uint64_t target = ring.target.load(std::memory_order_relaxed);
        Block block{shared->tap.written.load(std::memory_order_relaxed), frames, read, written, target, fresh,
                    static_cast<uint64_t>(state), starving, position, tail, stop, gain, {dc_in[0], dc_in[1]},
                    {dc_out[0], dc_out[1]}, gain_target, gain_left, limiter.wait, {}, {}, now, dac_s};
        limiter.save(block.pending, block.gains);
        fresh = false;
        if (state == State::silent && !stop) {
            while (read < written && !finite_frame(ring.samples[read & (Ring::kCapacity - 1)])) {
                ++read;
                add(p.nonfinite_samples, 1);
            }
            if (written - read >= (target > frames ? target : frames)) {
                state = State::playing;
                starving = false;
                if (p.playing_since_s.load(std::memory_order_relaxed) == 0.0) set(p.playing_since_s, dac_s + held_s);
            }
        }

        const uint64_t first = read, tap_at = shared->tap.written.load(std::memory_order_relaxed);
        uint64_t hits = 0;
        float peak = 0.0f;
        double square = 0.0;
        shared->tap.begin(frames);
        for (uint64_t i = 0; i < frames; ++i) {
            float frame[kSides];
            next_frame(frame, read, written, stop);
            shape(frame);
            still = frame[0] == 0.0f && frame[1] == 0.0f ? still + (still < Limiter::kDelay + 1) : 0;
            limiter.step(frame, hits);
            gate(frame);
            const float level = std::fmax(std::fabs(frame[0]), std::fabs(frame[1]));
            if (level > kAudible && p.first_sound_s.load(std::memory_order_relaxed) == 0.0)
                set(p.first_sound_s, dac_s + static_cast<double>(i) / rate);
            peak = level > peak ? level : peak;
            for (uint64_t side = 0; side < kSides; ++side) {
                square += static_cast<double>(frame[side]) * frame[side] / kSides;
                shared->tap.samples[(tap_at + i) & (Tap::kCapacity - 1)][side].store(frame[side], std::memory_order_relaxed);
            }
            out = put(out, frame);
        }
        shared->tap.written.store(tap_at + frames, std::memory_order_release);
        shared->blocks.add(block);
        note_latencies(first, read, dac_s + held_s);
        note_margin(read, now);
        ring.read.store(read, std::memory_order_release);
        if (hits) add(p.limiter_hits, hits);
        // Over once the silence has come through the limiter, too.
        if (stop && state == State::silent && still > Limiter::kDelay) faded.store(true, std::memory_order_release);

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
