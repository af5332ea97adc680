"""The web page in a real browser, with real weights: pictures in, labels out."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Route, expect

from tests.browser.conftest import Desk, Save
from tests.support.pictures import PHOTOGRAPHS, TRAFFIC_LIGHT, TRAFFIC_LIGHT_HEIC, encode, photograph
from tests.support.processes import Service

OpenDesk = Callable[..., Desk]
MANY = 20


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """As many pictures as MANY says, all different."""
    folder = tmp_path_factory.mktemp("photographs")
    names = [*PHOTOGRAPHS, "astronaut.png"][:MANY]
    files = [folder / f"{place:02} {Path(name).stem}.jpg" for place, name in enumerate(names, 1)]
    for file, name in zip(files, names, strict=True):
        file.write_bytes(encode(photograph(name), "JPEG", quality=85 if file is not files[-1] else 60))
    return files


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A picture whose header is fine and whose pixels are cut off."""
    file = tmp_path / "broken.png"
    data = TRAFFIC_LIGHT.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    return file


def expect_traffic_light(desk: Desk, name: str) -> None:
    labels = desk.card(name).locator(".labels li")
    expect(labels).to_have_count(3)
    expect(labels.first).to_contain_text("traffic light")
    expect(labels.first).to_contain_text(re.compile(r"\d\d\.\d%"))


def violations(desk: Desk) -> list[str]:
    """What axe finds wrong with the page, in words."""
    found = Axe().run(desk.page).response["violations"]
    return [f"{each['id']}: {each['help']} {[node['html'] for node in each['nodes']]}" for each in found]


def test_a_dropped_picture_gets_three_labels(open_desk: OpenDesk, service: Service) -> None:
    desk = open_desk(service.url)
    desk.screenshot("empty")
    # When a picture is dropped on the page
    desk.drop(TRAFFIC_LIGHT)
    # Then its three labels are shown, with bars as long as they are likely
    expect_traffic_light(desk, "traffic_light.png")
    track, fill = (desk.card("traffic_light.png").locator(part).first.bounding_box() for part in (".bar", ".fill"))
    assert track and fill and 0.3 < fill["width"] / track["width"] < 1
    # And its preview, its times, the model and its JSON
    card = desk.card("traffic_light.png")
    expect(card.locator("img")).to_have_js_property("naturalWidth", 176)
    expect(card.locator(".times")).to_have_text(re.compile(r"Queued \d+\sms, ran \d+\sms · \d+\.\d\ss total · \w+"))
    with desk.page.context.expect_page() as opened:
        card.get_by_role("link", name="JSON of traffic_light.png").click()
    opened.value.wait_for_load_state()
    assert '"predicted_label":"traffic light"' in opened.value.content().replace(" ", "").replace(
        "trafficl", "traffic l"
    )
    desk.screenshot("one picture")


def test_a_guess_is_marked_as_one(open_desk: OpenDesk, stubbed: Service, save: Save) -> None:
    # Given a model that is sure of one picture and not of another (no real one is needed for that)
    desk = open_desk(stubbed.url)
    levels = {"sure.png": (0.697, 0.2, 0.0009), "guess.png": (0.249, 0.15, 0.0472)}

    def answer(route: Route) -> None:
        body = route.fetch().json()
        if body["status"] == "succeeded":
            name = next(entry["name"] for entry in desk.remembered() if entry["id"] == body["id"])
            for row, level in zip(body["result"].values(), levels[name], strict=True):
                row["confidence_level"] = level
        route.fulfill(json=body, status=200 if body["status"] == "succeeded" else 202)

    desk.page.route("**/result/*", answer)
    # When both are classified
    desk.choose(*(save(name) for name in levels))
    expect(desk.cards("succeeded")).to_have_count(2)
    # Then the guess says so, once, and all percentages have one form
    expect(desk.card("guess.png").locator(".unsure:visible")).to_have_count(1)
    expect(desk.card("sure.png").locator(".unsure:visible")).to_have_count(0)
    expect(desk.card("guess.png").locator(".level")).to_have_text(["24.9%", "15.0%", "4.7%"])
    expect(desk.card("sure.png").locator(".level")).to_have_text(["69.7%", "20.0%", "<0.1%"])
    # And it is spoken too
    expect(desk.page.get_by_role("status")).to_contain_text(re.compile(r"guess\.png: \w+, 24\.9%, not sure\."))


def test_a_pasted_picture_is_classified(open_desk: OpenDesk, service: Service) -> None:
    desk = open_desk(service.url)
    desk.paste(TRAFFIC_LIGHT.read_bytes())
    expect_traffic_light(desk, "image.png")


def test_many_pictures_a_broken_one_and_no_picture_at_all(
    open_desk: OpenDesk, service: Service, photographs: list[Path], broken: Path, tmp_path: Path
) -> None:
    desk = open_desk(service.url)
    note = tmp_path / "note.txt"
    note.write_text("no picture")
    # When twenty pictures come at once with one that is broken, one in HEIC and a text
    desk.drop(*photographs, broken, TRAFFIC_LIGHT_HEIC, note)
    # Then all pictures get their labels,
    expect(desk.cards("succeeded")).to_have_count(MANY + 1)
    expect_traffic_light(desk, "traffic_light.heic")
    # what is wrong stands in words where it belongs,
    expect(desk.cards("failed")).to_have_count(2)
    expect(desk.card("broken.png")).to_contain_text("cannot be decoded")
    expect(desk.card("note.txt")).to_contain_text("This is not a picture in an accepted format.")
    # and a picture that the browser cannot draw says so
    expect(desk.card("traffic_light.heic").locator(".preview")).to_have_text("HEIC no preview in this browser")
    expect(desk.page.locator("#summary")).to_have_text(f"{MANY + 1} done, 2 failed")
    # They stand in the order in which they came
    names = desk.page.locator(".card .name").all_text_contents()
    assert names[:MANY] == [file.name for file in photographs]
    desk.screenshot("many pictures")


def test_a_reload_keeps_what_there_is_and_says_what_is_gone(
    open_desk: OpenDesk, service: Service, photographs: list[Path], broken: Path
) -> None:
    # Given results, one of which has been deleted from the service
    desk = open_desk(service.url)
    desk.choose(*photographs[:2], TRAFFIC_LIGHT, broken)
    expect(desk.cards("succeeded")).to_have_count(3)
    expect(desk.cards("failed")).to_have_count(1)
    before = desk.card("traffic_light.png").locator(".labels").inner_text()
    (gone,) = (entry["id"] for entry in desk.remembered() if entry["name"] == photographs[0].name)
    desk.page.request.delete(f"{service.url}/result/{gone}")
    # When the page is loaded again
    desk.open()
    # Then the others are shown as before, with their previews
    expect(desk.cards("succeeded")).to_have_count(2)
    assert desk.card("traffic_light.png").locator(".labels").inner_text() == before
    expect(desk.card("traffic_light.png").locator("img")).to_have_js_property("naturalWidth", 176)
    expect(desk.card("broken.png")).to_contain_text("cannot be decoded")
    # and that one says what became of it, once
    expect(desk.card(photographs[0].name).locator(".state")).to_contain_text(re.compile("deleted|gone|no longer"))
    desk.screenshot("after a reload")
    desk.open()
    expect(desk.cards("succeeded")).to_have_count(2)
    expect(desk.card(photographs[0].name)).to_have_count(0)


def test_what_is_removed_is_forgotten_by_the_service_too(open_desk: OpenDesk, service: Service) -> None:
    desk = open_desk(service.url)
    desk.choose(TRAFFIC_LIGHT)
    expect(desk.cards("succeeded")).to_have_count(1)
    (entry,) = desk.remembered()
    with desk.page.expect_response(f"**/result/{entry['id']}"):
        desk.button("Remove", "traffic_light.png").click()
    expect(desk.page.locator(".card")).to_have_count(0)
    assert desk.remembered() == []
    assert service.result(entry["id"]).status_code == 410


def test_the_keyboard_is_enough(open_desk: OpenDesk, service: Service) -> None:
    desk = open_desk(service.url)
    keyboard = desk.page.keyboard
    # When somebody without a mouse goes to the first control after the links and presses it
    keyboard.press("Tab")
    expect(desk.page.get_by_role("link", name="Status")).to_be_focused()
    keyboard.press("Tab")
    expect(desk.page.get_by_role("link", name="API docs")).to_be_focused()
    keyboard.press("Tab")
    expect(desk.page.get_by_role("button", name="Choose pictures")).to_be_focused()
    desk.chooser(lambda: keyboard.press("Enter")).set_files([TRAFFIC_LIGHT, TRAFFIC_LIGHT_HEIC])
    expect(desk.cards("succeeded")).to_have_count(2)
    # Then the results are the next stops, and focus never falls off the page
    for name in ("Download CSV", "Download JSON", "Clear finished"):
        keyboard.press("Tab")
        expect(desk.page.get_by_role("button", name=name)).to_be_focused()
    for name in ("traffic_light.png", "traffic_light.heic"):
        keyboard.press("Tab")
        expect(desk.page.get_by_role("link", name=f"JSON of {name}")).to_be_focused()
        for word in ("Copy the JSON of", "Copy a curl command for", "Remove"):
            keyboard.press("Tab")
            expect(desk.button(word, name)).to_be_focused()
    keyboard.press("Enter")
    expect(desk.button("Remove", "traffic_light.png")).to_be_focused()
    keyboard.press("Enter")
    expect(desk.page.get_by_role("button", name="Choose pictures")).to_be_focused()


def test_the_result_is_spoken(open_desk: OpenDesk, service: Service, broken: Path) -> None:
    desk = open_desk(service.url)
    desk.choose(TRAFFIC_LIGHT, broken)
    spoken = desk.page.get_by_role("status")
    expect(spoken).to_contain_text(re.compile(r"traffic_light\.png: traffic light, \d\d\.\d%\."))
    expect(spoken).to_contain_text(re.compile(r"broken\.png: .*cannot be decoded"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1600])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    open_desk: OpenDesk, service: Service, broken: Path, photographs: list[Path], scheme: str, width: int
) -> None:
    viewport = {"width": width, "height": 2500 if width == 320 else 800}
    desk = open_desk(service.url, color_scheme=scheme, viewport=viewport, has_touch=width == 320)
    assert violations(desk) == []
    desk.choose(TRAFFIC_LIGHT, TRAFFIC_LIGHT_HEIC, broken, *photographs[:2])
    expect(desk.cards("succeeded")).to_have_count(4)
    expect(desk.cards("failed")).to_have_count(1)
    assert violations(desk) == []
    assert desk.page.evaluate("document.documentElement.scrollWidth") == width
    desk.screenshot(f"{scheme}, {width} pixels")
    desk.page.get_by_role("button", name="Only failed").click()
    assert violations(desk) == []
    desk.page.get_by_role("button", name="Clear finished").click()
    assert violations(desk) == []
    assert desk.page.evaluate("document.documentElement.scrollWidth") == width


def test_a_phone_can_take_a_photo(open_desk: OpenDesk, service: Service) -> None:
    # Given a phone
    desk = open_desk(service.url, viewport={"width": 390, "height": 1000}, has_touch=True, is_mobile=True)
    # When the camera's button is pressed
    chooser = desk.chooser(desk.page.get_by_role("button", name="Take a photo").tap)
    # Then the browser is asked for the camera, and the photo is taken like any other file
    assert chooser.element.get_attribute("capture") == "environment"
    # And nothing is said about dropping files, which a phone cannot do
    assert "drop" not in desk.page.locator("body").inner_text().lower()
    chooser.set_files(TRAFFIC_LIGHT)
    expect_traffic_light(desk, "traffic_light.png")
    desk.screenshot("phone")
