"""The mailbox of development: where a visitor finds what would have been mailed to them."""

from operis_dashboard.pages.forgot_password import ForgotPassword
from operis_dashboard.pages.mailbox import Mailbox
from tests.dashboard.conftest import Tab, run
from tests.factories import sign_up
from tests.reading_mail import read_mail
from tests.running import Api


async def test_a_visitor_finds_the_mail_and_its_link(api: Api, tab: Tab) -> None:
    account = await sign_up(api)
    forgot = await tab.page(ForgotPassword, "/forgot-password")
    await run(forgot.submit({"email": account.email}))
    await read_mail(api, account.email, "Set a new password")
    mailbox = await tab.page(Mailbox, "/mailbox")
    assert mailbox.development
    mail = next(row for row in mailbox.rows if row.address == account.email and row.subject == "Set a new password")
    assert "/reset-password?" in mail.links[0]
    assert mail.links[0] in mail.text
