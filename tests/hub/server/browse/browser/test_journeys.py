"""What people come for: to find, to read, to compare, to load."""

import os
import re
import subprocess
import sys

from playwright.sync_api import expect

from tests.hub.server.browse.browser.conftest import DATA_ID, MODEL_ID


class TestFindAndRead:
    def test_search_and_open_a_card(self, visit):
        page = visit().to("/")
        page.get_by_role("main").get_by_role("searchbox").fill("nano axk1")
        page.get_by_role("main").get_by_role("button", name="Search").click()
        expect(page.get_by_role("heading", name="Models found: 1 of 2")).to_be_visible()
        page.get_by_role("link", name=MODEL_ID).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(MODEL_ID)
        expect(page.get_by_role("article")).to_contain_text("A small A.X K1, trained from nothing")
        page.get_by_role("link", name="What it is made of").click()
        assert page.url.endswith("#card-what-it-is-made-of")
        expect(page.get_by_role("heading", name="What it is made of")).to_be_in_viewport()

    def test_filter_a_list(self, visit):
        page = visit().to("/models")
        page.get_by_label("Licence").select_option("apache-2.0")
        page.get_by_role("button", name="Show").click()
        assert "licence=apache-2.0" in page.url
        expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(1)

    def test_read_it_in_korean_and_in_the_dark(self, visit):
        page = visit(color_scheme="light").to(f"/{MODEL_ID}")
        page.get_by_role("button", name="한국어").click()
        expect(page.get_by_role("article")).to_contain_text("처음부터 학습한")
        assert page.url.endswith(f"/{MODEL_ID}")
        page.get_by_role("button", name="어둡게").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 28)"
        page.get_by_role("link", name="파일").first.click()
        expect(page.locator("html")).to_have_attribute("lang", "ko")

    def test_a_picture_of_the_card_is_shown(self, visit):
        page = visit().to(f"/datasets/{DATA_ID}")
        picture = page.get_by_role("article").get_by_role("img").first
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 0


class TestData:
    def test_page_through_the_rows(self, visit):
        page = visit().to(f"/datasets/{DATA_ID}")
        page.get_by_role("link", name="Data", exact=True).click()
        first = page.get_by_role("table").inner_text()
        page.get_by_role("link", name=re.compile("Next")).first.click()
        assert page.get_by_role("table").inner_text() != first
        page.get_by_role("link", name=re.compile("Previous")).first.click()
        assert page.get_by_role("table").inner_text() == first

    def test_statistics_of_the_columns(self, visit):
        page = visit().to(f"/datasets/{DATA_ID}/viewer/main")
        page.get_by_role("link", name="Columns").click()
        expect(page.get_by_role("main")).to_contain_text("language")


class TestChanges:
    def test_compare_two_revisions(self, visit):
        page = visit().to(f"/{MODEL_ID}")
        page.get_by_role("link", name="Revisions").click()
        page.get_by_label("From", exact=True).fill("v0.1.0")
        page.get_by_label("To", exact=True).fill("main")
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_role("main")).to_contain_text("NEWS.md")
        expect(page.get_by_role("main")).to_contain_text("One line more.")

    def test_from_a_figure_of_the_card_to_the_command_that_made_it(self, visit):
        page = visit().to(f"/{MODEL_ID}")
        page.get_by_role("link", name="Results", exact=True).click()
        expect(page.get_by_role("main")).to_contain_text("axk1 train pretrain")

    def test_the_tensors_of_the_checkpoint(self, visit):
        page = visit().to(f"/{MODEL_ID}")
        page.get_by_role("link", name="Tensors").click()
        expect(page.get_by_role("main")).to_contain_text("model.layers.0.")


class TestLoad:
    """The snippet is copied as a person copies it, and run as it stands."""

    def copied(self, visit, path: str) -> str:
        window = visit()
        window.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = window.to(path)
        button = page.get_by_role("region", name="Load it").get_by_role("button").first
        button.click()
        expect(button).to_have_text("Copied")
        return page.evaluate("navigator.clipboard.readText()")

    def test_a_block_of_code_in_a_card(self, visit):
        window = visit()
        window.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = window.to(f"/{MODEL_ID}")
        page.get_by_role("article").get_by_role("button", name="Copy").first.click()
        expect(page.get_by_role("status")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()").startswith("from transformers import")

    def test_where_browsers_lend_no_clipboard(self, visit):
        """As on plain http: the text is copied the old way, and pasted here to see it."""
        window = visit()
        window.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page = window.to("/")
        page.get_by_role("button", name="Copy").click()
        page.get_by_role("main").get_by_role("searchbox").press("Control+V")
        expect(page.get_by_role("main").get_by_role("searchbox")).to_have_value(f"export HF_ENDPOINT={window.endpoint}")

    def run(self, program: str, tmp_path) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_the_model(self, visit, tmp_path):
        snippet = self.copied(visit, f"/{MODEL_ID}")
        assert 'revision="v0.1.0"' in snippet
        use = 'print(type(model).__name__, tokenizer.decode(tokenizer("The owl")["input_ids"]))'
        assert self.run(f"{snippet}\n{use}", tmp_path).split(maxsplit=1) == ["AXK1ForCausalLM", "The owl\n"]

    def test_the_dataset(self, visit, tmp_path):
        snippet = self.copied(visit, f"/datasets/{DATA_ID}")
        assert int(self.run(f'{snippet}\nprint(len(dataset["train"]))', tmp_path)) > 0


class TestSignIn:
    def test_in_to_what_one_was_sent_and_out(self, visit, guarded):
        window = visit(at=guarded.endpoint)
        page = window.to("/team/secret", status=401)
        expect(page.get_by_role("heading", level=1)).to_have_text("This needs a token")
        page.get_by_role("main").get_by_role("link", name="Sign in").click()
        page.get_by_label("Token of this hub").fill("axk1_wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_label("Token of this hub").fill(guarded.token)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("article")).to_contain_text("For the team alone.")
        assert page.evaluate("document.cookie") == ""
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("This needs a token")
        assert window.context.cookies() == []

    def test_a_file_is_downloaded_by_who_is_signed_in(self, visit, guarded):
        page = visit(at=guarded.endpoint).to("/-/sign-in")
        page.get_by_label("Token of this hub").fill(guarded.token)
        page.get_by_role("button", name="Sign in").click()
        answer = page.context.request.get(f"{guarded.endpoint}/team/secret/resolve/main/notes.txt")
        assert answer.text() == "Written down.\n"
        # The same cookie at the programs' door opens nothing.
        assert page.context.request.get(f"{guarded.endpoint}/api/models/team/secret").status == 401
