// Delay and reverb without Python, for processors that are emulated. In: hops of stereo, float32, from stdin. Out: to stdout,
// what came of them.
#include <cstdio>

#include "effects/delay.hpp"
#include "effects/reverb.hpp"

int main() {
    using namespace livemove::effects;
    Delay delay(48000.0);
    Reverb reverb(48000.0);
    static float block[2 * kHop];
    while (std::fread(block, sizeof block, 1, stdin) == 1) {
        delay.process(block, 0.5f, 0.1f, 0.5f);
        reverb.process(block, 0.5f, 1.5f, 0.5f);
        std::fwrite(block, sizeof block, 1, stdout);
    }
}
