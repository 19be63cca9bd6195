"""The report of a real study, opened in a real browser."""

from pathlib import Path

import pytest
from browser import BROWSER, MISSING, charts, opened

from snnlightning.report import write_report
from snnlightning.study import Study

from .conftest import config, front

pytestmark = pytest.mark.skipif(BROWSER is None, reason=MISSING)
HOSTILE = "<img src=x onerror=document.documentElement.setAttribute('data-owned','yes')>"


def test_every_chart_of_a_real_study_is_drawn_and_its_name_is_text(tmp_path: Path) -> None:
    Study(config(name=HOSTILE), tmp_path / "s").run(workers=0)
    page = opened(write_report(tmp_path / "s"), tmp_path / "profile", "#all-rasters")
    drawn = charts(page)
    rasters = {f"chart-raster-{point['number']}" for point in front(tmp_path / "s")["points"]}
    assert {"chart-front", "chart-parallel", "chart-synops", "chart-curves"} | rasters == set(drawn)
    for name, content in drawn.items():
        assert "main-svg" in content, name
    assert "data-owned" not in page[: page.index("<head>")]
    assert "<img" not in page
    assert "&lt;img src=x" in page
