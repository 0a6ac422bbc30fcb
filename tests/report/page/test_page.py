"""The page: everything of the markdown within one file, nothing from outside, and tables that sort and filter.

What only a browser can show runs in headless Chromium, which `.ci/run` installs; where there is none on PATH those
tests are skipped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_factories import record

from isotune import report
from isotune.errors import UsageError
from isotune.report import wording as f
from isotune.report._page import _markdown, anchor, value, write_page

HOSTILE = '<script>alert(1)</script> [a](javascript:alert(2)) <img src="//evil.example/x" onerror=alert(3)> </td>'
BOARD = f"""# Leaderboard

See [second](#same-1). <b onclick="alert(4)">raw</b> [raw](javascript:alert(5)) [raw](data:text/html,6)

<script>alert(7)</script>

| model | accuracy %, identical | note |
| --- | ---: | --- |
| `b` | 85.0 ± 0.3 | run 10 |
| `c` | 1,217 (+283) | run 9 |
| `a` | - | - |
| `d` | -6.1 ± 0.4 | <sub>near</sub> |
| `e` | ≥ 6.1 | 1.0.31 |
| `f` | failed | {f.text(HOSTILE)} |
| `g` | 0 | {f.code(HOSTILE)} |
| `h` | 9e-3 | see {f.text("https://example.org/a?b=1&c=2")} |
| `i` | 2.5 | ran<br>twice |

## same

| few |
| --- |
| rows |

## same

## {f.text(HOSTILE)}

![a figure, cpu\\_x](figures/a.svg)

![elsewhere](https://evil.example/a.svg)

![above](../secret.svg)
"""
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="518.4pt" height="300pt"><path d="M0 0h9v9"/></svg>'


class Reader(HTMLParser):
    """What the tests ask of a page: elements with their attributes, and the words of each cell."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.cells: list[str] = []
        self.within = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: setting or "" for name, setting in attrs}))
        if tag == "td":
            self.within = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self.within = self.within and tag != "td"

    def handle_data(self, data: str) -> None:
        if self.within:
            self.cells[-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def write(folder: Path, markdown: str = BOARD) -> str:
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "a.svg").write_text(SVG)
    (folder / "leaderboard.md").write_text(markdown, encoding="utf-8")
    page = write_page(folder / "leaderboard.md")
    assert page == folder / "leaderboard.html"
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("page"))


def source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(page: str) -> None:
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    ((style,), (script,)) = (re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL) for tag in ("style", "script"))
    assert [part.strip() for part in policy.split(";")] == [
        "default-src 'none'",
        f"style-src {source(style)}",
        f"script-src {source(script)}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert not re.search(r"@import|url\(|https?:|fetch|XMLHttp|innerHTML", style + script)
    assert not [attributes for _, attributes in Reader(page).elements if "style" in attributes]


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    loading = {"src", "srcset", "data", "poster", "action", "formaction", "background"}
    for tag, attributes in Reader(page).elements:
        for name in loading & set(attributes):
            assert attributes[name].startswith("data:"), (tag, attributes)
        if tag == "link":
            assert attributes["href"] == "data:,"


def test_what_others_wrote_is_shown_and_does_nothing(page: str) -> None:
    reader = Reader(page)
    assert len(reader.all("script")) == 1
    for tag, attributes in reader.elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
    links = [link["href"] for link in reader.all("a")]
    assert all(link.startswith(("#", "https://")) for link in links)
    assert "https://example.org/a?b=1&c=2" in links
    assert reader.cells.count(HOSTILE) == 2
    assert "<h2" in page
    assert HOSTILE not in page


@given(st.text(st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S", "Z")), min_size=1, max_size=60))
def test_any_words_in_a_cell_are_words(words: str) -> None:
    reader = Reader(_markdown().render(f"| a |\n| --- |\n| {f.text(words)} |\n"))
    tags = [tag for tag, _ in reader.elements]
    assert tags[:8] == ["div", "table", "thead", "tr", "th", "tbody", "tr", "td"]
    assert set(tags[8:]) <= {"a"}
    assert " ".join(reader.cells[0].split()) == " ".join(words.split())


def test_figures_are_within_the_page_and_only_those_of_the_report(page: str) -> None:
    (image,) = Reader(page).all("img")
    head, _, body = image["src"].partition(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(body).decode() == SVG
    assert image["alt"] == "a figure, cpu_x"
    assert "<em>elsewhere</em>" in page
    assert "<em>above</em>" in page


def test_links_of_the_markdown_lead_to_headings(page: str) -> None:
    reader = Reader(page)
    anchors = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert anchors[:3] == ["leaderboard", "same", "same-1"]
    assert len(anchors) == len(set(anchors)) == 4
    assert {link["href"] for link in reader.all("a") if link["href"].startswith("#")} <= {
        f"#{name}" for name in anchors
    }


def test_many_sections_get_a_list_of_contents(tmp_path: Path) -> None:
    few, many = (write(tmp_path, "# A\n" + "\n## b & c\n" * count) for count in (3, 4))
    assert "<nav" not in few
    assert [link["href"] for link in Reader(many).all("a")] == ["#b--c", "#b--c-1", "#b--c-2", "#b--c-3"]
    assert ">b &amp; c</a>" in many


@given(st.lists(st.sampled_from(["a", "A", "a-1", "a 1", "a-1-1", "é_É", "!", ""]) | st.text(max_size=5), max_size=12))
def test_anchors_are_unique(titles: list[str]) -> None:
    taken: dict[str, int] = {}
    assert len({anchor(title, taken) for title in titles}) == len(titles)


def test_anchors_are_githubs() -> None:
    taken: dict[str, int] = {}
    titles = ["digits, quick-fine-tune", "Fürs_Erste & mehr (2)", "a", "a", "a-1"]
    assert [anchor(t, taken) for t in titles] == ["digits-quick-fine-tune", "fürs_erste--mehr-2", "a", "a-1", "a-1-1"]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("94.0 ± 0.3", 94.0), ("1,217 (+283)", 1217), ("≥ 6.1", 6.1), ("> 0", 0), ("-10.3 ± 0.5", -10.3), ("+0.2", 0.2),
        ("65.0 (64.0 to 80.7)", 65.0), ("5 / 3", 5), ("< 1e-3", 1e-3), ("12.0 %", 12.0), ("0.031*", 0.031),
        ("85.0\nnear", 85.0), ("-", None), ("", None), ("1.0.31", None), ("2026-11-24", None), ("96px", None),
        ("12,34", None), ("0/1/2", None), ("keras 3", None), ("٣", None),
    ],
)  # fmt: skip
def test_the_number_by_which_a_cell_sorts(cell: str, number: float | None) -> None:
    assert value(cell) == number


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_numbers_sort_by_what_the_report_prints(number: float, decimals: int) -> None:
    assert value(f"{number:+,.{decimals}f} ± 0.1") == float(f"{number:.{decimals}f}")


def test_a_report_writes_its_page_and_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    records = [record(), record(HOSTILE, error=HOSTILE)]
    pages = []
    for folder in ("a", "b"):
        board = report.write(records, tmp_path / folder)
        pages.append((tmp_path / folder / "leaderboard.html").read_bytes())
        assert pages[-1].count(b'src="data:image/svg') == board.read_text(encoding="utf-8").count("](figures/") > 0
    assert pages[0] == pages[1]
    assert HOSTILE.encode() not in pages[0]


def test_a_figure_that_is_gone_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "leaderboard.md").write_text("![a](figures/a.svg)")
    with pytest.raises(UsageError, match=r"a\.svg: No such file.*isotune report"):
        write_page(tmp_path / "leaderboard.md")


# In the browser

VISIT = """
const wrong = [];
addEventListener("securitypolicyviolation", (event) => wrong.push(event.violatedDirective));
addEventListener("error", (event) => wrong.push(event.message));
addEventListener("load", () => {
  const [table, short] = document.querySelectorAll("table");
  const heads = [...table.tHead.rows[0].cells];
  const models = () => [...table.tBodies[0].rows].filter((r) => r.checkVisibility()).map((r) => r.cells[0].innerText);
  const sorts = () => heads.map((head) => head.getAttribute("aria-sort"));
  const click = (column) => {
    heads[column].querySelector("button").click();
    return [models().join(""), sorts()];
  };
  const filter = document.querySelector("input");
  const type = (words) => {
    filter.value = words;
    filter.dispatchEvent(new Event("input"));
    return [models().join(""), document.querySelector("output").value];
  };
  const image = document.querySelector("figure img");
  const enlarge = document.querySelector("figure button");
  const fits = () => image.getBoundingClientRect().width <= innerWidth;
  const style = getComputedStyle(table.tHead.rows[0].cells[1]);
  const box = table.parentElement;
  box.scrollTo(40, 0);
  const told = {
    width: innerWidth, page: document.documentElement.scrollWidth,
    box: [box.clientWidth, table.offsetWidth, box.scrollLeft],
    first: table.rows[1].cells[0].getBoundingClientRect().left - box.getBoundingClientRect().left,
    sticky: style.position,
    numbers: [click(1), click(1), click(1)], words: click(2), back: [click(2), click(2)],
    tabs: [heads[0].querySelector("button").tabIndex, filter.tabIndex],
    inputs: document.querySelectorAll("input").length,
    filters: [type("RUN 10"), type("nothing like it"), type("  ")], label: filter.getAttribute("aria-label"),
    shown: [image.complete && image.naturalWidth > 0, fits(), (enlarge.click(), fits()), (enlarge.click(), fits())],
    loaded: performance.getEntriesByType("resource").map((entry) => entry.name), title: document.title,
  };
  document.body.innerHTML += '<img src="https://evil.example/x.png" onerror="1">';
  document.body.innerHTML += '<p style="color: red">';
  const tell = () => {
    told.wrong = [...new Set(wrong)].sort();
    parent.postMessage(JSON.stringify(told), "*");
  };
  setInterval(() => new Set(wrong).size >= 3 && tell(), 20);
  setTimeout(tell, 4000);
});
"""
# a frame, since no window of Chromium's gets as narrow as a phone
PHONE = """<!DOCTYPE html><pre id="told"></pre><script>
addEventListener("message", (event) => { document.getElementById("told").textContent = event.data; });
</script><iframe width="360" height="800" style="border: 0" srcdoc="PAGE"></iframe>"""


@pytest.fixture(scope="module")
def told(page: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a visit of a screen 360 pixels wide finds. The visitor's script is added to what the policy allows."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs: apt-get install chromium")
    folder = tmp_path_factory.mktemp("visit")
    visited = page.replace("script-src ", f"script-src {source(VISIT)} ").replace(
        "</head>", f"<script>{VISIT}</script></head>"
    )
    (folder / "phone.html").write_text(PHONE.replace("PAGE", escape(visited)), encoding="utf-8")
    flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    flags += " disable-component-update disable-sync disable-dev-shm-usage dump-dom virtual-time-budget=5000"
    done = subprocess.run(
        [chromium, *(f"--{flag}" for flag in flags.split()), f"--user-data-dir={folder / 'profile'}",
         (folder / "phone.html").as_uri()],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    match = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(unescape(match[1]))
    return result


def test_a_head_sorts_up_then_down_then_as_it_was(told: dict[str, Any]) -> None:
    up, down, restored = told["numbers"]
    assert up == ["dghiebcfa", [None, "ascending", None]]  # words after numbers, nothing last
    assert down == ["cbeihgdfa", [None, "descending", None]]
    assert restored == ["bcadefghi", [None, None, None]]
    assert told["words"][0].index("c") < told["words"][0].index("b")  # run 9 before run 10
    assert told["words"][0].endswith("a")
    assert told["back"][1] == ["bcadefghi", [None, None, None]]


def test_a_long_table_is_filtered_by_words(told: dict[str, Any]) -> None:
    assert told["inputs"] == 1
    assert told["filters"] == [["b", "1 of 9 rows"], ["", "0 of 9 rows"], ["bcadefghi", ""]]
    assert told["label"] == "Filter the rows: Leaderboard"


def test_sorting_and_filtering_are_reached_by_the_keyboard(told: dict[str, Any]) -> None:
    assert told["tabs"] == [0, 0]


def test_a_phone_scrolls_tables_in_their_own_box(told: dict[str, Any]) -> None:
    assert told["page"] <= told["width"] == 360
    room, table, scrolled = told["box"]
    assert room < 360 < table
    assert scrolled == 40
    assert 0 <= told["first"] <= 1  # the first column stays
    assert told["sticky"] == "sticky"


def test_figures_fit_a_phone_and_can_be_enlarged(told: dict[str, Any]) -> None:
    assert told["shown"] == [True, True, False, True]


def test_the_browser_loads_nothing_and_refuses_what_the_policy_forbids(told: dict[str, Any]) -> None:
    assert told["loaded"] == []
    assert told["wrong"] == ["img-src", "script-src-attr", "style-src-attr"]
    assert told["title"] == "Leaderboard - isotune"
