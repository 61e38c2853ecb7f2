"""Mail leaves once what it tells of is committed, however often the mail server fails."""

import asyncio

from operis_db.embedded import EmbeddedPostgres
from tests.factories import PASSWORD, new_email
from tests.fakes.mail_server import PASSWORD as MAIL_PASSWORD
from tests.fakes.mail_server import USER, MailServer, run_mail_server
from tests.reading_mail import link_in, read_mail, receive, text_of
from tests.running import Api, Database, make_database, run_api

VERIFY = "Confirm your address"


async def test_a_mail_is_sent_as_text_and_html_and_names_the_configured_address(
    production: Api, mail_server: MailServer
) -> None:
    email = new_email()
    await production.http.post(
        f"{production.base_url}/api/v1/auth/register",
        json={"email": email, "password": PASSWORD, "name": "Ada"},
        headers={"host": "attacker.example", "x-forwarded-host": "attacker.example"},
    )
    message = await receive(mail_server, email, VERIFY)
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert link_in(text_of(message)).startswith("https://operis.test/verify-email?token=")
    assert "attacker.example" not in message.as_string()
    assert message["From"] == "Operis <no-reply@operis.test>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert mail_server.envelopes[-1] == ("no-reply@operis.test", [email])


async def test_what_was_sent_leaves_no_link_behind(production: Api) -> None:
    email = new_email()
    await production.client().register(email=email, password=PASSWORD, name="Ada")
    row = await wait_for(production.database, email, "sent_at IS NOT NULL")
    assert (row["content_encrypted"], row["error"], row["failed_at"]) == (None, None, None)


async def test_the_reader_is_addressed_in_their_language(api: Api) -> None:
    email = new_email()
    await api.client().register(email=email, password=PASSWORD, name="Ada", locale="vi")
    mail = await read_mail(api, email, "Xác nhận địa chỉ của bạn")
    assert "hãy xác nhận địa chỉ này" in mail.text
    assert '<html lang="vi">' in mail.html


async def test_a_mail_that_is_refused_for_now_is_tried_again_and_one_refused_for_good_is_not(
    postgres: EmbeddedPostgres,
) -> None:
    database = await make_database(postgres)
    async with run_mail_server() as server, run_api(database, OPERIS_SMTP_URL=server.url) as api:
        server.answers = ["451 later"]
        email = new_email()
        await api.client().register(email=email, password=PASSWORD, name="Ada")
        delayed = await wait_for(database, email, "error IS NOT NULL")
        assert (delayed["attempts"], delayed["sent_at"], delayed["failed_at"]) == (1, None, None)
        assert delayed["content_encrypted"] is not None
        await database.fetch("UPDATE mails SET next_try_at = now() WHERE recipient = $1", email)
        await receive(server, email, VERIFY)

        server.answers = ["554 spam"]
        other = new_email()
        await api.client().register(email=other, password=PASSWORD, name="Eve")
        refused = await wait_for(database, other, "failed_at IS NOT NULL")
        assert (refused["attempts"], refused["content_encrypted"]) == (1, None)
        assert "mail_given_up" in api.log.read_text()
        assert server.sent_to(other) == []


async def test_a_mail_outlives_a_mail_server_that_is_away_and_a_process_that_is_killed(
    postgres: EmbeddedPostgres,
) -> None:
    database, email = await make_database(postgres), new_email()
    async with run_api(database, OPERIS_SMTP_URL="smtp://127.0.0.1:9") as api:
        await api.client().register(email=email, password=PASSWORD, name="Ada")
        await wait_for(database, email, "error IS NOT NULL")
        await api.kill()
    await database.fetch("UPDATE mails SET next_try_at = now()")
    async with run_mail_server() as server:
        async with run_api(database, OPERIS_SMTP_URL=server.url), run_api(database, OPERIS_SMTP_URL=server.url):
            await receive(server, email, VERIFY)
            await asyncio.sleep(2)
        assert len(server.sent_to(email)) == 1


async def test_three_processes_send_each_of_thirty_mails_once(postgres: EmbeddedPostgres) -> None:
    database = await make_database(postgres)
    async with run_mail_server() as server, run_api(database, OPERIS_SMTP_URL="smtp://127.0.0.1:9") as api:
        emails = [new_email() for _ in range(30)]
        await asyncio.gather(*(api.client().register(email=email, password=PASSWORD, name="Ada") for email in emails))
        await api.stop()
        await database.fetch("UPDATE mails SET next_try_at = now()")
        url = server.url
        async with (
            run_api(database, OPERIS_SMTP_URL=url),
            run_api(database, OPERIS_SMTP_URL=url),
            run_api(database, OPERIS_SMTP_URL=url),
        ):
            for email in emails:
                await receive(server, email, VERIFY)
            await asyncio.sleep(1.5)
        assert sorted(str(message["To"]) for message in server.messages) == sorted(emails)


async def test_after_the_last_attempt_a_mail_is_given_up(postgres: EmbeddedPostgres) -> None:
    database, email = await make_database(postgres), new_email()
    async with run_api(database, OPERIS_SMTP_URL="smtp://127.0.0.1:9") as api:
        await api.client().register(email=email, password=PASSWORD, name="Ada")
        await wait_for(database, email, "error IS NOT NULL")
        await database.fetch("UPDATE mails SET attempts = 7, next_try_at = now()")
        given_up = await wait_for(database, email, "failed_at IS NOT NULL")
        assert (given_up["attempts"], given_up["content_encrypted"]) == (8, None)


async def test_the_mail_server_is_signed_in_to_and_its_password_stays_out_of_the_log(
    postgres: EmbeddedPostgres,
) -> None:
    database, email = await make_database(postgres), new_email()
    async with run_mail_server(sign_in=True) as server:
        url = f"smtp://{USER}:mail%2Fpassword%3A7@127.0.0.1:{server.port}"
        async with run_api(database, OPERIS_SMTP_URL=url, OPERIS_MAIL_FROM="Acme <hi@acme.test>") as api:
            await api.client().register(email=email, password=PASSWORD, name="Ada")
            assert (await receive(server, email, VERIFY))["From"] == "Acme <hi@acme.test>"
            assert server.users == {USER}
        async with run_api(database, OPERIS_SMTP_URL=url.replace("%3A7", "wrong")) as api:
            other = new_email()
            await api.client().register(email=other, password=PASSWORD, name="Ada")
            await wait_for(database, other, "error IS NOT NULL")
            assert MAIL_PASSWORD not in api.log.read_text()
            assert "passwordwrong" not in api.log.read_text()


async def test_starttls_that_was_asked_for_is_never_given_up_on(postgres: EmbeddedPostgres) -> None:
    database, email = await make_database(postgres), new_email()
    async with run_mail_server() as server:
        async with run_api(database, OPERIS_SMTP_URL=f"starttls://127.0.0.1:{server.port}") as api:
            await api.client().register(email=email, password=PASSWORD, name="Ada")
            row = await wait_for(database, email, "error IS NOT NULL")
            assert "STARTTLS" in str(row["error"])
        assert server.messages == []


async def test_production_without_a_mail_server_says_so_and_keeps_the_mail(postgres: EmbeddedPostgres) -> None:
    database, email = await make_database(postgres), new_email()
    settings = {
        "OPERIS_ENV": "production",
        "OPERIS_PUBLIC_API_URL": "https://api.operis.test",
        "OPERIS_PUBLIC_DASHBOARD_URL": "https://operis.test",
        "OPERIS_SECRET_KEY": "kq3Zv8Wn1Rt6Yb0Xs5Du2Fh7Jm4Lp9CaGe",
    }
    async with run_api(database, **settings) as api:
        await api.client().register(email=email, password=PASSWORD, name="Ada")
        assert "no_mail_server" in api.log.read_text()
        await asyncio.sleep(1.5)
        row = (await database.fetch("SELECT attempts FROM mails WHERE recipient = $1", email))[0]
        assert row["attempts"] == 0


async def test_the_mailbox_of_development_is_paged_and_production_has_none(api: Api, production: Api) -> None:
    emails = [new_email() for _ in range(3)]
    for email in emails:
        await api.client().register(email=email, password=PASSWORD, name="Ada")
        await read_mail(api, email, VERIFY)
    first = await api.client().list_written_mails(limit=1)
    second = await api.client().list_written_mails(limit=1, after=first.next)
    assert first.items[0].to != second.items[0].to
    assert first.items[0].id > second.items[0].id
    answer = await production.http.get(f"{production.base_url}/api/v1/dev/mail")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def wait_for(database: Database, email: str, condition: str) -> dict[str, object]:
    for _ in range(200):
        rows = await database.fetch(f"SELECT * FROM mails WHERE recipient = $1 AND {condition}", email)
        if rows:
            return dict(rows[0])
        await asyncio.sleep(0.1)
    raise AssertionError(f"no mail to {email} where {condition}")
