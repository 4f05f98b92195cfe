// The WaveNet generator without Python, for processors that are emulated: one call of it, read from stdin.
// In: records of (name length, name, count, doubles): everything that the module's Generator and its `generate` are given,
// and the states before. Out: to stdout, the same kind: what `generate` filled, and the states after. With an argument: the
// names of the instruction sets, one a line.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "wavenet/generator.hpp"
#include "wavenet/machine.hpp"

using namespace livemove;

using Floats = std::vector<float>;

static std::map<std::string, std::vector<double>> records;

static void need(bool ok) {
    if (!ok) std::abort();
}

static void read_records() {
    uint64_t length = 0, count = 0;
    while (std::fread(&length, sizeof length, 1, stdin) == 1) {
        std::string name(length, ' ');
        need(std::fread(&name[0], 1, length, stdin) == length && std::fread(&count, sizeof count, 1, stdin) == 1);
        std::vector<double>& values = records[name];
        values.resize(count);
        need(!count || std::fread(values.data(), sizeof(double), count, stdin) == count);
    }
}

template <class T>
static void write_record(const std::string& name, const std::vector<T>& values) {
    const std::vector<double> wide(values.begin(), values.end());
    const uint64_t length = name.size(), count = wide.size();
    std::fwrite(&length, sizeof length, 1, stdout);
    std::fwrite(name.data(), 1, length, stdout);
    std::fwrite(&count, sizeof count, 1, stdout);
    if (count) std::fwrite(wide.data(), sizeof(double), count, stdout);
}

static Floats floats(const std::string& name) {
    need(records.count(name) != 0);
    return Floats(records[name].begin(), records[name].end());
}

static In in(const Floats& values) { return {values.data(), values.size()}; }
static Out out(Floats& values) { return {values.data(), values.size()}; }

static std::string text(const std::string& name) {
    need(records.count(name) != 0);
    std::string found;
    for (double letter : records[name]) found += static_cast<char>(letter);
    return found;
}

struct State {
    Floats inputs, queues, overlap, amplitudes;
    std::vector<double> phase;
};

int main(int count, char**) {
    if (count > 1) {
        for (const Isa* isa : available()) std::puts(isa->name);
        return 0;
    }
    read_records();
    const auto size = [](const char* name) { return records[std::string("size.") + name].at(0); };
    const auto whole = [&](const char* name) { return static_cast<int>(size(name)); };
    const Sizes sizes{whole("bands"),         whole("classes"),       whole("mixtures"),       whole("residual"),
                      whole("skip"),          whole("hidden"),        whole("conditioning"),   whole("channels"),
                      whole("styles"),        whole("harmonics"),     whole("taps"),           whole("mulaw") != 0,
                      size("sample_rate"),    whole("pitch_channel"), whole("path_harmonics"), whole("path_hidden"),
                      whole("level_channel"), whole("gate_channel"),  size("gate_closed"),     size("gate_full")};
    std::vector<int> dilations(records["dilations"].begin(), records["dilations"].end());
    std::map<std::string, Floats> weights;
    Tensors tensors;
    for (const auto& record : records) {
        if (record.first.compare(0, 7, "tensor.") != 0) continue;
        const std::string name = record.first.substr(7);
        weights[name] = floats(record.first);
        tensors[name] = in(weights[name]);
    }
    const Floats ranges = floats("ranges"), filters = floats("filters"), response = floats("response");
    const Floats decode = floats("decode"), channels = floats("channels"), noise = floats("noise");
    const Floats style = floats("style"), temperature = floats("temperature");
    const int voices = static_cast<int>(records["voices"].at(0));
    Generator generator(sizes, dilations, tensors, in(ranges), in(filters), in(response), in(decode), text("isa"),
                        text("precision"), voices);
    std::vector<State> states(voices);
    for (int v = 0; v < voices; ++v) {
        const std::string of = "state." + std::to_string(v) + ".";
        State& s = states[v];
        s = {floats(of + "inputs"), floats(of + "queues"), floats(of + "overlap"), floats(of + "amplitudes"),
             records[of + "phase"]};
        generator.set_state(v, in(s.inputs), in(s.queues), in(s.overlap), {s.phase.data(), s.phase.size()},
                            in(s.amplitudes));
    }
    const size_t hops = static_cast<size_t>(records["hops"].at(0));
    Floats audio(voices * hops * kHop), values(static_cast<size_t>(records["values"].at(0)));
    Floats parameters(static_cast<size_t>(records["parameters"].at(0)));
    generator.generate(hops, out(audio), in(channels), in(noise), in(style), in(temperature),
                       values.empty() ? Out{nullptr, 0} : out(values),
                       parameters.empty() ? Out{nullptr, 0} : out(parameters));
    write_record("out", audio);
    write_record("values", values);
    write_record("parameters", parameters);
    for (int v = 0; v < voices; ++v) {
        const std::string of = "state." + std::to_string(v) + ".";
        State& s = states[v];
        generator.get_state(v, out(s.inputs), out(s.queues), out(s.overlap), {s.phase.data(), s.phase.size()},
                            out(s.amplitudes));
        write_record(of + "inputs", s.inputs);
        write_record(of + "queues", s.queues);
        write_record(of + "overlap", s.overlap);
        write_record(of + "phase", s.phase);
        write_record(of + "amplitudes", s.amplitudes);
    }
}
