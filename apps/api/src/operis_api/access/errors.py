"""What the doors of the management API refuse."""

from operis_api.kit.errors import DomainError


class SecondFactorRequired(DomainError):
    status, code, title = 403, "second_factor_required", "Operators need a second factor here."

    def __init__(self) -> None:
        path = "/api/v1/me/mfa/totp"
        super().__init__(f"Enrol one first: POST {path}, then {path}/confirm; or a passkey.", enrol_at=path)


class ImpersonationReadsOnly(DomainError):
    status, code, title = 403, "impersonation_reads_only", "Who acts as somebody else may only look."
