"""Measurements as files and arrays: what is read, and what is refused by line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pinat_compile.characterization.characterize import characterize
from pinat_compile.characterization.measurements import Measurements, from_arrays, read_measurements
from pinat_compile.errors import DataError, PinatError

HEAD = "g_target_us,g_us,time_s\n"
Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def file(content: str | bytes) -> Path:
        path = tmp_path / "bench.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return file


def test_all_columns_in_any_order_with_byte_order_mark_comments_and_empty_lines(write: Write) -> None:
    data = read_measurements(write(
        "\ufeff# wafer 7\ndevice, G_US ,time_s,g_target_us,temperature_k,wafer\n"
        "a,1.5,1,2,300,7\n\n\"b, c\",2.5e0,10,2,350,7\n# more\na,1.25,10,2,350,7\n"))
    np.testing.assert_array_equal(data.g_us, [1.5, 2.5, 1.25])
    np.testing.assert_array_equal(data.time_s, [1, 10, 10])
    assert data.temperature_k is not None and data.temperature_k.tolist() == [300, 350, 350]
    assert data.names == ("a", "b, c") and data.device is not None and data.device.tolist() == [0, 1, 0]
    assert data.unused == ("wafer",) and data.source == "bench.csv"


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_separators(write: Write, separator: str) -> None:
    data = read_measurements(write((HEAD + "1,2,3\r\n").replace(",", separator)))
    assert (data.g_target_us.tolist(), data.g_us.tolist(), data.time_s.tolist()) == ([1], [2], [3])
    assert data.device is None and data.temperature_k is None


@pytest.mark.parametrize(("content", "message", "hint"), [
    ("", "bench.csv: is empty", "the first line names the columns"),
    ("\n# nothing\n", "bench.csv: is empty", "g_target_us,g_us,time_s"),
    (HEAD, "a header and no measurements", "one line per read"),
    ("target,g_us,time_s\n1,2,3\n", "no column g_target_us; it has target, g_us, time_s", ""),
    ("g_target_ms,g_us,time_s\n1,2,3\n", "no column g_target_us", "rename 'g_target_ms'"),
    ("g_target_us,g_us,time_s,temperature\n1,2,3,4\n", "unknown column 'temperature'", "did you mean temperature_k?"),
    ("g_target_us,g_us,time_s,g_us\n1,2,3,4\n", "two columns are called 'g_us'", "rename or remove"),
    (HEAD + "1,2,3\n1,2\n", "bench.csv, line 3: 2 cells, but the header has 3", ""),
    (HEAD + "1,2,3\n\n1,two,3\n", "line 4: g_us = 'two' is not a number", "decimal point"),
    (HEAD.replace(",", ";") + "1;2,5;3\n", "line 2: g_us = '2,5' is not a number", "decimal point"),
    (HEAD + "1,,3\n", "line 2: g_us is empty", "leave out"),
    (HEAD + "1,2,3\n1,nan,3\n1,nan,3\n", "line 3: g_us = nan is not between", "was not measured"),
    (HEAD + "1,inf,3\n", "line 2: g_us = inf", ""),
    (HEAD + "-1,2,3\n", "line 2: g_target_us = -1 is not between 0", ""),
    (HEAD + "1,2,-3\n", "line 2: time_s = -3 is not between 0", ""),
    (HEAD + "1,1e30,3\n", "line 2: g_us = 1e+30", "unit"),
    ("g_target_us,g_us,time_s,temperature_k\n1,2,3,0\n", "line 2: temperature_k = 0 is not between 1 and", ""),
    ("g_target_us,g_us,time_s,device\n1,2,3,\n", "line 2: device is empty", "leave the column out"),
    (b"\xff\xfeg\x00", "not a text file in UTF-8", "save it"),
    (HEAD + "1," + "2" * 200_000 + ",3\n", "bench.csv", ""),
])  # fmt: skip
def test_what_is_refused(write: Write, content: str | bytes, message: str, hint: str) -> None:
    with pytest.raises(DataError) as caught:
        read_measurements(write(content))
    assert message in caught.value.message and hint in (caught.value.hint or "")
    assert "\n" not in caught.value.message and len(caught.value.message) < 500


def test_files_that_are_none(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "no.csv", "no such file"), (tmp_path, "not a regular file")):
        with pytest.raises(DataError, match=message):
            read_measurements(path)


def test_arrays() -> None:
    columns = {"g_target_us": [1, 2], "g_us": np.array([1.0, 2.0]), "time_s": [0, 1], "device": ["a", "b"]}
    data = from_arrays(columns)
    assert isinstance(data, Measurements) and len(data) == 2 and data.names == ("a", "b")
    for wrong, message in (({"g_us": [1.0]}, "different lengths"), ({"g_us": ["x", "y"]}, "g_us is not all numbers"),
                           ({"g_us": [1.0, np.nan]}, "row 2: g_us = nan")):
        with pytest.raises(DataError, match=message):
            from_arrays(columns | wrong)


def test_too_little_to_determine_anything(write: Write) -> None:
    with pytest.raises(PinatError, match="1 measurements determine nothing: .*30 devices"):
        characterize(write(HEAD + "1,2,1\n"), "reram_128x128")
