// Where every field of the shared memory lies, for ipc/ to read as numpy arrays.
// In: the structs of layout.hpp. Out: lists of (name, format, count, offset). Runs once per process.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <type_traits>

#include "layout.hpp"

namespace livemove {

namespace nb = nanobind;

template <class Record>
struct Fields {
    nb::list list;
    size_t base;

    template <class T>
    Fields& add(const char* name, const T Record::* member) {
        alignas(Record) static unsigned char somewhere[sizeof(Record)];
        const auto* record = reinterpret_cast<const Record*>(somewhere);
        const size_t offset = reinterpret_cast<const unsigned char*>(&(record->*member)) - somewhere;
        const char* format;
        size_t count = 1;
        using Item = std::remove_extent_t<T>;
        if constexpr (std::is_array_v<T>) count = std::extent_v<T>;
        if constexpr (std::is_same_v<Item, Count> || std::is_same_v<Item, uint64_t>) format = "u8";
        else if constexpr (std::is_same_v<Item, Number> || std::is_same_v<Item, double>) format = "f8";
        else if constexpr (std::is_same_v<Item, float>) format = "f4";
        else if constexpr (std::is_same_v<Item, int32_t>) format = "i4";
        else format = "S";
        list.append(nb::make_tuple(name, format, count, base + offset));
        return *this;
    }
};

template <class Record>
Fields<Record> fields(size_t base) {
    return {nb::list(), base};
}

// The records, one list of fields each (processes: one per process).
inline nb::dict layout() {
    nb::dict d;
    d["supervisor"] = fields<Supervisor>(offsetof(Shared, supervisor))
                          .add("device_rate", &Supervisor::device_rate)
                          .add("rate_since", &Supervisor::rate_since)
                          .add("device_block", &Supervisor::device_block)
                          .add("stop", &Supervisor::stop)
                          .add("panics", &Supervisor::panics)
                          .list;
    nb::list lives;
    for (size_t i = 0; i < kRoles; ++i)
        lives.append(fields<ProcessState>(offsetof(Shared, lives) + i * sizeof(ProcessState))
                         .add("heartbeat_s", &ProcessState::heartbeat_s)
                         .add("pid", &ProcessState::pid)
                         .add("state", &ProcessState::state)
                         .add("label", &ProcessState::label)
                         .add("error", &ProcessState::error)
                         .add("message", &ProcessState::message)
                         .add("remarks", &ProcessState::remarks)
                         .add("remark", &ProcessState::remark)
                         .add("leave", &ProcessState::leave)
                         .list);
    d["lives"] = lives;
    d["capture"] = fields<Capture>(offsetof(Shared, capture))
                       .add("frames_seen", &Capture::frames_seen)
                       .add("frames_used", &Capture::frames_used)
                       .add("poses", &Capture::poses)
                       .add("people", &Capture::people)
                       .add("first_pose_s", &Capture::first_pose_s)
                       .add("last_used_s", &Capture::last_used_s)
                       .add("last_pose_ms", &Capture::last_pose_ms)
                       .add("pose_ms", &Capture::pose_ms)
                       .add("fault", &Capture::fault)
                       .add("faults", &Capture::faults)
                       .list;
    d["devices"] = fields<Devices>(offsetof(Shared, devices)).add("names", &Devices::names).list;
    d["synthesis"] = fields<Synthesis>(offsetof(Shared, synthesis))
                         .add("rate", &Synthesis::rate)
                         .add("hops", &Synthesis::hops)
                         .add("audio_samples", &Synthesis::audio_samples)
                         .add("busy_s", &Synthesis::busy_s)
                         .add("channel_count", &Synthesis::channel_count)
                         .add("channels", &Synthesis::channels)
                         .add("feature_count", &Synthesis::feature_count)
                         .add("features", &Synthesis::features)
                         .add("style_count", &Synthesis::style_count)
                         .add("styles", &Synthesis::styles)
                         .add("loop_state", &Synthesis::loop_state)
                         .add("loop", &Synthesis::loop)
                         .add("engine_failures", &Synthesis::engine_failures)
                         .add("failed_engines", &Synthesis::failed_engines)
                         .list;
    d["sources"] = fields<Sources>(offsetof(Shared, sources))
                       .add("wanted", &Sources::wanted)
                       .add("names", &Sources::names)
                       .add("value", &Sources::value)
                       .list;
    d["playback"] = fields<Playback>(offsetof(Shared, playback))
                        .add("heartbeat_s", &Playback::heartbeat_s)
                        .add("callbacks", &Playback::callbacks)
                        .add("late_callbacks", &Playback::late_callbacks)
                        .add("portaudio_underflows", &Playback::portaudio_underflows)
                        .add("ring_starvations", &Playback::ring_starvations)
                        .add("ring_starvations_settled", &Playback::ring_starvations_settled)
                        .add("starved_samples", &Playback::starved_samples)
                        .add("limiter_hits", &Playback::limiter_hits)
                        .add("nonfinite_samples", &Playback::nonfinite_samples)
                        .add("peak", &Playback::peak)
                        .add("rms", &Playback::rms)
                        .add("playing_since_s", &Playback::playing_since_s)
                        .add("first_sound_s", &Playback::first_sound_s)
                        .add("output_latency_s", &Playback::output_latency_s)
                        .add("margin_s", &Playback::margin_s)
                        .add("latencies", &Playback::latencies)
                        .add("latency_max_ms", &Playback::latency_max_ms)
                        .add("latency_last_ms", &Playback::latency_last_ms)
                        .add("latency_ms", &Playback::latency_ms)
                        .list;
    return d;
}

// One call of the callback, as the log has it.
inline nb::list block_fields() {
    return fields<Block>(0)
        .add("tap_at", &Block::tap_at)
        .add("frames", &Block::frames)
        .add("read", &Block::read)
        .add("written", &Block::written)
        .add("target", &Block::target)
        .add("fresh", &Block::fresh)
        .add("state", &Block::state)
        .add("starving", &Block::starving)
        .add("position", &Block::position)
        .add("tail", &Block::tail)
        .add("stop", &Block::stop)
        .add("gain", &Block::gain)
        .add("dc_in", &Block::dc_in)
        .add("dc_out", &Block::dc_out)
        .add("gain_target", &Block::gain_target)
        .add("gain_left", &Block::gain_left)
        .add("limiter_wait", &Block::limiter_wait)
        .add("pending", &Block::pending)
        .add("gains", &Block::gains)
        .add("start_s", &Block::start_s)
        .add("dac_s", &Block::dac_s)
        .list;
}

}  // namespace livemove
