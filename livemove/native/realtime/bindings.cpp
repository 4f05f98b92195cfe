// Python's door to realtime.hpp: the shared memory's layout, mailboxes, ring, tap, and the callback's address.
// In: the segment's bytes as a numpy array. Nothing here runs per sample; what does is in realtime.hpp.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <limits>
#include <memory>
#include <string>
#include <thread>

#include "realtime.hpp"

namespace nb = nanobind;
using namespace livemove;

namespace {

using Memory = nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Samples = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Room = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Keeps the numpy array, and with it the mapping, alive as long as anything native points into it.
struct Attached {
    Memory memory;
    Shared* shared;

    explicit Attached(Memory array) : memory(std::move(array)), shared(reinterpret_cast<Shared*>(memory.data())) {
        if (memory.size() < sizeof(Shared)) throw nb::value_error("shared memory is smaller than the layout");
        if (reinterpret_cast<uintptr_t>(shared) % alignof(Shared)) throw nb::value_error("shared memory is not aligned");
        if (shared->magic.load(std::memory_order_acquire) != kMagic)
            throw nb::value_error("shared memory was made by another version of livemove");
    }
};

template <auto Member>
struct MailboxView : Attached {
    using Attached::Attached;

    void write(const Bytes& payload) {
        auto& box = shared->*Member;
        if (payload.size() != box.kBytes) throw nb::value_error("payload has the wrong size");
        box.write(payload.data());
    }

    uint64_t read(const Memory& payload) const {
        const auto& box = shared->*Member;
        if (payload.size() != box.kBytes) throw nb::value_error("payload has the wrong size");
        return box.read(payload.data(), 64);
    }

    uint64_t sequence() const { return (shared->*Member).sequence.load(std::memory_order_acquire); }
};
using PoseMailbox = MailboxView<&Shared::pose>;
using ControlsMailbox = MailboxView<&Shared::controls>;
using BulletinMailbox = MailboxView<&Shared::bulletin>;
using PictureMailbox = MailboxView<&Shared::picture>;

template <auto Member>
struct QueueView : Attached {
    using Attached::Attached;

    bool push(int64_t action, double value, const nb::bytes& text) {
        Request request{action, value, {}};
        if (text.size() > sizeof request.text) throw nb::value_error("text is too long");
        std::memcpy(request.text, text.c_str(), text.size());
        return (shared->*Member).push(request);
    }

    nb::object pop() {
        Request request;
        if (!(shared->*Member).pop(request)) return nb::none();
        const auto* end = static_cast<const char*>(std::memchr(request.text, 0, sizeof request.text));
        const size_t length = end ? static_cast<size_t>(end - request.text) : sizeof request.text;
        return nb::make_tuple(request.action, request.value, nb::bytes(request.text, length));
    }
};
using RequestsView = QueueView<&Shared::requests>;
using CommandsView = QueueView<&Shared::commands>;

// Sleeps until somebody asked for something. Polled: whoever asks makes no system call, and 1 ms is soon enough.
bool wait_asked(const Memory& memory, double timeout_s) {
    const Attached attached(memory);
    nb::gil_scoped_release release;
    const double end_s = now_s() + timeout_s;
    while (!attached.shared->requests.waiting() && !attached.shared->commands.waiting()) {
        if (now_s() >= end_s) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

struct RingView : Attached {
    Pacer pacer{48000.0, 512};

    using Attached::Attached;

    void set_pace(double rate, uint64_t block) { pacer = Pacer(rate, block); }

    bool wait_due(double lead_s, double timeout_s) {
        // Polled, for a callback that comes early must not make the system call that would wake us; otherwise it is known
        // when the next hop is due. 0.5 ms is a twentieth of a 512-frame block.
        nb::gil_scoped_release release;
        shared->ring.target.store(static_cast<uint64_t>(pacer.start_level(lead_s)), std::memory_order_relaxed);
        const double end_s = now_s() + timeout_s;
        while (true) {
            const double now = now_s();
            if (shared->ring.fill() < pacer.demand(shared->playback, now, lead_s)) return true;
            if (now >= end_s) return false;
            const double more_s = pacer.until_more_s(now, lead_s);
            std::this_thread::sleep_for(std::chrono::duration<double>(more_s < 5e-4 ? more_s : 5e-4));
        }
    }
};

// A log as bytes: items one after the other.
template <auto Member>
struct LogView : Attached {
    using Attached::Attached;
    using Items = std::remove_reference_t<decltype((std::declval<Shared&>().*Member).items)>;
    using Item = std::remove_extent_t<Items>;

    void add(const Bytes& item) {
        if (item.size() != sizeof(Item)) throw nb::value_error("item has the wrong size");
        Item copy;
        std::memcpy(&copy, item.data(), sizeof(Item));
        (shared->*Member).add(copy);
    }

    uint64_t written() const { return (shared->*Member).written.load(std::memory_order_acquire); }

    bool read(uint64_t start, const Memory& out) const {
        const uint64_t count = out.size() / sizeof(Item);
        if (out.size() % sizeof(Item)) throw nb::value_error("room for whole items only");
        if (reinterpret_cast<uintptr_t>(out.data()) % alignof(Item)) throw nb::value_error("room is not aligned");
        if (start + count > written()) throw nb::value_error("did not happen yet");
        return (shared->*Member).read(start, count, reinterpret_cast<Item*>(out.data()));
    }
};
using PoseLog = LogView<&Shared::poses>;
using HopLog = LogView<&Shared::hops>;
using BlockLog = LogView<&Shared::blocks>;

struct SnapshotView : Attached {
    using Attached::Attached;

    void write(const Bytes& payload) {
        if (payload.size() > kSnapshotBytes || payload.size() % 8) throw nb::value_error("payload has the wrong size");
        shared->snapshot.write(payload.data(), payload.size() / 8);
    }

    uint64_t read(const Memory& payload) const {
        if (payload.size() > kSnapshotBytes || payload.size() % 8) throw nb::value_error("payload has the wrong size");
        return shared->snapshot.read(payload.data(), 64, payload.size() / 8);
    }

    uint64_t sequence() const { return shared->snapshot.sequence.load(std::memory_order_acquire); }
};

struct TapView : Attached {
    using Attached::Attached;

    bool read(uint64_t start, const Room& out) const {
        const Tap& tap = shared->tap;
        const uint64_t n = out.size();
        if (start + n > tap.written.load(std::memory_order_acquire)) throw nb::value_error("not played yet");
        for (uint64_t i = 0; i < n; ++i) out.data()[i] = tap.samples[(start + i) & (Tap::kCapacity - 1)];
        std::atomic_thread_fence(std::memory_order_acquire);
        // One block of slack: the callback writes samples before it publishes them.
        return tap.written.load(std::memory_order_relaxed) + 8192 <= start + Tap::kCapacity;
    }
};

struct OutputView : Attached {
    std::unique_ptr<Output> output = std::make_unique<Output>();

    OutputView(Memory array, double rate, uint32_t channels, double latency_s) : Attached(std::move(array)) {
        output->prepare(shared, rate, channels, latency_s);
    }

    void restore(const Bytes& bytes) {
        if (bytes.size() != sizeof(Block)) throw nb::value_error("a block has another size");
        Block block;
        std::memcpy(&block, bytes.data(), sizeof block);
        output->restore(block);
    }

    nb::object render(uint64_t frames, double delay_s, unsigned long flags) {
        auto* data = new float[frames * output->channels];
        nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<float*>(p); });
        const StreamTime time{0.0, 1.0, 1.0 + delay_s};
        output_callback(nullptr, data, static_cast<unsigned long>(frames), &time, flags, output.get());
        return nb::cast(nb::ndarray<nb::numpy, float, nb::ndim<2>>(data, {frames, output->channels}, owner));
    }
};

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
        else format = "S";
        list.append(nb::make_tuple(name, format, count, base + offset));
        return *this;
    }
};

template <class Record>
Fields<Record> fields(size_t base) {
    return {nb::list(), base};
}

nb::dict layout() {
    nb::dict d;
    d["supervisor"] = fields<Supervisor>(offsetof(Shared, supervisor))
                          .add("device_rate", &Supervisor::device_rate)
                          .add("rate_since", &Supervisor::rate_since)
                          .add("stop", &Supervisor::stop)
                          .list;
    nb::list lives;
    for (size_t i = 0; i < kRoles; ++i)
        lives.append(fields<Life>(offsetof(Shared, lives) + i * sizeof(Life))
                         .add("heartbeat_s", &Life::heartbeat_s)
                         .add("pid", &Life::pid)
                         .add("state", &Life::state)
                         .add("label", &Life::label)
                         .add("error", &Life::error)
                         .add("message", &Life::message)
                         .add("remarks", &Life::remarks)
                         .add("remark", &Life::remark)
                         .add("leave", &Life::leave)
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

void initialise(const Memory& memory) {
    if (memory.size() < sizeof(Shared)) throw nb::value_error("shared memory is smaller than the layout");
    auto* shared = reinterpret_cast<Shared*>(memory.data());
    std::memset(memory.data(), 0, sizeof(Shared));
    const ControlsPayload controls{1.0, 1.0, 0.0, 0, {}};
    shared->controls.write(&controls);
    shared->magic.store(kMagic, std::memory_order_release);
}

}  // namespace

NB_MODULE(_realtime, m) {
    m.doc() = "Shared memory between the processes, and the PortAudio callback. Used through livemove.ipc.segment and playback.";
    m.attr("SIZE") = sizeof(Shared);
    m.attr("RING_CAPACITY") = Ring::kCapacity;
    m.attr("TAP_CAPACITY") = Tap::kCapacity;
    m.attr("BIN_MS") = kBinMs;
    m.attr("POSE_BYTES") = sizeof(PosePayload);
    m.attr("CONTROLS_BYTES") = sizeof(ControlsPayload);
    m.attr("BULLETIN_BYTES") = sizeof(BulletinPayload);
    m.attr("CAMERA_NAMES") = kCameraNames;
    m.attr("DEVICE_NAMES") = kDeviceNames;
    m.attr("TEXT_BYTES") = sizeof(Request::text);
    m.attr("PICTURE_BYTES") = sizeof(PicturePayload);
    m.attr("PICTURE_EDGE") = kPictureEdge;
    m.attr("HOP_BYTES") = sizeof(Hop);
    m.attr("SNAPSHOT_BYTES") = kSnapshotBytes;
    m.attr("BLOCK") = fields<Block>(0)
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
                          .add("start_s", &Block::start_s)
                          .add("dac_s", &Block::dac_s)
                          .list;
    m.def("now_s", &now_s);
    m.def("layout", &layout);
    m.def("initialise", &initialise, nb::arg("memory"));

    nb::class_<PoseMailbox>(m, "PoseMailbox")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("write", &PoseMailbox::write, nb::arg("payload"))
        .def("read", &PoseMailbox::read, nb::arg("payload"));
    nb::class_<ControlsMailbox>(m, "ControlsMailbox")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("write", &ControlsMailbox::write, nb::arg("payload"))
        .def("read", &ControlsMailbox::read, nb::arg("payload"));

    nb::class_<BulletinMailbox>(m, "BulletinMailbox")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("write", &BulletinMailbox::write, nb::arg("payload"))
        .def("read", &BulletinMailbox::read, nb::arg("payload"));
    nb::class_<PictureMailbox>(m, "PictureMailbox")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("write", &PictureMailbox::write, nb::arg("payload"))
        .def("read", &PictureMailbox::read, nb::arg("payload"))
        .def_prop_ro("sequence", &PictureMailbox::sequence);
    nb::class_<RequestsView>(m, "Requests")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("push", &RequestsView::push, nb::arg("action"), nb::arg("value"), nb::arg("text"))
        .def("pop", &RequestsView::pop);
    nb::class_<CommandsView>(m, "Commands")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("push", &CommandsView::push, nb::arg("action"), nb::arg("value"), nb::arg("text"))
        .def("pop", &CommandsView::pop);
    m.def("wait_asked", &wait_asked, nb::arg("memory"), nb::arg("timeout_s"));

    nb::class_<RingView>(m, "Ring")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("write", [](RingView& v, const Samples& s) { return v.shared->ring.write(s.data(), s.size()); }, nb::arg("samples"))
        .def("mark", [](RingView& v, uint64_t first, double s) { return v.shared->ring.mark(first, s); },
             nb::arg("first_sample"), nb::arg("capture_s"))
        .def("set_pace", &RingView::set_pace, nb::arg("rate"), nb::arg("block"))
        .def("wait_due", &RingView::wait_due, nb::arg("lead_s"), nb::arg("timeout_s"))
        .def("seek", [](RingView& v, uint64_t sample) {
            v.shared->ring.written.store(sample, std::memory_order_relaxed);
            v.shared->ring.read.store(sample, std::memory_order_relaxed);
        }, nb::arg("sample"))
        .def("set_target", [](RingView& v, uint64_t fill) { v.shared->ring.target.store(fill, std::memory_order_relaxed); },
             nb::arg("fill"))
        .def_prop_ro("fill", [](const RingView& v) { return v.shared->ring.fill(); })
        .def_prop_ro("written", [](const RingView& v) { return v.shared->ring.written.load(std::memory_order_acquire); })
        .def_prop_ro("target", [](const RingView& v) { return v.shared->ring.target.load(std::memory_order_relaxed); });

    nb::class_<PoseLog>(m, "PoseLog")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("add", &PoseLog::add, nb::arg("item"))
        .def("read", &PoseLog::read, nb::arg("start"), nb::arg("out"))
        .def_prop_ro("written", &PoseLog::written);
    nb::class_<HopLog>(m, "HopLog")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("add", &HopLog::add, nb::arg("item"))
        .def("read", &HopLog::read, nb::arg("start"), nb::arg("out"))
        .def_prop_ro("written", &HopLog::written);
    nb::class_<BlockLog>(m, "BlockLog")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("read", &BlockLog::read, nb::arg("start"), nb::arg("out"))
        .def_prop_ro("written", &BlockLog::written);
    nb::class_<SnapshotView>(m, "Snapshot")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("write", &SnapshotView::write, nb::arg("payload"))
        .def("read", &SnapshotView::read, nb::arg("payload"))
        .def_prop_ro("sequence", &SnapshotView::sequence);

    nb::class_<TapView>(m, "Tap")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("read", &TapView::read, nb::arg("start"), nb::arg("out"))
        .def_prop_ro("written", [](const TapView& v) { return v.shared->tap.written.load(std::memory_order_acquire); });

    nb::class_<OutputView>(m, "Output")
        .def(nb::init<Memory, double, uint32_t, double>(), nb::arg("memory"), nb::arg("rate"), nb::arg("channels"),
             nb::arg("latency_s"))
        .def_prop_ro("callback_address", [](const OutputView&) { return reinterpret_cast<uintptr_t>(&output_callback); })
        .def_prop_ro("userdata_address", [](const OutputView& v) { return reinterpret_cast<uintptr_t>(v.output.get()); })
        .def_prop_rw(
            "latency_s", [](const OutputView& v) { return v.output->fallback_latency_s; },
            [](OutputView& v, double s) { v.output->fallback_latency_s = s; })
        .def("catch_up", [](OutputView& v) { v.shared->ring.skip_to_newest(); })
        .def("stop", [](OutputView& v) { v.output->stopping.store(true); })
        .def("restore", &OutputView::restore, nb::arg("block"))
        .def_prop_ro("faded", [](const OutputView& v) { return v.output->faded.load(std::memory_order_acquire); })
        .def("render", &OutputView::render, nb::arg("frames"), nb::arg("delay_s") = 0.0, nb::arg("flags") = 0);
}
