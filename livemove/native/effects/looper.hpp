// THE HOT PATH. A looper: what is played is recorded, goes round, and is played over; one hop at a time.
// In: a hop of stereo, what was pressed, the length of a beat. Out: the same hop with the loop added; what it does, for telling.
// Its memory is taken once, for kSeconds; `process` allocates, locks and logs nothing and makes no system call. It knows no
// tempo, no clock but its own samples, no ring and no device.
//
// Click-free: a loop's end is crossfaded into its beginning by what is played just after it was closed; whatever starts or
// stops does so along a fade. Two tapes: an overdub is written to the back one, position by position, while the front one is
// heard; once the whole loop went by, the tapes change places. Undo changes them back, under a crossfade. So there is the same
// work for every sample, and never a copy of all of it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "hop.hpp"

namespace livemove::effects {

struct Looper {
    static constexpr double kSeconds = 60.0;   // the longest loop
    static constexpr double kShortest = 0.1;   // seconds
    static constexpr double kFade = 0.01;      // seconds
    static constexpr uint32_t kMostFade = 2048;

    enum State : uint32_t { empty, recording, closing, playing, overdubbing, silent };  // numbers: effects.LoopState

    // Bits of `pressed`. record: records, closes the loop, begins and ends an overdub, brings a silent loop back.
    enum Press : uint32_t { record = 1, undo = 2, stop = 4, clear = 8, panic = 16 };

    size_t capacity;                        // samples, a side
    std::vector<float> tapes[2];            // [capacity][2]
    float rise[kMostFade + 1];              // raised cosine, 0..1 at [fade]
    uint32_t fade, least;                   // samples
    State state = empty;
    size_t front = 0;                       // tape that is heard
    size_t length = 0, at = 0;              // samples; length: of the recording too, as far as it is known
    size_t recorded = 0;
    size_t seam = 0;                        // so far the end is crossfaded into the beginning; fade: all of it
    size_t copied = 0;                      // of the back tape, since the overdub began
    bool writing = false;                   // an overdub goes on, or the rest of the loop is copied behind it
    bool can_undo = false;
    uint32_t heard = 0, let_in = 0, changed = 0;  // 0..fade: the loop's sound; what is overdubbed; crossfade of the tapes
    bool clearing = false;
    uint32_t waiting = 0;                   // pressed while it cannot be done
    Ramp level;
    uint64_t broken = 0, refused = 0;       // refused: presses that could do nothing

    explicit Looper(double rate)  // not hot
        : capacity(static_cast<size_t>(kSeconds * rate)),
          fade(static_cast<uint32_t>(std::fmin(std::fmax(kFade * rate, 16.0), kMostFade))),
          least(static_cast<uint32_t>(std::fmax(kShortest * rate, 4.0 * fade))) {
        for (auto& tape : tapes) tape.assign(2 * capacity, 0.0f);  // touched now, not while it plays
        for (uint32_t i = 0; i <= fade; ++i) rise[i] = static_cast<float>(0.5 - 0.5 * std::cos(0.5 * kTau * i / fade));
        seam = fade;
        changed = fade;
    }

    void forget() {  // as never played; the tapes are written before they are read
        state = empty;
        length = at = recorded = copied = 0;
        seam = fade;
        changed = fade;
        heard = let_in = 0;
        writing = can_undo = clearing = false;
        waiting = 0;
    }

    bool busy() const { return clearing || changed < fade; }  // presses wait for the end of a fade
    bool has_loop() const { return state == playing || state == overdubbing || state == silent; }

    // block [kHop][2]; pressed: bits of Press, done in their order at the hop's beginning; beat: samples, the loop becomes a
    // whole number of them (0: as long as it was played); loudness 0..1 of the loop.
    void process(float* block, uint32_t pressed, float beat, float loudness) {
        const NoDenormals guard;
        level.aim(within(loudness, 0.0f, 1.0f, 1.0f));
        heal(block, 2 * kHop, broken);
        waiting |= pressed;
        if (state == empty && !waiting) return;
        beat = within(beat, 0.0f, static_cast<float>(capacity), 0.0f);
        if (!busy() && waiting) {
            const uint32_t now = waiting;
            waiting = 0;
            for (const uint32_t each : {record, undo, stop, clear, panic})
                if (now & each) press(each, beat);
        }
        for (size_t i = 0; i < kHop; ++i) step(block + 2 * i, level.at(i), beat);
    }

    void press(uint32_t what, float beat) {
        switch (what) {
            case record:
                if (state == empty && !clearing) {
                    forget();
                    state = recording;
                } else if (state == recording) {
                    close(beat);
                } else if (state == playing) {
                    state = overdubbing;
                    if (!writing) {
                        writing = true;
                        copied = 0;
                        can_undo = false;
                    }
                } else if (state == overdubbing || state == silent) {
                    state = playing;
                } else {
                    ++refused;
                }
                return;
            case undo:
                if (state == recording || state == closing) {
                    forget();
                } else if (writing) {
                    if (copied >= length) changed = 0;  // its second round is heard: from the back tape to the front
                    writing = can_undo = false;
                    let_in = 0;
                    if (state == overdubbing) state = playing;
                } else if (can_undo) {
                    front ^= 1;
                    changed = 0;
                } else {
                    ++refused;
                }
                return;
            case stop:
                if (state == recording || state == closing) forget();
                else if (state == playing || state == overdubbing) state = silent;
                else if (state == silent) state = playing;
                else ++refused;
                return;
            case clear:
                if (state == recording || state == closing) forget();
                else if (has_loop()) clearing = true;
                else ++refused;
                return;
            case panic:
                if (state == recording || state == closing) forget();
                else if (has_loop()) state = silent;
                return;
            default:
                return;
        }
    }

    // The length is known: as it was played, or the nearest whole number of beats; nearer to now than the last beat, the
    // recording goes on until then.
    void close(float beat) {
        length = std::max<size_t>(recorded, least);
        if (beat > 0.0f) {
            const double one = static_cast<double>(beat);
            double beats = std::fmax(std::floor(static_cast<double>(recorded) / one + 0.5), 1.0);
            while (beats * one < least) ++beats;
            if (beats * one > static_cast<double>(capacity)) beats = std::fmax(std::floor(static_cast<double>(capacity) / one), 1.0);
            length = static_cast<size_t>(beats * one + 0.5);
        }
        length = std::min(length, capacity);
        state = closing;
        if (recorded >= length) begin();
    }

    // From the recording to the loop. What was recorded beyond the end is already played: it makes the seam as far as it goes.
    void begin() {
        state = playing;
        const size_t beyond = recorded - length;
        float* tape = tapes[front].data();
        for (seam = 0; seam < std::min<size_t>(beyond, fade); ++seam)
            for (size_t s = 0; s < 2; ++s)
                tape[2 * seam + s] = rise[seam] * tape[2 * seam + s] + rise[fade - seam] * tape[2 * (length + seam) + s];
        at = beyond % length;
        heard = 0;
    }

    void step(float* sample, float loudness, float beat) {
        const float in[2] = {limit(sample[0]), limit(sample[1])};
        if (state == recording || state == closing) {
            float* tape = tapes[front].data() + 2 * recorded;
            tape[0] = in[0];
            tape[1] = in[1];
            ++recorded;
            if (state == closing && recorded == length) begin();
            else if (recorded == capacity) close(beat);
            return;
        }
        if (!has_loop()) return;
        const uint32_t target = state == silent || clearing ? 0 : fade;
        heard = heard < target ? heard + 1 : heard - (heard > target);
        let_in = state == overdubbing ? let_in + (let_in < fade) : let_in - (let_in > 0);
        changed += changed < fade;
        float* a = tapes[front].data() + 2 * at;
        float* b = tapes[front ^ 1].data() + 2 * at;
        for (size_t s = 0; s < 2; ++s) {
            float now = a[s];
            if (changed < fade) now = rise[changed] * a[s] + rise[fade - changed] * b[s];
            if (seam == at && seam < fade) a[s] = rise[seam] * a[s] + rise[fade - seam] * in[s];
            if (writing) {
                const float base = copied < length ? a[s] : b[s];
                if (copied >= length) now = base;
                b[s] = limit(base + rise[let_in] * in[s]);
            }
            if (!finite(now)) {
                ++broken;
                now = a[s] = b[s] = 0.0f;
            }
            sample[s] += rise[heard] * loudness * now;
        }
        if (seam == at && seam < fade) ++seam;
        if (writing) {
            copied += copied < length;
            if (copied >= length && let_in == 0 && state != overdubbing) {
                front ^= 1;
                writing = false;
                can_undo = true;
            }
        }
        if (++at == length) at = 0;
        if (clearing && heard == 0) {
            const uint32_t meanwhile = waiting;
            forget();
            waiting = meanwhile;
        }
    }

    static float limit(float x) { return !finite(x) ? 0.0f : x > kBroken ? kBroken : x < -kBroken ? -kBroken : x; }
};

}  // namespace livemove::effects
