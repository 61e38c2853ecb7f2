"""An operator who needs a second factor and has none is led to where it is set up."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from operis_dashboard import runtime
from operis_dashboard.pages.overview import Overview
from operis_dashboard.pages.settings_security import Security
from operis_db.embedded import EmbeddedPostgres
from tests.dashboard.conftest import Tab, run
from tests.dashboard.test_settings import code_of
from tests.factories import PASSWORD, sign_up
from tests.running import Api, make_database, run_api


@pytest.fixture
async def strict(postgres: EmbeddedPostgres, tab: Tab, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Api]:
    """An API that asks it of operators, behind this dashboard."""
    del tab  # the dashboard stands first
    async with run_api(await make_database(postgres), OPERIS_OPERATORS_NEED_SECOND_FACTOR="1") as running:
        monkeypatch.setenv("OPERIS_API_URL", running.base_url)
        runtime.settings.cache_clear()
        yield running
    monkeypatch.undo()
    runtime.settings.cache_clear()


async def test_every_page_leads_to_the_settings_until_one_is_set_up(strict: Api, tab: Tab) -> None:
    from operis_dashboard.app import report_failure

    operator = await sign_up(strict)
    await strict.database.fetch("UPDATE users SET role = 'superadmin' WHERE id = $1::text::uuid", operator.user_id)
    tab.sign_in(await runtime.open_session(operator.email, PASSWORD))
    with pytest.raises(runtime.SecondFactorMissingError) as refused:
        await tab.page(Overview, "/")
    event: Any = report_failure(refused.value)
    assert "/settings/security?enrol=1" in str(event)
    security = await tab.page(Security, "/settings/security?enrol=1")
    assert (security.loaded, security.must_enrol, security.failure) == (True, True, "")
    await run(security.enrol())
    await run(security.turn_on({"first_code": code_of(security.secret, -1)}))
    assert (security.enabled, security.must_enrol) == (True, False)
    assert (await tab.page(Overview, "/")).failure == ""
