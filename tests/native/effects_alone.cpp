// The effects without Python, where every system call but exit is death and every allocation is counted: exit 1 if there was
// one. With "allocate" or "call" it does what must not be, to show that it is found out.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "effects/delay.hpp"
#include "effects/looper.hpp"
#include "effects/reverb.hpp"

static long armed = 0, seen = 0;

void* operator new(std::size_t n) {
    seen += armed;
    if (void* p = std::malloc(n)) return p;
    std::abort();
}
void operator delete(void* p) noexcept {
    seen += armed;
    std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
    seen += armed;
    std::free(p);
}

int main(int count, char** words) {
    using namespace livemove::effects;
    auto* reverb = new Reverb(48000.0);
    auto* delay = new Delay(48000.0);
    auto* looper = new Looper(48000.0);
    static float block[2 * kHop];

    sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    sock_fprog program = {4, rules};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 2;

    armed = 1;
    for (int hop = 0; hop < 3000; ++hop) {
        for (size_t i = 0; i < 2 * kHop; ++i) block[i] = hop < 1500 ? 0.3f * std::sin(0.05f * static_cast<float>(i + hop)) : 0.0f;
        if (hop == 700) block[13] = NAN;
        uint32_t pressed = 0;
        if (hop == 10 || hop == 200 || hop == 400 || hop == 600) pressed = Looper::record;
        if (hop == 900 || hop == 1000) pressed = Looper::undo;
        if (hop == 1100 || hop == 1200) pressed = Looper::stop;
        if (hop == 1300) pressed = Looper::clear;
        if (hop == 1400) pressed = Looper::record | Looper::panic;
        looper->process(block, pressed, hop < 1000 ? 24000.0f : 0.0f, 0.8f);
        delay->process(block, hop > 100 ? 0.5f : 0.0f, 0.1f + 0.2f * static_cast<float>(hop / 300 % 2), 0.5f);
        reverb->process(block, hop > 100 ? 0.5f : 0.0f, 0.5f + static_cast<float>(hop / 500 % 2), 0.5f);
    }
    if (count > 1 && !std::strcmp(words[1], "allocate")) ::operator delete(::operator new(16));
    if (count > 1 && !std::strcmp(words[1], "call")) (void)getppid();
    syscall(SYS_exit, seen ? 1 : 0);
}
