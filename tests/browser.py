"""Pages as a real browser shows them: headless Chromium, where there is one."""

import re
import shutil
import subprocess
from pathlib import Path

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
MISSING = "no chromium, google-chrome or chromium-browser on PATH"


def opened(page: Path, profile: Path, fragment: str = "") -> str:
    """The document after the browser has run its scripts."""
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,2000",
        f"--user-data-dir={profile}", "--virtual-time-budget=10000", "--dump-dom", page.as_uri() + fragment,
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=200, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return re.sub(r"<script.*?</script>", "", result.stdout, flags=re.DOTALL)


def charts(document: str) -> dict[str, str]:
    """What stands from each chart's container to the next one."""
    parts = re.split(r'<div id="(chart-[\w-]+)"', document)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
