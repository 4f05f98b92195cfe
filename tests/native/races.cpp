// Two threads on each structure of the shared memory, for the thread sanitizer, which sees no other process: mailbox,
// request queue, audio ring. Prints what came through; exits with 1 if any of it was torn, lost or out of order.
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>

#include "realtime/queue.hpp"
#include "realtime/ring.hpp"
#include "realtime/seqlock.hpp"

using namespace livemove;

static bool mailbox() {
    constexpr size_t kWords = 64;
    const auto box = std::make_unique<Mailbox<kWords>>();
    constexpr uint64_t kLast = 20000;
    std::thread writer([&] {
        uint64_t words[kWords];
        for (uint64_t value = 1; value <= kLast; ++value) {
            if (value % 16 == 0) std::this_thread::yield();
            for (auto& word : words) word = value;
            box->write(words);
        }
    });
    uint64_t words[kWords] = {}, seen = 0;
    bool whole = true;
    while (words[0] != kLast) {
        const uint64_t before = words[0];
        if (!box->read(words, 64)) {  // the writer was in the way: what is here may be torn, and is not to be used
            words[0] = before;
            continue;
        }
        for (const auto word : words) whole = whole && word == words[0];
        whole = whole && words[0] >= before;
        seen += words[0] != before;
    }
    writer.join();
    std::printf("mailbox %llu of %llu\n", static_cast<unsigned long long>(seen),
                static_cast<unsigned long long>(kLast));
    return whole && seen > 0;
}

static bool requests() {
    const auto queue = std::make_unique<Requests>();
    constexpr int64_t kLast = 20000;
    std::thread asker([&] {
        for (int64_t number = 1; number <= kLast; ++number) {
            Request request{number, static_cast<double>(number), {}};
            std::snprintf(request.text, sizeof request.text, "%lld", static_cast<long long>(number));
            while (!queue->push(request)) std::this_thread::yield();
        }
    });
    bool whole = true;
    for (int64_t number = 1; number <= kLast;) {
        Request request;
        if (!queue->pop(request)) {
            std::this_thread::yield();
            continue;
        }
        char text[32];
        std::snprintf(text, sizeof text, "%lld", static_cast<long long>(number));
        whole = whole && request.action == number && request.value == number && !std::strcmp(request.text, text);
        ++number;
    }
    asker.join();
    std::printf("requests %lld\n", static_cast<long long>(kLast));
    return whole;
}

static bool ring() {
    const auto ring = std::make_unique<Ring>();
    constexpr uint64_t kHop = 256, kSamples = 4000 * kHop;
    std::thread producer([&] {
        float hop[kHop];
        for (uint64_t at = 0; at < kSamples;) {
            for (uint64_t i = 0; i < kHop; ++i) hop[i] = static_cast<float>((at + i) % 65521);
            if (ring->write(hop, kHop)) {
                at += kHop;
            } else {
                std::this_thread::yield();
            }
        }
    });
    bool whole = true;
    for (uint64_t at = 0; at < kSamples;) {
        const uint64_t there = ring->written.load(std::memory_order_acquire);
        if (at == there) std::this_thread::yield();
        for (; at < there; ++at) {
            whole = whole && ring->samples[at & (Ring::kCapacity - 1)] == static_cast<float>(at % 65521);
        }
        ring->stamps_read.store(ring->stamps_written.load(std::memory_order_acquire), std::memory_order_release);
        ring->read.store(at, std::memory_order_release);
    }
    producer.join();
    std::printf("ring %llu\n", static_cast<unsigned long long>(kSamples));
    return whole;
}

int main() {
    const bool whole[] = {mailbox(), requests(), ring()};
    return !(whole[0] && whole[1] && whole[2]);
}
