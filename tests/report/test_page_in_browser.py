"""The page in headless Chromium: desktop and phone, light and dark, without network."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

CHECKS = Path(__file__).with_name("page_checks.js")
NAMES = ("chromium", "google-chrome", "chromium-browser")
AA = 4.5
"""The least contrast of text that WCAG 2 level AA takes."""


@pytest.fixture(scope="module")
def browser() -> str:
    """Chromium: DEFINE_CHROMIUM, or the one on the PATH."""
    if named := os.environ.get("DEFINE_CHROMIUM"):
        return named
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return found or pytest.skip(f"no browser: none of {', '.join(NAMES)}, no DEFINE_CHROMIUM")


@pytest.fixture(scope="module", params=["light", "dark"])
def scheme(request) -> str:
    return request.param


@pytest.fixture(scope="module", params=[1280, 390])
def seen(request, scheme, browser, written_page, tmp_path_factory) -> dict:
    """What the checks saw in a frame of that width: a window cannot be as narrow as a phone."""
    folder = tmp_path_factory.mktemp("browser")
    wrapper = folder / "wrapper.html"
    wrapper.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><script>{CHECKS.read_text()}</script>'
        f'<iframe width="{request.param}" height="900" style="border: 0" '
        f'src="{written_page.as_uri()}"></iframe>'
    )
    command = [
        browser,
        "--headless",
        "--no-sandbox",  # root has none
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
        f"--user-data-dir={folder / 'profile'}",
        "--window-size=1400,1000",
        "--virtual-time-budget=10000",
        "--dump-dom",
        wrapper.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    body = re.search(r"<body>(.*)</body>", done.stdout, re.DOTALL)
    assert body, done.stderr[-2000:]
    found = json.loads(html.unescape(body[1]))
    assert "error" not in found, found
    assert (found["width"], found["dark"]) == (request.param, scheme == "dark")
    return found


def test_the_page_is_no_wider_than_the_screen(seen):
    assert seen["scrollWidth"] <= seen["clientWidth"]
    # Tables that are wider scroll in a box of their own; on a phone there must be some.
    assert seen["width"] == 1280 or seen["columns"] > 10


def test_nothing_is_requested(seen):
    assert seen["resources"] == [] and seen["scripts"] == 0


def test_all_text_has_contrast_enough(seen):
    assert seen["lowest"].keys() == {"body", "table", "link", "figure"}
    assert {kind: low for kind, low in seen["lowest"].items() if low["ratio"] < AA} == {}


def test_text_of_figures_is_whole_and_large_enough(seen):
    assert seen["outside"] == []
    assert seen["smallest"] >= 8.5


def test_anchors_and_links_to_records_lead_somewhere(seen, everything):
    assert seen["lost"] == []
    files = {Path(unquote(urlsplit(link).path)) for link in seen["records"]}
    assert files == set(everything.rglob("record.json"))
