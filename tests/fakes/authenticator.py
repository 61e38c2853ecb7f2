"""A passkey device in software: ES256, what CTAP and WebAuthn ask of one, and the lies that a test tells with it."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from operis_client.models import PasskeyOptions, PasskeyView
from tests.factories import Account
from tests.running import Api

PRESENT, VERIFIED, HAS_CREDENTIAL = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """One credential. Change a field to lie."""

    origin: str
    party: str = "localhost"
    flags: int = PRESENT | VERIFIED
    count: int = 0
    counts: bool = True
    """Whether its counter moves; that of a passkey which is synchronized stays 0."""
    user_handle: bytes | None = None
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: PasskeyOptions) -> dict[str, Any]:
        """Answer as `navigator.credentials.create`."""
        asked: dict[str, Any] = options.public_key
        self.user_handle = unb64(asked["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        public_key = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        credential = bytes(16) + len(self.credential_id).to_bytes(2) + self.credential_id + cbor2.dumps(public_key)
        data = self._data(self.flags | HAS_CREDENTIAL) + credential
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", asked["challenge"])
        return self._credential({"clientDataJSON": b64(client), "attestationObject": b64(attestation)})

    def get(self, options: PasskeyOptions) -> dict[str, Any]:
        """Answer as `navigator.credentials.get`."""
        self.count += self.counts
        client, data = self._client("webauthn.get", options.public_key["challenge"]), self._data(self.flags)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature)}
        if self.user_handle is not None:
            response["userHandle"] = b64(self.user_handle)
        return self._credential(response)

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.party.encode()).digest() + bytes([flags]) + self.count.to_bytes(4)

    def _client(self, kind: str, challenge: object) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _credential(self, response: dict[str, str]) -> dict[str, Any]:
        identifier = b64(self.credential_id)
        return {"id": identifier, "rawId": identifier, "type": "public-key", "response": response}


def device_for(api: Api) -> Authenticator:
    """Return a new device in front of this API's dashboard, which loopback knows by name."""
    return Authenticator(origin=f"http://localhost:{api.dashboard_port}")


async def add_passkey(account: Account, device: Authenticator, *, name: str = "Phone") -> PasskeyView:
    """Register the device for the account."""
    made = device.create(await account.client.begin_passkey())
    return (await account.client.add_passkey(name=name, credential=made)).passkey


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
