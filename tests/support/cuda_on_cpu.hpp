// A GPU's clusters in one CPU thread, as far as cuda_wavenet.cu needs them: the functions of cuda_intrinsics.cuh.
//
// Every GPU thread is a fiber that runs until it must wait for others; which one goes on is drawn at random, and now and
// then a warp sleeps while the others run ahead, so that a missing barrier shows as a wrong result. In: a job and the number of clusters. Knows nothing of the network.

#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#define LIVEMOVE_ON_CPU
#define DEVICE static inline
#define DEVICE_METHOD inline
#define DEVICE_CONSTANT
#define GRID_CONSTANT
#define GLOBAL_KERNEL

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;

struct Words2 {
    u32 x, y;
};
struct alignas(16) Words4 {
    u32 x, y, z, w;
};
struct alignas(16) Floats4 {
    float x, y, z, w;
};

namespace cpu {

constexpr int THREADS = 256, WARP = 32, STACK = 64 * 1024;

struct Counter {  // a barrier: who waits, waits for the generation to change
    int arrived = 0;
    u64 generation = 0;
};

struct Lane {
    float c[4];
    Words4 a;
    u32 b[2];
    float value, result;
    int argument, whole;
};

struct Warp {
    Counter counter;
    Lane lanes[WARP];
};

struct Cta {
    char* shared = nullptr;
    Counter named[16];
    Warp warps[THREADS / WARP];
};

struct Mailbox {  // in the 8 bytes of an mbarrier
    int bytes;
    short pending, phase;
};

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    int cta, thread;
    const u64* generation = nullptr;  // ready when it is no longer `seen`
    u64 seen = 0;
    const Mailbox* mailbox = nullptr;  // ready when its phase is no longer `phase`
    short phase = 0;
    bool ended = false;

    bool ready() const {
        if (generation) return *generation != seen;
        return !mailbox || mailbox->phase != phase;
    }
};

inline std::vector<Cta> ctas;
inline std::vector<std::unique_ptr<Fiber>> fibers;
inline ucontext_t scheduler;
inline Fiber* current;
inline Counter whole_cluster;
inline int cluster;
inline u64 clock;
inline std::function<void()> body;

inline Cta& cta() { return ctas[current->cta]; }
inline Warp& warp() { return cta().warps[current->thread / WARP]; }
inline Lane& lane() { return warp().lanes[current->thread % WARP]; }

inline void pause() {
    swapcontext(&current->context, &scheduler);
    current->generation = nullptr;
    current->mailbox = nullptr;
}

inline bool arrive(Counter& counter, int expected) {
    if (++counter.arrived < expected) return false;
    counter.arrived = 0;
    ++counter.generation;
    return true;
}

inline void sync(Counter& counter, int expected) {
    const u64 before = counter.generation;
    if (arrive(counter, expected)) return;
    current->generation = &counter.generation;
    current->seen = before;
    pause();
}

/// What the last lane to arrive does with all lanes.
template <class Work>
void together(Work work) {
    Warp& own = warp();
    if (own.counter.arrived == WARP - 1) work(own.lanes);
    sync(own.counter, WARP);
}

inline void complete(Mailbox& box) {
    if (box.pending != 0 || box.bytes != 0) return;
    box.phase ^= 1;
    box.pending = 1;
}

inline void enter() {
    body();
    current->ended = true;
    swapcontext(&current->context, &scheduler);
}

inline void run(int clusters, int size, int shared_bytes, unsigned seed, std::function<void()> kernel) {
    std::mt19937 random(seed);
    body = std::move(kernel);
    for (cluster = 0; cluster < clusters; ++cluster) {
        ctas = std::vector<Cta>(size);
        std::vector<std::vector<Words4>> memory(size, std::vector<Words4>(shared_bytes / 16 + 1, {~0u, ~0u, ~0u, ~0u}));
        for (int i = 0; i < size; ++i) ctas[i].shared = reinterpret_cast<char*>(memory[i].data());
        whole_cluster = {};
        fibers.clear();
        for (int i = 0; i < size * THREADS; ++i) {
            fibers.push_back(std::make_unique<Fiber>());
            Fiber& fiber = *fibers.back();
            fiber.cta = i / THREADS;
            fiber.thread = i % THREADS;
            fiber.stack.reset(new char[STACK]);
            getcontext(&fiber.context);
            fiber.context.uc_stack.ss_sp = fiber.stack.get();
            fiber.context.uc_stack.ss_size = STACK;
            makecontext(&fiber.context, enter, 0);
        }
        size_t left = fibers.size();
        const size_t count = fibers.size();
        std::vector<int> asleep(count / WARP, 0);  // passes in which a warp does not move, to let others run ahead
        const auto run_one = [&left](Fiber& fiber) {
            current = &fiber;
            swapcontext(&scheduler, &fiber.context);
            left -= fiber.ended;
        };
        while (left > 0) {
            bool moved = false;
            for (int& passes : asleep) passes = passes > 0 ? passes - 1 : random() % 128 == 0 ? random() % 256 : 0;
            const size_t first = random() % count;
            for (size_t n = 0; n < count; ++n) {
                const size_t at = (first + n) % count;
                Fiber& fiber = *fibers[at];
                if (fiber.ended || asleep[at / WARP] > 0 || !fiber.ready()) continue;
                run_one(fiber);
                moved = true;
            }
            if (!moved) {  // all that could move are asleep
                std::fill(asleep.begin(), asleep.end(), 0);
                for (auto& fiber : fibers)
                    if (!fiber->ended && fiber->ready()) moved = true;
            }
            if (!moved) {
                std::fprintf(stderr, "the cluster waits for itself: %zu threads\n", left);
                for (auto& f : fibers)
                    if (!f->ended && f->thread % 32 == 0)
                        std::fprintf(stderr, "cta %d warp %d %s\n", f->cta, f->thread / 32, f->mailbox ? "mail" : "barrier");
                std::abort();
            }
        }
    }
}

}  // namespace cpu

DEVICE int thread_index() { return cpu::current->thread; }
DEVICE int cluster_rank() { return cpu::current->cta; }
DEVICE int cluster_index() { return cpu::cluster; }
DEVICE char* dynamic_shared() { return cpu::cta().shared; }
DEVICE u64 clock_now() { return ++cpu::clock; }

DEVICE u32 pack_halves(float low, float high) {
    const _Float16 halves[2] = {(_Float16)low, (_Float16)high};
    u32 word;
    std::memcpy(&word, halves, 4);
    return word;
}

DEVICE float half_to_float(u16 half) {
    _Float16 value;
    std::memcpy(&value, &half, 2);
    return (float)value;
}

DEVICE void mma(float (&c)[4], Words4 a, u32 b0, u32 b1) {
    cpu::Lane& own = cpu::lane();
    std::memcpy(own.c, c, sizeof(own.c));
    own.a = a;
    own.b[0] = b0;
    own.b[1] = b1;
    cpu::together([](cpu::Lane* lanes) {
        float left[16][16], right[16][8];
        for (int lane = 0; lane < 32; ++lane) {
            const int row = lane / 4, k = 2 * (lane % 4);
            const u32 a[4] = {lanes[lane].a.x, lanes[lane].a.y, lanes[lane].a.z, lanes[lane].a.w};
            for (int i = 0; i < 4; ++i)
                for (int half = 0; half < 2; ++half)
                    left[row + 8 * (i % 2)][k + 8 * (i / 2) + half] = half_to_float(a[i] >> (16 * half) & 0xffff);
            for (int i = 0; i < 2; ++i)
                for (int half = 0; half < 2; ++half)
                    right[k + 8 * i + half][row] = half_to_float(lanes[lane].b[i] >> (16 * half) & 0xffff);
        }
        for (int lane = 0; lane < 32; ++lane)
            for (int i = 0; i < 4; ++i)
                for (int k = 0; k < 16; ++k)
                    lanes[lane].c[i] += left[lane / 4 + 8 * (i / 2)][k] * right[k][2 * (lane % 4) + i % 2];
    });
    std::memcpy(c, own.c, sizeof(own.c));
}

DEVICE float exp2_approximate(float x) { return std::exp2(x); }
DEVICE float reciprocal_approximate(float x) { return 1.0f / x; }

DEVICE void sync_named(int barrier, int threads) { cpu::sync(cpu::cta().named[barrier], threads); }
DEVICE void sync_all() { sync_named(0, cpu::THREADS); }
DEVICE void arrive_named(int barrier, int threads) { cpu::arrive(cpu::cta().named[barrier], threads); }
DEVICE void sync_cluster() { cpu::sync(cpu::whole_cluster, cpu::THREADS * (int)cpu::ctas.size()); }

DEVICE void mailbox_init(u64* barrier) { *reinterpret_cast<cpu::Mailbox*>(barrier) = {0, 1, 0}; }

DEVICE void mailbox_expect(u64* barrier, u32 bytes) {
    cpu::Mailbox& box = *reinterpret_cast<cpu::Mailbox*>(barrier);
    box.bytes += bytes;
    box.pending -= 1;
    cpu::complete(box);
}

DEVICE void mailbox_wait(u64* barrier, u32 parity) {
    const cpu::Mailbox* box = reinterpret_cast<cpu::Mailbox*>(barrier);
    while (box->phase == (short)parity) {
        cpu::current->mailbox = box;
        cpu::current->phase = (short)parity;
        cpu::pause();
    }
}

template <class T>
T* remote(const T* place, int rank) {
    const char* local = reinterpret_cast<const char*>(place);
    return reinterpret_cast<T*>(cpu::ctas[rank].shared + (local - cpu::cta().shared));
}

DEVICE void send(int rank, const void* place, u32 word, const u64* barrier) {
    *reinterpret_cast<u32*>(remote(static_cast<const char*>(place), rank)) = word;
    cpu::Mailbox& box = *reinterpret_cast<cpu::Mailbox*>(remote(barrier, rank));
    box.bytes -= 4;
    cpu::complete(box);
}

DEVICE void send2(int rank, const void* place, Words2 words, const u64* barrier) {
    send(rank, place, words.x, barrier);
    send(rank, static_cast<const char*>(place) + 4, words.y, barrier);
}

DEVICE float shuffle_from(float value, int from) {
    cpu::lane().value = value;
    cpu::lane().argument = from;
    cpu::together([](cpu::Lane* lanes) {
        for (int i = 0; i < 32; ++i) lanes[i].result = lanes[lanes[i].argument].value;
    });
    return cpu::lane().result;
}

DEVICE float shuffle_up(float value, int by) {
    const int lane = thread_index() % 32;
    return shuffle_from(value, lane < by ? lane : lane - by);
}

DEVICE int warp_sum(int value) {
    cpu::lane().argument = value;
    cpu::together([](cpu::Lane* lanes) {
        int sum = 0;
        for (int i = 0; i < 32; ++i) sum += lanes[i].argument;
        for (int i = 0; i < 32; ++i) lanes[i].whole = sum;
    });
    return cpu::lane().whole;
}

DEVICE int warp_max(int value) {
    cpu::lane().argument = value;
    cpu::together([](cpu::Lane* lanes) {
        int most = lanes[0].argument;
        for (int i = 0; i < 32; ++i) most = most < lanes[i].argument ? lanes[i].argument : most;
        for (int i = 0; i < 32; ++i) lanes[i].whole = most;
    });
    return cpu::lane().whole;
}

DEVICE u32 bits_of(float value) {
    u32 bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}

DEVICE float float_of(u32 bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

DEVICE float sinpif(float x) { return (float)std::sin(M_PI * (double)x); }
DEVICE float cospif(float x) { return (float)std::cos(M_PI * (double)x); }
