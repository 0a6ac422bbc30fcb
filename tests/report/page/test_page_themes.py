"""The page in a browser, from a file: light and dark, by the system and by hand, and images that a row opens."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from evaluation_factories import Kept

from isotune.report import Leaderboard
from isotune.report.figures.dark import GROUND
from isotune.runs.records import Record

VISIT = """
const wrong = [];
addEventListener("securitypolicyviolation", (event) => wrong.push(event.violatedDirective));
addEventListener("error", (event) => wrong.push(event.message));
addEventListener("load", async () => {
  const image = document.querySelector("figure img");
  const button = document.querySelector(".theme");
  const corner = async () => {
    await image.decode();
    const canvas = document.createElement("canvas");
    const brush = canvas.getContext("2d");
    brush.drawImage(image, 0, 0);
    return [...brush.getImageData(2, 2, 1, 1).data].slice(0, 3);
  };
  const look = async () => [
    getComputedStyle(document.body).backgroundColor, getComputedStyle(document.documentElement).colorScheme,
    button.textContent, await corner(),
  ];
  const looks = [await look()];
  for (let turn = 0; turn < 2; turn++) {
    button.click();
    looks.push(await look());
  }
  const link = document.querySelector('a[href^="#images-"]');
  const aim = document.querySelector(link.getAttribute("href"));
  const before = aim.open;
  link.click();
  const thumbnail = aim.querySelector("img");
  await thumbnail.decode();
  const told = {
    looks, opened: [before, aim.open], seen: [thumbnail.naturalWidth > 0, thumbnail.checkVisibility()],
    sorts: aim.querySelectorAll("th button").length, wrong,
    loaded: performance.getEntriesByType("resource").map((entry) => entry.name), address: location.protocol,
  };
  const pre = document.createElement("pre");
  pre.id = "told";
  pre.textContent = JSON.stringify(told);
  document.body.append(pre);
});
"""
WHITE, DARK = "#ffffff", GROUND


@pytest.fixture
def page(steps: list[Record], kept: Kept, tmp_path: Path) -> Path:
    """A report, with the visitor's script among what its policy allows."""
    Leaderboard(steps, predictions=kept.store.predictions).write(tmp_path / "report")
    path = tmp_path / "report" / "leaderboard.html"
    digest = base64.b64encode(hashlib.sha256(VISIT.encode()).digest()).decode()
    text = path.read_text(encoding="utf-8").replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    path.write_text(text.replace("</head>", f"<script>{VISIT}</script></head>", 1), encoding="utf-8")
    return path


def visited(page: Path, scheme: str) -> dict[str, Any]:
    """What a reader whose system has this scheme finds."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs: apt-get install chromium")
    flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    flags += " disable-component-update disable-sync disable-dev-shm-usage dump-dom virtual-time-budget=8000"
    flags += f" blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    done = subprocess.run(
        [chromium, *(f"--{flag}" for flag in flags.split()), f"--user-data-dir={page.parent / scheme}", page.as_uri()],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    match = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(unescape(match[1]))
    return told


def parts(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_from_a_file_follows_the_system_and_its_button_and_opens_images(page: Path, scheme: str) -> None:
    told = visited(page, scheme)
    light, dark = (["rgb({}, {}, {})".format(*parts(ground)), kind, button, parts(ground)]
                   for ground, kind, button in ((WHITE, "light", "Dark"), (DARK, "dark", "Light")))  # fmt: skip
    assert told["looks"] == ([light, dark, light] if scheme == "light" else [dark, light, dark])
    assert told["opened"] == [False, True]
    assert told["seen"] == [True, True]
    assert told["sorts"] == 5, "the images sort as other tables do"
    assert (told["wrong"], told["loaded"], told["address"]) == ([], [], "file:")
