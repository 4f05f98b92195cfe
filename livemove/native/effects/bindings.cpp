// Python's door to the effects, the module _effects: names and arguments.
// In: hops of stereo as numpy arrays, settings as numbers. Out: the same arrays, worked on in place. Nothing here runs per
// sample, and a hop's call allocates nothing.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <utility>
#include <vector>

#include "delay.hpp"
#include "looper.hpp"
#include "reverb.hpp"

namespace nb = nanobind;
using namespace livemove::effects;

namespace {

using Block = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using State = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

float* hop_of(const Block& block) {
    if (block.shape(0) != kHop || block.shape(1) != 2) throw nb::value_error("a block is one hop of stereo: float32 [256, 2]");
    return block.data();
}

void check_rate(double rate) {
    if (!(rate >= 8000.0 && rate <= 192000.0)) throw nb::value_error("the rate must be 8000 to 192000 Hz");
}

// Everything an effect's future depends on, as float32 [n]; few numbers while it is silent.
template <class Effect>
nb::object state_of(Effect& effect) {
    auto* values = new std::vector<float>();
    nb::capsule owner(values, [](void* p) noexcept { delete static_cast<std::vector<float>*>(p); });
    effect.settings(Writer{*values});
    if (effect.awake != 0.0f) effect.tails(Writer{*values});
    return nb::cast(nb::ndarray<nb::numpy, float, nb::ndim<1>>(values->data(), {values->size()}, owner));
}

template <class Effect>
void set_state(Effect& effect, const State& state) {
    Counter few, many;
    effect.settings(few);
    effect.tails(many);
    const bool whole = state.size() == few.count + many.count;
    if (!whole && state.size() != few.count) throw nb::value_error("this is no state of that effect at this rate");
    effect.clear();
    Reader read{state.data()};
    effect.settings(read);
    effect.make_safe();
    effect.awake = whole ? 1.0f : 0.0f;
    if (whole) effect.tails(read);
}

struct PyReverb : Reverb {
    explicit PyReverb(double sample_rate) : Reverb((check_rate(sample_rate), sample_rate)) {}
};
struct PyDelay : Delay {
    explicit PyDelay(double sample_rate) : Delay((check_rate(sample_rate), sample_rate)) {}
};
struct PyLooper : Looper {
    explicit PyLooper(double sample_rate) : Looper((check_rate(sample_rate), sample_rate)) {}
};

}  // namespace

NB_MODULE(_effects, m) {
    m.doc() = "Reverberation, delay and looper on hops of stereo. Used through livemove.synthesis.effects.";
    m.attr("REVERB_CROSSOVER") = Reverb::kCrossover;
    m.attr("REVERB_HIGH_SHARE") = Reverb::kHighShare;
    m.attr("DELAY_SHORTEST") = Delay::kShortest;
    m.attr("DELAY_LONGEST") = Delay::kLongest;
    m.attr("LOOPER_SECONDS") = Looper::kSeconds;
    m.attr("LOOPER_FADE") = Looper::kFade;

    nb::class_<PyReverb>(m, "Reverb")
        .def(nb::init<double>(), nb::arg("rate"))
        .def("process", [](PyReverb& e, const Block& block, float send, float decay_s, float damping) {
            e.process(hop_of(block), send, decay_s, damping);
        }, nb::arg("block"), nb::arg("send"), nb::arg("decay_s"), nb::arg("damping"))
        .def("reset", [](PyReverb& e) { e.reset(); })
        .def("state", [](PyReverb& e) { return state_of(e); })
        .def("set_state", [](PyReverb& e, const State& state) { set_state(e, state); }, nb::arg("state"))
        .def_prop_ro("awake", [](const PyReverb& e) { return e.awake != 0.0f; })
        .def_prop_ro("nonfinite", [](const PyReverb& e) { return e.broken; });

    nb::class_<PyDelay>(m, "Delay")
        .def(nb::init<double>(), nb::arg("rate"))
        .def("process", [](PyDelay& e, const Block& block, float send, float delay_s, float feedback) {
            e.process(hop_of(block), send, delay_s, feedback);
        }, nb::arg("block"), nb::arg("send"), nb::arg("delay_s"), nb::arg("feedback"))
        .def("reset", [](PyDelay& e) { e.reset(); })
        .def("state", [](PyDelay& e) { return state_of(e); })
        .def("set_state", [](PyDelay& e, const State& state) { set_state(e, state); }, nb::arg("state"))
        .def_prop_ro("awake", [](const PyDelay& e) { return e.awake != 0.0f; })
        .def_prop_ro("nonfinite", [](const PyDelay& e) { return e.broken; });

    nb::class_<PyLooper>(m, "Looper")
        .def(nb::init<double>(), nb::arg("rate"))
        .def("process", [](PyLooper& e, const Block& block, uint32_t pressed, float beat, float level) {
            e.process(hop_of(block), pressed, beat, level);
        }, nb::arg("block"), nb::arg("pressed"), nb::arg("beat"), nb::arg("level"))
        .def("forget", [](PyLooper& e) { e.forget(); })
        .def_prop_ro("state", [](const PyLooper& e) { return static_cast<uint32_t>(e.state); })
        .def_prop_ro("length", [](const PyLooper& e) { return e.length; })
        .def_prop_ro("recorded", [](const PyLooper& e) { return e.recorded; })
        .def_prop_ro("at", [](const PyLooper& e) { return e.at; })
        .def_prop_ro("can_undo", [](const PyLooper& e) { return e.can_undo || e.writing; })
        .def_prop_ro("refused", [](const PyLooper& e) { return e.refused; })
        .def_prop_ro("nonfinite", [](const PyLooper& e) { return e.broken; });
}
