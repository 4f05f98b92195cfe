// Two threads on each structure of the shared memory, for the thread sanitizer, which sees no other process: mailbox,
// request queue, audio ring, log, tap. Prints what came through; exits with 1 if any of it was torn, lost or out of order.
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>

#include "realtime/log.hpp"
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
        std::this_thread::yield();
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
            if (ring->write(hop, kHop, 1)) {
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
            for (const float side : ring->samples[at & (Ring::kCapacity - 1)])
                whole = whole && side == static_cast<float>(at % 65521);
        }
        ring->stamps_read.store(ring->stamps_written.load(std::memory_order_acquire), std::memory_order_release);
        ring->read.store(at, std::memory_order_release);
    }
    producer.join();
    std::printf("ring %llu\n", static_cast<unsigned long long>(kSamples));
    return whole;
}

// The writer waits for nobody and goes round many times: what the reader is told to be whole is.
static bool log() {
    struct Item {
        uint64_t words[24];
    };
    const auto log = std::make_unique<Log<Item, 16>>();
    constexpr uint64_t kLast = 200000;
    std::thread writer([&] {
        Item item;
        for (uint64_t value = 0; value < kLast; ++value) {
            for (auto& word : item.words) word = value;
            log->add(item);
            if (value % 64 == 0) std::this_thread::yield();
        }
    });
    bool whole = true;
    uint64_t seen = 0, lost = 0;
    for (uint64_t at = 0; at < kLast;) {
        Item items[4];
        const uint64_t there = log->written.load(std::memory_order_acquire), n = there - at < 4 ? there - at : 4;
        if (n == 0) std::this_thread::yield();
        if (!log->read(at, n, items)) {
            ++lost;
            at = there > 8 ? (there - 8 > at ? there - 8 : at + 1) : at + 1;
            continue;
        }
        for (uint64_t i = 0; i < n; ++i)
            for (const auto word : items[i].words) whole = whole && word == at + i;
        at += n;
        seen += n;
    }
    writer.join();
    std::printf("log %llu read, %llu times late\n", static_cast<unsigned long long>(seen),
                static_cast<unsigned long long>(lost));
    return whole && seen > 0;
}

static bool tap() {
    const auto tap = std::make_unique<Tap>();
    constexpr uint64_t kBlock = 512, kSamples = 4000 * kBlock, kWrap = 65521;
    std::thread callback([&] {
        for (uint64_t at = 0; at < kSamples; at += kBlock) {
            tap->begin(kBlock);
            for (uint64_t i = at; i < at + kBlock; ++i)
                for (auto& side : tap->samples[i & (Tap::kCapacity - 1)])
                    side.store(static_cast<float>(i % kWrap), std::memory_order_relaxed);
            tap->written.store(at + kBlock, std::memory_order_release);
            if (at % (16 * kBlock) == 0) std::this_thread::yield();
        }
    });
    bool whole = true;
    uint64_t seen = 0;
    for (uint64_t there = 0; there < kSamples;) {
        float block[kBlock][kSides];
        there = tap->written.load(std::memory_order_acquire);
        const uint64_t at = there < Tap::kCapacity ? 0 : there - Tap::kCapacity;  // the oldest there is: soon overwritten
        if (there < kBlock || !tap->read(at, kBlock, block[0])) {
            std::this_thread::yield();
            continue;
        }
        for (uint64_t i = 0; i < kBlock; ++i)
            for (const float side : block[i]) whole = whole && side == static_cast<float>((at + i) % kWrap);
        ++seen;
    }
    callback.join();
    std::printf("tap %llu\n", static_cast<unsigned long long>(seen));
    return whole && seen > 0;
}

int main() {
    const bool whole[] = {mailbox(), requests(), ring(), log(), tap()};
    for (const bool each : whole)
        if (!each) return 1;
    return 0;
}
