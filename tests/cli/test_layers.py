"""Layers as they are typed: what each text means, what is wrong with it in one line, and back to the same text."""

from __future__ import annotations

from pathlib import Path

import pytest

from livemove.bundle import load_bundle
from livemove.cli.layers import (
    ASIDE,
    beyond_reach,
    dancers_of,
    for_dancers,
    mapped,
    only_model,
    read_layers,
    written_layers,
)
from livemove.cli.models import model_name, stacks_of_presets
from livemove.contracts import BundleError, ControlError, Controls, LivemoveError
from livemove.control.presets import Preset, set_list
from livemove.controls import MAX_LAYERS
from livemove.synthesis.synthesis_config import Layer, levels
from tests.support.bundles import random_bundle, small_spec


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    one, two = (random_bundle(folder / name, small_spec(name), seed).path for seed, name in enumerate(("one", "two")))
    return one, two


def nothing(line: str) -> None:
    pytest.fail(f"nothing was to be said, not {line}")


def test_a_name_alone_is_one_layer(models: tuple[Path, Path]) -> None:
    assert read_layers(str(models[0]), nothing) == (Layer(models[0]),)


def test_each_option_means_what_it_says(models: tuple[Path, Path]) -> None:
    one, two = models
    text = f"{one}:gain=-6,pan=-0.5+{two}:octave=-1,transpose=7,mapping=my.toml+{one}:note=A2+{one}:note=61.5"
    assert read_layers(text, nothing) == (
        Layer(one, gain_db=-6.0, pan=-0.5),
        Layer(two, Path("my.toml"), transpose=-5.0),
        Layer(one, note=45.0),
        Layer(one, note=61.5),
    )


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("pan=2", "pan=2: 2.0 is outside -1..1"), ("gain=loud", "gain=loud: 'loud' is not a number"),
        ("gain=nan", "not a finite number"), ("octave=9", "outside -4..4"), ("transpose=99", "outside -48..48"),
        ("note=H2", "'H2' is not a number"), ("note=G99", "not a number"), ("volume=3", "there is no such option"),
        ("pan", "no such option"),
    ],
)  # fmt: skip
def test_what_cannot_be_names_the_layer_and_the_option(options: str, why: str, models: tuple[Path, Path]) -> None:
    text = f"{models[0]}:{options}+{models[1]}" if "=" in options else f"{models[0]}:x={options}+{models[1]}"
    with pytest.raises(ControlError) as refusal:
        read_layers(text, nothing)
    assert why in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "layer" in str(refusal.value)


def test_five_at_once_are_too_many(models: tuple[Path, Path]) -> None:
    text = "+".join([str(models[0])] * (MAX_LAYERS + 1))
    with pytest.raises(ControlError, match="5 layers; 4 at most"):
        read_layers(text, nothing)


def test_a_layer_that_is_missing_is_said_and_the_rest_plays(models: tuple[Path, Path]) -> None:
    told: list[str] = []
    assert read_layers(f"nowhere+{models[1]}:pan=1", told.append) == (Layer(models[1], pan=1.0),)
    (line,) = told
    assert "nowhere" in line
    assert "the rest plays" in line
    with pytest.raises(BundleError, match="nowhere"):
        read_layers("nowhere+elsewhere", told.append)


def test_a_layer_whose_model_is_damaged_is_left_out_too(models: tuple[Path, Path], tmp_path: Path) -> None:
    torn = random_bundle(tmp_path / "torn", small_spec("torn")).path
    (torn / "weights.safetensors").write_bytes(b"")
    told: list[str] = []
    assert read_layers(f"{models[0]}+{torn}", told.append) == (Layer(models[0]),)
    assert "weights.safetensors" in told[0]


def test_a_folder_with_a_plus_in_its_name_is_one_layer(tmp_path: Path) -> None:
    folder = random_bundle(tmp_path / "this+that", small_spec()).path
    assert read_layers(str(folder), nothing) == (Layer(folder),)


def test_what_is_written_is_read_as_the_same(models: tuple[Path, Path], tmp_path: Path) -> None:
    first = f"{models[0]}:gain=-6,pan=-0.5,mapping={tmp_path / 'm.toml'}"
    layers = read_layers(f"{first}+{models[1]}:transpose=7+{models[1]}:note=C3", nothing)
    text = written_layers(layers, Controls(**levels(layers)), model_name)
    assert read_layers(text, nothing) == layers
    moved = Controls(gains=(1.0, 0.5, 1.0, 1.0), pans=(0.0, 0.25, 0.0, 0.0))
    again = read_layers(written_layers(layers, moved, model_name), nothing)
    assert again[1].gain_db == pytest.approx(-6.02)
    assert (again[0].pan, again[1].pan) == (0.0, 0.25)
    with pytest.raises(ControlError, match=r"a,b\.toml"):
        written_layers((Layer(models[0], tmp_path / "a,b.toml"),), Controls(), model_name)


def test_mappings_go_to_the_layers_that_they_are_for(models: tuple[Path, Path]) -> None:
    text = f"{models[0]}+{models[1]}:mapping=own.toml+{models[0]}"
    found = mapped(read_layers(text, nothing, Path("typed.toml")), nothing)
    assert [layer.mapping for layer in found] == [Path("typed.toml"), Path("own.toml"), None]


def test_a_chord_is_a_layer_for_each_note_together_as_loud_as_one(models: tuple[Path, Path]) -> None:
    one, two = models
    found = read_layers(f"{one}:chord=0/4/7,transpose=-2,gain=-6,pan=0.5+{two}", nothing, Path("typed.toml"))
    assert [layer.transpose for layer in found] == [-2.0, 2.0, 5.0, 0.0]
    assert [layer.pan for layer in found] == [0.5, 0.5, 0.5, 0.0]
    assert [layer.mapping for layer in found] == [Path("typed.toml")] * 3 + [None]
    assert sum(layer.gain**2 for layer in found[:3]) == pytest.approx(10 ** (-6 / 10))
    assert found[3] == Layer(two)
    assert read_layers(f"{one}:chord=0", nothing) == (Layer(one),)


def test_a_note_with_its_name_in_a_chord_is_a_drone_that_nothing_transposes(models: tuple[Path, Path]) -> None:
    found = read_layers(f"{models[0]}:octave=-1,chord=0/-5.5/C4,dancer=2", nothing)
    assert [(layer.transpose, layer.note, layer.dancer) for layer in found] == [
        (-12.0, None, 1), (-17.5, None, 1), (0.0, 60.0, 1)
    ]  # fmt: skip
    assert read_layers(written_layers(found, Controls(**levels(found)), str), nothing)[2].note == 60.0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("chord=0/4/x", "chord=0/4/x: 'x' is not a number"), ("chord=", "'' is not a number"),
        ("chord=0//7", "'' is not a number"), ("chord=0/60", "outside -48..48"),
        ("chord=0/7,note=C3", "note and chord: the note of a drone goes into the chord"),
        ("chord=0/3/7/10/14", "5 layers; 4 at most play at once, and each note of a chord is one"),
    ],
)  # fmt: skip
def test_what_is_no_chord_is_one_line(options: str, why: str, models: tuple[Path, Path]) -> None:
    with pytest.raises(ControlError) as refusal:
        read_layers(f"{models[0]}:{options}", nothing)
    assert why in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_a_layer_cannot_reach_is_one_line(models: tuple[Path, Path]) -> None:
    """The small model plays from A3 to A5, all of which its mapping uses."""
    layers = read_layers(f"{models[0]}+{models[0]}:transpose=7+{models[1]}:note=C2+{models[1]}:transpose=-3", nothing)
    lines = beyond_reach(layers)
    assert lines == [
        "layer 2, one: the highest 7 semitones of its range stay at A5, the highest note it can play",
        "layer 3, two: it stays at A3, the lowest note it can play",
        "layer 4, two: the lowest 3 semitones of its range stay at A3, the lowest note it can play",
    ]


def test_where_one_model_is_wanted_layers_are_refused(models: tuple[Path, Path]) -> None:
    assert only_model(str(models[0])) == models[0]
    with pytest.raises(ControlError, match="these are layers; calibrate one"):
        only_model(f"{models[0]}+{models[1]}")


def test_transposing_what_has_no_pitch_is_said() -> None:
    (line,) = beyond_reach(read_layers("bodydrum:transpose=5", nothing))
    assert line == "layer 1, bodydrum: it has no pitch, so transpose, octave and note change nothing"


def test_presets_name_layers_too(models: tuple[Path, Path], tmp_path: Path) -> None:
    """A mapping of a layer lies beside the preset; presets that differ in gain and pan share what is loaded."""
    one, two = models
    texts = {
        "both": f"{one}:pan=-1+{two}:gain=-6,mapping=maps/my.toml",
        "near": f"{one}:pan=0.5+{two}:mapping=maps/my.toml",
        "alone": str(one),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.toml").write_text(f"model = '{text}'\n")
    presets = set_list([str(tmp_path / f"{name}.toml") for name in texts])
    stacks, controls = stacks_of_presets(presets, nothing)
    assert stacks == [(Layer(one), Layer(two, tmp_path / "maps" / "my.toml")), (Layer(one),)]
    assert [each.model for each in controls] == [0, 0, 1]
    assert controls[0].pans[:2] == (-1.0, 0.0)
    assert controls[0].gains[1] == pytest.approx(10 ** (-6 / 20))
    assert controls[1].pans[:2] == (0.5, 0.0)
    assert controls[2] == Controls(model=1)
    with pytest.raises(LivemoveError, match=r"preset wrong: layer .* pan=7"):
        stacks_of_presets([Preset("wrong", model=f"{one}:pan=7")], nothing)


def test_a_layer_may_be_the_second_dancers(models: tuple[Path, Path]) -> None:
    one, two = models
    layers = read_layers(f"{one}+{two}:dancer=2,gain=-3", nothing)
    assert [(layer.dancer, layer.gain_db) for layer in layers] == [(0, 0.0), (1, -3.0)]
    assert dancers_of([layers], 1) == 2
    assert [layer.pan for layer in for_dancers(layers, 2)] == [-ASIDE, ASIDE]
    placed = read_layers(f"{one}:pan=0.1+{two}:dancer=2", nothing)
    assert for_dancers(placed, 2) == placed
    written = written_layers(layers, Controls(**levels(layers)), str)
    assert read_layers(written, nothing) == layers
    with pytest.raises(ControlError, match=r"dancer=3: 3\.0 is outside 1\.\.2"):
        read_layers(f"{one}:dancer=3", nothing)


def test_two_dancers_play_the_same_where_nothing_else_is_said(models: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = models
    layers = for_dancers(read_layers(f"{one}+{two}", nothing), 2)
    assert [(layer.model, layer.dancer) for layer in layers] == [(one, 0), (two, 0), (one, 1), (two, 1)]
    assert for_dancers(read_layers(str(one), nothing), 1) == (Layer(one),)
    with pytest.raises(ControlError, match="3 layers for each of two are 6"):
        for_dancers(read_layers(f"{one}+{two}+{one}", nothing), 2)
    shared = tmp_path / "duet.toml"
    shared.write_text(
        "\n".join(
            f'[channels.{channel.name}]\nsource = "dancer2.crouch"\nfrom = [0, 1]\n'
            for channel in load_bundle(one).spec.channels
        )
    )
    alone = read_layers(f"{one}:mapping={shared}", nothing)
    assert for_dancers(alone, 2) == alone, "one voice that both play"


def test_a_preset_says_what_the_second_dancer_plays(models: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = models
    preset = tmp_path / "duo.toml"
    preset.write_text(
        f'model = "{one.as_posix()}"\n[dancer.2]\nmodel = "{two.as_posix()}"\nmapping = "second.toml"\npan = 0.6\n'
    )
    ((first, second),), (controls,) = stacks_of_presets(set_list([str(preset)]), nothing)
    assert (first.model, first.dancer) == (one, 0)
    assert (second.model, second.dancer, second.mapping) == (two, 1, tmp_path / "second.toml")
    assert controls.pans[:2] == (0.0, 0.6)
    for text, complaint in (
        ("[dancer.3]\n", "expected a table [dancer.2]"),
        ("[dancer.2]\nmodle = 'x'\n", "unknown entry 'dancer.2.modle'; did you mean model?"),
        ("[dancer.2]\npan = 2\n", "dancer.2.pan: 2 is outside -1..1"),
        ("[dancer.2]\nmodel = 'a+b'\n", "is no single model"),
    ):
        preset.write_text(text)
        with pytest.raises(ControlError) as refusal:
            set_list([str(preset)])
        assert complaint in str(refusal.value)
        assert "\n" not in str(refusal.value)
