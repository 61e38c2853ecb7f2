"""Files that are chosen on a page: one for each session, for a quarter of an hour."""

from operis_dashboard import runtime
from operis_dashboard.pages.admin_prices import AdminPrices
from operis_dashboard.session import fingerprint
from operis_dashboard.uploads import FILES_MAX, SECONDS_MAX, Shelf, shelf
from tests.dashboard.conftest import Tab, run


def test_a_shelf_keeps_the_last_file_of_each_session_for_a_while() -> None:
    now = [0.0]
    kept = Shelf(lambda: now[0])
    kept.put("ada", "first")
    kept.put("ada", "second")
    assert (kept.find("ada"), kept.find("bob"), kept.find("")) == ("second", "", "")
    for nth in range(FILES_MAX):
        kept.put(f"nr {nth}", "x")
    assert (kept.find("ada"), kept.find("nr 0")) == ("", "x")
    now[0] = SECONDS_MAX
    assert kept.find("nr 0") == ""


async def test_the_file_that_was_chosen_is_the_one_that_is_reviewed(admin_tab: Tab) -> None:
    prices = await admin_tab.page(AdminPrices, "/admin/prices")
    session_id = admin_tab.cookies[runtime.cookie_name()]
    shelf.put(fingerprint(session_id), "model_id,cost_input,cost_output\noperis/echo,0.8,40\n")
    prices.take_file({"name": "prices.csv", "failure": ""})
    await run(prices.review({"format": "csv", "markup": "5/4"}))
    assert prices.import_failure == ""
    assert "operis/echo" in [row.model for row in prices.changes if row.flags]
    prices.take_file({"name": "", "failure": "The file is not text in UTF-8."})
    assert (prices.file_name, prices.reviewed, prices.import_failure) == ("", False, "The file is not text in UTF-8.")
