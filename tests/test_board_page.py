"""The pages of boards in a real browser: sorting, filters, links that restore them, keyboard, colours, widths, access.

Needs Chromium on this machine and the packages playwright and axe-playwright-python; skipped by name without them.
"""

import contextlib
import os
import shutil

import pytest
from boards import NAME

from eggym.leaderboards.board_site import build_site

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
pytestmark = pytest.mark.slow  # a minute of a real browser
if BROWSER is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)

PAGES = ("index.html", f"{NAME}/index.html", f"{NAME}/eggroll.html", f"{NAME}/frozen.html")
BOARD = PAGES[1]
RANKED = ["dr_grpo", "eggroll"]


@pytest.fixture(scope="module")
def site(small_place, tmp_path_factory):
    out = tmp_path_factory.mktemp("seen") / "site"
    build_site(small_place, out, [NAME])
    return out


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        alone = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = play.chromium.launch(executable_path=BROWSER, args=alone)
        yield found
        found.close()


@pytest.fixture
def show(browser, site):
    """Open a page of the site; whatever it says on the console or asks of anyone fails the test."""
    told = []

    @contextlib.contextmanager
    def opened(name=BOARD, fragment="", **context):
        window = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        page = window.new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda problem: told.append(str(problem)))
        page.on("request", lambda request: told.extend([] if request.url.startswith("file://") else [request.url]))
        page.goto(f"{(site / name).as_uri()}{fragment}")
        yield page
        window.close()

    yield opened
    assert told == []


def rows(page):
    """The learners in the table as they are seen, from the top."""
    return [
        row.split(" ")[0] for row in page.locator("table.board tbody tr:visible th > a:first-child").all_inner_texts()
    ]


def state(page):
    return page.evaluate("location.hash")


def sorted_by(page):
    return {head.inner_text().strip(): head.get_attribute("aria-sort") for head in page.locator("th[aria-sort]").all()}


def test_a_column_sorts_both_ways_and_the_address_says_so(show):
    with show() as page:
        first = rows(page)
        assert first[:2] == RANKED and len(first) == 5 and set(sorted_by(page).values()) == {"ascending"}
        page.get_by_role("button", name="Learner").click()
        assert rows(page) == sorted(first) and state(page) == "#sort=learner"
        page.get_by_role("button", name="Learner").click()
        assert rows(page) == sorted(first)[::-1] and state(page) == "#sort=-learner"
        page.get_by_role("button", name="Score").click()
        scores = [float(cell) for cell in page.locator("table.board tbody td:nth-child(3) b").all_inner_texts()]
        assert scores == sorted(scores, reverse=True) and state(page) == "#sort=-score"
        assert list(sorted_by(page).values()) == ["descending"]
        page.get_by_role("button", name="Rank").click()
        assert rows(page) == first  # controls last, as they came


def test_what_is_missing_is_last_both_ways(show):
    with show() as page:
        for _ in range(2):
            page.get_by_role("button", name="Rank").click()
            assert set(rows(page)[:2]) == set(RANKED)


def test_rows_are_found_by_words_and_kind(show):
    with show() as page:
        page.get_by_role("searchbox").fill("EGG")
        assert rows(page) == ["eggroll", "random-reward:eggroll"]
        assert page.locator("output").inner_text() == "2 of 5 rows" and state(page) == "#q=EGG"
        page.get_by_label("Kind").select_option("control")
        assert rows(page) == ["random-reward:eggroll"] and state(page) == "#kind=control&q=EGG"
        page.get_by_role("searchbox").press("Enter")  # a form that goes nowhere
        assert rows(page) == ["random-reward:eggroll"]
        page.reload()
        assert rows(page) == ["random-reward:eggroll"] and page.locator("output").inner_text() == "1 of 5 rows"


def test_a_link_restores_what_was_seen(show):
    with show(fragment="#kind=control&sort=-learner&q=random") as page:
        assert rows(page) == ["random-reward:eggroll", "random-reward:dr_grpo"]
        assert page.get_by_role("searchbox").input_value() == "random"
        page.evaluate("location.hash = '#kind=rl'")
        page.wait_for_function("document.querySelector('output').value === '1 of 5 rows'")
        assert rows(page) == ["dr_grpo"] and page.get_by_role("searchbox").input_value() == ""


def test_a_link_to_a_row_shows_it(show):
    with show(fragment="#r-frozen") as page:
        assert len(rows(page)) == 5 and state(page) == "#r-frozen"
        shade = "id => getComputedStyle(document.getElementById(id).cells[0]).backgroundColor"
        assert page.evaluate(shade, "r-frozen") != page.evaluate(shade, "r-eggroll")
        assert page.locator("#r-frozen").bounding_box()["y"] < 900


def test_the_keyboard_alone_is_enough(show):
    with show() as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.closest('th')?.dataset.s") == "score":
                break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        assert state(page) == "#sort=-score"
        page.keyboard.press("Space")
        assert state(page) == "#sort=score"


def test_the_axis_of_the_curves_is_chosen_without_a_script(show):
    with show(java_script_enabled=False) as page:
        assert page.locator(".on.episodes:visible").count() == 2 and page.locator(".on:visible").count() == 2
        page.locator("label.tokens").click()
        assert page.locator(".on.tokens:visible").count() == 2 and page.locator(".on:visible").count() == 2
        page.keyboard.press("ArrowLeft")
        assert page.locator(".on.episodes:visible").count() == 2


def test_everything_is_read_without_a_script(show):
    with show(java_script_enabled=False) as page:
        assert len(rows(page)) == 5 and page.locator("form.filter:visible").count() == 0
        assert page.locator("th button").count() == 0


@pytest.mark.parametrize("name", PAGES)
def test_light_and_dark_follow_the_reader(show, name):
    found = {}
    for scheme in ("light", "dark"):
        with show(name, color_scheme=scheme) as page:
            look = "getComputedStyle(document.body)"
            found[scheme] = [page.evaluate(f"{look}.{part}") for part in ("backgroundColor", "color")]
    assert found == {
        "light": ["rgb(255, 255, 255)", "rgb(32, 36, 42)"], "dark": ["rgb(20, 23, 27)", "rgb(232, 234, 237)"],
    }  # fmt: skip


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_no_page_is_wider_than_its_window(show, width):
    for name in PAGES:
        with show(name, viewport={"width": width, "height": 900}) as page:
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert page.evaluate("document.body.scrollWidth") <= width, name


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_nobody_is_shut_out(show, name, scheme, width):
    with show(name, color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        found = axe.Axe().run(page).response
        told = [(one["id"], one["help"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]]
        assert told == []
        assert len(found["passes"]) > 15


def test_on_paper_there_are_no_controls(show):
    with show() as page:
        page.emulate_media(media="print")
        assert page.locator("form.filter:visible, .tabs:visible, .skip:visible").count() == 0
        assert page.locator("table.board tbody tr:visible").count() == 5
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
