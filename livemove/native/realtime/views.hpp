// What Python holds of the shared memory: a view per mailbox, queue, ring, log and output, each keeping the memory alive.
// In: the segment's bytes as a numpy array. Out: checked reads and writes. Nothing here runs per sample.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>

#include "layout.hpp"
#include "output.hpp"
#include "pacer.hpp"

namespace livemove {

namespace nb = nanobind;

using Memory = nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Samples = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Room = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

using Word = nb::ndarray<uint64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// A word of shared memory that says something about others: who observes it sees what was stored before it was published.
// A plain store from Python orders nothing where the processor does not (Arm).
inline Count& count_at(const Word& word) {
    if (word.size() < 1 || reinterpret_cast<uintptr_t>(word.data()) % alignof(Count)) throw nb::value_error("no aligned word");
    return *reinterpret_cast<Count*>(word.data());
}
inline void publish(const Word& word, uint64_t value) { count_at(word).store(value, std::memory_order_release); }
inline uint64_t observe(const Word& word) { return count_at(word).load(std::memory_order_acquire); }

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

    void panic() {
        Count& panics = (shared->*Member).panics;
        panics.store(panics.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }

    uint64_t take_panics() { return (shared->*Member).take_panics(); }

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
using TriggeredView = QueueView<&Shared::triggered>;
using OutboxView = QueueView<&Shared::outbox>;

// Sleeps until somebody asked for something. Polled: whoever asks makes no system call, and 1 ms is soon enough.
inline bool wait_asked(const Memory& memory, double timeout_s) {
    const Attached attached(memory);
    nb::gil_scoped_release release;
    const double end_s = now_s() + timeout_s;
    const Shared& shared = *attached.shared;
    while (!shared.requests.waiting() && !shared.commands.waiting() && !shared.triggered.waiting()) {
        if (now_s() >= end_s) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

// Sides of an array of frames: [n] is one, [n, kSides] are both.
template <class Array>
uint64_t sides_of(const Array& frames) {
    if (frames.ndim() == 1) return 1;
    if (frames.ndim() == 2 && frames.shape(1) == kSides) return kSides;
    throw nb::value_error("expected float32 [n] or [n, 2]");
}

struct RingView : Attached {
    Pacer pacer{48000.0, 512};

    using Attached::Attached;

    bool write(const Samples& frames) {
        const uint64_t sides = sides_of(frames);
        return shared->ring.write(frames.data(), frames.shape(0), sides);
    }

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
    using Item = typename std::remove_reference_t<decltype(std::declval<Shared&>().*Member)>::Type;

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
        if (start + count > written()) throw nb::value_error("did not happen yet");
        return (shared->*Member).read(start, count, out.data());
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
        const uint64_t sides = sides_of(out), n = out.shape(0);
        if (start + n > tap.written.load(std::memory_order_acquire)) throw nb::value_error("not played yet");
        return tap.read(start, n, out.data(), sides);
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

}  // namespace livemove
