"""The second factor: turned on with a code, asked for at sign-in, each code good once."""

import asyncio
import base64
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from operis_api.credentials.totp import STEP_SECONDS, code_at, find_step
from tests.factories import PASSWORD, Account, sign_up
from tests.reading_mail import read_mail
from tests.refusing import refused
from tests.running import Api

RFC_SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    assert code_at(RFC_SECRET, seconds // STEP_SECONDS) == code


def test_a_code_is_good_for_one_step_to_either_side_and_never_again() -> None:
    now, step = 1111111111.0, 1111111111 // STEP_SECONDS
    near = {
        offset: find_step(RFC_SECRET, code_at(RFC_SECRET, step + offset), now_seconds=now, after_step=0)
        for offset in range(-2, 3)
    }
    assert near == {-2: None, -1: step - 1, 0: step, 1: step + 1, 2: None}
    assert find_step(RFC_SECRET, code_at(RFC_SECRET, step), now_seconds=now, after_step=step) is None
    for wrong in ("", "12345", "1234567", "00000é", "\u0661\u0662\u0663\u0664\u0665\u0666"):
        assert find_step(RFC_SECRET, wrong, now_seconds=now, after_step=0) is None


def secret_of(shown: str) -> bytes:
    return base64.b32decode(shown + "=" * (-len(shown) % 8))


def code_of(shown: str, offset: int = 0) -> str:
    return code_at(secret_of(shown), int(time.time()) // STEP_SECONDS + offset)


async def turn_on(ada: Account) -> tuple[str, list[str]]:
    """Return the secret and the recovery codes; the code of the step before is used up."""
    enrolment = await ada.client.enrol_second_factor()
    codes = await ada.client.confirm_second_factor(code=code_of(enrolment.secret, -1))
    return enrolment.secret, codes.recovery_codes


async def test_signing_in_asks_for_a_code_once_it_is_on(api: Api, ada: Account) -> None:
    enrolment = await ada.client.enrol_second_factor()
    parts = urlsplit(enrolment.uri)
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert parse_qs(parts.query)["secret"] == [enrolment.secret]
    assert (await api.client().login(email=ada.email, password=PASSWORD)).access_token  # not confirmed, not asked for

    codes = (await ada.client.confirm_second_factor(code=code_of(enrolment.secret, -1))).recovery_codes
    assert len(set(codes)) == 10
    assert (await ada.client.get_second_factor()).recovery_codes_left == 10
    asked = await api.http.post(f"{api.base_url}/api/v1/auth/login", json={"email": ada.email, "password": PASSWORD})
    assert set(asked.json()) == {"mfa_required", "mfa_token", "mfa_methods"}
    assert asked.json()["mfa_methods"] == ["totp", "recovery_code"]
    tokens = await api.client().verify_second_factor(
        mfa_token=asked.json()["mfa_token"], code=code_of(enrolment.secret)
    )
    assert (await api.client(tokens.access_token).get_me()).user.id == ada.user_id
    await read_mail(api, ada.email, "Two-factor sign-in was turned on")


async def test_a_code_opens_once_even_for_twenty_at_once(api: Api, second_api: Api, ada: Account) -> None:
    secret, _ = await turn_on(ada)
    code = code_of(secret)
    tokens = [(await api.client().login(email=ada.email, password=PASSWORD)).mfa_token for _ in range(20)]

    async def verify(nth: int) -> int:
        running = (api, second_api)[nth % 2]
        answer = await running.http.post(
            f"{running.base_url}/api/v1/auth/mfa/verify", json={"mfa_token": tokens[nth], "code": code}
        )
        return answer.status_code

    found = await asyncio.gather(*(verify(nth) for nth in range(20)))
    assert sorted(found) == [200, *[401] * 19]


async def test_a_recovery_code_opens_once_and_its_owner_is_told(api: Api, ada: Account) -> None:
    _, codes = await turn_on(ada)
    first = await api.client().login(email=ada.email, password=PASSWORD)
    await api.client().verify_second_factor(mfa_token=first.mfa_token, code=codes[0].upper().replace("-", " "))
    assert "Codes left: 9" in (await read_mail(api, ada.email, "A recovery code was used")).text
    second = await api.client().login(email=ada.email, password=PASSWORD)
    with refused(401, "invalid_code"):
        await api.client().verify_second_factor(mfa_token=second.mfa_token, code=codes[0])
    await api.client().verify_second_factor(mfa_token=second.mfa_token, code=codes[1])
    with refused(400, "invalid_link"):
        await api.client().verify_second_factor(mfa_token=second.mfa_token, code=codes[2])


async def test_new_recovery_codes_void_the_old_ones(api: Api, ada: Account) -> None:
    _, old = await turn_on(ada)
    new = (await ada.client.replace_recovery_codes()).recovery_codes
    token = (await api.client().login(email=ada.email, password=PASSWORD)).mfa_token
    with refused(401, "invalid_code"):
        await api.client().verify_second_factor(mfa_token=token, code=old[0])
    await api.client().verify_second_factor(mfa_token=token, code=new[0])


async def test_a_code_of_somebody_else_opens_nothing(api: Api, ada: Account) -> None:
    eve = await sign_up(api)
    secret, codes = await turn_on(eve)
    await turn_on(ada)
    token = (await api.client().login(email=ada.email, password=PASSWORD)).mfa_token
    for code in (code_of(secret), codes[0], "", "0" * 6, "\x00", "a" * 10_000):
        with refused(401, "invalid_code"):
            await api.client().verify_second_factor(mfa_token=token, code=code)


async def test_the_token_between_password_and_code_opens_nothing_else(api: Api, ada: Account) -> None:
    await turn_on(ada)
    token = (await api.client().login(email=ada.email, password=PASSWORD)).mfa_token
    with refused(401, "unauthenticated"):
        await api.client(token).get_me()
    with refused(401, "unauthenticated"):
        await api.client().refresh(refresh_token=token)
    with refused(400, "invalid_link"):
        await api.client().reset_password(token=token, new_password="quite another password")
    with refused(400, "invalid_link"):
        await api.client().verify_email(token=token)


async def test_no_other_token_stands_in_for_it(api: Api, ada: Account) -> None:
    secret, _ = await turn_on(ada)
    await api.client().forgot_password(email=ada.email)
    mail = await read_mail(api, ada.email, "Set a new password")
    reset = parse_qs(urlsplit(next(word for word in mail.text.split() if "token=" in word)).query)["token"][0]
    for token in (ada.client.token or "", reset, "", "op-ol-x"):
        with refused(400, "invalid_link"):
            await api.client().verify_second_factor(mfa_token=token, code=code_of(secret))


async def test_a_new_password_voids_what_waits_for_a_code(api: Api, ada: Account) -> None:
    _, codes = await turn_on(ada)
    token = (await api.client().login(email=ada.email, password=PASSWORD)).mfa_token
    await ada.client.change_password(current_password=PASSWORD, new_password="quite another password")
    with refused(400, "invalid_link"):
        await api.client().verify_second_factor(mfa_token=token, code=codes[0])


async def age(api: Api, ada: Account) -> None:
    """Let the last proof of every session lie eleven minutes back."""
    await api.database.fetch(
        "UPDATE sessions SET authenticated_at = now() - interval '11 minutes' WHERE user_id = $1::text::uuid",
        ada.user_id,
    )


async def test_what_is_sensitive_asks_for_a_recent_proof(api: Api, ada: Account) -> None:
    enrolment = await ada.client.enrol_second_factor()
    await age(api, ada)
    for call in (
        ada.client.enrol_second_factor,
        ada.client.remove_second_factor,
        ada.client.replace_recovery_codes,
        lambda: ada.client.confirm_second_factor(code=code_of(enrolment.secret)),
        lambda: ada.client.change_address(email="new@example.com"),
    ):
        with refused(403, "step_up_required"):
            await call()
    with refused(401, "invalid_credentials"):
        await ada.client.step_up(password="not the password")
    await ada.client.step_up(password=PASSWORD)
    _, codes = await turn_on(ada)

    await age(api, ada)
    with refused(401, "invalid_code"):  # where there is a second factor, the password alone is no proof
        await ada.client.step_up(password=PASSWORD)
    await ada.client.step_up(code=codes[0])
    await ada.client.remove_second_factor()
    assert (await ada.client.get_second_factor()).enabled_at is None
    assert (await api.client().login(email=ada.email, password=PASSWORD)).access_token
    await read_mail(api, ada.email, "Two-factor sign-in was turned off")


async def test_a_second_factor_that_is_on_is_not_replaced_by_another(ada: Account) -> None:
    secret, _ = await turn_on(ada)
    with refused(409, "second_factor_enabled"):
        await ada.client.enrol_second_factor()
    with refused(409, "second_factor_enabled"):
        await ada.client.confirm_second_factor(code=code_of(secret))


async def test_without_one_there_is_nothing_to_confirm_or_replace(ada: Account) -> None:
    with refused(409, "second_factor_missing"):
        await ada.client.confirm_second_factor(code="123456")
    with refused(409, "second_factor_missing"):
        await ada.client.replace_recovery_codes()


async def test_secrets_and_recovery_codes_are_not_readable_at_rest(api: Api, ada: Account) -> None:
    secret, codes = await turn_on(ada)
    rows = await api.database.fetch(
        "SELECT f::text AS text FROM second_factors f UNION ALL SELECT c::text FROM recovery_codes c"
    )
    stored = "".join(row["text"] for row in rows)
    assert secret_of(secret).hex() not in stored
    assert not [code for code in codes if code.replace("-", "").encode().hex() in stored]
