"""Lets pages under docs/ link to files elsewhere in the repository.

Such links are relative, so they also work where the repository is browsed. For the website, the
linked files are copied to `repository/`; Markdown files are rendered, with what they link to.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<=\]\()(?!https?://|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
COPIES = "repository/"


def on_files(files: Files, config: Any) -> Files:
    """Adds the files outside docs/ that pages link to, directly or through other such files."""
    queue = [file for file in files if file.src_uri.endswith(".md")]
    while queue:
        page = queue.pop()
        for link, _ in LINK.findall(page.content_string):
            path = _in_repository(page.src_uri, link)
            if path.startswith("docs/") or not (ROOT / path).is_file():
                continue  # a page, or a broken link, which the strict build reports
            if files.get_file_from_path(COPIES + path) is None:
                added = File.generated(config, COPIES + path, abs_src_path=str(ROOT / path))
                files.append(added)
                if path.endswith(".md"):
                    queue.append(added)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Points links to files outside docs/ at their copies."""
    source = page.file.src_uri

    def on_the_site(match: re.Match[str]) -> str:
        path = _in_repository(source, match[1])
        target = path.removeprefix("docs/") if path.startswith("docs/") else COPIES + path
        return posixpath.relpath(target, posixpath.dirname(source) or ".") + (match[2] or "")

    return LINK.sub(on_the_site, markdown)


def _in_repository(source: str, link: str) -> str:
    """The path of a link's target from the repository's root."""
    page = source.removeprefix(COPIES) if source.startswith(COPIES) else f"docs/{source}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
