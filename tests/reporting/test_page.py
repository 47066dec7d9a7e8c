"""The HTML report: what it says, that it loads nothing, and that names of a network never become markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pinat_compile as pc
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.errors import OptionError
from pinat_compile.reporting.page.entries import ONE_BY_ONE, arcs, entries
from tests.zoo import Array, Builder

EVIL = "<script>alert('x')</script>"


def network(name: str = "conv1") -> object:
    b = Builder("small")
    x = b.relu(b.conv(b.input("x", ["batch", 1, 8, 8]), name, (4, 1, 3, 3)), "relu1")
    return b.model(b.linear(b.node("Flatten", x, name="flatten"), "fc", 144, 10))


def samples(count: int = 24) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.random((count, 1, 8, 8), np.float32), rng.integers(0, 10, count)


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return pc.compile(network(), "reram_128x128", calibration=samples()[0])


@pytest.fixture(scope="module")
def result(compiled: Compiled) -> pc.Evaluation:
    return pc.evaluate(compiled, samples(), chips=2, per_layer=True)


class Page(HTMLParser):
    """Elements with their attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    return document


def test_one_file_says_it_all(tmp_path: Path, compiled: Compiled, result: pc.Evaluation) -> None:
    sweep = pc.sweep(compiled, samples(), ["severity=0,1"], chips=1)
    path = pc.report(compiled, tmp_path / "report.html", results=[result, sweep])
    text = path.read_text("utf-8")
    page = Page(text)
    assert len(text) < 2_000_000
    for tag, attributes in page.elements:  # nothing is loaded from anywhere
        for key in ("src", "href", "srcset", "data", "action"):
            assert (attributes.get(key) or "#").startswith(("#", "data:")), (tag, attributes)
    said = " ".join(page.text)
    document = json.loads(json.dumps(compiled_document(compiled)))
    for wanted in ("Does it fit?", "What does it cost?", "What accuracy on 2 chips?", "What next?", "Floor plan",
                   "Layers that hurt", "Where the figures come from"):  # fmt: skip
        assert wanted in said
    assert f"{document['totals']['arrays']} of 16,128 arrays" in said
    assert f"{100 * result.mean:.1f} %" in said
    for _, source in compiled.target.sources.items():
        assert source.split()[0] in text


def compiled_document(compiled: Compiled) -> object:
    from pinat_compile.compiler.summary import report_document

    return report_document(compiled)


def test_tiles_and_histograms_add_up(tmp_path: Path, compiled: Compiled) -> None:
    """The weights of the histograms are all weights; the packed energies are those of the report's tiles."""
    import base64

    from pinat_compile.compiler.summary import tiles

    held = data_of(pc.report(compiled, tmp_path / "report.html").read_text("utf-8"))
    matrices = compiled.graph.matrices
    for name, spread in held["spreads"][0].items():
        assert sum(spread["weights"]) == matrices[name].weights
        assert sum(spread["conductances"]) == 2 * matrices[name].weights  # pairs of devices, one slice
    energy = np.frombuffer(base64.b64decode(held["tiles"]["energy"]), "<f4")
    used = np.frombuffer(base64.b64decode(held["tiles"]["used"]), "<f4")
    found = list(tiles(compiled))
    np.testing.assert_allclose(np.nansum(energy), sum(tile["energy_j"] for tile in found), rtol=1e-5)
    np.testing.assert_allclose(used.sum(), sum(tile["utilisation"] for tile in found), rtol=1e-5)


def test_names_never_become_markup(tmp_path: Path) -> None:
    compiled = pc.compile(network(EVIL), "reram_128x128", calibration=samples()[0])
    text = pc.report(compiled, tmp_path / "report.html").read_text("utf-8")
    assert EVIL not in text
    assert data_of(text)["entries"][0]["name"] == EVIL
    assert sum(tag == "script" for tag, _ in Page(text).elements) == 4


def test_a_result_of_another_network_is_refused(tmp_path: Path, compiled: Compiled) -> None:
    other = {"schema": "pinat-sweep/1", "model": "vgg", "target": "isaac", "points": []}
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(OptionError, match="measured on vgg on isaac, the report is of small on reram_128x128"):
        pc.report(compiled, tmp_path / "report.html", results=[tmp_path / "other.json"])
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(OptionError, match="not a result"):
        pc.report(compiled, tmp_path / "report.html", results=[tmp_path / "other.json"])
    with pytest.raises(OptionError, match="int is no result"):
        pc.report(compiled, tmp_path / "report.html", results=[3])
    assert not (tmp_path / "report.html").exists()


def layers(count: int) -> list[dict[str, str]]:
    return [{"name": f"n{i}", "op": "Conv" if i % 4 == 0 else "Relu", "where": "analog" if i % 4 == 0 else "digital"}
            for i in range(count)]  # fmt: skip


def test_long_networks_add_digital_operators_up() -> None:
    assert len(entries(layers(ONE_BY_ONE))) == ONE_BY_ONE
    found = entries(layers(400))
    assert len(found) == 200 and sum(len(entry.layers) for entry in found) == 400
    assert found[1].name == "n1 and 2 more" and not found[1].analog and found[0].analog
    edges = [(f"n{i}", f"n{i + 1}") for i in range(399)] + [("n0", "n8"), ("n1", "n3"), ("n0", "elsewhere")]
    assert arcs(found, edges) == sorted({(i, i + 1) for i in range(199)} | {(0, 4)})
