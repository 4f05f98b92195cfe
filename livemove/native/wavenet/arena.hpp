// One block of memory for all of a generator, on huge pages where the system grants them.
// In: an upper bound of its size. Out: zeroed arrays, 64-byte aligned, in order of use. Never used per sample.
#pragma once
#include <cstddef>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace livemove {

// One block for weights, scratch and state, in order of use, on huge pages where the system grants them: 2 MB of
// weights are read every step, and 4 KB pages would cost a TLB miss for every 64 cache lines.
class Arena {
public:
    explicit Arena(size_t bytes) : size_(bytes), base_(static_cast<char*>(::operator new(bytes, kAlign))) {
#if defined(__linux__)
        madvise(base_, bytes, MADV_HUGEPAGE);  // advice: refusal costs speed only
#endif
    }
    ~Arena() { ::operator delete(base_, kAlign); }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    template <class T>
    T* take(size_t count) {
        const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
        if (used_ + bytes > size_) throw std::bad_alloc();
        char* p = base_ + used_;
        used_ += bytes;
        std::memset(p, 0, bytes);
        return reinterpret_cast<T*>(p);
    }

    size_t used() const { return used_; }

private:
    static constexpr std::align_val_t kAlign{size_t{2} << 20};
    size_t size_, used_ = 0;
    char* base_;
};

}  // namespace livemove
