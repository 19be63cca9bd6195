"""Page: the report as one HTML file that loads nothing.

plotly.js is put inline once and a content security policy admits that script, the page's own script and nothing else, by
their hashes: no request leaves the page, and no text from a study's files can run.
"""

import base64
import hashlib
import os
from pathlib import Path

from ..errors import StudyError, require
from .files import StudyFiles
from .listings import (
    configuration_section,
    failures_section,
    finalists_section,
    points_section,
    versions_section,
)
from .markup import Html, element, join
from .reading import read_study
from .sections import curves_section, front_section, parallel_section, raster_section, synops_section
from .summary import summary

__all__ = ["write_report"]

ASSETS = Path(__file__).parent


def write_report(directory: Path, output: Path | None = None) -> Path:
    """Write the report of the study in ``directory``.

    Args:
        directory: a study directory.
        output: the file to write, ``<directory>/report.html`` by default. It is replaced in one step: when anything
            fails, an older report stays as it is.

    Returns:
        The file written.

    Raises:
        StudyError: a file of the study is missing or corrupt, or ``output`` cannot be written.
        MissingDependencyError: plotly is not installed.
    """
    directory = Path(directory)
    output = directory / "report.html" if output is None else Path(output)
    page = render(read_study(directory), output)
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(output)
    except OSError as error:
        raise StudyError(f"{output} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return output


def render(study: StudyFiles, output: Path) -> Html:
    """The whole page; ``output`` is where it will lie, for its links."""
    plotly_js = Html(require("plotly.offline", "report", "The report").get_plotlyjs())
    script = Html((ASSETS / "page.js").read_text(encoding="utf-8"))
    style = Html((ASSETS / "page.css").read_text(encoding="utf-8"))
    sections = (
        front_section(study),
        points_section(study, output),
        finalists_section(study),
        parallel_section(study),
        synops_section(study),
        curves_section(study),
        raster_section(study),
        failures_section(study),
        configuration_section(study),
        versions_section(study),
    )
    name = study.front.study
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(plotly_js, script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{name} – study report"),
        element("style", style),
    )
    body = element(
        "body",
        element("header", element("h1", name), element("p", summary(study), id="summary")),
        element("noscript", element("p", "The charts need JavaScript; the tables do not.", class_="note")),
        element("main", *sections),
        element("script", plotly_js),
        element("script", script),
    )
    return join(Html("<!DOCTYPE html>\n"), element("html", head, body, lang="en"), "\n")


def _policy(*scripts: str) -> str:
    """Nothing is loaded, and only these scripts run; plotly compiles its drawing functions, hence unsafe-eval."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
