"""The fault matrix: every fault that is injected, and what must come of it.

In: nothing. Out: ROWS. How each is done to a performance stands in injections.py; how it is judged, in judging.py.
"""

from __future__ import annotations

import signal

from tests.faults import injections as do
from tests.faults.judging import Row, both, ends, goes_on, holds, pose_back, says, silent_within, sound_back

ENGINE_S, PLAYBACK_S, SERVER_S, CAMERA_S = 0.4, 0.7, 1.0, 2.0
"""What an audience is asked to bear: without the engine, without the process that plays, after the sound server came
back, after the camera came back."""
START_S = 1.0
"""An engine without a spare: its process starts anew, and loads its models."""
FADE_S, PANIC_S = 0.010, 0.035
"""A panic's fade, from the beginning of its block; and all of it, with the message's way and two blocks."""
RESTARTED_S = 8.0
"""Until a capture process that was ended sees again: MediaPipe's networks are loaded by then on a busy machine."""

PROCESSES = (
    Row("nothing", "none: the control of this table", "no silence, nothing else to hear",
        do.nothing, goes_on(), watch_s=4.0),
    Row("engine killed", "SIGKILL to synthesis", f"faded silence of {ENGINE_S} s at most",
        do.signals("synthesis", signal.SIGKILL), sound_back(ENGINE_S), watch_s=6.0),
    Row("engine frozen", "SIGSTOP to synthesis", f"faded silence of {ENGINE_S} s at most",
        do.signals("synthesis", signal.SIGSTOP), sound_back(ENGINE_S), watch_s=9.0),
    Row("engine killed three times", "SIGKILL to synthesis, again as soon as it plays: the next spare is not ready yet",
        f"{START_S} s at most, each time", do.engine_killed_again, goes_on(START_S), watch_s=6.0),
    Row("playback killed", "SIGKILL to playback", f"sound {PLAYBACK_S} s after the cut",
        do.signals("playback", signal.SIGKILL), sound_back(PLAYBACK_S), watch_s=4.0, cuts=True, server_suffers=True),
    Row("playback frozen", "SIGSTOP to playback", "sound again by itself",
        do.signals("playback", signal.SIGSTOP), sound_back(RESTARTED_S), watch_s=10.0, cuts=True, server_suffers=True),
    Row("capture killed", "SIGKILL to capture", "the sound never stops; poses again",
        do.signals("capture", signal.SIGKILL), pose_back(RESTARTED_S), camera="network"),
    Row("capture frozen", "SIGSTOP to capture", "the sound never stops; poses again",
        do.signals("capture", signal.SIGSTOP), pose_back(RESTARTED_S + 5.0), camera="network", watch_s=10.0),
    Row("control killed", "SIGKILL to the process of OSC and MIDI", "the sound never stops; OSC is heard again",
        do.signals("control", signal.SIGKILL), goes_on(), mend=do.obeys, mend_after_s=3.0),
    Row("control frozen", "SIGSTOP to it", "the same", do.signals("control", signal.SIGSTOP), goes_on(),
        mend=do.obeys, mend_after_s=8.0),
    Row("window killed", "SIGKILL to the window", "the sound never stops",
        do.signals("monitor", signal.SIGKILL), goes_on(), options=("--monitor",), watch_s=4.0),
    Row("window frozen", "SIGSTOP to the window", "the sound never stops",
        do.signals("monitor", signal.SIGSTOP), goes_on(), options=("--monitor",), watch_s=7.0),
    Row("all but playback killed", "SIGKILL to capture, synthesis, control", "plays and obeys again",
        do.all_but_playback_killed, sound_back(ENGINE_S), mend=do.obeys, mend_after_s=6.0),
    Row("supervisor killed", "SIGKILL to the supervisor", "fades; nobody and nothing is left after 2 s",
        do.ended_by(signal.SIGKILL), ends(2.0), watch_s=0.0, code=None),
    Row("everybody killed", "SIGKILL to the whole process group", "the cut, and nothing else; the next start is clean",
        do.everybody_killed, holds("something is left", do.next_start_is_clean), watch_s=0.0, code=None, cuts=True),
    Row("supervisor frozen", "SIGSTOP to the supervisor for 3 s", "the sound never stops",
        do.signals("supervisor", signal.SIGSTOP), goes_on(), mend=do.signals("supervisor", signal.SIGCONT),
        mend_after_s=3.0),
    Row("laptop asleep", "SIGSTOP to every process, 4 s; the sound server goes on", f"sound {SERVER_S} s after waking",
        do.everybody(signal.SIGSTOP), sound_back(SERVER_S, after_mend=True), mend=do.everybody(signal.SIGCONT),
        mend_after_s=4.0, watch_s=5.0, server_suffers=True),
)  # fmt: skip

ENDINGS = (
    Row("Ctrl-C", "SIGINT to the whole group", "fades, ends, leaves nothing", do.group_interrupted, ends(3.0),
        watch_s=0.0),
    Row("kill", "SIGTERM to the supervisor", "the same", do.ended_by(signal.SIGTERM), ends(3.0), watch_s=0.0),
    Row("terminal closed", "SIGHUP to the supervisor", "the same", do.ended_by(signal.SIGHUP), ends(3.0), watch_s=0.0),
    Row("panic", "/livemove/panic by OSC", "silent 10 ms after the block that begins next",
        do.panic_by_osc, silent_within(FADE_S, PANIC_S)),
    Row("panic alone", "the window's panic; supervisor frozen, capture and control dead", "the same",
        do.panic_alone, silent_within(FADE_S, PANIC_S), mend=do.signals("supervisor", signal.SIGCONT)),
    Row("panic in a flood", "/livemove/panic among 20,000 messages a second", "the same, 50 ms later at most",
        do.panic_in_a_flood, silent_within(FADE_S, PANIC_S + 0.05)),
)  # fmt: skip

SOUND = (
    Row("JACK killed", "SIGKILL to jackd; another one 2 s later", f"sound {SERVER_S} s after it is back",
        do.server_killed, sound_back(SERVER_S, after_mend=True), mend=do.server_back, watch_s=6.0, server_suffers=True),
    Row("JACK frozen", "SIGSTOP to jackd for 3 s", f"sound {SERVER_S} s after it goes on",
        do.server_signal(signal.SIGSTOP), sound_back(SERVER_S, after_mend=True),
        mend=do.server_signal(signal.SIGCONT), mend_after_s=3.0, watch_s=6.0, server_suffers=True, cuts=True),
    Row("PulseAudio killed", "SIGKILL to pulseaudio; another one 2 s later", f"sound {SERVER_S} s after it is back",
        do.server_killed, sound_back(SERVER_S, after_mend=True), mend=do.server_back, watch_s=6.0, server="pulse"),
    Row("PulseAudio frozen", "SIGSTOP to pulseaudio for 3 s", f"sound {SERVER_S} s after it goes on",
        do.server_signal(signal.SIGSTOP), sound_back(SERVER_S, after_mend=True),
        mend=do.server_signal(signal.SIGCONT), mend_after_s=3.0, watch_s=6.0, server="pulse"),
    Row("audio device unplugged", "PulseAudio's only sink unloaded; back 2 s later",
        f"sound {SERVER_S} s after it is back", do.sink_unloaded, sound_back(SERVER_S, after_mend=True),
        mend=do.sink_loaded, watch_s=6.0, server="pulse"),
)  # fmt: skip

CAMERAS = (
    Row("camera stalls", "connected, sends nothing for 3 s", f"the sound never stops; pose {CAMERA_S} s after",
        do.camera("stall"), pose_back(CAMERA_S), mend=do.camera("play"), mend_after_s=3.0, camera="network"),
    Row("camera freezes", "the same image for 3 s", "the same",
        do.camera("freeze"), pose_back(CAMERA_S), mend=do.camera("play"), mend_after_s=3.0, camera="network"),
    Row("camera unplugged", "hangs up and refuses for 3 s", "the same",
        do.camera("drop"), pose_back(CAMERA_S), mend=do.camera("play"), mend_after_s=3.0, camera="network"),
    Row("camera unplugged long", "hangs up and refuses for 10 s", "the same",
        do.camera("drop"), pose_back(CAMERA_S), mend=do.camera("play"), mend_after_s=10.0, camera="network"),
    Row("camera damaged", "images whose middle is noise for 3 s", "the same",
        do.camera("damaged"), pose_back(CAMERA_S), mend=do.camera("play"), mend_after_s=3.0, camera="network"),
    Row("camera black", "black images for 3 s", "the same",
        do.camera_black, pose_back(CAMERA_S), mend=do.camera_as_before, mend_after_s=3.0, camera="network"),
    Row("camera slow", "one image a second for 4 s", "the same",
        do.camera_slow, pose_back(CAMERA_S), mend=do.camera_as_before, mend_after_s=4.0, camera="network"),
    Row("camera of another size", "images of a quarter of the size from now on", "the same",
        do.camera_small, pose_back(CAMERA_S), camera="network"),
    Row("video cut short", "of the video that plays a fortieth is left", "the sound never stops",
        do.video_cut_short, goes_on(), files=do.a_video, options=("--loop",)),
    Row("video deleted", "the video that plays is deleted", "the same",
        do.video_deleted, goes_on(), files=do.a_video, options=("--loop",)),
)  # fmt: skip

RESOURCES = (
    Row("disk full", "-o and the disk has room for half a second more", "the sound never stops; one line",
        do.disk_full, both(goes_on(), says("is no longer written"), holds("not readable", do.wav_readable)),
        options=("-o", "played.wav"), watch_s=3.0),
    Row("disk full in a take", "--record, the same", "the sound never stops; one line; the take can be read",
        do.disk_full, both(goes_on(), says("is no longer written"), holds("not readable", do.takes_readable)),
        options=("--record", "--takes", "takes"), watch_s=3.0),
    Row("recording deleted", "the file of -o is deleted", "the sound never stops",
        do.deleted("played.wav"), goes_on(), options=("-o", "played.wav")),
    Row("takes deleted", "the folder of the take that is recorded is deleted", "the sound never stops; it ends well",
        do.deleted("takes"), goes_on(), options=("--record", "--takes", "takes")),
    Row("no memory for capture", "RLIMIT_AS at what capture has", "the sound never stops; poses again",
        do.no_memory("capture"), pose_back(RESTARTED_S), camera="network", watch_s=4.0),
    Row("no memory for the engine", "RLIMIT_AS at what synthesis has", "the sound never stops",
        do.no_memory("synthesis"), goes_on(), watch_s=4.0),
    Row("no files left", "RLIMIT_NOFILE at what the supervisor has, then capture is killed",
        "the sound never stops; it goes on when there is room", do.no_files, goes_on(), mend=do.files_again,
        mend_after_s=3.0, watch_s=4.0),
    Row("busy machine", "a busy process on every core, and one more, for 3 s", "sound 0.4 s after it at the latest",
        do.busy, sound_back(ENGINE_S, after_mend=True), mend=do.nothing, mend_after_s=3.2),
    Row("model deleted", "the model's folder is gone and the engine killed; back 2 s later", "sound 3 s after",
        do.model_deleted, sound_back(3.0, after_mend=True), mend=do.model_back, files=do.a_model, watch_s=6.0),
    Row("mapping broken", "mapping.toml spoilt and read again", "the sound never stops; one line",
        do.mapping_broken, both(goes_on(), says("the mapping in use stays"))),
    Row("temporary folder gone", "$TMPDIR deleted, then capture is killed", "the sound never stops; it goes on",
        do.temporary_gone, goes_on(), mend=do.captures, mend_after_s=1.0),
)  # fmt: skip

NUMBERS = (
    Row("OSC flood", "20,000 messages a second for 3 s", "the sound never stops; the last is obeyed",
        do.flood, goes_on(), mend=do.obeys, mend_after_s=3.2),
    Row("OSC bad numbers", "nan, inf, 1e308, texts, blobs, torn packets to every address", "the sound never stops",
        do.bad_numbers, goes_on(), mend=do.obeys, mend_after_s=1.0),
    Row("MIDI flood", "3,000 messages a second for 3 s", "the sound never stops; OSC is obeyed",
        do.midi_flood, goes_on(), prepare=do.keyboard, options=("--midi", "keyboard"), mend=do.obeys, mend_after_s=3.5),
    Row("MIDI keyboard gone", "the port disappears", "the sound never stops; OSC is obeyed",
        do.keyboard_gone, goes_on(), prepare=do.keyboard, options=("--midi", "keyboard"), mend=do.obeys),
    Row("nan from the engine", "nan and inf in the ring", f"sound {ENGINE_S} s after, counted",
        do.nan_in_the_ring, both(sound_back(ENGINE_S), holds("not counted", do.counted_nonfinite)), watch_s=7.0),
    Row("nan in shared memory", "gain and temperature nan, then inf, past every gate", "the sound never stops",
        do.nan_in_controls, goes_on(), watch_s=2.0),
)  # fmt: skip

ROWS = (*PROCESSES, *ENDINGS, *SOUND, *CAMERAS, *RESOURCES, *NUMBERS)
