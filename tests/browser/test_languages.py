"""The page in another language: the browser's, or the one that is chosen."""

from playwright.sync_api import expect


def test_page_speaks_the_browsers_language_and_can_be_changed(open_page):
    page = open_page(locale="de-AT")
    tabs = page.locator("#tabs [role=tab]:visible")
    expect(tabs).to_have_text(["Daten", "Training", "Läufe", "Transkription"])
    expect(page.locator("#live")).to_contain_text("Womit möchten Sie anfangen?")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.get_by_label("Sprache").select_option("English")
    expect(tabs).to_have_text(["Data", "Train", "Runs", "Transcribe"])
    page.reload()
    expect(page.locator("#live")).to_contain_text("What would you like to do first?")
    expect(page.locator("html")).to_have_attribute("lang", "en")
