"""Makes the source of the documentation's web site for mdBook, and checks the
pages that mdBook has made of it.

Responsible for which pages the site has (those of docs/SUMMARY.md) and for the
links between them, which are relative to the repository. Must not know what
pages say. `make site` runs it.

usage: python -m tools.site assemble DIRECTORY
       python -m tools.site check DIRECTORY
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.common import ROOT
from tools.docs import CODE, links

DOCS = ROOT / "docs"
SUMMARY = DOCS / "SUMMARY.md"
# What mdBook reads beside the pages.
SETTINGS = ("book.toml", "wide.css")


def site_pages() -> list[Path]:
    """In the order of the site."""
    return [(DOCS / target).resolve() for target in links(SUMMARY)]


def renamed(target: str) -> str:
    """mdBook makes the page of a directory of its `index.md`."""
    return re.sub(r"(^|/)README\.md(?=#|$)", r"\1index.md", target)


def with_links(text: str, page: Path) -> str:
    """A page with links that are right in the site. What looks like a link in
    code stays."""
    pattern = re.compile(
        rf"(?P<code>^ *```.*?^ *``` *$|{CODE.pattern.replace('1', '2')})"
        r"|\]\((?P<target>[^)\s]+)\)",
        flags=re.DOTALL | re.MULTILINE,
    )

    def link(match: re.Match[str]) -> str:
        target = match["target"]
        if target is None or re.match(r"[a-z]+:|#", target):
            return match[0]
        if page == SUMMARY:
            target = os.path.relpath((DOCS / target).resolve(), ROOT)
        return f"]({renamed(target)})"

    return pattern.sub(link, text)


def assemble(directory: Path) -> None:
    """Writes the source of the site."""
    source = directory / "src"
    shutil.rmtree(source, ignore_errors=True)
    pages = site_pages()
    for page in pages:
        to = source / renamed(str(page.relative_to(ROOT)))
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(with_links(page.read_text(), page))
        for target in links(page):
            file = (page.parent / target.partition("#")[0]).resolve()
            if file.is_file() and file.suffix != ".md":
                shutil.copy(file, source / file.relative_to(ROOT))
    (source / "SUMMARY.md").write_text(with_links(SUMMARY.read_text(), SUMMARY))
    for name in SETTINGS:
        shutil.copy(DOCS / name, directory / name)


class Page(HTMLParser):
    """The links of a page, and what can be linked to in it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text())
    return page


def lost_links(book: Path) -> list[str]:
    """The links of all pages that lead nowhere."""
    pages = {path.resolve(): read(path) for path in book.rglob("*.html")}
    lost = []
    for path, page in pages.items():
        # Its links are relative to wherever it is shown.
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            name = unquote(parts.path)
            to = (path.parent / name).resolve() if name else path
            if to.is_dir():
                to /= "index.html"
            fragment = unquote(parts.fragment)
            is_known = (
                not fragment or to not in pages or fragment in pages[to].ids
            )
            if not to.exists() or not is_known:
                lost.append(f"{path.relative_to(book.resolve())}: {link}")
    return lost


def check(book: Path) -> int:
    pages = site_pages()
    found = sum(1 for _ in book.rglob("*.html"))
    if found < len(pages):
        print(f"{book} has {found} pages of {len(pages)}")
        return 1
    lost = lost_links(book)
    for link in lost:
        print(f"a link that leads nowhere: {link}")
    print(f"{book}: {found} pages, {len(lost)} links that lead nowhere")
    return 1 if lost else 0


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in ("assemble", "check"):
        print(__doc__, file=sys.stderr)
        return 2
    directory = Path(arguments[1])
    if arguments[0] == "check":
        return check(directory)
    assemble(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
