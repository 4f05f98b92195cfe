// The layout of the shared memory: what every process of a session writes and reads, and who writes what.
// In: mailboxes, queues, rings and logs. Out: Shared, which ipc/ mirrors in Python. Data only: each word has one writer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "atomics.hpp"
#include "limiter.hpp"
#include "log.hpp"
#include "queue.hpp"
#include "ring.hpp"
#include "seqlock.hpp"

namespace livemove {

// --- payloads of the mailboxes ---------------------------------------------------------------------------------------

constexpr size_t kMaxPeople = 4, kLandmarks = 33;
constexpr size_t kRoles = 6;  // children, in the order of ipc/process_state.py

struct PosePayload {
    double capture_s;
    int64_t sequence;
    int64_t people;
    float image[kMaxPeople][kLandmarks][3];
    float world[kMaxPeople][kLandmarks][3];
    float visibility[kMaxPeople][kLandmarks];
};
static_assert(sizeof(PosePayload) % 8 == 0);
static_assert(kSides == Limiter::kSides);

constexpr size_t kMaxBlend = 8;   // contracts.MAX_BLEND
constexpr size_t kMaxLayers = 4;  // controls.MAX_LAYERS
// contracts.Controls, its four numbers first. The callback looks at gain, mute and panics only.
struct ControlsPayload {
    double gain;
    double temperature;
    double look_ahead_s;
    double snap;
    int64_t mute;
    int64_t choices[7];  // whatever else Controls has, in the order of ipc/mailboxes.py
    int64_t panics;      // how many this is the answer to
    int64_t more[3];
    int64_t style_count;
    double styles[kMaxBlend];
    double gains[kMaxLayers];  // a factor for each layer
    double pans[kMaxLayers];   // -1 left .. 1 right
    double effects[14];  // what is set of the effects and what the looper was told, in the order of ipc/mailboxes.py
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

// --- items of the logs -----------------------------------------------------------------------------------------------

// One call of the callback: all that its sound depends on besides the ring's samples, and when it was.
struct Block {
    uint64_t tap_at, frames;          // where in the tap, and how many
    uint64_t read, written, target;   // the ring when it began
    uint64_t fresh, state, starving, position, tail;  // the output when it began; fresh: its first block
    uint64_t stop;
    double gain, dc_in[kSides], dc_out[kSides];
    double gain_target;               // what the controls said
    uint64_t gain_left;               // samples until the gain is there
    uint64_t limiter_wait;
    float pending[kSides * Limiter::kPast];  // the limiter when it began, left then right
    int32_t gains[Limiter::kAttack];
    double start_s, dac_s;            // when it was called, and when its first sample is heard
};

// One hop as synthesis made it; HOP_ROW in ipc/logs.py says what stands where.
struct Hop {
    double words[512];
};

// An engine's state every few seconds, so that a take can begin anywhere; its first word says how many bytes it has.
constexpr size_t kSnapshotBytes = 4u << 20;

// --- telemetry: each record has one writing process -------------------------------------------------------------------

constexpr size_t kBins = 4096;
constexpr double kBinMs = 0.25;
constexpr size_t kMaxChannels = 64, kMaxFeatures = 64;
constexpr size_t kFaults = 9;  // camera faults, in the order of ipc/telemetry.py; 0: none

struct ProcessState {  // one per child; written by that child, but for leave; cleared by the supervisor before it starts one
    Number heartbeat_s;
    Count pid;
    Count state;  // State in ipc/process_state.py
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
    Count device_block;  // playback only, before device_rate: frames the device asks for at once
    Count stop;          // supervisor only
    Count panics;        // supervisor only: those typed in its terminal
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
    Count fault;                  // what is wrong with the camera now: Fault in ipc/telemetry.py, 0: nothing
    Count faults[kFaults];        // how often each began
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
    Count style_count;
    Number styles[kMaxBlend];
    Count loop_state;            // LoopState in ipc/loop_status.py
    Number loop[3];              // seconds of the loop, beats, where it is
    Count engine_failures;       // how many engines were given up since the session began
    char failed_engines[128];    // their names, one a line: none of them plays again
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

constexpr uint64_t kMagic = 0x31766f6d65766c0d;  // raised with every change of the layout

struct Shared {
    Count magic;
    alignas(64) Supervisor supervisor;
    alignas(64) ProcessState lives[kRoles];
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
    alignas(64) Requests triggered; // synthesis': what triggers of the mapping ask for; no panic among it
    alignas(64) Requests outbox;    // synthesis' to control: what triggers send
    alignas(64) Sources sources;
    alignas(64) Mailbox<sizeof(BulletinPayload) / 8> bulletin;
    alignas(64) Mailbox<sizeof(PicturePayload) / 8> picture;
    alignas(64) Log<PosePayload, 128> poses;  // capture's
    alignas(64) Log<Hop, 1024> hops;          // synthesis'
    alignas(64) Log<Block, 4096> blocks;      // the callback's
    alignas(64) Mailbox<kSnapshotBytes / 8> snapshot;  // synthesis'
};

}  // namespace livemove
