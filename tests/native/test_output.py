"""The output callback, driven without a device: the very code PortAudio calls."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from livemove.contracts import Controls, Float32
from livemove.ipc.segment import BIN_MS, RING_CAPACITY, Segment, now_s, percentile_ms
from livemove.native._realtime import LIMITER_DELAY, Output

RATE = 48000.0
BLOCK = 512
FADE = 480  # 10 ms
DELAY = LIMITER_DELAY


def sine(samples: int, level: float = 0.5, hz: float = 441.0) -> Float32:
    return (level * np.sin(2 * np.pi * hz / RATE * np.arange(samples))).astype(np.float32)


def play(output: Output, blocks: int) -> Float32:
    """float32 [blocks * BLOCK]: the first channel."""
    return np.concatenate([output.render(BLOCK)[:, 0] for _ in range(blocks)])


def biggest_step(x: Float32) -> float:
    return float(np.abs(np.diff(x, prepend=np.float32(0))).max())


STEP = 0.5 * 2 * np.pi * 441 / RATE
"""The steepest a sine of level 0.5 gets, per sample; a 10 ms fade adds at most 0.5 * pi / 2 / FADE."""


def test_sound_below_the_limiters_ceiling_comes_through_unchanged(segment: Segment) -> None:
    """Longer than the ring, so that it wraps: not a sample lost, doubled or out of place."""
    output = Output(segment.bytes, RATE, 1, 0.0)
    x = sine(3 * RING_CAPACITY, 0.84, 1000.0)
    y = np.empty_like(x)
    for at in range(0, len(x), BLOCK):
        assert segment.ring.write(x[at : at + BLOCK])
        y[at : at + BLOCK] = output.render(BLOCK)[:, 0]
    assert (
        np.abs(y[DELAY:] - x[:-DELAY])[FADE + 9600 :].max() < 0.006
    )  # the DC block at 5 Hz turns 1 kHz by 0.3 degrees
    assert segment.playback.limiter_hits == 0
    assert segment.playback.underruns == 0


def test_all_channels_carry_the_same(segment: Segment) -> None:
    output = Output(segment.bytes, RATE, 5, 0.0)
    segment.ring.write(sine(BLOCK))
    out = output.render(BLOCK)
    assert out.shape == (BLOCK, 5)
    assert out.any()
    np.testing.assert_array_equal(out, np.repeat(out[:, :1], 5, axis=1))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hnp.arrays(
        np.float32, st.integers(1, 4 * BLOCK), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)
    ),
    st.floats(0, 16),
)
def test_nothing_the_engine_does_leaves_the_range(segment: Segment, samples: Float32, gain: float) -> None:
    output = Output(segment.bytes, RATE, 1, 0.0)
    segment.controls.write(Controls(gain=gain))
    segment.ring.write(samples)
    y = play(output, 8)
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= 0.891


def test_a_constant_is_taken_out(segment: Segment) -> None:
    output = Output(segment.bytes, RATE, 1, 0.0)
    segment.ring.write(np.full(int(RATE), 0.5, np.float32))
    assert abs(play(output, int(RATE) // BLOCK)[-1]) < 1e-3


def test_sound_starts_with_a_fade_at_the_rings_target(segment: Segment) -> None:
    output = Output(segment.bytes, RATE, 1, 0.0)
    segment.ring.set_pace(RATE, BLOCK)
    segment.ring.wait_due(2.5 * BLOCK / RATE, 0.0)  # sets the target: three blocks
    segment.ring.write(sine(2 * BLOCK))
    assert not play(output, 3).any()
    segment.ring.write(sine(2 * BLOCK))
    y = play(output, 2)
    assert y.any()
    assert biggest_step(y) < STEP + 0.5 * np.pi / 2 / FADE
    assert segment.playback.underruns == 0


def test_starvation_fades_is_counted_and_ends(segment: Segment) -> None:
    output = Output(segment.bytes, RATE, 1, 0.0)
    x = sine(20 * BLOCK)
    segment.ring.write(x[: 4 * BLOCK + 100])  # runs dry inside a block, at full swing
    y = play(output, 8)
    assert not y[-BLOCK:].any() or np.abs(y[-BLOCK:]).max() < 1e-2  # what the DC block still lets go
    assert segment.playback.underruns == 1
    assert segment.playback.underrun_samples == 4 * BLOCK - 100
    segment.ring.write(x[: 6 * BLOCK])
    y = np.concatenate([y, play(output, 6)])
    assert np.abs(y[-BLOCK:]).max() > 0.45
    assert biggest_step(y) < STEP + 0.5 * np.pi / 2 / FADE + 1e-3
    assert segment.playback.underruns == 1


def test_a_block_boundary_starvation_fades_too(segment: Segment) -> None:
    """Nothing told the callback, when it played the last block, that there would be no next one."""
    output = Output(segment.bytes, RATE, 1, 0.0)
    segment.ring.write(sine(4 * BLOCK))
    assert biggest_step(play(output, 8)) < STEP + 0.5 * np.pi / 2 / FADE + 1e-3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_fade_and_are_counted(segment: Segment, bad: float) -> None:
    output = Output(segment.bytes, RATE, 1, 0.0)
    x = sine(20 * BLOCK)
    x[5 * BLOCK + 77 : 5 * BLOCK + 107] = bad
    segment.ring.write(x)
    y = play(output, 16)
    assert segment.playback.nonfinite_samples == 30
    assert segment.playback.underruns == 0
    assert np.abs(y[-2 * BLOCK :]).max() > 0.45
    # The phase jumps by what was dropped, under a fade: no step but the sine's own and the fade's.
    assert biggest_step(y) < STEP + 0.5 * np.pi / 2 / FADE + 1e-3


def test_stop_fades_and_says_so(segment: Segment) -> None:
    output = Output(segment.bytes, RATE, 1, 0.0)
    segment.ring.write(sine(10 * BLOCK))
    y = play(output, 4)
    assert not output.faded
    output.stop()
    while not output.faded:
        y = np.concatenate([y, play(output, 1)])
        assert len(y) < RATE
    assert abs(y[-1]) < 1e-4, "the stream may be closed now: what is cut off must not be heard"
    assert biggest_step(y) < STEP + 0.5 * np.pi / 2 / FADE + 1e-3
    assert segment.playback.underruns == 0


def test_mute_and_gain_move_without_a_click(segment: Segment) -> None:
    output = Output(segment.bytes, RATE, 1, 0.0)
    segment.ring.write(sine(20 * BLOCK))
    y = play(output, 4)
    segment.controls.write(Controls(mute=True))
    y = np.concatenate([y, play(output, 8)])
    assert np.abs(y[-BLOCK:]).max() < 1e-2
    segment.controls.write(Controls(gain=1.5))
    y = np.concatenate([y, play(output, 8)])
    assert np.abs(y[-BLOCK:]).max() > 0.7
    assert biggest_step(y) < 1.5 * STEP + 0.5 / FADE + 1e-2


def test_latency_is_dac_time_less_capture_time_of_every_hop(segment: Segment) -> None:
    output = Output(segment.bytes, RATE, 1, 0.0)
    began = now_s()
    for _ in range(2):
        segment.ring.mark(segment.ring.written, began - 0.050)
        segment.ring.write(sine(256))
    segment.ring.mark(segment.ring.written, np.nan)  # no pose: no latency
    segment.ring.write(sine(256))
    output.render(3 * 256, delay_s=0.020)
    took_ms = (now_s() - began) * 1e3
    histogram = segment.playback.latency_histogram
    assert histogram.sum() == 2
    low, high = percentile_ms(histogram, 0.0), percentile_ms(histogram, 1.0)
    assert low is not None
    assert high is not None
    late_ms = 70.0 + 1e3 * DELAY / RATE
    assert late_ms <= low <= late_ms + BIN_MS + took_ms
    assert abs(high - low - 256 / RATE * 1e3) <= 0.5
    assert abs(segment.playback.latency_max_ms - high) <= 0.25


def test_the_first_audible_sample_has_its_dac_time(segment: Segment) -> None:
    output = Output(segment.bytes, RATE, 1, 0.0)
    segment.ring.write(np.concatenate([np.zeros(BLOCK, np.float32), sine(4 * BLOCK)]))
    output.render(BLOCK, delay_s=0.5)
    assert segment.playback.first_sound_s == 0.0
    before = now_s()
    output.render(BLOCK, delay_s=0.5)
    assert before + 0.5 < segment.playback.first_sound_s < now_s() + 0.5 + BLOCK / RATE


def test_underflow_flags_and_late_callbacks_are_counted_apart(segment: Segment) -> None:
    output = Output(segment.bytes, RATE, 1, 0.0)
    output.render(BLOCK, flags=4)
    assert (segment.playback.portaudio_underflows, segment.playback.late_callbacks) == (1, 0)
    time.sleep(0.1)
    output.render(BLOCK)
    assert (segment.playback.portaudio_underflows, segment.playback.late_callbacks) == (1, 1)


def test_the_tap_is_what_was_played(segment: Segment) -> None:
    output = Output(segment.bytes, RATE, 2, 0.0)
    segment.ring.write(sine(6 * BLOCK, 1.2))
    y = play(output, 8)
    tapped = np.empty(8 * BLOCK, np.float32)
    assert segment.tap.written == len(tapped)
    assert segment.tap.read(0, tapped)
    np.testing.assert_array_equal(tapped, y)


def test_a_tap_reader_that_slept_too_long_is_told(segment: Segment) -> None:
    output = Output(segment.bytes, RATE, 1, 0.0)
    play(output, 2 * 131072 // BLOCK)
    assert not segment.tap.read(0, np.empty(BLOCK, np.float32))


def test_a_new_playback_does_not_play_what_went_stale(segment: Segment) -> None:
    segment.ring.write(sine(4 * BLOCK))
    output = Output(segment.bytes, RATE, 1, 0.0)
    assert segment.ring.fill == 0
    assert not play(output, 2).any()


# --- allocates nothing, locks nothing, calls nothing -----------------------------------------------------------------

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static __thread int armed;
static __thread long seen;
extern void *__libc_malloc(size_t); extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t); extern void __libc_free(void *);
void *malloc(size_t n) { seen += armed; return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { seen += armed; return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { seen += armed; return __libc_realloc(p, n); }
void free(void *p) { seen += armed; __libc_free(p); }
int pthread_mutex_lock(pthread_mutex_t *m) {
    static int (*real)(pthread_mutex_t *);
    seen += armed;
    if (!real) real = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_lock");
    return real(m);
}

typedef int (*callback)(const void *, void *, unsigned long, const void *, unsigned long, void *);
static double stream_time[3] = {0.0, 1.0, 1.02};

/* Calls of the allocator or of mutexes during n callbacks. */
long count(callback f, void *user, float *out, unsigned long frames, int n) {
    seen = 0;
    armed = 1;
    for (int i = 0; i < n; ++i) f(NULL, out, frames, stream_time, 4, user);
    armed = 0;
    return seen;
}

/* n callbacks where every system call but exit is death; the wait status of the process that made them. Not seccomp's
   strict mode: that forbids reading the time stamp counter too. */
int jailed(callback f, void *user, float *out, unsigned long frames, int n, int misbehave) {
    pid_t pid = fork();
    if (pid == 0) {
        struct sock_filter rules[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        };
        struct sock_fprog program = {4, rules};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) syscall(SYS_exit, 2);
        for (int i = 0; i < n; ++i) f(NULL, out, frames, stream_time, 4, user);
        if (misbehave) getppid();
        syscall(SYS_exit, 0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}
"""

DRIVER = """
import ctypes, json, sys
import numpy as np
from livemove.ipc.segment import Segment
from livemove.native._realtime import LIMITER_DELAY, Output

shim = ctypes.CDLL(sys.argv[1])
shim.count.restype = ctypes.c_long
segment = Segment.create()
output = Output(segment.bytes, 48000.0, 2, 0.01)
out = np.zeros(2 * 512, np.float32)
arguments = [ctypes.c_void_p(output.callback_address), ctypes.c_void_p(output.userdata_address),
             out.ctypes.data_as(ctypes.c_void_p), ctypes.c_ulong(512)]
x = np.sin(np.arange(40 * 512) * 0.1).astype(np.float32) * 1.5   # limiter
x[7000:7100] = np.nan                                            # non-finite guard

def fill():
    for at in range(0, len(x), 256):
        segment.ring.mark(segment.ring.written, 1.0)
        segment.ring.write(x[at:at + 256])

fill()
calls = shim.count(*arguments, 60)                               # runs dry: starvation and silence too
output.stop()
calls += shim.count(*arguments, 5)
output = Output(segment.bytes, 48000.0, 2, 0.01)
arguments[1] = ctypes.c_void_p(output.userdata_address)
fill()
status = shim.jailed(*arguments, 60, 0)
control = shim.jailed(*arguments, 1, 1)
played = segment.playback
seen = played.underruns, played.nonfinite_samples > 0, played.limiter_hits > 0
print(json.dumps([calls, status, control, *seen]))
del output
segment.close()
segment.unlink()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp and symbol interposition are Linux's")
def test_the_callback_allocates_nothing_locks_nothing_and_makes_no_system_call(tmp_path: Path) -> None:
    """Through start, limiter, NaN, starvation, silence and stop. The jail is shown to work by a call that must not."""
    source, library = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(library)],
        env={"LD_PRELOAD": str(library), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    calls, status, control, starvations, nonfinite, hits = json.loads(done.stdout)
    assert (starvations, nonfinite, hits) == (2, True, True)  # it did go through all of it
    assert calls == 0
    assert status == 0
    assert control != 0


def test_the_callback_is_a_plain_c_function(segment: Segment) -> None:
    """As PortAudio calls it: by address, with a time that says nothing; then the stream's own latency counts."""
    output = Output(segment.bytes, RATE, 1, 0.123)
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p
    )
    out = np.ones(BLOCK, np.float32)
    assert kind(output.callback_address)(None, out.ctypes.data, BLOCK, None, 0, output.userdata_address) == 0
    assert not out.any()
    assert segment.playback.output_latency_s == 0.123
