"""Every kind of page: for everybody, in light and dark, on a phone, and within its own policy."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.hub.server.browse.browser.conftest import DATA_ID, MODEL_ID

KINDS = {
    "front": "/",
    "models": "/models",
    "datasets": "/datasets?search=corpus",
    "nothing found": "/models?search=nothing-has-this",
    "model card": f"/{MODEL_ID}",
    "model card in Korean": f"/{MODEL_ID}?card=ko",
    "dataset card": f"/datasets/{DATA_ID}",
    "card at a revision": f"/{MODEL_ID}/card/v0.1.0",
    "hostile card": "/attic/hostile",
    "files": f"/{MODEL_ID}/tree/main",
    "folder": f"/datasets/{DATA_ID}/tree/v0.1.0/data",
    "text file": f"/{MODEL_ID}/blob/main/config.json",
    "large file": f"/{MODEL_ID}/blob/main/model.safetensors",
    "revisions": f"/{MODEL_ID}/revisions",
    "commits": f"/{MODEL_ID}/commits/main",
    "commit": f"/{MODEL_ID}/commit/main",
    "comparison": f"/{MODEL_ID}/compare/v0.1.0/main",
    "tensors": f"/{MODEL_ID}/tensors/main",
    "rows": f"/datasets/{DATA_ID}/viewer/main",
    "columns": f"/datasets/{DATA_ID}/viewer/main/columns",
    "results": f"/{MODEL_ID}/results/main",
    "sign in": "/-/sign-in",
    "not found": "/nowhere/at-all",
}
STATUS = {"/nowhere/at-all": 404}
BAD = {"serious", "critical"}


def problems(page, options: dict | None = None) -> list[str]:
    """What axe finds that keeps somebody out."""
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found
        if one["impact"] in BAD
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("path", KINDS.values(), ids=KINDS)
def test_it_is_for_everybody(visit, path):
    window = visit(color_scheme="light")
    page = window.to(path, STATUS.get(path, 200))
    assert problems(page) == []
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.title()
    # The dark theme has other colours and nothing else.
    page.emulate_media(color_scheme="dark")
    assert problems(page, {"runOnly": ["color-contrast"]}) == []
    # A small phone, and text enlarged to twice its size on a larger one.
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


class TestWithoutJavaScript:
    @pytest.mark.parametrize("path", KINDS.values(), ids=KINDS)
    def test_all_of_it_is_there_to_read_in_korean_too(self, visit, path):
        page = visit(java_script_enabled=False, locale="ko-KR").to(path, STATUS.get(path, 200))
        assert page.get_by_role("main").inner_text().strip()
        # What only a script can do is not offered, and nothing else waits for one.
        assert page.locator("button[data-copy]:visible").count() == 0
        assert page.locator("[hidden]:not(button[data-copy]), noscript").count() == 0
        assert page.locator("html").get_attribute("lang") == "ko"
        assert not re.findall("Models|Datasets|Card|Files|Search", page.locator("body > header").inner_text())

    def test_forms_work(self, visit):
        page = visit(java_script_enabled=False).to("/")
        page.get_by_role("main").get_by_role("searchbox").fill("nano")
        page.get_by_role("main").get_by_role("button", name="Search").click()
        page.get_by_role("link", name=MODEL_ID).click()
        page.get_by_role("button", name="Dark").click()
        assert page.locator("html").get_attribute("data-theme") == "dark"
        assert page.url.endswith(MODEL_ID)


class TestKeyboard:
    def focused(self, page) -> str:
        return page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id")

    def test_the_first_key_leads_past_the_menu(self, visit):
        page = visit().to(f"/{MODEL_ID}")
        page.keyboard.press("Tab")
        assert self.focused(page) == "Skip to the content"
        assert page.get_by_role("link", name="Skip to the content").bounding_box()["x"] >= 0
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.getElementById('main').contains(document.activeElement)")

    def test_from_the_front_page_to_a_card(self, visit):
        page = visit().to("/")
        reached = []
        for _ in range(30):
            page.keyboard.press("Tab")
            reached.append(self.focused(page))
            if reached[-1] == MODEL_ID:
                break
        assert reached[:4] == ["Skip to the content", "axk1 hub", "Models", "Datasets"]
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{MODEL_ID}")

    @pytest.mark.parametrize("path", ["/", "/models", f"/{MODEL_ID}", f"/{MODEL_ID}/tree/main"])
    def test_where_the_keys_lead_is_always_to_be_seen(self, visit, path):
        page = visit().to(path)
        page.keyboard.press("Tab")
        seen = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            outline = page.evaluate(
                "(() => { const style = getComputedStyle(document.activeElement);"
                " return [document.activeElement.outerHTML.slice(0, 80), style.outlineStyle, style.outlineWidth]; })()"
            )
            if outline[0].startswith("<body"):
                break
            assert outline[1:] == ["solid", "3px"], outline
            seen.add(outline[0])
        assert len(seen) > 5


def test_a_hostile_card_stays_in_its_box(visit):
    """`visit` itself holds that nothing is loaded from elsewhere, runs into the policy or opens a dialog."""
    page = visit().to("/attic/hostile")
    page.wait_for_load_state("networkidle")
    assert page.title() == "attic/hostile · axk1 hub"
    for place in ((60, 30), (230, 30), (100, 110), (100, 190)):
        within = page.evaluate("([x, y]) => document.elementFromPoint(x, y).closest('.card') !== null", list(place))
        assert not within, place
    box = page.locator(".card").bounding_box()
    assert box["x"] + box["width"] <= 1280
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert page.get_by_role("heading", level=1).inner_text() == "attic/hostile"
    assert page.get_by_text("Out of the box").evaluate("element => element.closest('.card') !== null")
    trap = page.get_by_text("Click here")
    assert trap.get_attribute("href") is None
    trap.click()
    assert page.title() == "attic/hostile · axk1 hub"
