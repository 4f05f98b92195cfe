// Python's door to the generator, the module _wavenet: names, arguments, numpy arrays to plain memory.
// In: numpy arrays, C-contiguous float32. Out: the same arrays, filled. Nothing here runs per sample.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <vector>

#include "generator.hpp"
#include "machine.hpp"

namespace nb = nanobind;
using namespace livemove;

namespace {

template <class T>
using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu>;
using Input = Array<const float>;
using Output = Array<float>;
using Phase = Array<double>;

template <class T>
Span<T> span(const Array<T>& array) {
    return {array.data(), array.size()};
}

Out span(const std::optional<Output>& array) { return array ? span(*array) : Out{nullptr, 0}; }

void generate(Generator& self, const Output& out, const Input& channels, const Input& noise, const Input& style,
              const Input& temperature, const std::optional<Output>& values, const std::optional<Output>& parameters) {
    const size_t hops = channels.ndim() == 3 ? channels.shape(1) : 0;
    nb::gil_scoped_release released;
    self.generate(hops, span(out), span(channels), span(noise), span(style), span(temperature), span(values),
                  span(parameters));
}

void get_state(const Generator& self, int voice, const Output& inputs, const Output& queues, const Output& overlap,
               const Phase& phase, const Output& amplitudes) {
    self.get_state(voice, span(inputs), span(queues), span(overlap), span(phase), span(amplitudes));
}

void set_state(Generator& self, int voice, const Input& inputs, const Input& queues, const Input& overlap, const Phase& phase,
               const Input& amplitudes) {
    self.set_state(voice, span(inputs), span(queues), span(overlap), {phase.data(), phase.size()}, span(amplitudes));
}

}  // namespace

NB_MODULE(_wavenet, m) {
    nb::set_leak_warnings(false);
    m.def("instruction_sets", [] {
        std::vector<std::string> names;
        for (const Isa* isa : available()) names.emplace_back(isa->name);
        return names;
    });
    m.def("evaluate", [](const std::string& isa, int which, const Input& x, const Output& y) {
        const Isa& set = find_isa(isa);
        expect(y.size() % 16 == 0 && x.size() == y.size() * (which >= 2 ? 2 : 1), "evaluate");
        set.evaluate(which, x.data(), y.data(), static_cast<int>(y.size()));
    });
    m.def("read", [](const std::string& isa, const Input& x, int times) {
        expect(x.size() % 128 == 0 && reinterpret_cast<uintptr_t>(x.data()) % 64 == 0, "read");
        return find_isa(isa).read(x.data(), x.size(), times);
    });
    nb::class_<Generator>(m, "Generator")
        .def(
            "__init__",
            [](Generator* self, const nb::dict& n, const std::vector<int>& dilations, const nb::dict& tensors,
               const Input& ranges, const Input& filters, const Input& response, const Input& decode,
               const std::string& isa, const std::string& precision, int voices) {
                const auto get = [&](const char* key) { return nb::cast<int>(n[key]); };
                Sizes s{get("bands"),
                        get("classes"),
                        get("mixtures"),
                        get("residual"),
                        get("skip"),
                        get("hidden"),
                        get("conditioning"),
                        get("channels"),
                        get("styles"),
                        get("harmonics"),
                        get("taps"),
                        get("mulaw") != 0,
                        nb::cast<double>(n["sample_rate"]),
                        get("pitch_channel"),
                        get("path_harmonics"),
                        get("path_hidden"),
                        get("level_channel"),
                        get("gate_channel"),
                        nb::cast<double>(n["gate_closed"]),
                        nb::cast<double>(n["gate_full"])};
                std::vector<Input> arrays;  // keeps what had to be converted while the generator copies it
                Tensors spans;
                for (const auto& [name, array] : tensors) {
                    arrays.push_back(nb::cast<Input>(array));
                    spans[nb::cast<std::string>(name)] = span(arrays.back());
                }
                new (self) Generator(s, dilations, spans, span(ranges), span(filters), span(response), span(decode), isa,
                                     precision, voices);
            },
            nb::arg("sizes"), nb::arg("dilations"), nb::arg("tensors"), nb::arg("ranges"), nb::arg("filters"),
            nb::arg("response"), nb::arg("decode"), nb::arg("isa"), nb::arg("precision"), nb::arg("voices"))
        .def_prop_ro("isa", &Generator::isa)
        .def("generate", &generate, nb::arg("out").noconvert(), nb::arg("channels").noconvert(),
             nb::arg("noise").noconvert(), nb::arg("style").noconvert(), nb::arg("temperature").noconvert(),
             nb::arg("values").none(), nb::arg("parameters").none())
        .def("get_state", &get_state, nb::arg("voice"), nb::arg("inputs").noconvert(), nb::arg("queues").noconvert(),
             nb::arg("overlap").noconvert(), nb::arg("phase").noconvert(), nb::arg("amplitudes").noconvert())
        .def("set_state", &set_state, nb::arg("voice"), nb::arg("inputs").noconvert(), nb::arg("queues").noconvert(),
             nb::arg("overlap").noconvert(), nb::arg("phase").noconvert(), nb::arg("amplitudes").noconvert());
}
