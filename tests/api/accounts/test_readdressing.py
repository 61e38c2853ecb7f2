"""A new address: confirmed at the new one, told to the old one, which can take it back."""

import asyncio

from tests.factories import PASSWORD, Account, new_email, sign_up
from tests.reading_mail import read_mail, token_in
from tests.refusing import refused
from tests.running import Api

CONFIRM, CHANGED = "Confirm your new address", "The address of your account was changed"


async def move(api: Api, ada: Account, new: str) -> str:
    """Give the account a new address and return the token that undoes it."""
    await ada.client.change_address(email=new)
    await api.client().confirm_address(token=token_in((await read_mail(api, new, CONFIRM)).text))
    return token_in((await read_mail(api, ada.email, CHANGED)).text)


async def test_the_address_changes_once_the_new_one_is_confirmed(api: Api, ada: Account) -> None:
    new = new_email()
    await ada.client.change_address(email=new)
    assert (await ada.client.get_me()).user.email == ada.email
    token = token_in((await read_mail(api, new, CONFIRM)).text)
    await api.client().confirm_address(token=token)
    assert (await ada.client.get_me()).user.email == new
    assert (await api.sign_in(new, PASSWORD)).token
    with refused(401, "invalid_credentials"):
        await api.sign_in(ada.email, PASSWORD)
    with refused(400, "invalid_link"):
        await api.client().confirm_address(token=token)
    assert new in (await read_mail(api, ada.email, CHANGED)).text


async def test_the_old_address_takes_the_change_back_which_ends_all_sessions(api: Api, ada: Account) -> None:
    undo = await move(api, ada, new_email())
    await api.client().undo_address(token=undo)
    with refused(401, "unauthenticated"):
        await ada.client.get_me()
    reset = token_in((await read_mail(api, ada.email, "Your address was restored")).text)
    await api.client().reset_password(token=reset, new_password="quite another password")
    assert (await api.sign_in(ada.email, "quite another password")).token
    with refused(400, "invalid_link"):
        await api.client().undo_address(token=undo)


async def test_the_first_owner_wins_over_whoever_moved_the_account_on(api: Api, ada: Account) -> None:
    thief, accomplice = new_email(), new_email()
    owners = await move(api, ada, thief)
    await ada.client.change_address(email=accomplice)
    await api.client().confirm_address(token=token_in((await read_mail(api, accomplice, CONFIRM)).text))
    thiefs = token_in((await read_mail(api, thief, CHANGED)).text)
    await api.client().undo_address(token=owners)
    with refused(400, "invalid_link"):
        await api.client().undo_address(token=thiefs)
    rows = await api.database.fetch("SELECT email::text FROM users WHERE id = $1::text::uuid", ada.user_id)
    assert rows[0]["email"] == ada.email


async def test_an_address_that_has_an_account_is_answered_alike_and_its_owner_is_told(api: Api, ada: Account) -> None:
    eve = await sign_up(api)
    await ada.client.change_address(email=eve.email)
    await read_mail(api, eve.email, "This address has an account already")
    assert (await ada.client.get_me()).user.email == ada.email


async def test_of_two_who_want_one_address_the_first_to_confirm_gets_it(api: Api, ada: Account) -> None:
    eve, wanted = await sign_up(api), new_email()
    tokens: list[str] = []
    for account in (ada, eve):
        await account.client.change_address(email=wanted)
        while (token := token_in((await read_mail(api, wanted, CONFIRM)).text)) in tokens:
            await asyncio.sleep(0.1)
        tokens.append(token)
    await api.client().confirm_address(token=tokens[1])
    with refused(409, "email_taken"):
        await api.client().confirm_address(token=tokens[0])
    assert (await eve.client.get_me()).user.email == wanted


async def test_a_link_that_was_mailed_before_the_change_is_void(api: Api, ada: Account) -> None:
    await api.client().forgot_password(email=ada.email)
    reset = token_in((await read_mail(api, ada.email, "Set a new password")).text)
    await move(api, ada, new_email())
    with refused(400, "invalid_link"):
        await api.client().reset_password(token=reset, new_password="quite another password")
