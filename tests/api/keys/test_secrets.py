"""The text of a key: its checksum catches what people mistype, before any query."""

import string
import zlib

from hypothesis import assume, given
from hypothesis import strategies as st

from operis_api.keys.secret import checksum, is_well_formed, new_secret
from tests.factories import Account, mint
from tests.refusing import refused
from tests.running import Api

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
secrets = st.text(BASE62, min_size=32, max_size=32).map(lambda random: f"sk-op-{random}").map(lambda s: s + checksum(s))


def test_the_checksum_is_the_crc32_of_all_before_it_in_base62() -> None:
    body = "sk-op-0123456789ABCDEFGHIJKLMNOPQRSTUV"
    assert zlib.crc32(body.encode()) == 1489136720
    # 1 x 62^5 + 38 x 62^4 + 48 x 62^3 + 16 x 62^2 + 30 x 62 + 12
    assert checksum(body) == "".join(BASE62[digit] for digit in (1, 38, 48, 16, 30, 12))
    assert is_well_formed(body + checksum(body))


def test_new_secrets_are_well_formed_and_never_repeat() -> None:
    made = {new_secret() for _ in range(2000)}
    assert len(made) == 2000
    assert all(is_well_formed(secret) for secret in made)


@given(secrets, st.integers(0, 43), st.characters())
def test_every_single_wrong_character_is_caught(secret: str, position: int, character: str) -> None:
    assume(secret[position] != character)
    assert not is_well_formed(secret[:position] + character + secret[position + 1 :])


@given(secrets, st.integers(0, 42))
def test_every_swap_of_neighbours_is_caught(secret: str, position: int) -> None:
    swapped = secret[:position] + secret[position + 1] + secret[position] + secret[position + 2 :]
    assume(swapped != secret)
    assert not is_well_formed(swapped)


@given(secrets, st.integers(0, 43))
def test_a_lost_or_doubled_character_is_caught(secret: str, position: int) -> None:
    assert not is_well_formed(secret[:position] + secret[position + 1 :])
    assert not is_well_formed(secret[:position] + secret[position] + secret[position:])


@given(st.text(max_size=60))
def test_any_text_can_be_judged(text: str) -> None:
    assert is_well_formed(text) is (text.startswith("sk-op-") and is_well_formed(text))
    assert is_well_formed("sk-op-" + text) in {True, False}


async def test_the_gateway_refuses_a_mistyped_key_and_says_so(api: Api, ada: Account) -> None:
    secret = await mint(ada)
    last = "0" if secret[-1] != "0" else "1"
    with refused(401, "invalid_api_key") as refusal:
        await api.client(secret[:-1] + last).get_calling_key()
    assert "checksum" in refusal.error.detail
    with refused(401, "invalid_api_key") as refusal:
        await api.client(new_secret()).get_calling_key()
    assert "unknown" in refusal.error.detail
    assert (await api.client(secret).get_calling_key())["name"] == "test"


async def test_a_key_in_x_api_key_works_like_a_bearer(api: Api, ada: Account) -> None:
    answer = await api.http.get(f"{api.base_url}/v1/key", headers={"x-api-key": await mint(ada)})
    assert (answer.status_code, answer.json()["name"]) == (200, "test")
