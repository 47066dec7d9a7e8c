"""Targets: what ships is sound and sourced, what a user writes is checked with a message that helps."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from pinat_compile.errors import TargetError
from pinat_compile.hardware import names
from pinat_compile.hardware.checks import kinds
from pinat_compile.hardware.loader import dump_target, is_verified, list_targets, load_target
from pinat_compile.hardware.schema import Target

SMALL = """
schema = 1
name = "small"
technology = "crossbar"
title = "A small chip"
[array]
rows = 16
cols = 8
source = "a data sheet"
[cell]
bits = 2
g_min_us = 1.0
g_max_us = 10
sources = { g_max_us = "another data sheet" }
[weights]
scheme = "differential"
bits = 4
[dac]
bits = 8
[adc]
bits = 8
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "chip.toml"
    path.write_text(text, encoding="utf-8")
    return path


def values(target: Target) -> dict[str, Any]:
    """``section.key`` -> value, of everything that is not None."""
    found = {}
    for name, cls in names.sections().items():
        section = getattr(target, name)
        for key in kinds(names.plain(cls)) if section is not None else ():
            if getattr(section, key) is not None:
                found[f"{name}.{key}"] = getattr(section, key)
    return found


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float, tuple)) and not isinstance(value, bool)


# --- shipped targets ---


def test_shipped_targets() -> None:
    assert {"ideal_128x128", "isaac", "reram_128x128"} <= set(list_targets())


@pytest.mark.parametrize("name", list_targets())
def test_shipped_target_is_sourced(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    for key, value in values(target).items():
        assert target.sources[key] != names.UNSOURCED, key
        if is_number(value) and key != "dac.step_bits":
            assert target.sources[key] != names.DEFAULT, f"{key}: write the number and its source"


@pytest.mark.parametrize("name", list_targets())
@pytest.mark.parametrize("overrides", [[], ["mapping.adc_share=0.5", "stuck=none"]])
def test_dump_loads_back_to_an_equal_target(name: str, overrides: list[str], tmp_path: Path) -> None:
    target = load_target(name, overrides)
    assert load_target(written(tmp_path, dump_target(target))) == target
    assert dump_target(load_target(written(tmp_path, dump_target(target)))) == dump_target(target)


def test_ideal_quantises_nothing_and_adds_no_noise() -> None:
    ideal = load_target("ideal_128x128")
    assert {ideal.device.cell.bits, ideal.weights.bits, ideal.dac.bits, ideal.adc.bits} == {None}
    assert ideal.device.perfect and ideal.column is None


def test_reram_is_a_pair_of_four_bit_cells_per_weight() -> None:
    reram = load_target("reram_128x128")
    assert (reram.slices, reram.cells_per_weight, reram.dac.steps) == (1, 2, 1)
    cell = reram.device.cell
    assert (cell.g_min_us, cell.g_max_us, cell.bits, reram.weights.bits) == (1.0, 40.0, 4, 5)
    assert reram.programming is not None and reram.programming.times_s == (1.0, 86400.0, 172800.0)


def test_isaac_is_eight_two_bit_cells_and_sixteen_steps() -> None:
    isaac = load_target("isaac")
    assert (isaac.slices, isaac.cells_per_weight, isaac.dac.steps) == (8, 8, 16)
    assert isaac.weights.flip and isaac.adc.bits == 8


def test_isaac_array_takes_the_energy_of_table_1() -> None:
    """Shafiee et al., ISCA 2016, Table I: 0.3 mW per array, a 100 ns step; the read pulse is fitted to it."""
    isaac = load_target("isaac")
    assert isaac.energy is not None and isaac.energy.read_voltage_v and isaac.energy.read_pulse_ns
    mid_range_s = 0.5e-6 * (isaac.device.cell.g_min_us + isaac.device.cell.g_max_us)
    per_device = 0.5 * isaac.energy.read_voltage_v**2 * mid_range_s * isaac.energy.read_pulse_ns * 1e-9
    assert 128 * 128 * per_device == pytest.approx(0.3e-3 * 100e-9, rel=2e-3)


# --- sources ---


def test_sources_of_a_user_file(tmp_path: Path) -> None:
    target = load_target(written(tmp_path, SMALL), ["adc.bits=6"])
    assert target.sources["array.rows"] == "a data sheet"
    assert target.sources["cell.g_max_us"] == "another data sheet"
    assert target.sources["cell.bits"] == names.UNSOURCED
    assert target.sources["dac.step_bits"] == names.DEFAULT
    assert target.sources["adc.bits"] == names.OVERRIDDEN
    assert set(target.sources) == set(values(target))
    assert load_target(written(tmp_path, dump_target(target))) == target


@pytest.mark.parametrize(
    ("source", "verified"),
    [
        ("Shafiee et al., ISCA 2016, Table I", True),
        ("assumption: as in a text book", False),
        ("Li et al. 2018: 99.8 %; assumption: half each way", False),
        ("Horowitz 2014, from memory", False),
        (names.UNSOURCED, False),
        (names.OVERRIDDEN, False),
    ],
)
def test_what_counts_as_verified(source: str, verified: bool) -> None:
    assert is_verified(source) is verified


def test_odd_strings_survive_a_dump(tmp_path: Path) -> None:
    text = SMALL.replace("A small chip", 'quote \\" backslash \\\\ tab \\t delete \\u007f µS \\U0001F600')
    target = load_target(written(tmp_path, text))
    assert load_target(written(tmp_path, dump_target(target))) == target


# --- overrides ---


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("adc.bits=6", "adc.bits", 6),
        (" adc.bits = 6 ", "adc.bits", 6),
        ("adc.range=full", "adc.range", "full"),
        ('adc.range="full"', "adc.range", "full"),
        ("cell.g_max_us=50", "cell.g_max_us", 50.0),
        ("mapping.per_column=false", "mapping.per_column", False),
        ("mapping.clip_rms=none", "mapping.clip_rms", None),
        ("programming.times_s=[1.0, 10.0, 100]", "programming.times_s", (1.0, 10.0, 100.0)),
    ],
)
def test_override(override: str, key: str, value: Any) -> None:
    target = load_target("reram_128x128", [override])
    section, _, name = key.partition(".")
    assert getattr(getattr(target, section), name) == value
    assert target.sources.get(key) == (None if value is None else names.OVERRIDDEN)


def test_override_takes_a_section_out_or_brings_one_in() -> None:
    assert load_target("reram_128x128", ["read_noise=none"]).read_noise is None
    noisy = load_target("isaac", {"stuck.at_g_min": 0.01, "mapping": None}).stuck
    assert noisy is not None and noisy.at_g_min == 0.01


def test_overrides_apply_together() -> None:
    """weights.bits and cell.bits may only be left out together; the order of the two must not matter."""
    target = load_target("reram_128x128", ["weights.bits=none", "cell.bits=none"])
    assert target.device.cell.bits is None and target.weights.bits is None


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("adc.bits", "not of the form section.key=value", "--set adc.bits=6"),
        ("adc=8", "a section cannot take a value", "--set adc.KEY=8"),
        ("adc.bits=8 bits", "'8 bits' is not a TOML value", "try 8"),
        ('adc.bits=8\nrows = 1', "is not a TOML value", "try 8"),
        ("adx.bits=8", "unknown section 'adx'", "did you mean adc?"),
        ("adc.bit=8", "unknown key adc.bit", "did you mean bits?"),
        ("cell.g_max_ms=8", "unknown key cell.g_max_ms", "did you mean g_max_us? it is in µS"),
        ("adc.bits=99", "adc.bits = 99: must be a whole number, 1 to 32", "the nearest allowed value is 32"),
        ("adc.bits=7.5", "adc.bits = 7.5: must be a whole number, 1 to 32", None),
        ("adc.bits=true", "adc.bits = true: must be a whole number", None),
        ("adc.range=fulll", 'adc.range = "fulll": must be one of "full", "calibrated"', 'did you mean "full"?'),
        ("programming=none", None, None),
        ("array=none", "section [array] is missing", "[array] needs rows, cols"),
        ("cell.g_max_us=none", "cell.g_max_us is missing", "[cell] needs"),
        ("cell.g_min_us=50", "cell.g_min_us = 50.0: must lie below cell.g_max_us = 40.0", None),
        ("cell.g_max_us=inf", "cell.g_max_us = inf: must be a number, more than 0", None),
        ("weights.bits=none", "weights and cells are quantised together", "leave both out"),
        ("array.cols=1", "one weight needs 2 cells side by side, more than array.cols = 1", "raise cell.bits"),
        ("dac.step_bits=9", "only bit-serial inputs have steps", 'set dac.encoding = "bit_serial"'),
        ("adc.bits=none", 'adc.range = "calibrated": there is no converter to calibrate', "set adc.bits"),
        ("weights.two_sided=1", "must be true or false", None),
        ("weights.scheme=ofset", 'one of "differential", "bias", "offset"', 'did you mean "offset"'),
        ("amplifier.saturation=0", "must be a number, 0.1 to 1000", "nearest allowed value is 0.1"),
        ("circuit_noise.bandwidth_hz=1e9", "circuit_noise.full_scale_v is missing", "full_scale_v"),
        ("adc.noise=1", "unknown key adc.noise", "noise_lsb"),
        ("stuck.at_g_max=1.0", "together with stuck.at_g_min = 0.001 it must not exceed 1", None),
        ("mapping.adc_share=0", "must be a number, more than 0 and at most 10", None),
        ("energy.read_pulse_ns=none", "the array's energy needs energy.read_pulse_ns", "set energy.read_pulse_ns"),
        ("programming.times_s=[1.0]", "must hold one list for each of the 1 times_s", None),
        ("programming.times_s=[1.0, 1.0, 2.0]", "each later than the one before", None),
        ("programming.coefficients=[[1.0], [1.0, 2.0], [1.0]]", "all lists must have the same length", "zeros"),
        ("programming.coefficients=[[1.0, -2.0], [1.0, 0], [1, 0]]", "sigma is -0.02 µS, below 0, at g = 0.51", "c0"),
        ("programming.coefficients=[1.0]", "must be a list of lists of numbers", None),
    ],
)
def test_override_messages(override: str, message: str | None, hint: str | None) -> None:
    if message is None:
        load_target("reram_128x128", [override])
        return
    with pytest.raises(TargetError) as caught:
        load_target("reram_128x128", [override])
    assert message in caught.value.message
    assert "--set" in caught.value.message
    assert "\n" not in caught.value.message.replace(override, "")
    if hint is not None:
        assert caught.value.hint is not None and hint in caught.value.hint


def test_overrides_must_be_a_list() -> None:
    with pytest.raises(TargetError, match="must be a list of strings"):
        load_target("reram_128x128", "adc.bits=8")


# --- a user's file ---


def test_user_file_works_like_a_shipped_one(tmp_path: Path) -> None:
    target = load_target(written(tmp_path, SMALL))
    assert (target.name, target.cells_per_weight, target.device.cell.g_max_us) == ("small", 4, 10.0)
    assert load_target(str(written(tmp_path, SMALL))) == target


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("schema = 1\n", "", "schema is missing", "schema = 1"),
        ("schema = 1", "schema = 2", "schema = 2 is not known", "this version reads schema = 1"),
        ('name = "small"', "", "name must be given", 'name = "my_chip"'),
        ('technology = "crossbar"', 'technology = "photonic"', 'must be one of "crossbar", "mzi_mesh"', None),
        ("[adc]\nbits = 8", "", "section [adc] is missing", "[adc]"),
        ("[array]", "[arrays]", "unknown section 'arrays'", "did you mean array?"),
        ("rows = 16", "row = 16", "unknown key array.row", "did you mean rows?"),
        ("rows = 16", 'rows = "16"', 'array.rows = "16": must be a whole number', "without quotes"),
        ("g_min_us = 1.0", 'g_min_us = "1 uS"', "must be a number, 0 or more", "the unit stands in the key (us)"),
        ("rows = 16\n", "", "array.rows is missing", "[array] needs rows, cols"),
        ("rows = 16", "rows = 0", "array.rows = 0: must be a whole number, 1 to 65536", "nearest allowed value is 1"),
        ("g_min_us = 1.0", "g_min_us = -1.0", "must be a number, 0 or more", "nearest allowed value is 0"),
        ("bits = 4", "bits = 1", "needs a sign and a magnitude", "weights.bits = 2"),
        ("bits = 4", "bits = 4\nflip = true", "only the bias scheme has complemented columns", "bias"),
        ("[dac]\nbits = 8", '[dac]\nencoding = "bit_serial"', "bit-serial inputs need dac.bits", "dac.bits = 8"),
        ("[adc]\nbits = 8", '[adc]\nrange = "calibrated"', "no converter to calibrate", "adc.bits = 8"),
        ('source = "a data sheet"', "source = 3", "array.source must be a string", None),
        ("sources = { g_max_us", "sources = { g_mx_us", "has no such key", "did you mean g_max_us?"),
        ("[array]", "array = 3\n[arrax]", "array is a section", "[array]"),
        ("rows = 16", "rows = = 16", "not TOML", "quotes"),
    ],
)
def test_file_messages(tmp_path: Path, old: str, new: str, message: str, hint: str | None) -> None:
    assert old in SMALL
    path = written(tmp_path, SMALL.replace(old, new, 1))
    with pytest.raises(TargetError) as caught:
        load_target(path)
    assert caught.value.message.startswith(str(path))
    assert message in caught.value.message
    if hint is not None:
        assert caught.value.hint is not None and hint in caught.value.hint


def test_a_mistake_of_the_file_is_not_blamed_on_the_override(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL.replace("rows = 16", "rows = 0"))
    with pytest.raises(TargetError) as caught:
        load_target(path, ["adc.bits=6"])
    assert "--set" not in caught.value.message


def test_unknown_name_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="unknown target 'reram_128'") as caught:
        load_target("reram_128")
    assert caught.value.hint is not None and "did you mean reram_128x128?" in caught.value.hint
    for missing in (tmp_path / "none.toml", str(tmp_path / "none"), "none.toml"):
        with pytest.raises(TargetError, match="no such file"):
            load_target(missing)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TargetError, match="not a text file"):
        load_target(tmp_path / "binary.toml")
    with pytest.raises(TargetError, match=str(tmp_path)):
        load_target(tmp_path)


def test_keys_that_may_be_none_default_to_none() -> None:
    """TOML has no null: only so does leaving a key out, or dumping a None, mean the same as None."""
    for name, cls in names.sections().items():
        for key, kind in kinds(names.plain(cls)).items():
            if kind.optional:
                assert cls.__dataclass_fields__[key].default is None, f"{name}.{key}"  # type: ignore[attr-defined]


def test_shipped_files_are_plain_toml() -> None:
    for path in (Path(__file__).parent.parent / "targets").glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# "), "a target opens with a few words on what it is"
        assert tomllib.loads(text)["name"] == path.stem
