// Asks the CPU and the operating system which vector registers and instructions there are.
// In: cpuid, xgetbv; on Arm what the system tells. Out: see machine.hpp.
#include "machine.hpp"

#include <stdint.h>

#include <stdexcept>

#if defined(LIVEMOVE_X86)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif
#ifdef LIVEMOVE_ARM
#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#endif

namespace livemove {
namespace {

#ifdef LIVEMOVE_X86
struct Registers {
    uint32_t a, b, c, d;
};

Registers cpuid(uint32_t leaf, uint32_t part = 0) {
    Registers r{};
#if defined(_MSC_VER)
    int v[4];
    __cpuidex(v, static_cast<int>(leaf), static_cast<int>(part));
    r = {static_cast<uint32_t>(v[0]), static_cast<uint32_t>(v[1]), static_cast<uint32_t>(v[2]),
         static_cast<uint32_t>(v[3])};
#else
    __cpuid_count(leaf, part, r.a, r.b, r.c, r.d);
#endif
    return r;
}

// Register sets the operating system saves on a context switch.
uint64_t saved_registers() {
#if defined(_MSC_VER)
    return _xgetbv(0);
#else
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (static_cast<uint64_t>(high) << 32) | low;
#endif
}
#endif

#ifdef LIVEMOVE_ARM
bool has_dot_products() {
#if defined(__APPLE__)
    int has = 0;
    size_t size = sizeof has;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, nullptr, 0) == 0 && has != 0;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
    return false;
#endif
}
#endif

}  // namespace

std::vector<const Isa*> available() {
    std::vector<const Isa*> sets;
#ifdef LIVEMOVE_X86
    const auto has = [](uint32_t word, int bit) { return ((word >> bit) & 1) != 0; };
    if (cpuid(0).a >= 7) {
        const Registers one = cpuid(1), seven = cpuid(7);
        const uint64_t saved = has(one.c, 27) ? saved_registers() : 0;
        const bool avx2 = (saved & 0x6) == 0x6 && has(one.c, 12) && has(one.c, 29) && has(seven.b, 5);
        const bool avx512 = avx2 && (saved & 0xe6) == 0xe6 && has(seven.b, 16) && has(seven.b, 17) &&
                            has(seven.b, 30) && has(seven.b, 31);
        if (avx512 && has(seven.c, 11)) sets.push_back(&kAvx512Vnni);
        if (avx512) sets.push_back(&kAvx512);
#ifdef LIVEMOVE_AVX_VNNI_BUILT
        if (avx2 && seven.a >= 1 && has(cpuid(7, 1).a, 4)) sets.push_back(&kAvxVnni);
#endif
        if (avx2) sets.push_back(&kAvx2);
    }
#endif
#ifdef LIVEMOVE_ARM
    if (has_dot_products()) sets.push_back(&kNeonDot);
#endif
    sets.push_back(&kPortable);
    return sets;
}

const Isa& find_isa(const std::string& name) {
    for (const Isa* isa : available()) {
        if (name == "auto" || name == isa->name) return *isa;
    }
    throw std::invalid_argument("this machine has no instruction set named " + name);
}

}  // namespace livemove
