"""The report in a browser: no request, no error, nothing wider than the screen; and its parts answer when clicked.

Playwright drives a Chromium that is installed (Debian's package ``chromium``); skipped where there is none.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pinat_compile as pc
from tests.reporting.test_page import EVIL, network, samples

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
playwright = pytest.importorskip("playwright.sync_api")

PATIENCE_MS = 120_000
"""For a machine that does other work too."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two small networks, one with a hostile name, everything measured."""
    folder = tmp_path_factory.mktemp("report")
    compiled = pc.compile(network(EVIL), "reram_128x128", calibration=samples()[0])
    other = pc.compile(network(EVIL), "reram_128x128", calibration=samples()[0], overrides=["adc.bits=6"])
    measured = pc.evaluate(compiled, samples(), chips=2, per_layer=True)
    results = [measured, pc.sweep(compiled, samples(), ["severity=0,1"], chips=1)]
    return pc.report(compiled, folder / "report.html", results=results, against=other)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE_MS)
        yield made
        made.close()


class Opened:
    """A page that is open, and all that it asked for, said, and stumbled over."""

    def __init__(self, browser: Any, path: Path, width: int, shade: str) -> None:
        self.page = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=shade, offline=True
        ).new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.requests: list[str] = []
        self.trouble: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("dialog", lambda dialog: self.trouble.append(dialog.message))
        self.page.on("console", lambda said: self.trouble.append(f"{said.type}: {said.text}"))
        self.page.goto(path.as_uri())

    def draw_everything(self) -> None:
        """Scroll every picture into view and wait until it is drawn."""
        for place in self.page.locator(".picture").all():
            place.scroll_into_view_if_needed()
            place.locator("canvas").first.wait_for(state="attached")

    def count(self, script: str) -> Any:
        return self.page.evaluate(script)

    def close(self) -> None:
        assert self.requests == [self.page.url]  # itself
        assert self.trouble == []
        self.page.context.close()


@pytest.mark.parametrize(("width", "shade"), [(1280, "light"), (768, "dark"), (360, "dark")])
def test_fits_every_screen(browser: Any, report: Path, width: int, shade: str) -> None:
    opened = Opened(browser, report, width, shade)
    opened.draw_everything()
    assert opened.count("document.documentElement.scrollWidth") <= width
    assert opened.count("document.documentElement.dataset.shade") == shade
    dark = opened.count("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 128")
    assert dark == (shade == "dark")
    opened.close()


def test_parts_answer(browser: Any, report: Path) -> None:
    opened = Opened(browser, report, 1100, "light")
    page = opened.page
    opened.draw_everything()

    # a layer of the table: its facts, and its histogram
    page.locator("#layers tbody tr").first.click()
    details = page.locator("#details")
    assert details.locator("h3").inner_text() == EVIL
    assert "9 inputs × 4 outputs" in details.inner_text()
    assert page.locator("#whose").inner_text() == EVIL
    page.locator("#whole").click()
    assert page.locator("#whose").inner_text() == "the whole network"

    # a bar of the graph: the same
    page.locator("#details .close").click()
    page.evaluate("""() => { const held = Bokeh.documents.map((d) => d.get_model_by_name("nodes")).find(Boolean);
                              held.selected.indices = [1]; }""")
    assert details.locator("h3").inner_text() == "relu1"

    # time instead of energy; a component away
    find = "Bokeh.documents.map((d) => d.get_model_by_name('{}')).find(Boolean)"
    shown = f"{find.format('costs')}.renderers.filter((bar) => bar.visible).map((bar) => bar.name)"
    assert all(name.startswith("energy:") for name in opened.count(shown))
    page.locator("[data-metric=time]").click()
    assert opened.count(shown) == ["time"]
    page.locator("[data-metric=energy]").click()
    height = f"{find.format('bars')}.data"
    parts = opened.count(f"{find.format('costs')}.tags[0].components")
    before = opened.count(f"{height}['t_{parts[-1]}'][0]")
    gone = opened.count(f"{height}['v_{parts[0]}'][0]")
    page.locator(f"[data-component={parts[0]}]").click()
    assert opened.count(f"{height}['t_{parts[-1]}'][0]") == pytest.approx(before - gone)

    # closer, and back
    span = f"(({{start, end}}) => end - start)({find.format('costs')}.x_range)"
    whole = opened.count(span)
    page.locator("[data-zoom=along] [data-step=in]").click()
    assert opened.count(span) == pytest.approx(whole / 2)
    page.locator("[data-zoom=along] [data-step=all]").click()
    assert opened.count(span) == pytest.approx(whole)

    # the table: sorted, filtered
    page.locator("#layers th[data-sort='2']").click()
    rows = "[...document.querySelectorAll('#layers tbody tr')]"
    energies = opened.count(f"{rows}.map((row) => JSON.parse(row.dataset.v)[2])")
    known = [energy for energy in energies if energy is not None]
    assert known == sorted(known, reverse=True)
    page.locator("#find").fill("fc")
    assert page.locator("#layers tbody tr:visible").count() == 1

    # the floor plan: another shading; an array's tiles
    page.locator("[data-field=energy]").click()
    assert "energy" in opened.count(f"{find.format('scale')}.title")
    page.evaluate(f"() => {{ {find.format('cells')}.selected.indices = [1]; }}")
    tiles = page.locator("#tiles")
    assert "Array 1" in tiles.inner_text() and "0 to " in tiles.inner_text()

    # only what differs; only assumptions; dark
    page.locator("#differ").check()
    assert page.locator("#both tbody tr.same:visible").count() == 0
    page.locator("#doubt").check()
    assert page.locator("#sources tr.assumed:visible").count() > 0
    assert page.locator("#sources tr:not(.assumed):visible").count() == 0
    page.locator("#shade").click()
    assert opened.count("document.documentElement.dataset.shade") == "dark"
    opened.close()


def test_a_click_on_the_picture_itself(browser: Any, report: Path) -> None:
    """The canvas, not the model behind it: the largest bar is hit where it stands."""
    opened = Opened(browser, report, 1100, "light")
    place = opened.page.locator("#picture-plan")
    place.scroll_into_view_if_needed()
    place.locator("canvas").first.wait_for(state="attached")
    opened.page.wait_for_timeout(1000)
    box = place.bounding_box()
    opened.page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.3 * box["height"])
    opened.page.locator("#tiles h3").wait_for()
    assert "Array 0" in opened.page.locator("#tiles h3").inner_text()
    opened.close()
