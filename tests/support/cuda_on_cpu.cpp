// cuda_wavenet.cu as a library for the CPU: test_cuda_cluster.py compiles it with a model's sizes and calls it.

#include "cuda_on_cpu.hpp"

#ifndef KERNEL
#define KERNEL "../../livemove/native/cuda_wavenet.cu"
#endif
#include KERNEL

extern "C" void wavenet_on_cpu(const Job* job, int clusters, unsigned seed) {
    cpu::run(clusters, CTAS + 1, shared_bytes, seed, [job] { wavenet(*job); });
}
