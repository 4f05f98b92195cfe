// Python's door to the real-time path, the module _realtime: names and arguments.
// In: the shared memory as a numpy array. Out: the views of views.hpp, the fields of fields.hpp, sizes. Nothing here
// runs per sample.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstring>

#include "fields.hpp"
#include "views.hpp"

using namespace livemove;

namespace {

void initialise(const Memory& memory) {
    if (memory.size() < sizeof(Shared)) throw nb::value_error("shared memory is smaller than the layout");
    auto* shared = reinterpret_cast<Shared*>(memory.data());
    std::memset(memory.data(), 0, sizeof(Shared));
    const ControlsPayload controls{1.0, 1.0, 0.08, -0.05, 0, {}, 0, {}, 0, {}, {1.0, 1.0, 1.0, 1.0}, {},
                                   {0.0, 2.0, 0.5, 0.0, 400.0, 0.0, 0.4, 0.0, 1.0, 0.0}};  // contracts.Controls()
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
    m.attr("LIMITER_DELAY") = Limiter::kDelay;
    m.attr("LIMITER_ONE") = Limiter::kOne;
    m.attr("MAX_GAIN") = kMaxGain;
    m.attr("BLOCK") = block_fields();
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
        .def("panic", &RequestsView::panic)
        .def("take_panics", &RequestsView::take_panics)
        .def("pop", &RequestsView::pop);
    nb::class_<CommandsView>(m, "Commands")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("push", &CommandsView::push, nb::arg("action"), nb::arg("value"), nb::arg("text"))
        .def("panic", &CommandsView::panic)
        .def("take_panics", &CommandsView::take_panics)
        .def("pop", &CommandsView::pop);
    nb::class_<TriggeredView>(m, "Triggered")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("push", &TriggeredView::push, nb::arg("action"), nb::arg("value"), nb::arg("text"))
        .def("panic", &TriggeredView::panic)
        .def("take_panics", &TriggeredView::take_panics)
        .def("pop", &TriggeredView::pop);
    nb::class_<OutboxView>(m, "Outbox")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("push", &OutboxView::push, nb::arg("action"), nb::arg("value"), nb::arg("text"))
        .def("pop", &OutboxView::pop);
    m.def("publish", &publish, nb::arg("word"), nb::arg("value"));
    m.def("observe", &observe, nb::arg("word"));
    m.def("wait_asked", &wait_asked, nb::arg("memory"), nb::arg("timeout_s"));

    nb::class_<RingView>(m, "Ring")
        .def(nb::init<Memory>(), nb::arg("memory"))
        .def("write", &RingView::write, nb::arg("samples"))
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
        .def_prop_ro("room", [](const RingView& v) { return v.shared->ring.room(); })
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
        .def_prop_rw(
            "untold_s", [](const OutputView& v) { return v.output->untold_s; },
            [](OutputView& v, double s) { v.output->untold_s = s; })
        .def("catch_up", [](OutputView& v) { v.shared->ring.skip_to_newest(); })
        .def("stop", [](OutputView& v) { v.output->stopping.store(true); })
        .def("restore", &OutputView::restore, nb::arg("block"))
        .def_prop_ro("faded", [](const OutputView& v) { return v.output->faded.load(std::memory_order_acquire); })
        .def("render", &OutputView::render, nb::arg("frames"), nb::arg("delay_s") = 0.0, nb::arg("flags") = 0);
}
