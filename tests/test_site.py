"""The web site of the documentation has every page, and its links stay right in
it. `make site` builds it and checks the links of what mdBook has made."""

from __future__ import annotations

from pathlib import Path

from tools import site
from tools.docs import PAGES, anchors, links


def test_the_site_has_every_page_once() -> None:
    pages = site.site_pages()
    assert sorted(pages) == [it for it in PAGES if it != site.SUMMARY]


def test_the_links_of_the_sites_source_lead_somewhere(tmp_path: Path) -> None:
    site.assemble(tmp_path)
    source = tmp_path / "src"
    found = [
        (page, target)
        for page in source.rglob("*.md")
        for target in links(page)
        if "://" not in target and not target.startswith("mailto:")
    ]
    assert len(found) > 80
    lost = []
    for page, target in found:
        path, _, fragment = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        if (
            not to.is_relative_to(source)
            or not to.exists()
            or (fragment and fragment not in anchors(to))
        ):
            lost.append(f"{page.name}: {target}")
    assert not lost


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="b.html#x"></a><a href="b.html#y"></a><a href="#z"></a>'
        '<a href="c.html"></a><img src="d.png"><a href="https://e/"></a>'
    )
    (tmp_path / "b.html").write_text('<h1 id="x"></h1><a href="./#x"></a>')
    (tmp_path / "index.html").write_text('<a id="x" href="a.html"></a>')
    assert sorted(site.lost_links(tmp_path)) == [
        "a.html: #z",
        "a.html: b.html#y",
        "a.html: c.html",
        "a.html: d.png",
    ]


def test_code_keeps_what_looks_like_a_link() -> None:
    page = site.DOCS / "README.md"
    text = "`[a](README.md)` [b](../README.md#c)\n```sh\n[d](README.md)\n```\n"
    expected = text.replace("../README.md", "../index.md")
    assert site.with_links(text, page) == expected
