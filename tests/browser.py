"""A headless Chromium that tests open local pages in; the fixture ``browser`` hands it out.

It keeps to this machine: host names do not resolve, chromedriver listens on loopback alone and
speaks to Chromium through a pipe. ``assert_clean`` fails a page that tried to reach further than
its own file, or its own address.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SIZE = (1280, 800)
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    f"--window-size={SIZE[0]},{SIZE[1]}",
)


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """A WebDriver of a fresh Chromium whose profile is the empty folder ``profile``."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip(f"{'chromium' if binary is None else 'chromedriver'} is not installed")
    os.environ["SE_OFFLINE"] = "true"  # Selenium downloads nothing and reports nothing
    os.environ["SE_AVOID_STATS"] = "true"
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    chrome = webdriver.Chrome(options=options, service=service)
    try:
        width, height = SIZE  # of the page itself; the window adds its frame
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        yield chrome
    finally:
        chrome.quit()
        chrome.command_executor.close()


class Browser:
    """One test's view of the browser: pages are opened, pressed, read and looked at."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self._local = ("file:", "data:", "about:")
        self.colour_scheme("light")
        self._logged()  # what earlier tests left

    def open(self, path: Path | str, fragment: str = "") -> None:
        """Load a local file and wait until its scripts have run."""
        url = Path(path).resolve().as_uri() + (f"#{fragment}" if fragment else "")
        self.driver.get("about:blank")  # a new fragment alone would not load the page again
        self.driver.get(url)

    def visit(self, address: str) -> None:
        """Load a page that is served here; it may ask for what lies below its address."""
        self._local = (address, "data:", "about:")
        self.driver.get(address)

    def keys(self, *names: str) -> None:
        """Press keys by their names in JavaScript, such as "ArrowRight", "Home", "a", " "."""
        from selenium.webdriver import ActionChains, Keys

        named = {"ArrowRight": Keys.ARROW_RIGHT, "ArrowLeft": Keys.ARROW_LEFT}
        named |= {"ArrowUp": Keys.ARROW_UP, "ArrowDown": Keys.ARROW_DOWN}
        for name in names:
            key = named.get(name) or (name if len(name) == 1 else getattr(Keys, name.upper()))
            ActionChains(self.driver, duration=0).send_keys(key).perform()

    def click(self, css: str) -> None:
        """Click the first element that the selector finds."""
        self.driver.find_element("css selector", css).click()

    def text(self, css: str) -> str:
        """The visible text of the first element that the selector finds."""
        return str(self.driver.find_element("css selector", css).text)

    def js(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.driver.execute_script(f"return ({expression});")

    def wait(self, expression: str, seconds: float = 10.0) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.js(expression):
            if time.monotonic() > end:
                raise AssertionError(f"not true within {seconds} s: {expression}")
            time.sleep(0.02)

    def colour_scheme(self, name: str) -> None:
        """Prefer "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def screenshot(self, path: Path | str) -> Path:
        """Save what the window shows as PNG."""
        self.driver.save_screenshot(str(path))
        return Path(path)

    def assert_clean(self) -> None:
        """Fail if a page asked for more than local files or its address, or used the console."""
        requests, messages = self._logged()
        assert not requests, f"the page asked for {requests}"
        assert not messages, f"the console says {messages}"

    def _logged(self) -> tuple[list[str], list[str]]:
        """What was requested and said since the last call: reading a log empties it."""
        requests = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(self._local):
                    requests.append(url)
        return requests, [entry["message"] for entry in self.driver.get_log("browser")]
