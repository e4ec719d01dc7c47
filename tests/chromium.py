"""A page in a real browser, without a window: what it looks like, how wide it is, what it ran."""

import html
import html.parser
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

BINARY = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(
    BINARY is None, reason="no Chromium here: apt-get install chromium"
)
# A window cannot be narrower than 500 pixels, a frame can. What is in it is handed out, measured.
_FRAME = """<!DOCTYPE html><meta charset="utf-8"><style>:root { color-scheme: light dark }</style>
<iframe id="frame" style="border:0;height:900px;width:%dpx" srcdoc="%s"></iframe>
<script>addEventListener("load", () => {
const inner = frame.contentDocument, root = inner.documentElement;
for (const each of inner.querySelectorAll("details")) each.open = true;
root.dataset.seen = frame.contentWindow.innerWidth; root.dataset.wide = root.scrollWidth;
root.dataset.ground = frame.contentWindow.getComputedStyle(inner.body).backgroundColor;
root.dataset.title = inner.title;
document.replaceChild(document.adoptNode(root), document.documentElement); })</script>"""


class Elements(html.parser.HTMLParser):
    """Every element of a page with its attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data + " "  # as two cells of a table are apart

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def chromium(page: Path, *options: str) -> str:
    """What Chromium prints."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                BINARY,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--user-data-dir={profile}",
                *options,
                page.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    return done.stdout


def opened(page: str, folder: Path, width: int, *options: str) -> Elements:
    """The document after it was loaded and laid out, as wide as told, all details open.

    The policy that forbids scripts is taken out: what must hold is that there are none.
    """
    unguarded = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert unguarded != page
    file = folder / f"opened-{width}.html"
    file.write_text(_FRAME % (width, html.escape(unguarded)), encoding="utf-8")
    return Elements(chromium(file, "--dump-dom", "--window-size=1400,900", *options))
