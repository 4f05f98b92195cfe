"""Presets: what is kept comes back, every mistake in one is a clear line, and a show is played by them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner

from livemove import cli
from livemove.body.notes import SCALES
from livemove.bundle import find_bundle
from livemove.cli.models import stacks_of_presets
from livemove.contracts import BundleError, ControlError, Controls
from livemove.control.control_config import ControlConfig
from livemove.control.presets import Devices, Preset, describe, from_controls, preset_files, save_preset, set_list
from livemove.control.styles import read_styles
from livemove.control.user_files import presets_folder, write_whole
from livemove.session import perform as session_perform
from livemove.session.perform import PresetDevices
from livemove.synthesis.synthesis_config import Layer
from tests.support.bundles import random_bundle, small_spec
from tests.support.osc import free_port, packet, send
from tests.support.real_time import in_real_time, timed
from tests.support.sessions import perform


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("livemove.control.user_files.config_folder", lambda: tmp_path / "config")
    presets_folder().mkdir(parents=True)
    return presets_folder()


EVERYTHING = Preset(
    name="soft",
    model="theremin",
    style="1",
    gain=0.5,
    temperature=0.75,
    octave=-1,
    scale="blues",
    root="F#",
    look_ahead_ms=40.0,
    muted=True,
    reverb=0.25,
    reverb_decay_s=3.5,
    reverb_damping=0.75,
    delay=0.125,
    delay_time_ms=333.0,
    delay_beats=0.75,
    delay_feedback=0.5,
    tempo=96.0,
    loop_level=0.5,
    loop_quantize=2.0,
    devices=Devices(camera="1", mirror=True, device='U"SB', block=256, samplerate=44100, osc="9000", midi="nano"),
)


def test_what_is_kept_comes_back() -> None:
    save_preset(EVERYTHING)
    assert set_list(["soft"]) == [EVERYTHING]


def test_what_is_not_said_is_as_it_always_is(folder: Path) -> None:
    (folder / "plain.toml").write_text("")
    assert set_list(["plain"]) == [Preset("plain")]


def test_controls_become_a_preset_that_gives_the_same_controls() -> None:
    controls = Controls(
        gain=0.5, temperature=1.25, style=2, octave=1, scale=3, root=12, look_ahead_s=0.02, reverb=0.5,
        delay_beats=0.5, tempo=100.0,
    )  # fmt: skip
    preset = from_controls("x", "theremin", None, controls, Devices())
    assert preset.controls(0, 2) == controls
    assert preset.scale == list(SCALES)[2]


def test_a_preset_keeps_a_blend_by_the_names_of_the_styles() -> None:
    names = ("cello", "flute", "tuba")
    controls = Controls(style=1, styles=(0.25, 0.75, 0.0))
    save_preset(from_controls("morph", "ensemble", None, controls, Devices(), names))
    kept = set_list(["morph"])[0]
    assert kept.style == "cello=0.25,flute=0.75"
    assert kept.controls(0, *read_styles(kept.style, names)) == controls
    single = from_controls("one", "ensemble", None, Controls(style=2), Devices(), names)
    assert single.style == "tuba"


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("flute", ("cello", "flute"), (1, ())),
        ("1", ("cello", "flute"), (1, ())),
        ("flute=2, cello=6", ("cello", "flute"), (0, (0.75, 0.25))),
        ("0=1,1=0", ("cello", "flute"), (0, (1.0, 0.0))),
        ("0", (), (0, ())),
    ],
)
def test_styles_are_written_as_a_name_a_number_or_a_blend(text: str, names: tuple[str, ...], expected: object) -> None:
    assert read_styles(text, names) == expected


@pytest.mark.parametrize(
    ("text", "names", "said"),
    [
        ("oboe", ("cello", "flute"), "no style 'oboe'; there are cello, flute"),
        ("oboe=1", ("cello", "flute"), "no style 'oboe'"),
        ("cello=-1,flute=1", ("cello", "flute"), "from 0 on"),
        ("cello=nan", ("cello", "flute"), "finite"),
        ("cello=inf", ("cello", "flute"), "finite"),
        ("cello=x", ("cello", "flute"), "not a number"),
        ("cello=0,flute=0", ("cello", "flute"), "above 0"),
        ("cello=1,cello=1", ("cello", "flute"), "twice"),
        ("cello=1", (), "no styles"),
        ("cello", (), "no styles"),
        ("0=1", tuple(map(str, range(9))), "one of its 9 styles"),
    ],
)
def test_weights_that_are_none_are_one_clear_line(text: str, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(ControlError, match=said):
        read_styles(text, names)


def test_the_one_before_stays_as_a_backup_and_nothing_else_is_left(folder: Path) -> None:
    save_preset(EVERYTHING)
    save_preset(dataclasses.replace(EVERYTHING, gain=0.25))
    assert set_list(["soft"])[0].gain == 0.25
    assert set_list([str(folder / "soft.toml")])[0].gain == 0.25
    (folder / "old.toml").write_text((folder / "soft.toml.bak").read_text())
    assert set_list(["old"])[0].gain == 0.5
    assert {path.name for path in folder.iterdir()} == {"soft.toml", "soft.toml.bak", "old.toml"}


def test_a_save_that_fails_leaves_what_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_preset(EVERYTHING)
    before = (folder / "soft.toml").read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("livemove.control.user_files.os.fsync", full)
    with pytest.raises(ControlError, match=r"soft\.toml: cannot be written: No space left"):
        save_preset(dataclasses.replace(EVERYTHING, gain=0.25))
    assert (folder / "soft.toml").read_text() == before
    assert [path.name for path in folder.iterdir()] == ["soft.toml"]


def test_a_new_file_is_written_where_no_folder_was(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b.toml", "x = 1\n")
    assert (tmp_path / "a" / "b.toml").read_text() == "x = 1\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gian = 1", "unknown entry 'gian'; did you mean gain?"),
        ("[devices]\ncamra = '0'", "unknown entry 'devices.camra'; did you mean camera?"),
        ("gain = 'loud'", "gain: 'loud' is not a number"),
        ("gain = 11", "gain: 11 is outside 0..10"),
        ("gain = nan", "gain: nan is not a finite number"),
        ("octave = 1.5", "octave: 1.5 is not a whole number"),
        ("octave = true", "octave: True is not a whole number"),
        ("muted = 1", "muted: 1 is not true or false"),
        ("scale = 'bluse'", "unknown scale 'bluse'; did you mean blues?"),
        ("loop_quantize = 3", "loop_quantize: 3 is none of 0, 1, 2 and 4 beats"),
        ("root = 'H'", "root: unknown note 'H'"),
        ("devices = 1", "devices: expected a table"),
        ("name = 'x'", "unknown entry 'name'"),
        ("gain = ", "cannot be read"),
        ("presets = []", "presets: expected names"),
        ("presets = ['soft']\ngain = 1", "no other, not 'gain'"),
        ("presets = ['nobody']", "no preset 'nobody'"),
        ("presets = ['wrong']", "a set list cannot be in a set list"),
    ],
)
def test_a_mistake_is_one_clear_line_that_names_the_file(text: str, problem: str, folder: Path) -> None:
    (folder / "wrong.toml").write_text(text)
    with pytest.raises(ControlError) as error:
        set_list(["wrong"])
    assert problem in str(error.value)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value) or "cannot be read" in problem


def test_a_preset_that_is_not_there_is_named_with_those_that_are() -> None:
    save_preset(EVERYTHING)
    with pytest.raises(ControlError, match=r"no preset 'sofd'.*there are: soft"):
        set_list(["sofd"])


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ControlError, match="no name for a preset"):
        save_preset(dataclasses.replace(EVERYTHING, name=name))


def test_a_set_list_stands_for_its_presets_and_the_list_says_what_is_wrong(folder: Path) -> None:
    for name in ("soft", "loud"):
        save_preset(dataclasses.replace(EVERYTHING, name=name))
    (folder / "show.toml").write_text('presets = ["loud", "soft", "loud"]')
    (folder / "wrong.toml").write_text("gian = 1")
    assert [preset.name for preset in set_list(["show", "soft"])] == ["loud", "soft", "loud", "soft"]
    listed = {each["name"]: (each["plays"], bool(each["error"])) for each in map(describe, preset_files())}
    assert listed == {
        "loud": ("theremin", False), "show": ("loud → soft → loud", False), "soft": ("theremin", False),
        "wrong": (None, True),
    }  # fmt: skip


def test_a_mapping_is_looked_for_beside_its_preset(folder: Path) -> None:
    (folder / "mine.toml").write_text('mapping = "maps/my.toml"')
    assert set_list(["mine"])[0].mapping == str(folder / "maps" / "my.toml")


def test_a_tilde_that_names_nobody_is_part_of_the_name(folder: Path) -> None:
    (folder / "mine.toml").write_text('mapping = "~nobody-here/my.toml"')
    assert set_list(["mine"])[0].mapping == str(folder / "~nobody-here" / "my.toml")
    (folder / "mine.toml").write_text('mapping = "~/my.toml"')
    assert set_list(["mine"])[0].mapping == str(Path.home() / "my.toml")
    with pytest.raises(BundleError, match="no model folder or name '~nobody-here/cello'"):
        find_bundle("~nobody-here/cello")


def test_presets_that_share_a_model_load_it_once(tmp_path: Path) -> None:
    one, two = (random_bundle(tmp_path / name, small_spec(name)).path for name in ("one", "two"))
    presets = [
        Preset("a", model=str(one)),
        Preset("b", model=str(two), octave=1),
        Preset("c", model=str(one), gain=0.5),
        Preset("d", model=str(one), mapping="my.toml"),
    ]
    loaded, controls = stacks_of_presets(presets, pytest.fail)
    assert loaded == [(Layer(one),), (Layer(two),), (Layer(one, Path("my.toml")),)]
    assert [each.model for each in controls] == [0, 1, 0, 2]
    with pytest.raises(BundleError, match="tuba"):
        stacks_of_presets([Preset("x", model="tuba")], pytest.fail)


def started(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> session_perform.SessionConfig:
    """What `livemove perform` with these arguments would play."""
    configs: list[session_perform.SessionConfig] = []

    def run_session(config: session_perform.SessionConfig, *_: object) -> session_perform.Report:
        configs.append(config)
        raise ControlError("that is all")

    monkeypatch.setattr(session_perform, "run_session", run_session)
    done = CliRunner().invoke(cli.main, ["perform", "--no-monitor", *arguments])
    assert configs, done.output
    return configs[0]


def test_what_is_typed_is_plugged_in_whatever_the_presets_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = str(random_bundle(tmp_path / "small", small_spec()).path)
    for name, devices in (("one", Devices(camera="demo", device="usb")), ("two", Devices(camera="3", mirror=True))):
        save_preset(Preset(name, model=model, devices=devices))
    config = started(monkeypatch, "-p", "one", "-p", "two")
    assert (config.capture.camera, config.playback.device) == ("demo", "usb")
    assert config.preset_devices == (PresetDevices(camera="demo", device="usb"), PresetDevices(camera="3", mirror=True))
    config = started(monkeypatch, "-p", "one", "-p", "two", "-c", "demo", "-c", "4", "-d", "hdmi", "-d", "jack")
    assert (config.capture.camera, config.cameras) == ("demo", ("4",))
    assert (config.playback.device, config.devices) == ("hdmi", ("hdmi", "jack"))
    assert config.preset_devices == (PresetDevices(), PresetDevices(mirror=True))
    config = started(monkeypatch, "-m", model, "-c", "demo", "-d", "hdmi")
    assert (config.playback.device, config.devices, config.preset_devices) == ("hdmi", (), ())


@pytest.mark.usefixtures("doubles")
@in_real_time
def test_a_show_is_played_by_its_presets(tmp_path: Path) -> None:
    """Two presets, the second asked for by OSC; what it sets is heard by everybody and told once."""
    models = [random_bundle(tmp_path / name, small_spec(name)).path for name in ("one", "two")]
    loaded, controls = stacks_of_presets(
        [Preset("soft", model=str(models[0])), Preset("loud", model=str(models[1]), gain=0.5, octave=1)], pytest.fail
    )
    port = free_port()
    report, seen = perform(
        models[0],
        {0.5 + n / 5: lambda _: send(port, packet("/livemove/preset", "loud")) for n in range(3)},
        layers=tuple(loaded), presets=controls, output=tmp_path / "take.wav", play=False, duration_s=2.0, mute=True,
        control=ControlConfig(osc=("127.0.0.1", port), presets=("soft", "loud")),
    )  # fmt: skip
    playing = [status for status in seen if status.phase == "playing"]
    with timed():
        assert playing[0].controls == Controls(mute=True, preset=1)
        assert playing[-1].controls == dataclasses.replace(controls[1], mute=True, preset=2)
    assert [status.notice for status in seen if status.notice] == ["preset: loud"]
    with timed():
        assert sum(report["restarts"].values()) == 0


def test_a_fitted_mapping_is_known_by_where_it_is_kept(tmp_path: Path) -> None:
    from livemove.control.user_files import fitted_file, is_fitted, presets_folder

    assert is_fitted(fitted_file("theremin"))
    assert is_fitted(presets_folder() / "mappings" / "soft.toml")
    assert not is_fitted(tmp_path / "mappings" / "theremin.toml")
