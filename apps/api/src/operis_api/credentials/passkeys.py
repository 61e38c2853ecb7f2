"""Passkeys (WebAuthn): registered for the configured dashboard alone, each challenge good once, for five minutes.

What a browser sends is checked by py_webauthn; here is what it cannot know: which challenges were given out, for what
and to whom, and whose credentials there are.
"""

import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import webauthn
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from webauthn.helpers import base64url_to_bytes, options_to_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRequestOptions,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from operis_api.credentials.errors import InvalidPasskey, PasskeyKnown, TooManyPasskeys
from operis_api.kit.errors import NotFound
from operis_api.kit.ids import new_id
from operis_api.kit.sessions import Sessions
from operis_db.people import Passkey, PasskeyChallenge, User

Purpose = Literal["register", "sign_in", "second_factor", "step_up"]
Json = dict[str, object]
LIFE = timedelta(minutes=5)
PASSKEYS_MAX = 20
NAME_CHARACTERS_MAX = 80
_CHALLENGE_BYTES = 32


class Party(msgspec.Struct, frozen=True):
    """Whom passkeys are for: the dashboard's domain, and the origins of its pages."""

    id: str
    origins: list[str]


def party_of(dashboard_url: str) -> Party:
    """Return the relying party. Browsers know no passkeys of bare addresses: on loopback they are `localhost`'s."""
    parts = urlsplit(dashboard_url)
    host = parts.hostname or "localhost"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return Party(host, [dashboard_url])
    port = f":{parts.port}" if parts.port else ""
    return Party("localhost", [dashboard_url, f"{parts.scheme}://localhost{port}"])


async def ask_to_register(session: AsyncSession, party: Party, user: User) -> Json:
    """Return what a browser makes a new passkey by; raises `TooManyPasskeys`."""
    known = await list_passkeys(session, user.id)
    if len(known) >= PASSKEYS_MAX:
        raise TooManyPasskeys(f"Remove one: there may be {PASSKEYS_MAX}.", limit=PASSKEYS_MAX)
    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name="Operis",
        user_id=user.id.bytes,
        user_name=user.email,
        user_display_name=user.name,
        challenge=_give_challenge(session, "register", user.id),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one.credential_id) for one in known],
    )
    return _as_json(options)


async def ask_to_sign(session: AsyncSession, party: Party, purpose: Purpose, user_id: UUID | None) -> Json:
    """Return what a browser shows a passkey by: one of this user's, or of whoever it is."""
    known: Sequence[Passkey] = await list_passkeys(session, user_id) if user_id else ()
    alone = UserVerificationRequirement.REQUIRED if user_id is None else UserVerificationRequirement.PREFERRED
    options = webauthn.generate_authentication_options(
        rp_id=party.id,
        challenge=_give_challenge(session, purpose, user_id),
        allow_credentials=[PublicKeyCredentialDescriptor(id=one.credential_id) for one in known],
        user_verification=alone,
    )
    return _as_json(options)


async def use_challenge(sessions: Sessions, credential: Json, *, purpose: Purpose, user_id: UUID | None) -> bytes:
    """Use up the challenge that the credential answers, whatever it is worth, and return it.

    Raises `InvalidPasskey`.
    """
    challenge = _read_challenge(credential)
    gone = (
        delete(PasskeyChallenge)
        .where(PasskeyChallenge.challenge_hash == _hash(challenge))
        .returning(PasskeyChallenge.purpose, PasskeyChallenge.user_id, PasskeyChallenge.expires_at > func.now())
    )
    async with sessions.begin() as session:
        row = (await session.execute(gone)).first()
    if row is None or tuple(row) != (purpose, user_id, True):
        raise InvalidPasskey("Ask for a new challenge: this one was used, has expired, or was for something else.")
    return challenge


async def add_passkey(
    session: AsyncSession, party: Party, user_id: UUID, *, name: str, credential: Json, challenge: bytes
) -> Passkey:
    """Keep a new passkey of the user; raises `InvalidPasskey`, `PasskeyKnown` or `TooManyPasskeys`."""
    try:
        found = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origins,
        )
    except (WebAuthnException, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidPasskey("The browser's answer does not hold.") from error
    await session.get_one(User, user_id, with_for_update=True)  # so that two at once are counted one after the other
    if await count_passkeys(session, user_id) >= PASSKEYS_MAX:
        raise TooManyPasskeys(f"Remove one: there may be {PASSKEYS_MAX}.", limit=PASSKEYS_MAX)
    row = Passkey(
        id=new_id(),
        user_id=user_id,
        name=name,
        credential_id=found.credential_id,
        public_key=found.credential_public_key,
        sign_count=found.sign_count,
        created_at=datetime.now(UTC),
    )
    session.add(row)
    try:
        await session.flush()
    except IntegrityError:
        raise PasskeyKnown("It is registered already.") from None
    return row


async def find_owner(session: AsyncSession, credential: Json) -> UUID:
    """Return whose passkey the credential claims to be, or raise `InvalidPasskey`; nothing is proven yet."""
    query = select(Passkey.user_id).where(Passkey.credential_id == _read_identifier(credential))
    owner = await session.scalar(query)
    if owner is None:
        raise InvalidPasskey("This passkey is not known here.")
    return owner


async def check_passkey(
    session: AsyncSession, party: Party, user_id: UUID, credential: Json, *, challenge: bytes, alone: bool
) -> Passkey:
    """Return the user's passkey that signed the challenge, its counter moved on; raises `InvalidPasskey`.

    `alone`: it stands for the password too, so it must have verified its owner, by a finger, a face or a PIN.
    """
    query = select(Passkey).where(Passkey.credential_id == _read_identifier(credential), Passkey.user_id == user_id)
    row = await session.scalar(query.with_for_update())
    if row is None:
        raise InvalidPasskey("This passkey is not known here.")
    try:
        found = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origins,
            credential_public_key=row.public_key,
            credential_current_sign_count=row.sign_count,
            require_user_verification=alone,
        )
        named = webauthn.helpers.parse_authentication_credential_json(credential).response.user_handle
    except (WebAuthnException, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidPasskey("The browser's answer does not hold.") from error
    if named is not None and named != user_id.bytes:
        raise InvalidPasskey("The passkey names somebody else.")
    row.sign_count, row.last_used_at = found.new_sign_count, datetime.now(UTC)
    return row


async def list_passkeys(session: AsyncSession, user_id: UUID) -> Sequence[Passkey]:
    """Return the user's passkeys, oldest first; they are few."""
    query = select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id).limit(PASSKEYS_MAX)
    return (await session.scalars(query)).all()


async def find_passkey(session: AsyncSession, user_id: UUID, passkey_id: UUID) -> Passkey:
    """Return the user's passkey, locked, or raise `NotFound`."""
    query = select(Passkey).where(Passkey.id == passkey_id, Passkey.user_id == user_id)
    row = await session.scalar(query.with_for_update())
    if row is None:
        raise NotFound("There is no such passkey of yours.")
    return row


async def count_passkeys(session: AsyncSession, user_id: UUID) -> int:
    return await session.scalar(select(func.count()).where(Passkey.user_id == user_id)) or 0


async def remove_passkeys(session: AsyncSession, user_id: UUID) -> bool:
    """Remove all of the user's passkeys; tells whether there were any."""
    gone = await session.execute(delete(Passkey).where(Passkey.user_id == user_id).returning(Passkey.id))
    return bool(gone.all())


async def forget_challenges(session: AsyncSession) -> None:
    """Delete what has expired."""
    await session.execute(delete(PasskeyChallenge).where(PasskeyChallenge.expires_at <= func.now()))


def _give_challenge(session: AsyncSession, purpose: Purpose, user_id: UUID | None) -> bytes:
    challenge = secrets.token_bytes(_CHALLENGE_BYTES)
    session.add(
        PasskeyChallenge(
            challenge_hash=_hash(challenge), purpose=purpose, user_id=user_id, expires_at=func.now() + LIFE
        )
    )
    return challenge


class _ClientData(msgspec.Struct):
    challenge: str


class _Response(msgspec.Struct, rename="camel"):
    client_data_json: str = msgspec.field(name="clientDataJSON")


class _Credential(msgspec.Struct, rename="camel"):
    raw_id: str
    response: _Response


def _read_challenge(credential: Json) -> bytes:
    try:
        given = msgspec.convert(credential, _Credential)
        data = base64url_to_bytes(given.response.client_data_json)
        return base64url_to_bytes(msgspec.json.decode(data, type=_ClientData).challenge)
    except ValueError as error:  # msgspec's and base64's are both
        raise InvalidPasskey("Send what the browser's navigator.credentials answered.") from error


def _read_identifier(credential: Json) -> bytes:
    try:
        return base64url_to_bytes(msgspec.convert(credential, _Credential).raw_id)
    except ValueError as error:
        raise InvalidPasskey("Send what the browser's navigator.credentials answered.") from error


def _as_json(options: PublicKeyCredentialCreationOptions | PublicKeyCredentialRequestOptions) -> Json:
    return msgspec.json.decode(options_to_json(options), type=Json)


def _hash(challenge: bytes) -> bytes:
    return hashlib.sha256(challenge).digest()
