"""The page in a browser: every chart is drawn, and text from files does nothing."""

import re

import pytest
from browser import BROWSER, MISSING, charts, opened

from snnlightning.report import write_report

pytest.importorskip("plotly")

pytestmark = pytest.mark.skipif(BROWSER is None, reason=MISSING)
MARK = "document.documentElement.setAttribute('data-owned','yes')"
HOSTILE = f'</script><script>{MARK}</script><img src=x onerror="{MARK}"><b>bold</b>'


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, study_at) -> str:
    folder = tmp_path_factory.mktemp("hostile")
    directory = study_at(folder / "study", trials=40, name=HOSTILE, surrogate=HOSTILE, reason=HOSTILE)
    return opened(write_report(directory), folder / "profile", "#all-rasters")


def test_every_chart_is_drawn(hostile):
    drawn = charts(hostile)
    assert {"chart-front", "chart-parallel", "chart-synops", "chart-curves"} < set(drawn)
    assert any(name.startswith("chart-raster-") for name in drawn)
    for name, content in drawn.items():
        assert "main-svg" in content, name
    assert "could not be drawn" not in hostile


def test_hostile_text_is_inert(hostile):
    opening = hostile[: hostile.index("<head>")]
    assert "data-owned" not in opening
    assert "<img" not in hostile
    assert "<b>bold" not in hostile
    assert "&lt;/script&gt;&lt;script&gt;" in hostile


def test_a_study_without_a_front_is_drawn(study, tmp_path):
    document = opened(write_report(study(feasible=False, trials=20)), tmp_path / "profile")
    drawn = charts(document)
    assert "main-svg" in drawn["chart-front"]
    assert "main-svg" in drawn["chart-curves"]


def test_folded_rasters_wait_until_they_are_opened(study, tmp_path):
    drawn = charts(opened(write_report(study(trials=40)), tmp_path / "profile"))
    rasters = ["main-svg" in content for name, content in drawn.items() if name.startswith("chart-raster-")]
    assert rasters[0]
    assert not any(rasters[1:])


def test_the_table_sorts_and_the_bars_switch_to_shares(study, tmp_path):
    page = write_report(study(trials=40))
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    clicks = """
      const heads = document.querySelectorAll("table.sortable thead button");
      heads[1].click();
      const column = [...document.querySelectorAll("table.sortable tbody tr")].map((row) => row.cells[1].textContent);
      document.body.dataset.order = column.join(" ");
      const bars = document.getElementById("chart-synops");
      const change = bars.layout.updatemenus[0].buttons[1].args[0];
      Plotly.relayout(bars, change).then(() => { document.body.dataset.top = bars.layout.yaxis.range[1].toFixed(0); });
    """
    page.write_text(text.replace("</body>", f"<script>{clicks}</script></body>"), encoding="utf-8")
    document = opened(page, tmp_path / "profile")
    order = [float(cell) for cell in re.findall(r'data-order="([^"]*)"', document)[0].split()]
    assert len(order) > 3
    assert order == sorted(order)
    assert 100 <= int(re.findall(r'data-top="(\d+)"', document)[0]) <= 106
