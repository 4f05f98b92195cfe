"""The native engine's hot path: nothing allocated, no lock taken, no system call made, whatever the number of hops."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static __thread int armed;
static __thread long seen;
extern void *__libc_malloc(size_t); extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t); extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);
void *malloc(size_t n) { seen += armed; return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { seen += armed; return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { seen += armed; return __libc_realloc(p, n); }
void *aligned_alloc(size_t a, size_t n) { seen += armed; return __libc_memalign(a, n); }
void free(void *p) { seen += armed; __libc_free(p); }
int pthread_mutex_lock(pthread_mutex_t *m) {
    static int (*real)(pthread_mutex_t *);
    seen += armed;
    if (!real) real = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_lock");
    return real(m);
}

void start(void) { seen = 0; armed = 1; }
long stop(void) { armed = 0; return seen; }

/* From here every system call but exit kills the process. Not seccomp's strict mode: it forbids reading time too. */
int jail(void) {
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {4, rules};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
void leave(int status) { syscall(SYS_exit, status); }
"""

DRIVER = """
import ctypes, gc, json, os, sys
import numpy as np
from livemove.contracts import HOP
from livemove.synthesis import architectures
from livemove.synthesis.native import NativeVoices

shim = ctypes.CDLL(sys.argv[1])
shim.stop.restype = ctypes.c_long
spec = getattr(architectures, sys.argv[2])()
voices = int(sys.argv[5])
engine = NativeVoices(
    spec, architectures.random_weights(spec), voices, instruction_set=sys.argv[3], precision=sys.argv[4]
)
how = {"styles": [0] * voices, "temperatures": [1.0] * voices}
rng = np.random.default_rng(0)

def take(hops):
    channels = np.tile(np.array([69, 0.5, 0.5], np.float32), (voices, hops, 1))
    noise = rng.random((voices, hops * spec.steps_per_hop, spec.noise_width), np.float32)
    return np.zeros((voices, hops * HOP), np.float32), channels, noise

def calls(arguments):
    engine.generate(*arguments, **how)
    shim.start()
    engine.generate(*arguments, **how)
    return shim.stop()

few, many = take(1), take(9)
gc.collect()
gc.disable()
counted = calls(few), calls(many)

def outcome(misbehave):
    pid = os.fork()
    if pid == 0:
        engine.generate(*many, **how)
        if shim.jail():
            shim.leave(3)
        engine.generate(*many, **how)
        if misbehave:
            os.getppid()
        shim.leave(0)
    return os.waitpid(pid, 0)[1]

print(json.dumps([*counted, outcome(False), outcome(True)]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp and symbol interposition are Linux's")
@pytest.mark.parametrize(
    ("setting", "instruction_set", "precision", "voices"),
    [
        ("stage", "auto", "fp16", 1),
        ("classic", "auto", "int8", 1),
        ("stage", "portable", "int8", 1),
        ("stage", "auto", "fp16", 5),
        ("stage", "auto", "int8", 3),
    ],
)
def test_hops_allocate_nothing_lock_nothing_and_make_no_system_call(
    tmp_path: Path, setting: str, instruction_set: str, precision: str, voices: int
) -> None:
    """One call from Python costs the same few allocations and locks for 1 hop and for 9, so a hop costs none; and 9
    hops run to their end where any system call kills, which is shown to kill."""
    source, library = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(library), setting, instruction_set, precision, str(voices)],
        env={"LD_PRELOAD": str(library), "PATH": "/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    one_hop, nine_hops, status, control = json.loads(done.stdout)
    assert nine_hops == one_hop
    assert status == 0
    assert control != 0
