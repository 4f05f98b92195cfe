// A bare JACK client: is called once a period, plays silence, and writes down when; on request also what it hears.
//
// In: argv[1], where its calls go (rows of four float64: when called and how late after the period began, in seconds of
// CLOCK_MONOTONIC; xruns so far; frames), and argv[2], where the sound of PortAudio's first channel goes (float32), if
// wanted. Ends with SIGTERM, its parent or the server (exit code 3). It does nothing that could be late by itself: when it
// is late, so is everything on this machine.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

// What of <jack/jack.h> and <jack/ringbuffer.h> is used: the library is everywhere JACK is, the headers are not.
typedef struct jack_client jack_client_t;
typedef struct jack_port jack_port_t;
typedef struct ring jack_ringbuffer_t;
typedef uint32_t jack_nframes_t;
enum { JackNoStartServer = 1, JackPortIsInput = 1, JackPortIsOutput = 2 };
jack_client_t *jack_client_open(const char *name, int options, int *status, ...);
int jack_client_close(jack_client_t *client);
int jack_activate(jack_client_t *client);
int jack_set_process_callback(jack_client_t *client, int (*call)(jack_nframes_t, void *), void *with);
int jack_set_xrun_callback(jack_client_t *client, int (*call)(void *), void *with);
void jack_on_shutdown(jack_client_t *client, void (*call)(void *), void *with);
jack_port_t *jack_port_register(jack_client_t *client, const char *name, const char *type, unsigned long flags,
                                unsigned long size);
void *jack_port_get_buffer(jack_port_t *port, jack_nframes_t frames);
const char *jack_port_name(const jack_port_t *port);
int jack_port_connected_to(const jack_port_t *port, const char *name);
const char **jack_get_ports(jack_client_t *client, const char *name, const char *type, unsigned long flags);
int jack_connect(jack_client_t *client, const char *from, const char *to);
void jack_free(void *memory);
uint64_t jack_get_time(void);
int jack_get_cycle_times(const jack_client_t *client, jack_nframes_t *frames, uint64_t *began_us, uint64_t *next_us,
                         float *period_us);
jack_ringbuffer_t *jack_ringbuffer_create(size_t bytes);
int jack_ringbuffer_mlock(jack_ringbuffer_t *ring);
size_t jack_ringbuffer_write(jack_ringbuffer_t *ring, const char *from, size_t bytes);
size_t jack_ringbuffer_read(jack_ringbuffer_t *ring, char *to, size_t bytes);

#define AUDIO "32 bit float mono audio"

static jack_client_t *client;
static jack_port_t *heard, *silence;
static jack_ringbuffer_t *calls, *sound;
static _Atomic unsigned xruns;
static volatile sig_atomic_t over;
static _Atomic int server_gone;

static int call(jack_nframes_t frames, void *unused) {
    (void)unused;
    jack_nframes_t at = 0;
    uint64_t began_us = 0, next_us = 0;
    float period_us = 0.0f;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);  // JACK's own clock may be another: some builds have the one NTP does not steer
    uint64_t now_us = jack_get_time();
    jack_get_cycle_times(client, &at, &began_us, &next_us, &period_us);
    double called_s = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    double row[4] = {called_s, 1e-6 * ((double)now_us - (double)began_us), (double)xruns, (double)frames};
    jack_ringbuffer_write(calls, (const char *)row, sizeof row);
    memset(jack_port_get_buffer(silence, frames), 0, frames * sizeof(float));
    if (sound)
        jack_ringbuffer_write(sound, jack_port_get_buffer(heard, frames), frames * sizeof(float));
    return 0;
}

static int xrun(void *unused) {
    (void)unused;
    xruns++;
    return 0;
}

static void gone(void *unused) {
    (void)unused;
    server_gone = 1;
}

static void end(int number) {
    (void)number;
    over = 1;
}

static void empty(jack_ringbuffer_t *ring, FILE *file) {
    static char piece[1 << 16];
    for (size_t count; (count = jack_ringbuffer_read(ring, piece, sizeof piece)) > 0;)
        fwrite(piece, 1, count, file);
    fflush(file);
}

// Whoever plays is heard, also who comes later: a playback process that was started again has new ports.
static void connect_all(void) {
    const char **ports = jack_get_ports(client, "^PortAudio.*:out_0$", AUDIO, JackPortIsOutput);
    for (const char **port = ports; port && *port; port++)
        if (!jack_port_connected_to(heard, *port))
            jack_connect(client, *port, jack_port_name(heard));
    jack_free(ports);
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGTERM, end);
    signal(SIGINT, end);
    FILE *calls_file = fopen(argv[1], "wb"), *sound_file = argc > 2 ? fopen(argv[2], "wb") : NULL;
    if (!calls_file || (argc > 2 && !sound_file)) {
        fprintf(stderr, "cannot write: %s\n", strerror(errno));
        return 2;
    }
    int status = 0;
    client = jack_client_open("control", JackNoStartServer, &status);
    if (!client) {
        fprintf(stderr, "no JACK server (status %d)\n", status);
        return 2;
    }
    calls = jack_ringbuffer_create(1 << 18);
    jack_ringbuffer_mlock(calls);
    if (sound_file) {
        sound = jack_ringbuffer_create(1 << 22);
        jack_ringbuffer_mlock(sound);
    }
    heard = jack_port_register(client, "in", AUDIO, JackPortIsInput, 0);
    silence = jack_port_register(client, "out", AUDIO, JackPortIsOutput, 0);
    jack_set_process_callback(client, call, NULL);
    jack_set_xrun_callback(client, xrun, NULL);
    jack_on_shutdown(client, gone, NULL);
    if (!heard || !silence || jack_activate(client)) {
        fprintf(stderr, "JACK takes no client\n");
        return 2;
    }
    jack_connect(client, jack_port_name(silence), "system:playback_1");
    puts("listening");
    fflush(stdout);
    while (!over && !server_gone) {
        if (sound)
            connect_all();
        empty(calls, calls_file);
        if (sound)
            empty(sound, sound_file);
        poll(NULL, 0, 5);
    }
    empty(calls, calls_file);
    if (sound)
        empty(sound, sound_file);
    fclose(calls_file);
    if (sound_file)
        fclose(sound_file);
    _Exit(server_gone ? 3 : 0);  // closing a client whose server has died can hang
}
