// What bounds the cluster kernel, measured alone: L2 reads, messages between multiprocessors, products, barriers.
//
// In: memory to read, how often. Out: clocks of each loop. Compiled by livemove/diagnostics/gpu_device.py.

#include "cuda_intrinsics.cuh"

extern "C" __global__ void nothing() {}

/// Every block reads `words` 16-byte words `times` times; the sum keeps the compiler from leaving it out.
extern "C" __global__ void __launch_bounds__(256) read_memory(const Words4* from, int words, int times, u32* sum) {
    u32 own = 0;
    for (int n = 0; n < times; ++n)
        for (int i = threadIdx.x; i < words; i += 4 * 256) {
            Words4 w[4];
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                const Words4* at = from + (i + 256 * k) % words;
                asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];"
                             : "=r"(w[k].x), "=r"(w[k].y), "=r"(w[k].z), "=r"(w[k].w)
                             : "l"(at));
            }
#pragma unroll
            for (int k = 0; k < 4; ++k) own ^= w[k].x ^ w[k].y ^ w[k].z ^ w[k].w;
        }
    if (own == 0x12345678) *sum = own;
}

struct Box {
    u64 mail;
    u32 word[128];
};

/// There and back between two CTAs, 128 words each way as a layer's output goes: clocks of `times` round trips.
extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(128) messages(int times, u64* clocks) {
    Box& box = *reinterpret_cast<Box*>(dynamic_shared());
    if (thread_index() == 0) {
        mailbox_init(&box.mail);
        mailbox_expect(&box.mail, 512);
    }
    sync_cluster();
    const int rank = cluster_rank();
    const u64 began = clock_now();
    for (int n = 0; n < times; ++n) {
        if (rank == 0) send(1, &box.word[thread_index()], n, &box.mail);
        mailbox_wait(&box.mail, n & 1);
        if (thread_index() == 0) mailbox_expect(&box.mail, 512);
        if (rank == 1) send(0, &box.word[thread_index()], n, &box.mail);
    }
    if (rank == 0 && thread_index() == 0) clocks[0] = clock_now() - began;
    sync_cluster();
}

/// clocks: [0] `times` dependent products, [1] as many in four chains of a warp, [2] barriers of four warps,
/// [3] a word written to shared memory, barrier, read back.
extern "C" __global__ void __launch_bounds__(128) steps(int times, u64* clocks, float* sum) {
    __shared__ volatile u32 words[128];
    float c[4][4] = {};
    const Words4 a = {1, 2, 3, (u32)threadIdx.x};
    u64 began = clock_now();
    for (int n = 0; n < times; ++n) mma(c[0], a, n, n);
    *sum = c[0][0];
    if (threadIdx.x == 0) clocks[0] = clock_now() - began;
    began = clock_now();
    for (int n = 0; n < times; n += 4)
#pragma unroll
        for (int k = 0; k < 4; ++k) mma(c[k], a, n, n);
    *sum = c[0][0] + c[1][1] + c[2][2] + c[3][3];
    if (threadIdx.x == 0) clocks[1] = clock_now() - began;
    began = clock_now();
    for (int n = 0; n < times; ++n) sync_named(1, 128);
    if (threadIdx.x == 0) clocks[2] = clock_now() - began;
    began = clock_now();
    u32 word = threadIdx.x;
    for (int n = 0; n < times; ++n) {
        words[threadIdx.x] = word;
        sync_named(1, 128);
        word = words[threadIdx.x ^ 64] + 1;
        sync_named(1, 128);
    }
    if (threadIdx.x == 0) clocks[3] = clock_now() - began;
    if (word == 0x12345678) *sum = 0;
}
