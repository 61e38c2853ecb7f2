"""The asynchronous client: one method per operation of the API. `sync.py` is made from this file.

Every method raises `ApiError` for a refusal and `UnreachableError` where no answer came.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

import httpx
from msgspec import UNSET, UnsetType

from operis_client import _transport as transport
from operis_client.errors import UnreachableError, read_error
from operis_client.models import (
    AddedPasskey,
    Adjustment,
    AdminRequest,
    Alert,
    ApiKey,
    AuditRow,
    Departure,
    Enrolment,
    ExplainedRequest,
    Export,
    GrantedRole,
    IdentityView,
    InvitationView,
    LedgerCheck,
    LedgerVerification,
    Me,
    MemberView,
    MintedKey,
    Model,
    ModelRow,
    ModelUpstream,
    OpenHold,
    OrganizationRow,
    OrganizationView,
    Overview,
    Page,
    PasskeyOptions,
    PasskeyView,
    PendingErasure,
    PlanMultiplier,
    PlanRow,
    PlatformInvitationRow,
    Posting,
    Price,
    PriceImport,
    PriceTier,
    ProviderView,
    Ready,
    RecoveryCodes,
    Refund,
    Request,
    Reversal,
    SecondFactorView,
    SentInvitation,
    SentPlatformInvitation,
    SessionView,
    SignIn,
    StartedImpersonation,
    Tokens,
    Upstream,
    UpstreamTest,
    Usage,
    UserRow,
    Wallet,
    WalletEntry,
    WrittenMail,
)

Answer = TypeVar("Answer")


class AsyncOperis:
    """A connection to one API, with an access token (management and gateway) or an API key (gateway alone)."""

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        organization_id: str | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """`http` may be shared between clients; only a client that made its own closes it."""
        self.token = token
        self.organization_id = organization_id
        self._base_url = base_url.rstrip("/")
        self._http = http or httpx.AsyncClient(timeout=transport.TIMEOUT)
        self._owns_http = http is None

    def for_organization(self, organization_id: str) -> Self:
        """Return the same session at work in another organization; closing stays this client's."""
        return type(self)(self._base_url, token=self.token, organization_id=organization_id, http=self._http)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._owns_http:
            await self._http.aclose()

    # -- health

    async def get_health(self) -> dict[str, str]:
        return await self._call("GET", "/healthz", dict[str, str])

    async def get_readiness(self) -> Ready:
        return await self._call("GET", "/readyz", Ready)

    async def get_metrics(self) -> str:
        """Return the API's metrics in Prometheus' text form."""
        return transport.decode_text(await self._send("GET", "/metrics"))

    # -- sign-in

    async def register(
        self,
        *,
        email: str,
        password: str,
        name: str,
        locale: str | UnsetType = UNSET,
        invitation: str | None = None,
    ) -> Me:
        """Sign up. The token of an invitation proves the address, and joins the organization it is for."""
        return await self._call(
            "POST",
            "/api/v1/auth/register",
            Me,
            content=transport.body(email=email, password=password, name=name, locale=locale, invitation=invitation),
        )

    async def verify_email(self, *, token: str) -> None:
        await self._call("POST", "/api/v1/auth/verify-email", type(None), content=transport.body(token=token))

    async def resend_verification(self, *, email: str) -> None:
        await self._call("POST", "/api/v1/auth/verify-email/resend", type(None), content=transport.body(email=email))

    async def forgot_password(self, *, email: str) -> None:
        await self._call("POST", "/api/v1/auth/password/forgot", type(None), content=transport.body(email=email))

    async def reset_password(self, *, token: str, new_password: str) -> None:
        await self._call(
            "POST",
            "/api/v1/auth/password/reset",
            type(None),
            content=transport.body(token=token, new_password=new_password),
        )

    async def change_password(self, *, current_password: str, new_password: str) -> None:
        await self._call(
            "POST",
            "/api/v1/auth/password/change",
            type(None),
            content=transport.body(current_password=current_password, new_password=new_password),
        )

    async def login(self, *, email: str, password: str, device_token: str | None = None) -> SignIn:
        """Sign in. Where `mfa_required` is said, `verify_second_factor` finishes it."""
        return await self._call(
            "POST",
            "/api/v1/auth/login",
            SignIn,
            content=transport.body(email=email, password=password, device_token=device_token),
        )

    async def verify_second_factor(self, *, mfa_token: str, code: str, device_token: str | None = None) -> Tokens:
        return await self._call(
            "POST",
            "/api/v1/auth/mfa/verify",
            Tokens,
            content=transport.body(mfa_token=mfa_token, code=code, device_token=device_token),
        )

    async def begin_passkey_sign_in(self, *, mfa_token: str | None = None) -> PasskeyOptions:
        """Return what `navigator.credentials.get` signs in by: alone, or after the password."""
        return await self._call(
            "POST", "/api/v1/auth/passkey/options", PasskeyOptions, content=transport.body(mfa_token=mfa_token)
        )

    async def finish_passkey_sign_in(
        self, *, credential: dict[str, object], mfa_token: str | None = None, device_token: str | None = None
    ) -> Tokens:
        return await self._call(
            "POST",
            "/api/v1/auth/passkey/verify",
            Tokens,
            content=transport.body(credential=credential, mfa_token=mfa_token, device_token=device_token),
        )

    async def step_up(
        self,
        *,
        password: str | None = None,
        code: str | None = None,
        credential: dict[str, object] | None = None,
    ) -> None:
        """Show once more who one is: a code or a passkey where there is a second factor, else the password."""
        await self._call(
            "POST",
            "/api/v1/auth/step-up",
            type(None),
            content=transport.body(password=password, code=code, credential=credential),
        )

    async def list_identity_providers(self) -> list[ProviderView]:
        """List the providers that one can sign in with."""
        return await self._call("GET", "/api/v1/auth/providers", list[ProviderView])

    async def begin_provider_sign_in(self, provider: str) -> Departure:
        return await self._call("POST", f"/api/v1/auth/providers/{provider}/begin", Departure)

    async def finish_provider_sign_in(
        self,
        *,
        state: str,
        code: str,
        browser_token: str,
        iss: str | None = None,
        device_token: str | None = None,
        invitation: str | None = None,
        locale: str | UnsetType = UNSET,
    ) -> SignIn:
        """Sign in with the query that the provider sent the browser back with; who is new signs up."""
        return await self._call(
            "POST",
            "/api/v1/auth/providers/finish",
            SignIn,
            content=transport.body(
                state=state,
                code=code,
                browser_token=browser_token,
                iss=iss,
                device_token=device_token,
                invitation=invitation,
                locale=locale,
            ),
        )

    async def prove_identity(
        self, *, link_token: str, browser_token: str, password: str, device_token: str | None = None
    ) -> SignIn:
        """Link the identity to the account that has its address, by that account's password, and sign in."""
        return await self._call(
            "POST",
            "/api/v1/auth/providers/prove",
            SignIn,
            content=transport.body(
                link_token=link_token, browser_token=browser_token, password=password, device_token=device_token
            ),
        )

    async def list_identities(self) -> list[IdentityView]:
        return await self._call("GET", "/api/v1/me/identities", list[IdentityView])

    async def begin_link(self, provider: str) -> Departure:
        return await self._call("POST", f"/api/v1/me/identities/{provider}/begin", Departure)

    async def finish_link(self, *, state: str, code: str, browser_token: str, iss: str | None = None) -> None:
        await self._call(
            "POST",
            "/api/v1/me/identities/finish",
            type(None),
            content=transport.body(state=state, code=code, browser_token=browser_token, iss=iss),
        )

    async def unlink_identity(self, identity_id: str) -> None:
        await self._call("DELETE", f"/api/v1/me/identities/{identity_id}", type(None))

    async def begin_passkey_step_up(self) -> PasskeyOptions:
        return await self._call("POST", "/api/v1/auth/step-up/passkey", PasskeyOptions)

    async def list_passkeys(self) -> list[PasskeyView]:
        return await self._call("GET", "/api/v1/me/passkeys", list[PasskeyView])

    async def begin_passkey(self) -> PasskeyOptions:
        """Return what `navigator.credentials.create` makes a new passkey by."""
        return await self._call("POST", "/api/v1/me/passkeys/options", PasskeyOptions)

    async def add_passkey(self, *, name: str, credential: dict[str, object]) -> AddedPasskey:
        return await self._call(
            "POST",
            "/api/v1/me/passkeys",
            AddedPasskey,
            content=transport.body(name=name, credential=credential),
        )

    async def name_passkey(self, passkey_id: str, *, name: str) -> PasskeyView:
        return await self._call(
            "PATCH", f"/api/v1/me/passkeys/{passkey_id}", PasskeyView, content=transport.body(name=name)
        )

    async def remove_passkey(self, passkey_id: str) -> None:
        await self._call("DELETE", f"/api/v1/me/passkeys/{passkey_id}", type(None))

    async def refresh(self, *, refresh_token: str) -> Tokens:
        return await self._call(
            "POST", "/api/v1/auth/refresh", Tokens, content=transport.body(refresh_token=refresh_token)
        )

    async def confirm_address(self, *, token: str) -> None:
        await self._call("POST", "/api/v1/auth/address/confirm", type(None), content=transport.body(token=token))

    async def undo_address(self, *, token: str) -> None:
        await self._call("POST", "/api/v1/auth/address/undo", type(None), content=transport.body(token=token))

    async def logout(self, *, refresh_token: str | None = None) -> None:
        await self._call("POST", "/api/v1/auth/logout", type(None), content=transport.body(refresh_token=refresh_token))

    async def logout_all(self) -> None:
        await self._call("POST", "/api/v1/auth/logout-all", type(None))

    async def end_impersonation(self) -> None:
        """End the impersonation whose token this client has."""
        await self._call("POST", "/api/v1/auth/impersonation/end", type(None))

    async def undo_erasure(self, *, email: str, password: str) -> None:
        """Undo one's erasure while there is time; sign in afterwards."""
        await self._call(
            "POST", "/api/v1/auth/erasure/undo", type(None), content=transport.body(email=email, password=password)
        )

    # -- me

    async def export_me(self) -> Export:
        """Return all that is known of the signed-in user; asks for a recent proof."""
        return await self._call("GET", "/api/v1/me/export", Export)

    async def erase_me(self, *, forfeit_credits: bool | None = None) -> PendingErasure:
        """Ask to be erased: sessions and keys end at once; it can be undone for a while."""
        return await self._call(
            "DELETE", "/api/v1/me", PendingErasure, params=transport.query(forfeit_credits=forfeit_credits)
        )

    async def get_me(self) -> Me:
        return await self._call("GET", "/api/v1/me", Me)

    async def update_me(
        self,
        *,
        name: str | UnsetType = UNSET,
        locale: str | UnsetType = UNSET,
        time_zone: str | UnsetType = UNSET,
    ) -> Me:
        return await self._call(
            "PATCH", "/api/v1/me", Me, content=transport.body(name=name, locale=locale, time_zone=time_zone)
        )

    async def change_address(self, *, email: str) -> None:
        """Ask for another address: a link goes there."""
        await self._call("POST", "/api/v1/me/address", type(None), content=transport.body(email=email))

    async def list_sessions(self, *, limit: int | None = None, after: str | None = None) -> Page[SessionView]:
        return await self._call(
            "GET", "/api/v1/me/sessions", Page[SessionView], params=transport.query(limit=limit, after=after)
        )

    async def name_session(self, session_id: str, *, name: str) -> SessionView:
        return await self._call(
            "PATCH", f"/api/v1/me/sessions/{session_id}", SessionView, content=transport.body(name=name)
        )

    async def end_session(self, session_id: str) -> None:
        await self._call("DELETE", f"/api/v1/me/sessions/{session_id}", type(None))

    async def end_other_sessions(self) -> None:
        await self._call("DELETE", "/api/v1/me/sessions", type(None))

    async def get_second_factor(self) -> SecondFactorView:
        return await self._call("GET", "/api/v1/me/mfa", SecondFactorView)

    async def enrol_second_factor(self) -> Enrolment:
        """Return a secret for an authenticator; it counts once `confirm_second_factor` got a code of it."""
        return await self._call("POST", "/api/v1/me/mfa/totp", Enrolment)

    async def confirm_second_factor(self, *, code: str) -> RecoveryCodes:
        return await self._call("POST", "/api/v1/me/mfa/totp/confirm", RecoveryCodes, content=transport.body(code=code))

    async def remove_second_factor(self) -> None:
        await self._call("DELETE", "/api/v1/me/mfa/totp", type(None))

    async def replace_recovery_codes(self) -> RecoveryCodes:
        return await self._call("POST", "/api/v1/me/mfa/recovery-codes", RecoveryCodes)

    # -- development

    async def list_written_mails(self, *, limit: int | None = None, after: str | None = None) -> Page[WrittenMail]:
        """List the mails that a development without a mail server wrote to files."""
        return await self._call(
            "GET", "/api/v1/dev/mail", Page[WrittenMail], params=transport.query(limit=limit, after=after)
        )

    # -- organizations

    async def list_organizations(self, *, limit: int | None = None, after: str | None = None) -> Page[OrganizationView]:
        return await self._call(
            "GET", "/api/v1/organizations", Page[OrganizationView], params=transport.query(limit=limit, after=after)
        )

    async def create_organization(self, *, name: str) -> OrganizationView:
        return await self._call("POST", "/api/v1/organizations", OrganizationView, content=transport.body(name=name))

    async def get_organization(self, organization_id: str) -> OrganizationView:
        return await self._call("GET", f"/api/v1/organizations/{organization_id}", OrganizationView)

    async def update_organization(
        self,
        organization_id: str,
        *,
        name: str | UnsetType = UNSET,
        timezone: str | UnsetType = UNSET,
        budget: str | UnsetType | None = UNSET,
        budget_daily: str | UnsetType | None = UNSET,
        budget_weekly: str | UnsetType | None = UNSET,
        budget_monthly: str | UnsetType | None = UNSET,
        rpm: int | UnsetType | None = UNSET,
        tpm: int | UnsetType | None = UNSET,
        concurrency: int | UnsetType | None = UNSET,
    ) -> OrganizationView:
        """Change an organization; a limit of None is none."""
        return await self._call(
            "PATCH",
            f"/api/v1/organizations/{organization_id}",
            OrganizationView,
            content=transport.body(
                name=name,
                timezone=timezone,
                budget=budget,
                budget_daily=budget_daily,
                budget_weekly=budget_weekly,
                budget_monthly=budget_monthly,
                rpm=rpm,
                tpm=tpm,
                concurrency=concurrency,
            ),
        )

    async def delete_organization(self, organization_id: str) -> None:
        await self._call("DELETE", f"/api/v1/organizations/{organization_id}", type(None))

    async def leave_organization(self, organization_id: str) -> None:
        await self._call("POST", f"/api/v1/organizations/{organization_id}/leave", type(None))

    async def transfer_organization(self, organization_id: str, *, user_id: str) -> OrganizationView:
        """Make another member the owner; the one who was becomes an admin."""
        return await self._call(
            "POST",
            f"/api/v1/organizations/{organization_id}/transfer",
            OrganizationView,
            content=transport.body(user_id=user_id),
        )

    async def list_members(
        self, organization_id: str, *, limit: int | None = None, after: str | None = None
    ) -> Page[MemberView]:
        return await self._call(
            "GET",
            f"/api/v1/organizations/{organization_id}/members",
            Page[MemberView],
            params=transport.query(limit=limit, after=after),
        )

    async def update_member(
        self,
        organization_id: str,
        user_id: str,
        *,
        role: str | UnsetType = UNSET,
        budget: str | UnsetType | None = UNSET,
        budget_daily: str | UnsetType | None = UNSET,
        budget_weekly: str | UnsetType | None = UNSET,
        budget_monthly: str | UnsetType | None = UNSET,
        rpm: int | UnsetType | None = UNSET,
        tpm: int | UnsetType | None = UNSET,
        concurrency: int | UnsetType | None = UNSET,
    ) -> MemberView:
        """Change a member's role or limits; None takes a limit away."""
        return await self._call(
            "PATCH",
            f"/api/v1/organizations/{organization_id}/members/{user_id}",
            MemberView,
            content=transport.body(
                role=role,
                budget=budget,
                budget_daily=budget_daily,
                budget_weekly=budget_weekly,
                budget_monthly=budget_monthly,
                rpm=rpm,
                tpm=tpm,
                concurrency=concurrency,
            ),
        )

    async def remove_member(self, organization_id: str, user_id: str) -> None:
        await self._call("DELETE", f"/api/v1/organizations/{organization_id}/members/{user_id}", type(None))

    async def list_invitations(
        self, organization_id: str, *, limit: int | None = None, after: str | None = None
    ) -> Page[InvitationView]:
        return await self._call(
            "GET",
            f"/api/v1/organizations/{organization_id}/invitations",
            Page[InvitationView],
            params=transport.query(limit=limit, after=after),
        )

    async def invite_member(self, organization_id: str, *, email: str, role: str) -> SentInvitation:
        return await self._call(
            "POST",
            f"/api/v1/organizations/{organization_id}/invitations",
            SentInvitation,
            content=transport.body(email=email, role=role),
        )

    async def resend_invitation(self, organization_id: str, invitation_id: str) -> SentInvitation:
        """Send an invitation again, with a new link; the old one ends."""
        return await self._call(
            "POST", f"/api/v1/organizations/{organization_id}/invitations/{invitation_id}/resend", SentInvitation
        )

    async def revoke_invitation(self, organization_id: str, invitation_id: str) -> None:
        await self._call("DELETE", f"/api/v1/organizations/{organization_id}/invitations/{invitation_id}", type(None))

    async def list_organization_audit(
        self,
        organization_id: str,
        *,
        limit: int | None = None,
        after: str | None = None,
        action: str | None = None,
        actor_id: str | None = None,
        target_id: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
    ) -> Page[AuditRow]:
        """List what was done in the organization, newest first; `action` may be its first word alone."""
        return await self._call(
            "GET",
            f"/api/v1/organizations/{organization_id}/audit",
            Page[AuditRow],
            params=transport.query(
                limit=limit,
                after=after,
                action=action,
                actor_id=actor_id,
                target_id=target_id,
                from_=from_.isoformat() if from_ else None,
                to=to.isoformat() if to else None,
            ),
        )

    async def accept_invitation(self, *, token: str) -> MemberView:
        """Join the organization that invited the signed-in user's address."""
        return await self._call("POST", "/api/v1/invitations/accept", MemberView, content=transport.body(token=token))

    # -- keys

    async def list_keys(self, *, limit: int | None = None, after: str | None = None) -> Page[ApiKey]:
        return await self._call("GET", "/api/v1/keys", Page[ApiKey], params=transport.query(limit=limit, after=after))

    async def mint_key(
        self,
        *,
        name: str,
        scopes: list[str] | UnsetType = UNSET,
        models: list[str] | UnsetType = UNSET,
        cidrs: list[str] | UnsetType = UNSET,
        expires_at: datetime | UnsetType | None = UNSET,
        service: bool | UnsetType = UNSET,
        budget: str | UnsetType | None = UNSET,
        budget_daily: str | UnsetType | None = UNSET,
        budget_weekly: str | UnsetType | None = UNSET,
        budget_monthly: str | UnsetType | None = UNSET,
        rpm: int | UnsetType | None = UNSET,
        tpm: int | UnsetType | None = UNSET,
        concurrency: int | UnsetType | None = UNSET,
        idempotency_key: str | None = None,
    ) -> MintedKey:
        """Mint a key; its secret is in this answer alone. Without scopes it may call models and list them."""
        return await self._call(
            "POST",
            "/api/v1/keys",
            MintedKey,
            content=transport.body(
                name=name,
                scopes=scopes,
                models=models,
                cidrs=cidrs,
                expires_at=expires_at,
                service=service,
                budget=budget,
                budget_daily=budget_daily,
                budget_weekly=budget_weekly,
                budget_monthly=budget_monthly,
                rpm=rpm,
                tpm=tpm,
                concurrency=concurrency,
            ),
            headers=transport.idempotency(idempotency_key),
        )

    async def get_key(self, key_id: str) -> ApiKey:
        return await self._call("GET", f"/api/v1/keys/{key_id}", ApiKey)

    async def update_key(
        self,
        key_id: str,
        *,
        name: str | UnsetType = UNSET,
        scopes: list[str] | UnsetType = UNSET,
        models: list[str] | UnsetType = UNSET,
        cidrs: list[str] | UnsetType = UNSET,
        expires_at: datetime | UnsetType | None = UNSET,
        budget: str | UnsetType | None = UNSET,
        budget_daily: str | UnsetType | None = UNSET,
        budget_weekly: str | UnsetType | None = UNSET,
        budget_monthly: str | UnsetType | None = UNSET,
        rpm: int | UnsetType | None = UNSET,
        tpm: int | UnsetType | None = UNSET,
        concurrency: int | UnsetType | None = UNSET,
    ) -> ApiKey:
        """Change what is named; None takes a limit or the expiry away."""
        return await self._call(
            "PATCH",
            f"/api/v1/keys/{key_id}",
            ApiKey,
            content=transport.body(
                name=name,
                scopes=scopes,
                models=models,
                cidrs=cidrs,
                expires_at=expires_at,
                budget=budget,
                budget_daily=budget_daily,
                budget_weekly=budget_weekly,
                budget_monthly=budget_monthly,
                rpm=rpm,
                tpm=tpm,
                concurrency=concurrency,
            ),
        )

    async def rotate_key(
        self, key_id: str, *, overlap: str | UnsetType = UNSET, idempotency_key: str | None = None
    ) -> MintedKey:
        """Give the key a new secret; the old one works on for `overlap`: 0s, 1h, 24h (the default), 7d or 30d."""
        return await self._call(
            "POST",
            f"/api/v1/keys/{key_id}/rotate",
            MintedKey,
            content=transport.body(overlap=overlap),
            headers=transport.idempotency(idempotency_key),
        )

    async def disable_key(self, key_id: str) -> ApiKey:
        return await self._call("POST", f"/api/v1/keys/{key_id}/disable", ApiKey)

    async def enable_key(self, key_id: str) -> ApiKey:
        return await self._call("POST", f"/api/v1/keys/{key_id}/enable", ApiKey)

    async def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke a key for good; it stays listed."""
        return await self._call("POST", f"/api/v1/keys/{key_id}/revoke", ApiKey)

    async def delete_key(self, key_id: str) -> None:
        """Revoke a key and list it no more."""
        await self._call("DELETE", f"/api/v1/keys/{key_id}", type(None))

    # -- wallet, usage, requests, models

    async def get_wallet(self) -> Wallet:
        return await self._call("GET", "/api/v1/wallet", Wallet)

    async def list_wallet_entries(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        kind: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
    ) -> Page[WalletEntry]:
        return await self._call(
            "GET",
            "/api/v1/wallet/entries",
            Page[WalletEntry],
            params=transport.query(
                limit=limit,
                after=after,
                kind=kind,
                from_=from_.isoformat() if from_ else None,
                to=to.isoformat() if to else None,
            ),
        )

    async def get_wallet_statement(
        self, *, kind: str | None = None, from_: datetime | None = None, to: datetime | None = None
    ) -> str:
        """Return the wallet's ledger lines of a time as CSV, oldest first."""
        params = transport.query(
            kind=kind, from_=from_.isoformat() if from_ else None, to=to.isoformat() if to else None
        )
        return transport.decode_text(await self._send("GET", "/api/v1/wallet/statement.csv", params=params))

    @asynccontextmanager
    async def stream_wallet_statement(
        self, *, kind: str | None = None, from_: datetime | None = None, to: datetime | None = None
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open the same file of any length, piece by piece."""
        params = transport.query(
            kind=kind, from_=from_.isoformat() if from_ else None, to=to.isoformat() if to else None
        )
        async with self._download("/api/v1/wallet/statement.csv", params) as pieces:
            yield pieces

    async def get_usage(
        self,
        *,
        from_: datetime | None = None,
        to: datetime | None = None,
        tz: str | None = None,
        group_by: str | None = None,
    ) -> Usage:
        """Sum the organization's usage by `day` (the default, in zone `tz`), `model` or `key`; at most 366 days."""
        return await self._call(
            "GET",
            "/api/v1/usage",
            Usage,
            params=transport.query(
                from_=from_.isoformat() if from_ else None,
                to=to.isoformat() if to else None,
                tz=tz,
                group_by=group_by,
            ),
        )

    async def list_requests(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        model: str | None = None,
        key_id: str | None = None,
        outcome: str | None = None,
    ) -> Page[Request]:
        return await self._call(
            "GET",
            "/api/v1/requests",
            Page[Request],
            params=transport.query(limit=limit, after=after, model=model, key_id=key_id, outcome=outcome),
        )

    async def explain_request(self, request_id: str) -> ExplainedRequest:
        return await self._call("GET", f"/api/v1/requests/{request_id}", ExplainedRequest)

    async def list_models(self) -> Page[Model]:
        return await self._call("GET", "/api/v1/models", Page[Model])

    # -- admin

    async def get_overview(self, *, days: int | None = None) -> Overview:
        return await self._call("GET", "/api/v1/admin/overview", Overview, params=transport.query(days=days))

    async def list_users(
        self, *, search: str | None = None, limit: int | None = None, after: str | None = None
    ) -> Page[UserRow]:
        return await self._call(
            "GET",
            "/api/v1/admin/users",
            Page[UserRow],
            params=transport.query(search=search, limit=limit, after=after),
        )

    async def get_user(self, user_id: str) -> UserRow:
        return await self._call("GET", f"/api/v1/admin/users/{user_id}", UserRow)

    async def update_user(
        self,
        user_id: str,
        *,
        reason: str,
        status: str | UnsetType = UNSET,
        suspended_until: datetime | None = None,
        email_verified: bool | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        locale: str | UnsetType = UNSET,
    ) -> UserRow:
        """Suspend a user (for good, or until a moment), reactivate, correct or verify them; in force everywhere."""
        return await self._call(
            "PATCH",
            f"/api/v1/admin/users/{user_id}",
            UserRow,
            content=transport.body(
                status=status,
                suspended_until=UNSET if suspended_until is None else suspended_until,
                email_verified=email_verified,
                name=name,
                locale=locale,
                reason=reason,
            ),
        )

    async def grant_role(self, user_id: str, *, role: str, reason: str) -> GrantedRole:
        """Give a user a role on the platform; `user` takes it away."""
        return await self._call(
            "PUT",
            f"/api/v1/admin/users/{user_id}/role",
            GrantedRole,
            content=transport.body(role=role, reason=reason),
        )

    async def sign_out_user(self, user_id: str, *, reason: str) -> None:
        """End all of a user's sessions; API keys stay."""
        await self._call(
            "POST", f"/api/v1/admin/users/{user_id}/sign-out", type(None), content=transport.body(reason=reason)
        )

    async def list_platform_invitations(
        self, *, limit: int | None = None, after: str | None = None
    ) -> Page[PlatformInvitationRow]:
        return await self._call(
            "GET",
            "/api/v1/admin/invitations",
            Page[PlatformInvitationRow],
            params=transport.query(limit=limit, after=after),
        )

    async def invite_person(self, *, email: str, locale: str | UnsetType = UNSET) -> SentPlatformInvitation:
        """Let the owner of an address sign up, where sign-up is open or by invitation."""
        return await self._call(
            "POST",
            "/api/v1/admin/invitations",
            SentPlatformInvitation,
            content=transport.body(email=email, locale=locale),
        )

    async def revoke_platform_invitation(self, invitation_id: str) -> None:
        await self._call("DELETE", f"/api/v1/admin/invitations/{invitation_id}", type(None))

    async def export_user(self, user_id: str, *, reason: str) -> Export:
        return await self._call(
            "POST", f"/api/v1/admin/users/{user_id}/export", Export, content=transport.body(reason=reason)
        )

    async def erase_user(self, user_id: str, *, reason: str, forfeit_credits: bool = False) -> PendingErasure:
        """Erase a user who asked for it; it can be undone for a while."""
        return await self._call(
            "POST",
            f"/api/v1/admin/users/{user_id}/erase",
            PendingErasure,
            content=transport.body(reason=reason, forfeit_credits=forfeit_credits),
        )

    async def undo_user_erasure(self, user_id: str, *, reason: str) -> None:
        await self._call(
            "POST", f"/api/v1/admin/users/{user_id}/erase/undo", type(None), content=transport.body(reason=reason)
        )

    async def impersonate_user(self, user_id: str, *, reason: str) -> StartedImpersonation:
        """Return a token that reads as the user for a quarter of an hour and changes nothing."""
        return await self._call(
            "POST",
            f"/api/v1/admin/users/{user_id}/impersonate",
            StartedImpersonation,
            content=transport.body(reason=reason),
        )

    async def remove_user_second_factor(self, user_id: str, *, reason: str) -> None:
        """Turn off the second factor of somebody who lost it; they are told by mail."""
        await self._call(
            "POST",
            f"/api/v1/admin/users/{user_id}/second-factor/remove",
            type(None),
            content=transport.body(reason=reason),
        )

    async def list_admin_organizations(
        self,
        *,
        search: str | None = None,
        status: str | None = None,
        personal: bool | None = None,
        plan_id: str | None = None,
        member_id: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page[OrganizationRow]:
        return await self._call(
            "GET",
            "/api/v1/admin/organizations",
            Page[OrganizationRow],
            params=transport.query(
                search=search,
                status=status,
                personal=personal,
                plan_id=plan_id,
                member_id=member_id,
                limit=limit,
                after=after,
            ),
        )

    async def get_admin_organization(self, organization_id: str) -> OrganizationRow:
        return await self._call("GET", f"/api/v1/admin/organizations/{organization_id}", OrganizationRow)

    async def list_admin_members(
        self, organization_id: str, *, limit: int | None = None, after: str | None = None
    ) -> Page[MemberView]:
        return await self._call(
            "GET",
            f"/api/v1/admin/organizations/{organization_id}/members",
            Page[MemberView],
            params=transport.query(limit=limit, after=after),
        )

    async def suspend_organization(self, organization_id: str, *, reason: str) -> OrganizationRow:
        """Admit none of its calls from the answer on."""
        return await self._call(
            "POST",
            f"/api/v1/admin/organizations/{organization_id}/suspend",
            OrganizationRow,
            content=transport.body(reason=reason),
        )

    async def unsuspend_organization(self, organization_id: str, *, reason: str) -> OrganizationRow:
        return await self._call(
            "POST",
            f"/api/v1/admin/organizations/{organization_id}/unsuspend",
            OrganizationRow,
            content=transport.body(reason=reason),
        )

    async def change_organization_plan(self, organization_id: str, *, plan_id: str, reason: str) -> OrganizationRow:
        """Move an organization to another plan; it binds the next call."""
        return await self._call(
            "PUT",
            f"/api/v1/admin/organizations/{organization_id}/plan",
            OrganizationRow,
            content=transport.body(plan_id=plan_id, reason=reason),
        )

    async def list_audit(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        organization_id: str | None = None,
        actor_id: str | None = None,
        target_id: str | None = None,
        action: str | None = None,
        request_id: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
    ) -> Page[AuditRow]:
        """List what anybody did, newest first; `action` may be its first word alone."""
        return await self._call(
            "GET",
            "/api/v1/admin/audit",
            Page[AuditRow],
            params=transport.query(
                limit=limit,
                after=after,
                organization_id=organization_id,
                actor_id=actor_id,
                target_id=target_id,
                action=action,
                request_id=request_id,
                from_=from_.isoformat() if from_ else None,
                to=to.isoformat() if to else None,
            ),
        )

    async def list_admin_keys(
        self,
        *,
        search: str | None = None,
        status: str | None = None,
        organization_id: str | None = None,
        owner_id: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page[ApiKey]:
        """List every organization's keys; `status` is active, disabled, expired or revoked."""
        return await self._call(
            "GET",
            "/api/v1/admin/keys",
            Page[ApiKey],
            params=transport.query(
                search=search,
                status=status,
                organization_id=organization_id,
                owner_id=owner_id,
                limit=limit,
                after=after,
            ),
        )

    async def disable_admin_key(self, key_id: str, *, reason: str) -> ApiKey:
        """Disable any key; its organization cannot enable it again."""
        return await self._call(
            "POST", f"/api/v1/admin/keys/{key_id}/disable", ApiKey, content=transport.body(reason=reason)
        )

    async def enable_admin_key(self, key_id: str, *, reason: str) -> ApiKey:
        return await self._call(
            "POST", f"/api/v1/admin/keys/{key_id}/enable", ApiKey, content=transport.body(reason=reason)
        )

    async def revoke_admin_key(self, key_id: str, *, reason: str) -> ApiKey:
        return await self._call(
            "POST", f"/api/v1/admin/keys/{key_id}/revoke", ApiKey, content=transport.body(reason=reason)
        )

    async def get_organization_wallet(self, organization_id: str) -> Wallet:
        return await self._call("GET", f"/api/v1/admin/wallets/{organization_id}", Wallet)

    async def adjust_wallet(
        self, organization_id: str, *, amount: str, reason: str, idempotency_key: str | None = None
    ) -> Adjustment:
        """Credit (positive) or debit (negative) a wallet by a decimal string of credits."""
        return await self._call(
            "POST",
            f"/api/v1/admin/wallets/{organization_id}/adjust",
            Adjustment,
            content=transport.body(amount=amount, reason=reason),
            headers=transport.idempotency(idempotency_key),
        )

    async def reverse_charge(
        self, organization_id: str, request_id: str, *, reason: str, idempotency_key: str | None = None
    ) -> Reversal:
        """Give a request's whole charge back; once."""
        return await self._call(
            "POST",
            f"/api/v1/admin/requests/{organization_id}/{request_id}/reverse",
            Reversal,
            content=transport.body(reason=reason),
            headers=transport.idempotency(idempotency_key),
        )

    async def refund_grant(
        self,
        organization_id: str,
        grant_id: str,
        *,
        reason: str,
        amount: str | None = None,
        idempotency_key: str | None = None,
    ) -> Refund:
        """Take what is left of a paid grant out of the wallet, or `amount` of it, to pay it back."""
        return await self._call(
            "POST",
            f"/api/v1/admin/grants/{organization_id}/{grant_id}/refund",
            Refund,
            content=transport.body(reason=reason, amount=amount),
            headers=transport.idempotency(idempotency_key),
        )

    async def get_ledger_verification(self) -> LedgerVerification:
        """Return the last result of each invariant, the check that runs, and the head of the chain."""
        return await self._call("GET", "/api/v1/admin/ledger/verify", LedgerVerification)

    async def get_ledger_check(self, check_id: str) -> LedgerCheck:
        """Return how far a check is, or what it found."""
        return await self._call("GET", f"/api/v1/admin/ledger/verify/{check_id}", LedgerCheck)

    async def verify_ledger(self) -> LedgerCheck:
        """Have all of the books checked; ask `get_ledger_check` how far it is."""
        return await self._call("POST", "/api/v1/admin/ledger/verify", LedgerCheck)

    async def list_ledger_postings(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        organization_id: str | None = None,
        kind: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
    ) -> Page[Posting]:
        return await self._call(
            "GET",
            "/api/v1/admin/ledger/postings",
            Page[Posting],
            params=transport.query(
                limit=limit,
                after=after,
                organization_id=organization_id,
                kind=kind,
                from_=from_.isoformat() if from_ else None,
                to=to.isoformat() if to else None,
            ),
        )

    async def list_holds(
        self, *, limit: int | None = None, after: str | None = None, organization_id: str | None = None
    ) -> Page[OpenHold]:
        """List open holds over all organizations, the oldest first."""
        return await self._call(
            "GET",
            "/api/v1/admin/holds",
            Page[OpenHold],
            params=transport.query(limit=limit, after=after, organization_id=organization_id),
        )

    async def list_alerts(
        self, *, limit: int | None = None, after: str | None = None, show: str | None = None
    ) -> Page[Alert]:
        """List alerts, newest first: those nobody has acknowledged, or with `show="all"` every one."""
        return await self._call(
            "GET",
            "/api/v1/admin/alerts",
            Page[Alert],
            params=transport.query(limit=limit, after=after, show=show),
        )

    async def acknowledge_alert(self, alert_id: str) -> Alert:
        return await self._call("POST", f"/api/v1/admin/alerts/{alert_id}/acknowledge", Alert)

    async def list_plans(self) -> Page[PlanRow]:
        return await self._call("GET", "/api/v1/admin/plans", Page[PlanRow])

    async def update_plan(
        self,
        plan_id: str,
        *,
        welcome_grant: str | UnsetType = UNSET,
        free_window_amount: str | UnsetType = UNSET,
        free_window_seconds: int | UnsetType = UNSET,
        budget: str | UnsetType | None = UNSET,
        budget_daily: str | UnsetType | None = UNSET,
        budget_weekly: str | UnsetType | None = UNSET,
        budget_monthly: str | UnsetType | None = UNSET,
        rpm: int | UnsetType | None = UNSET,
        tpm: int | UnsetType | None = UNSET,
        concurrency: int | UnsetType | None = UNSET,
    ) -> PlanRow:
        """Change what a plan gives and allows; a free window of amount "0" is none, a limit of None neither."""
        return await self._call(
            "PATCH",
            f"/api/v1/admin/plans/{plan_id}",
            PlanRow,
            content=transport.body(
                welcome_grant=welcome_grant,
                free_window_amount=free_window_amount,
                free_window_seconds=free_window_seconds,
                budget=budget,
                budget_daily=budget_daily,
                budget_weekly=budget_weekly,
                budget_monthly=budget_monthly,
                rpm=rpm,
                tpm=tpm,
                concurrency=concurrency,
            ),
        )

    async def list_upstreams(self) -> Page[Upstream]:
        return await self._call("GET", "/api/v1/admin/upstreams", Page[Upstream])

    async def create_upstream(
        self,
        *,
        name: str,
        base_url: str,
        api_key: str,
        protocol: str = "openai",
        idempotency_key: str | None = None,
    ) -> Upstream:
        return await self._call(
            "POST",
            "/api/v1/admin/upstreams",
            Upstream,
            content=transport.body(name=name, protocol=protocol, base_url=base_url, api_key=api_key),
            headers=transport.idempotency(idempotency_key),
        )

    async def update_upstream(
        self,
        upstream_id: str,
        *,
        name: str | UnsetType = UNSET,
        base_url: str | UnsetType = UNSET,
        api_key: str | UnsetType = UNSET,
        enabled: bool | UnsetType = UNSET,
    ) -> Upstream:
        return await self._call(
            "PATCH",
            f"/api/v1/admin/upstreams/{upstream_id}",
            Upstream,
            content=transport.body(name=name, base_url=base_url, api_key=api_key, enabled=enabled),
        )

    async def add_upstream_key(self, upstream_id: str, *, api_key: str) -> Upstream:
        """Give the upstream a further credential; calls are spread over all of them."""
        return await self._call(
            "POST", f"/api/v1/admin/upstreams/{upstream_id}/keys", Upstream, content=transport.body(api_key=api_key)
        )

    async def remove_upstream_key(self, upstream_id: str, key_id: str) -> Upstream:
        return await self._call("DELETE", f"/api/v1/admin/upstreams/{upstream_id}/keys/{key_id}", Upstream)

    async def test_upstream(self, upstream_id: str) -> UpstreamTest:
        """Ask the upstream for its models now, with its stored key."""
        return await self._call("POST", f"/api/v1/admin/upstreams/{upstream_id}/test", UpstreamTest)

    async def list_model_rows(self) -> Page[ModelRow]:
        return await self._call("GET", "/api/v1/admin/models", Page[ModelRow])

    async def create_model(
        self,
        *,
        id: str,  # noqa: A002  # the wire's own name
        upstream_id: str,
        upstream_model: str,
        name: str | UnsetType = UNSET,
        context_tokens: int | UnsetType = UNSET,
        max_output_tokens: int | UnsetType = UNSET,
        default_output_tokens: int | UnsetType = UNSET,
    ) -> ModelRow:
        return await self._call(
            "POST",
            "/api/v1/admin/models",
            ModelRow,
            content=transport.body(
                id=id,
                upstream_id=upstream_id,
                upstream_model=upstream_model,
                name=name,
                context_tokens=context_tokens,
                max_output_tokens=max_output_tokens,
                default_output_tokens=default_output_tokens,
            ),
        )

    async def update_model(
        self,
        model_id: str,
        *,
        name: str | UnsetType = UNSET,
        enabled: bool | UnsetType = UNSET,
        context_tokens: int | UnsetType | None = UNSET,
        max_output_tokens: int | UnsetType | None = UNSET,
        default_output_tokens: int | UnsetType = UNSET,
    ) -> ModelRow:
        return await self._call(
            "PATCH",
            f"/api/v1/admin/models/{model_id}",
            ModelRow,
            content=transport.body(
                name=name,
                enabled=enabled,
                context_tokens=context_tokens,
                max_output_tokens=max_output_tokens,
                default_output_tokens=default_output_tokens,
            ),
        )

    async def add_model_upstream(
        self,
        model_id: str,
        *,
        upstream_id: str,
        upstream_model: str,
        weight: int | UnsetType = UNSET,
        priority: int | UnsetType = UNSET,
    ) -> ModelUpstream:
        return await self._call(
            "POST",
            f"/api/v1/admin/models/{model_id}/upstreams",
            ModelUpstream,
            content=transport.body(
                upstream_id=upstream_id, upstream_model=upstream_model, weight=weight, priority=priority
            ),
        )

    async def update_model_upstream(
        self,
        upstream_id: str,
        link_id: str,
        *,
        weight: int | UnsetType = UNSET,
        priority: int | UnsetType = UNSET,
    ) -> ModelUpstream:
        """Change which share of a model's calls an upstream gets: `link_id` is a `ModelUpstream`'s id."""
        return await self._call(
            "PATCH",
            f"/api/v1/admin/upstreams/{upstream_id}/models/{link_id}",
            ModelUpstream,
            content=transport.body(weight=weight, priority=priority),
        )

    async def list_prices(
        self, *, model_id: str | None = None, limit: int | None = None, after: str | None = None
    ) -> Page[Price]:
        return await self._call(
            "GET",
            "/api/v1/admin/prices",
            Page[Price],
            params=transport.query(model_id=model_id, limit=limit, after=after),
        )

    async def create_price(
        self,
        *,
        model_id: str,
        input: str,  # noqa: A002  # the wire's own name
        output: str,
        cached_input: str | UnsetType | None = UNSET,
        cache_write_5m: str | UnsetType | None = UNSET,
        cache_write_1h: str | UnsetType | None = UNSET,
        reasoning: str | UnsetType | None = UNSET,
        audio_input: str | UnsetType | None = UNSET,
        audio_output: str | UnsetType | None = UNSET,
        image: str | UnsetType | None = UNSET,
        per_request: str | UnsetType | None = UNSET,
        cost_input: str | UnsetType | None = UNSET,
        cost_cached_input: str | UnsetType | None = UNSET,
        cost_cache_write_5m: str | UnsetType | None = UNSET,
        cost_cache_write_1h: str | UnsetType | None = UNSET,
        cost_output: str | UnsetType | None = UNSET,
        cost_reasoning: str | UnsetType | None = UNSET,
        cost_audio_input: str | UnsetType | None = UNSET,
        cost_audio_output: str | UnsetType | None = UNSET,
        cost_image: str | UnsetType | None = UNSET,
        cost_per_request: str | UnsetType | None = UNSET,
        tiers: list[PriceTier] | UnsetType = UNSET,
        effective_from: datetime | UnsetType = UNSET,
    ) -> Price:
        """Add a version of a model's price, in decimal credits per million; older versions stay as they were."""
        return await self._call(
            "POST",
            "/api/v1/admin/prices",
            Price,
            content=transport.body(
                model_id=model_id,
                input=input,
                output=output,
                cached_input=cached_input,
                cache_write_5m=cache_write_5m,
                cache_write_1h=cache_write_1h,
                reasoning=reasoning,
                audio_input=audio_input,
                audio_output=audio_output,
                image=image,
                per_request=per_request,
                cost_input=cost_input,
                cost_cached_input=cost_cached_input,
                cost_cache_write_5m=cost_cache_write_5m,
                cost_cache_write_1h=cost_cache_write_1h,
                cost_output=cost_output,
                cost_reasoning=cost_reasoning,
                cost_audio_input=cost_audio_input,
                cost_audio_output=cost_audio_output,
                cost_image=cost_image,
                cost_per_request=cost_per_request,
                tiers=tiers,
                effective_from=effective_from,
            ),
        )

    async def import_prices(
        self,
        *,
        format: str,  # noqa: A002  # the wire's own name
        file: str,
        markup: str | UnsetType = UNSET,
        effective_from: datetime | UnsetType = UNSET,
        models: list[str] | UnsetType = UNSET,
        plan: str | UnsetType = UNSET,
    ) -> PriceImport:
        """Review a price file against the catalog; with the `plan` that was answered, apply exactly that."""
        return await self._call(
            "POST",
            "/api/v1/admin/prices/import",
            PriceImport,
            content=transport.body(
                format=format,
                file=file,
                markup=markup,
                effective_from=effective_from,
                models=models,
                plan=plan,
            ),
        )

    async def list_multipliers(self) -> Page[PlanMultiplier]:
        return await self._call("GET", "/api/v1/admin/multipliers", Page[PlanMultiplier])

    async def set_multiplier(
        self, *, plan_id: str, multiplier: str, model_id: str | UnsetType = UNSET
    ) -> PlanMultiplier:
        """Say what a plan pays of a model's prices, or of all prices: a decimal like 0.8, or a fraction like 1/3."""
        return await self._call(
            "POST",
            "/api/v1/admin/multipliers",
            PlanMultiplier,
            content=transport.body(plan_id=plan_id, model_id=model_id, multiplier=multiplier),
        )

    async def remove_multiplier(self, multiplier_id: str) -> None:
        await self._call("DELETE", f"/api/v1/admin/multipliers/{multiplier_id}", type(None))

    async def list_admin_requests(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        organization_id: str | None = None,
        model: str | None = None,
        outcome: str | None = None,
    ) -> Page[AdminRequest]:
        return await self._call(
            "GET",
            "/api/v1/admin/requests",
            Page[AdminRequest],
            params=transport.query(
                limit=limit, after=after, organization_id=organization_id, model=model, outcome=outcome
            ),
        )

    async def explain_admin_request(self, organization_id: str, request_id: str) -> ExplainedRequest:
        """Explain any organization's request, upstreams and their errors included."""
        return await self._call("GET", f"/api/v1/admin/requests/{organization_id}/{request_id}", ExplainedRequest)

    # -- gateway: for anything beyond these, use the official SDKs (OpenAI's base_url is <api>/v1, Anthropic's <api>)

    async def create_chat_completion(self, body: Mapping[str, object]) -> dict[str, object]:
        """Call `/v1/chat/completions` without streaming; body and answer are OpenAI's."""
        return await self._call(
            "POST",
            "/v1/chat/completions",
            dict[str, object],
            content=transport.body(**body),
            time_limit=transport.STREAM_TIMEOUT,
        )

    @asynccontextmanager
    async def stream_chat_completion(self, body: Mapping[str, object]) -> AsyncGenerator[AsyncIterator[str]]:
        """Call `/v1/chat/completions` streaming; yields the `data:` payloads, the closing `[DONE]` left out."""
        async with self._stream("/v1/chat/completions", body) as payloads:
            yield payloads

    async def create_response(self, body: Mapping[str, object]) -> dict[str, object]:
        """Call `/v1/responses` without streaming; body and answer are OpenAI's."""
        return await self._call(
            "POST",
            "/v1/responses",
            dict[str, object],
            content=transport.body(**body),
            time_limit=transport.STREAM_TIMEOUT,
        )

    @asynccontextmanager
    async def stream_response(self, body: Mapping[str, object]) -> AsyncGenerator[AsyncIterator[str]]:
        """Call `/v1/responses` streaming; yields the `data:` payloads, each of which names its `type`."""
        async with self._stream("/v1/responses", body) as payloads:
            yield payloads

    async def create_embedding(self, body: Mapping[str, object]) -> dict[str, object]:
        """Call `/v1/embeddings`; body and answer are OpenAI's."""
        return await self._call(
            "POST",
            "/v1/embeddings",
            dict[str, object],
            content=transport.body(**body),
            time_limit=transport.STREAM_TIMEOUT,
        )

    async def create_message(self, body: Mapping[str, object]) -> dict[str, object]:
        """Call `/v1/messages` without streaming; body and answer are Anthropic's."""
        return await self._call(
            "POST",
            "/v1/messages",
            dict[str, object],
            content=transport.body(**body),
            time_limit=transport.STREAM_TIMEOUT,
        )

    @asynccontextmanager
    async def stream_message(self, body: Mapping[str, object]) -> AsyncGenerator[AsyncIterator[str]]:
        """Call `/v1/messages` streaming; yields the `data:` payloads, each of which names its `type`."""
        async with self._stream("/v1/messages", body) as payloads:
            yield payloads

    async def count_message_tokens(self, body: Mapping[str, object]) -> dict[str, object]:
        """Ask what a message would count as; free."""
        return await self._call("POST", "/v1/messages/count_tokens", dict[str, object], content=transport.body(**body))

    async def list_gateway_models(self) -> dict[str, object]:
        return await self._call("GET", "/v1/models", dict[str, object])

    async def get_gateway_model(self, model_id: str) -> dict[str, object]:
        return await self._call("GET", f"/v1/models/{model_id}", dict[str, object])

    async def get_calling_key(self) -> dict[str, object]:
        """Tell an API key its own name, models, expiry and what it has spent."""
        return await self._call("GET", "/v1/key", dict[str, object])

    # -- how a call is made

    @asynccontextmanager
    async def _stream(self, path: str, body: Mapping[str, object]) -> AsyncGenerator[AsyncIterator[str]]:
        try:
            async with self._http.stream(
                "POST",
                f"{self._base_url}{path}",
                content=transport.body(**{**body, "stream": True}),
                headers=transport.headers(self.token, self.organization_id, transport.JSON),
                timeout=transport.STREAM_TIMEOUT,
            ) as response:
                if not response.is_success:
                    raise read_error(response.status_code, await response.aread(), response.headers.get("x-request-id"))
                yield self._payloads(response)
        except httpx.TransportError as error:
            raise UnreachableError(f"The API at {self._base_url} broke off: {error}") from error

    @asynccontextmanager
    async def _download(self, path: str, params: Mapping[str, str]) -> AsyncGenerator[AsyncIterator[bytes]]:
        try:
            async with self._http.stream(
                "GET",
                f"{self._base_url}{path}",
                params=params,
                headers=transport.headers(self.token, self.organization_id),
                timeout=transport.STREAM_TIMEOUT,
            ) as response:
                if not response.is_success:
                    raise read_error(response.status_code, await response.aread(), response.headers.get("x-request-id"))
                yield response.aiter_bytes()
        except httpx.TransportError as error:
            raise UnreachableError(f"The API at {self._base_url} broke off: {error}") from error

    @staticmethod
    async def _payloads(response: httpx.Response) -> AsyncIterator[str]:
        async for line in response.aiter_lines():
            if line.startswith("data:") and (payload := line[5:].strip()) != "[DONE]":
                yield payload

    async def _call(
        self,
        method: str,
        path: str,
        answer: type[Answer],
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        time_limit: httpx.Timeout = transport.TIMEOUT,
    ) -> Answer:
        response = await self._send(
            method, path, params=params, content=content, headers=headers, time_limit=time_limit
        )
        return transport.decode(response, answer)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        time_limit: httpx.Timeout = transport.TIMEOUT,
    ) -> httpx.Response:
        kind = transport.JSON if content is not None else {}
        try:
            return await self._http.request(
                method,
                f"{self._base_url}{path}",
                params=params,
                content=content,
                headers=transport.headers(self.token, self.organization_id, {**kind, **(headers or {})}),
                timeout=time_limit,
            )
        except httpx.TransportError as error:
            raise UnreachableError(f"The API at {self._base_url} does not answer: {error}") from error
