"""Numbers as people read them."""

import pytest

from pinat_compile.reporting import units


@pytest.mark.parametrize(("value", "text"), [
    (2.33e-6, "2.33 µJ"),
    (9.996e-7, "1.00 µJ"),
    (999.4e-9, "999 nJ"),
    (999.6e-9, "1.00 µJ"),
    (1.0, "1.00 J"),
    (12_345.0, "12.3 kJ"),
    (3e-18, "0.00 fJ"),
    (-4.5e-3, "-4.50 mJ"),
    (0.0, "0 J"),
    (None, "–"),
])
def test_engineering(value: float | None, text: str) -> None:
    assert units.engineering(value, "J") == text


def test_others() -> None:
    assert [units.plain(x) for x in (8.0237, 9.996, 99.96, 320.9)] == ["8.02", "10.0", "100", "321"]
    assert [units.count(x) for x in (None, 77418, 0.5)] == ["–", "77,418", "0.50"]
    assert [units.percent(x) for x in (None, 0.448)] == ["–", "44.8 %"]
    assert [units.points(x) for x in (None, 0.113, -0.02)] == ["–", "+11.3", "-2.0"]
    assert [units.decibel(x) for x in (None, 13.86)] == ["–", "13.9 dB"]
    assert [units.duration(x) for x in (None, 1.0, 3600.0, 86400.0 * 30, 90.0, 365.25 * 86400)] == [
        "–", "1 s", "1 h", "30 d", "90 s", "1 y",
    ]


def test_long_names_lose_their_middle() -> None:
    assert units.shortened("conv1", 20) == "conv1"
    short = units.shortened("encoder.layers.11.attention.output.dense", 20)
    assert len(short) == 20 and short.startswith("encode…") and short.endswith("output.dense")
