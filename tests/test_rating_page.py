"""The rating page in a real browser: rate, retrain, kill the program, start it again, and the ratings are there."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

NEEDED = os.environ.get("ASTROKERAS_NEEDS_BROWSER")  # CI sets it: no browser is then a failure
if not NEEDED:
    pytest.importorskip("gradio")
    pytest.importorskip("playwright")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ARGUMENTS += ["--disable-component-update", "--disable-sync"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WAIT = 90_000  # milliseconds, on a busy machine

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def browser():
    """Return headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, BROWSERS)), None) or playwright.chromium.executable_path
        if not Path(path).exists():
            what = "there is no Chromium here: apt-get install chromium, or python -m playwright install chromium"
            pytest.fail(what) if NEEDED else pytest.skip(what)
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def sky(tmp_path, rng):
    """Return a folder of 40 round galaxies, and streaks as the odd ones, as PNG, JPEG, FITS and npy."""
    folder = tmp_path / "sky"
    folder.mkdir()
    y, x = np.mgrid[:32, :32] - 15.5
    for number in range(48):
        narrow = 4.0 if number < 40 else 1.0
        light = np.exp(-(x**2) / 32 - y**2 / (2 * narrow**2)) + rng.normal(scale=0.02, size=(32, 32))
        image, name = np.clip(200 * light + 20, 0, 255), folder / f"{'round' if number < 40 else 'streak'}{number:02d}"
        if number % 4 == 0:
            fits.PrimaryHDU(image.astype(">f4")).writeto(name.with_suffix(".fits"))
        elif number % 4 == 1:
            np.save(name.with_suffix(".npy"), image)
        else:
            Image.fromarray(image.astype("uint8")).save(name.with_suffix((".png", ".jpg")[number % 2]))
    return folder


@contextlib.contextmanager
def program(folder, *arguments):
    """Run the command, and give its process and address once it serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "astrokeras", "rate", folder.name, "--port", str(port), *arguments]
    log = folder.parent / "log.txt"
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output, cwd=folder.parent) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(1200):
                assert process.poll() is None, log.read_text()
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/config", timeout=5):
                    break
                time.sleep(0.1)
            else:
                pytest.fail(log.read_text())
            yield process, address
        finally:
            process.kill()


class Visitor:
    """A person at the page."""

    def __init__(self, browser, address):
        self.page = browser.new_page(viewport={"width": 1360, "height": 900})
        self.page.set_default_timeout(WAIT)
        self.strangers, self.troubles = [], []
        self.page.on("request", lambda r: r.url.startswith((address, "data:", "blob:")) or self.strangers.append(r.url))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector(".object")

    def shown(self):
        return self.page.locator(".object").get_attribute("data-name")

    def gallery(self):
        self.choose("gallery")
        names = self.page.locator(".thumbnails button")
        return names.evaluate_all("all => all.map(one => one.title)")

    def says(self, text):
        self.page.locator("#message", has_text=text).wait_for()

    def choose(self, panel):
        self.page.locator("#choice label", has_text=panel).click()
        self.page.wait_for_selector(".thumbnails" if panel in ("gallery", "similar") else ".map circle")

    def rate(self, rating, by):
        name = self.shown()
        if by == "key":
            self.page.keyboard.press(str(rating))
        else:
            self.page.locator(f"#rate-{rating}").click()
        self.says(f"{name}: rated {rating}.")
        return name

    def rated(self, count):
        self.page.locator("#progress", has_text=f"{count} of 48 rated").wait_for()

    def close(self):
        self.page.close()
        assert self.strangers == [] and self.troubles == []


def status(address, path):
    try:
        with urllib.request.urlopen(address + path, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_rate_retrain_kill_and_start_again(browser, sky, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    rated = {}
    with program(sky) as (process, address):
        visitor = Visitor(browser, address)
        first = visitor.gallery()
        assert sum(name.startswith("streak") for name in first[:8]) >= 4 and visitor.shown() == first[0]
        for count, (rating, by) in enumerate([(0, "key"), (0, "button"), (0, "key"), (5, "button"), (1, "key")], 1):
            rated[visitor.rate(rating, by)] = rating
            visitor.rated(count)
        assert list(rated) == first[:5]

        visitor.page.keyboard.press("ArrowLeft")
        visitor.page.wait_for_selector(f'.object[data-name="{first[4]}"] .stands:has-text("rated 1")')
        visitor.page.keyboard.press("ArrowRight")
        visitor.page.wait_for_selector(f'.object[data-name="{first[5]}"] .stands:has-text("not rated")')
        visitor.page.locator("#retrain").click()
        visitor.says("Learned from 5 ratings")
        after = visitor.gallery()
        assert [name for name in after if name not in rated][:12] != [name for name in first if name not in rated][:12]
        assert visitor.shown() == after[0] not in rated

        # Nothing but the page itself comes over the network, from inside of the folder or from outside.
        for path in (tmp_path / "secret.txt", sky / after[0], tmp_path / "sky.sqlite", "/etc/hostname"):
            assert status(address, f"/gradio_api/file={path}") == 403
        for path in ("/gradio_api/file=secret.txt", "/gradio_api/file=../secret.txt", "/file=/etc/hostname"):
            assert status(address, path) in (403, 404)
        os.kill(process.pid, signal.SIGKILL)
        visitor.page.close()

    with program(sky) as (process, address):
        visitor = Visitor(browser, address)
        visitor.rated(5)
        assert visitor.gallery() == after  # it has learned again from what was on the disk
        visitor.page.locator("#first input").uncheck()
        visitor.says("Sorted by trained score")
        for name, rating in rated.items():
            cell = visitor.page.locator(f'.thumbnails button[title="{name}"]')
            if cell.count():
                assert cell.inner_text() == str(rating)
        visitor.close()


def test_delete_undo_map_similar_random_and_export(browser, sky, tmp_path):
    with program(sky, "--scores", "lof") as (_, address):
        visitor = Visitor(browser, address)
        page = visitor.page
        page.locator("#retrain").click()
        visitor.says("Expected at least one rating to learn from")
        page.wait_for_selector("#message [role=alert]")
        first = visitor.rate(4, "key")
        visitor.rate(2, "key")
        visitor.rated(2)

        page.locator("#delete").click()
        page.locator("#keep").click()
        page.locator("#sure").wait_for(state="hidden")
        visitor.rated(2)
        page.locator("#delete").click()
        page.locator("#sure").click()
        visitor.says("Deleted 2 ratings")
        visitor.rated(0)
        page.keyboard.press("u")
        visitor.says("2 ratings are back")
        visitor.rated(2)

        visitor.choose("similar")
        assert page.locator(".thumbnails .here").get_attribute("title") == visitor.shown()
        page.locator(".thumbnails button").nth(1).click()
        near = page.locator(".thumbnails button").nth(1).get_attribute("title")
        page.wait_for_selector(".object")
        visitor.choose("PCA map")
        assert page.locator(".map circle").count() == 48 and page.locator(".map .rated").count() == 2
        visitor.choose("t-SNE map")
        page.locator('.map circle[data-place="7"]').dispatch_event("click")
        page.wait_for_selector('.object[data-name="round07.jpg"]')
        page.screenshot(path=tmp_path / "page.png")
        assert near and (tmp_path / "page.png").stat().st_size > 20_000

        page.locator("#by label", has_text="random").click()
        visitor.says("Sorted by chance")
        one = visitor.gallery()
        page.locator("#by label", has_text="raw score").click()
        visitor.says("Sorted by raw score")
        assert visitor.gallery() != one

        with page.expect_download() as download:
            page.locator("#export").click()
        rows = Path(download.value.path()).read_text().splitlines()
        assert download.value.suggested_filename == "sky.csv" and len(rows) == 49
        assert [row.split(",")[1] for row in rows if row.startswith(f"{first},")] == ["4"]
        visitor.close()


def test_what_is_wrong_stands_on_the_page_and_nothing_is_lost(browser, sky, tmp_path):
    import sqlite3

    with program(sky) as (_, address):
        visitor = Visitor(browser, address)
        first = visitor.rate(3, "key")
        second = visitor.shown()
        with contextlib.closing(sqlite3.connect(tmp_path / "sky.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            visitor.page.keyboard.press("5")
            visitor.says("another program has locked it")
            other.execute("COMMIT")
        assert visitor.shown() == second
        visitor.rate(5, "key")
        visitor.rated(2)

        missing = visitor.gallery()[3]
        (sky / missing).unlink()
        visitor.page.locator(f'.thumbnails button[title="{missing}"]').click()
        visitor.says(f"Expected the image {missing}")
        visitor.page.wait_for_selector(".object .missing")
        visitor.page.keyboard.press("ArrowRight")
        visitor.page.wait_for_selector(".object img")
        visitor.rated(2)
        assert first != second
        visitor.close()
