"""Both SDKs list the models a key may use, each in its own shape."""

import anthropic
import pytest

from tests.factories import Account, mint
from tests.running import Api


async def test_openais_sdk_lists_and_finds_models(api: Api, ada: Account) -> None:
    sdk = api.openai(await mint(ada))
    ids = [model.id async for model in await sdk.models.list()]
    assert "operis/echo" in ids
    assert (await sdk.models.retrieve("operis/echo")).owned_by == "operis"


async def test_anthropics_sdk_lists_and_finds_models(api: Api, ada: Account) -> None:
    sdk = api.anthropic(await mint(ada))
    listed = [model async for model in sdk.models.list(limit=2)]
    echo = next(model for model in listed if model.id == "operis/echo")
    assert (echo.type, echo.display_name) == ("model", (await sdk.models.retrieve("operis/echo")).display_name)
    with pytest.raises(anthropic.NotFoundError):
        await sdk.models.retrieve("no/such-model")


async def test_a_key_sees_the_models_it_may_use_alone_in_both_shapes(api: Api, ada: Account) -> None:
    secret = (await ada.client.mint_key(name="narrow", models=["nothing/*"])).secret
    assert [model async for model in api.anthropic(secret).models.list()] == []
    assert [model async for model in await api.openai(secret).models.list()] == []
    secret = (await ada.client.mint_key(name="wide", models=["operis/*"])).secret
    assert [model.id async for model in api.anthropic(secret).models.list()] == ["operis/echo"]
