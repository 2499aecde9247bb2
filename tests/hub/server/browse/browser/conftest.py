"""A real browser on a real hub that holds a small release. Whatever a test does, no page may break its own policy."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from modeling_axk1.hub.server import serving
from modeling_axk1.hub.server.accounts import Accounts
from tests.hub.release.conftest import DATA, MODEL, Made, made
from tests.hub.server.browse.conftest import Pages

__all__ = ["made"]

MODEL_ID = MODEL.removeprefix("models/")
DATA_ID = DATA.removeprefix("datasets/")
HOSTILE_CARD = Path(__file__).with_name("hostile_card.md")


@dataclass
class Visit:
    """A window of the browser on one hub, and all that went wrong in it."""

    context: BrowserContext
    page: Page
    endpoint: str
    wrong: list[str] = field(default_factory=list)

    def to(self, path: str, status: int = 200) -> Page:
        """Open a page of the hub."""
        answer = self.page.goto(self.endpoint + path)
        assert answer is not None
        assert answer.status == status
        return self.page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    # Not for the session: as long as it is open, no other test of this process can run an event loop of its own.
    with sync_playwright() as playwright:
        # Root may not use the browser's own sandbox; CI runs as root in a container.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield browser
        browser.close()


def fill(root: Path, release: Path) -> None:
    """Put into the hub at `root` what the pages are about: a model, its dataset, a plan, and a hostile card."""
    hub = Pages(root)
    for kind, place, repo_id in (("models", MODEL, MODEL_ID), ("datasets", DATA, DATA_ID)):
        folder = release / place
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        hub.add(repo_id, files, kind, "The release")
        hub.catalog.get(kind, *repo_id.split("/")).add_tag("v0.1.0", "main", None)
        notice = files["CITATION.cff"] + b"# One line more.\n"
        hub.add(repo_id, {"NEWS.md": "# News\n", "CITATION.cff": notice}, kind, "News after the release")
    hub.add("attic/hostile", {"README.md": HOSTILE_CARD.read_text("utf-8")})
    hub.catalog.create("models", "team", "secret", public=False)
    hub.catalog.close()


@pytest.fixture(scope="session")
def filled(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browsed") / "hub"
    fill(root, made.set)
    return root


@pytest.fixture(scope="session")
def endpoint(filled: Path) -> Iterator[str]:
    with serving(filled) as endpoint:
        yield endpoint


@pytest.fixture
def visit(chromium: Browser, endpoint: str) -> Iterator[Callable[..., Visit]]:
    """Open a window: `visit(color_scheme="dark", locale="ko-KR")`; at another hub with `at=`."""
    visits: list[Visit] = []

    def open_window(at: str = endpoint, **options) -> Visit:
        context = chromium.new_context(**{"locale": "en-GB", "viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(20_000)
        one = Visit(context, context.new_page(), at)
        context.on("request", lambda request: request.url.startswith((at, "data:")) or one.wrong.append(request.url))
        context.on("console", lambda said: one.wrong.append(said.text) if "Content Security" in said.text else None)
        context.on("weberror", lambda error: one.wrong.append(str(error.error)))
        one.page.on("dialog", lambda dialog: (one.wrong.append(dialog.message), dialog.dismiss()))
        visits.append(one)
        return one

    yield open_window
    for one in visits:
        one.context.close()
    assert [wrong for one in visits for wrong in one.wrong] == []


@dataclass
class Guarded:
    """A hub that asks for tokens, and one of them."""

    endpoint: str
    token: str


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    root = tmp_path_factory.mktemp("guarded") / "hub"
    hub = Pages(root)
    hub.add("team/secret", {"README.md": "# A secret\n\nFor the team alone.\n", "notes.txt": "Written down.\n"})
    hub.catalog.set_public("models", "team", "secret", public=False)
    hub.catalog.close()
    token = Accounts(root).add("minji", "read", ("team",))[1]
    with serving(root, policy="tokens") as endpoint:
        yield Guarded(endpoint, token)
