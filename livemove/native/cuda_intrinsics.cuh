// What the cluster kernel (cuda_wavenet.cu) needs of the GPU, each as one function: tensor-core product, barriers,
// stores into another multiprocessor's shared memory. Compute capability 9.0 and later (thread-block clusters).
// PTX ISA 8.0. tests/cuda_on_cpu.hpp has the same functions for a CPU. No header is included: NVRTC needs none.

#pragma once

#define DEVICE static __device__ __forceinline__
#define DEVICE_METHOD __device__ __forceinline__
#define DEVICE_CONSTANT __device__
#define GRID_CONSTANT __grid_constant__
#define GLOBAL_KERNEL __global__ __cluster_dims__(CTAS + 1, 1, 1) __launch_bounds__(256, 1)

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

DEVICE int thread_index() { return threadIdx.x; }

DEVICE int cluster_rank() {
    u32 rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

DEVICE int cluster_index() {
    u32 index;
    asm("mov.u32 %0, %%clusterid.x;" : "=r"(index));
    return index;
}

DEVICE char* dynamic_shared() {
    extern __shared__ Words4 memory[];
    return reinterpret_cast<char*>(memory);
}

DEVICE u32 shared_address(const void* pointer) { return static_cast<u32>(__cvta_generic_to_shared(pointer)); }

DEVICE u64 clock_now() {
    u64 now;
    asm volatile("mov.u64 %0, %%clock64;" : "=l"(now)::"memory");
    return now;
}

/// c [16 x 8] += a [16 x 16] b [16 x 8]: float16 factors, float32 sums. c0, c1: row lane / 4, columns 2 (lane % 4) and
/// the next; c2, c3: 8 rows below. a and b as the PTX manual's fragments of mma.m16n8k16.
DEVICE void mma(float (&c)[4], Words4 a, u32 b0, u32 b1) {
    asm(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

/// Two floats rounded to float16, the first in the low half.
DEVICE u32 pack_halves(float low, float high) {
    u32 word;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

DEVICE float half_to_float(u16 half) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}

DEVICE float exp2_approximate(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

DEVICE float reciprocal_approximate(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

DEVICE void sync_all() { __syncthreads(); }

DEVICE void sync_named(int barrier, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

DEVICE void arrive_named(int barrier, int threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

DEVICE void sync_cluster() {
    asm volatile("barrier.cluster.arrive.release.aligned;\n barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

DEVICE void mailbox_init(u64* barrier) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(barrier)) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// One thread, before anything of that phase can arrive: how many bytes complete it.
DEVICE void mailbox_expect(u64* barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}

DEVICE bool mailbox_completed(u64* barrier, u32 parity) {
    u32 done;
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%1], %2;\n"
        "selp.u32 %0, 1, 0, done;\n"
        "}\n"
        : "=r"(done)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
    return done;
}

/// Waits for the phase of this parity. What does not come for seconds never will: an error instead of a hanging GPU.
DEVICE void mailbox_wait(u64* barrier, u32 parity) {
    constexpr u64 PATIENCE = 10000000000;  // clocks
    if (mailbox_completed(barrier, parity)) return;
    const u64 began = clock_now();
    while (!mailbox_completed(barrier, parity))
        if (clock_now() - began > PATIENCE) __trap();
}

DEVICE u32 remote(const void* pointer, int rank) {
    u32 address;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(shared_address(pointer)), "r"(rank));
    return address;
}

/// Into the memory of CTA `rank` at the place that `place` has in this one's; counts 4 (8) bytes at its barrier.
DEVICE void send(int rank, const void* place, u32 word, const u64* barrier) {
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(remote(place, rank)),
                 "r"(word), "r"(remote(barrier, rank))
                 : "memory");
}

DEVICE void send2(int rank, const void* place, Words2 words, const u64* barrier) {
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%1, %2}, [%3];" ::"r"(
                     remote(place, rank)),
                 "r"(words.x), "r"(words.y), "r"(remote(barrier, rank))
                 : "memory");
}

DEVICE float shuffle_up(float value, int by) { return __shfl_up_sync(0xffffffffu, value, by); }
DEVICE float shuffle_from(float value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }
DEVICE int warp_sum(int value) { return __reduce_add_sync(0xffffffffu, value); }
DEVICE int warp_max(int value) { return __reduce_max_sync(0xffffffffu, value); }
DEVICE u32 bits_of(float value) { return __float_as_uint(value); }
DEVICE float float_of(u32 bits) { return __uint_as_float(bits); }
