"""Signatures of others over what they send: ECDSA over P-256 with SHA-256, as code hosts make them."""

import base64
import binascii

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key


def read_public_key(text: str) -> ec.EllipticCurvePublicKey:
    """Read the base64 between a PEM's first and last line, or raise ValueError."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("this is no key on the curve P-256")  # noqa: TRY004  # its form is wrong, not its type
    return key


def is_signed(body: bytes, signature: str, key: ec.EllipticCurvePublicKey) -> bool:
    """Tell whether `signature`, base64 of DER, is of these very bytes."""
    try:
        key.verify(base64.b64decode(signature, validate=True), body, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
