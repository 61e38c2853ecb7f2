"""Which refusals each operation may answer with, beside those that any request may meet.

The OpenAPI document lists them by operation; docs/errors.md says what to do about each.
"""

from operis_api.access.errors import ImpersonationReadsOnly, SecondFactorRequired
from operis_api.accounts import errors as accounts
from operis_api.admin import errors as admin
from operis_api.credentials import errors as credentials
from operis_api.gateway import errors as gateway
from operis_api.keys import errors as keys
from operis_api.kit.draining import ShuttingDown
from operis_api.kit.errors import DomainError, Forbidden, InvalidField, NotFound, Unavailable
from operis_api.kit.idempotency import KeyReused, StillRunning
from operis_api.kit.problems import InternalError, UnusableText
from operis_api.kit.tokens import Unauthenticated
from operis_api.leaving import errors as leaving
from operis_api.ledger import errors as ledger
from operis_api.limits import errors as limits
from operis_api.mail.errors import InvalidEmail
from operis_api.oidc import errors as oidc
from operis_api.organizations import errors as organizations
from operis_api.signing_in import errors as signing_in
from operis_api.throttling.errors import TooManyAttempts

EVERYWHERE: tuple[type[DomainError], ...] = (InternalError, Unavailable)
_REPLAY = (KeyReused, StillRunning)
_LEAVING = (signing_in.ErasurePending, leaving.Erased)
_ERASING = (
    *_LEAVING,
    leaving.StillOperator,
    leaving.OwnsOrganizations,
    organizations.CallsRunning,
    organizations.CreditsLeft,
)
_KEY = (keys.InvalidApiKey, keys.KeyDisabled, keys.OwnerSuspended, keys.AddressNotAllowed, keys.ScopeRequired)
_CREDENTIAL = (*_KEY, Unauthenticated, Forbidden, SecondFactorRequired)
_SIGNED_IN = (Unauthenticated, Forbidden, SecondFactorRequired, InvalidField, NotFound)
_ASKING = (
    *_CREDENTIAL,
    gateway.InvalidBody,
    gateway.BodiesTooMany,
    gateway.BodyTooLarge,
    gateway.UnknownModel,
    gateway.DialectNotServed,
    gateway.UpstreamRefused,
    gateway.UpstreamBusy,
    gateway.UpstreamFailed,
    gateway.MethodNotAllowed,
    keys.ModelNotAllowed,
)
_GENERATION = (
    *_ASKING,
    gateway.CallerSuspended,
    gateway.Overloaded,
    gateway.SettlementUnknown,
    ShuttingDown,
    ledger.InsufficientCredits,
    limits.BudgetExhausted,
    limits.ConcurrencyLimited,
    limits.RateLimited,
    gateway.AnswerNotKept,
    *_REPLAY,
)

# What the operation's own code refuses; what follows from its path, its body and who may call is added below.
_OWN: dict[str, tuple[type[DomainError], ...]] = {
    "get_health": (),
    "get_readiness": (ShuttingDown,),
    "get_metrics": (),
    "register": (
        accounts.RegistrationClosed,
        accounts.DomainNotAllowed,
        accounts.EmailTaken,
        InvalidEmail,
        credentials.WeakPassword,
        organizations.AlreadyMember,
        organizations.InvitationOver,
        organizations.InvitedAnother,
        TooManyAttempts,
        InvalidField,
        NotFound,
    ),
    "list_platform_invitations": (InvalidField,),
    "invite_person": (
        InvalidEmail,
        accounts.DomainNotAllowed,
        accounts.EmailTaken,
        accounts.RegistrationClosed,
        organizations.AlreadyInvited,
    ),
    "revoke_platform_invitation": (),
    "verify_email": (credentials.LinkRefused, TooManyAttempts),
    "resend_verification": (InvalidEmail, TooManyAttempts),
    "forgot_password": (InvalidEmail, TooManyAttempts),
    "reset_password": (credentials.LinkRefused, credentials.WeakPassword, TooManyAttempts),
    "change_password": (signing_in.InvalidCredentials, credentials.WeakPassword, TooManyAttempts),
    "change_address": (InvalidEmail, signing_in.StepUpRequired, TooManyAttempts),
    "confirm_address": (credentials.LinkRefused, accounts.EmailTaken, TooManyAttempts),
    "undo_address": (credentials.LinkRefused, accounts.EmailTaken, TooManyAttempts),
    "verify_second_factor": (
        signing_in.ErasurePending,
        credentials.LinkRefused,
        credentials.InvalidCode,
        credentials.SecondFactorMissing,
        signing_in.EmailUnverified,
        signing_in.UserSuspended,
        TooManyAttempts,
    ),
    "begin_passkey_sign_in": (credentials.LinkRefused, TooManyAttempts),
    "finish_passkey_sign_in": (
        signing_in.ErasurePending,
        credentials.LinkRefused,
        credentials.InvalidPasskey,
        signing_in.EmailUnverified,
        signing_in.UserSuspended,
        TooManyAttempts,
    ),
    "list_identity_providers": (),
    "begin_provider_sign_in": (NotFound, oidc.ProviderFailed, TooManyAttempts),
    "finish_provider_sign_in": (
        NotFound,
        oidc.IdentityRefused,
        oidc.IdentityTaken,
        oidc.MailUnproven,
        oidc.ProviderFailed,
        InvalidEmail,
        accounts.RegistrationClosed,
        accounts.DomainNotAllowed,
        accounts.EmailTaken,
        organizations.AlreadyMember,
        organizations.InvitationOver,
        organizations.InvitedAnother,
        signing_in.EmailUnverified,
        signing_in.UserSuspended,
        TooManyAttempts,
    ),
    "prove_identity": (
        NotFound,
        oidc.IdentityRefused,
        oidc.IdentityTaken,
        oidc.MailUnproven,
        signing_in.InvalidCredentials,
        signing_in.EmailUnverified,
        signing_in.UserSuspended,
        TooManyAttempts,
    ),
    "list_identities": (),
    "begin_link": (oidc.ProviderFailed, signing_in.StepUpRequired),
    "finish_link": (oidc.IdentityRefused, oidc.IdentityTaken, oidc.ProviderFailed, signing_in.StepUpRequired),
    "unlink_identity": (signing_in.StepUpRequired,),
    "begin_passkey_step_up": (),
    "list_passkeys": (),
    "begin_passkey": (credentials.TooManyPasskeys, signing_in.StepUpRequired),
    "add_passkey": (
        InvalidField,
        credentials.InvalidPasskey,
        credentials.PasskeyKnown,
        credentials.TooManyPasskeys,
        signing_in.StepUpRequired,
        TooManyAttempts,
    ),
    "name_passkey": (InvalidField,),
    "remove_passkey": (signing_in.StepUpRequired,),
    "step_up": (
        InvalidField,
        credentials.InvalidPasskey,
        signing_in.InvalidCredentials,
        credentials.InvalidCode,
        credentials.SecondFactorMissing,
        TooManyAttempts,
    ),
    "list_sessions": (InvalidField,),
    "name_session": (InvalidField,),
    "end_session": (),
    "end_other_sessions": (),
    "get_second_factor": (),
    "enrol_second_factor": (credentials.SecondFactorEnabled, signing_in.StepUpRequired),
    "confirm_second_factor": (
        credentials.InvalidCode,
        credentials.SecondFactorEnabled,
        credentials.SecondFactorMissing,
        signing_in.StepUpRequired,
        TooManyAttempts,
    ),
    "remove_second_factor": (signing_in.StepUpRequired,),
    "replace_recovery_codes": (credentials.SecondFactorMissing, signing_in.StepUpRequired),
    "list_written_mails": (NotFound, InvalidField),
    "login": (
        signing_in.ErasurePending,
        signing_in.InvalidCredentials,
        signing_in.EmailUnverified,
        signing_in.UserSuspended,
        TooManyAttempts,
    ),
    "refresh": (signing_in.RefreshRefused, Unauthenticated),
    "logout": (),
    "logout_all": (),
    "get_me": (),
    "update_me": (InvalidField,),
    "list_organizations": (InvalidField,),
    "create_organization": (InvalidField, organizations.TooManyOrganizations),
    "get_organization": (),
    "update_organization": (InvalidField,),
    "delete_organization": (
        organizations.PersonalOrganization,
        organizations.CallsRunning,
        organizations.CreditsLeft,
    ),
    "leave_organization": (organizations.OwnerStays,),
    "transfer_organization": (
        InvalidField,
        organizations.PersonalOrganization,
        organizations.TooManyOrganizations,
    ),
    "list_members": (InvalidField,),
    "update_member": (InvalidField, organizations.OwnerStays),
    "remove_member": (organizations.OwnerStays,),
    "list_invitations": (InvalidField,),
    "invite_member": (
        InvalidEmail,
        organizations.PersonalOrganization,
        organizations.AlreadyMember,
        organizations.AlreadyInvited,
        organizations.TooManyMembers,
    ),
    "resend_invitation": (),
    "revoke_invitation": (),
    "accept_invitation": (
        organizations.InvitationOver,
        organizations.InvitedAnother,
        organizations.AlreadyMember,
    ),
    "list_organization_audit": (InvalidField,),
    "list_keys": (InvalidField,),
    "mint_key": (InvalidField, keys.TooManyKeys, keys.BeyondOwnRights, *_REPLAY),
    "get_key": (),
    "update_key": (InvalidField, keys.BeyondOwnRights),
    "rotate_key": (InvalidField, keys.KeyRevoked, keys.TooManySecrets, keys.BeyondOwnRights, *_REPLAY),
    "disable_key": (keys.KeyRevoked,),
    "enable_key": (keys.KeyRevoked, keys.DisabledByOperator, keys.BeyondOwnRights),
    "revoke_key": (),
    "delete_key": (),
    "list_admin_keys": (InvalidField,),
    "disable_admin_key": (InvalidField, keys.KeyRevoked),
    "enable_admin_key": (InvalidField, keys.KeyRevoked),
    "revoke_admin_key": (InvalidField,),
    "get_wallet": (),
    "list_wallet_entries": (InvalidField,),
    "get_wallet_statement": (InvalidField,),
    "get_usage": (InvalidField,),
    "list_requests": (InvalidField,),
    "explain_request": (),
    "list_models": (),
    "get_overview": (),
    "list_admin_requests": (InvalidField,),
    "explain_admin_request": (),
    "list_audit": (InvalidField,),
    "list_users": (InvalidField,),
    "get_user": (),
    "grant_role": (*_LEAVING, InvalidField, admin.NotYourself, admin.LastSuperadmin),
    "sign_out_user": (*_LEAVING, InvalidField),
    "update_user": (*_LEAVING, InvalidField, admin.NotYourself, admin.LastSuperadmin),
    "export_me": (signing_in.StepUpRequired, ImpersonationReadsOnly),
    "erase_me": (signing_in.StepUpRequired, *_ERASING),
    "undo_erasure": (signing_in.InvalidCredentials, leaving.NotErasing, TooManyAttempts),
    "export_user": (InvalidField, signing_in.StepUpRequired),
    "erase_user": (InvalidField, admin.NotYourself, signing_in.StepUpRequired, *_ERASING),
    "undo_user_erasure": (InvalidField, leaving.NotErasing, signing_in.StepUpRequired),
    "impersonate_user": (
        *_LEAVING,
        InvalidField,
        signing_in.OperatorNotImpersonated,
        signing_in.UserSuspended,
        signing_in.StepUpRequired,
    ),
    "end_impersonation": (),
    "remove_user_second_factor": (
        *_LEAVING,
        InvalidField,
        admin.NotYourself,
        credentials.SecondFactorMissing,
        signing_in.StepUpRequired,
    ),
    "list_admin_organizations": (InvalidField,),
    "get_admin_organization": (),
    "list_admin_members": (InvalidField,),
    "suspend_organization": (InvalidField, admin.OrganizationDeleted),
    "unsuspend_organization": (InvalidField, admin.OrganizationDeleted),
    "change_organization_plan": (InvalidField, admin.OrganizationDeleted),
    "get_organization_wallet": (),
    "adjust_wallet": (InvalidField, ledger.AdjustmentTooLarge, ledger.BalanceTooSmall, *_REPLAY),
    "reverse_charge": (InvalidField, ledger.AlreadyReversed, ledger.NothingCharged, *_REPLAY),
    "refund_grant": (InvalidField, ledger.NotRefundable, ledger.RefundTooLarge, *_REPLAY),
    "get_ledger_verification": (),
    "get_ledger_check": (),
    "verify_ledger": (),
    "list_ledger_postings": (InvalidField,),
    "list_holds": (InvalidField,),
    "list_alerts": (InvalidField,),
    "acknowledge_alert": (),
    "list_plans": (),
    "update_plan": (InvalidField,),
    "list_upstreams": (),
    "create_upstream": (InvalidField, admin.NameTaken, *_REPLAY),
    "update_upstream": (InvalidField, admin.NameTaken, admin.UpstreamFixed),
    "add_upstream_key": (InvalidField, admin.UpstreamFixed),
    "remove_upstream_key": (),
    "test_upstream": (),
    "list_model_rows": (),
    "create_model": (InvalidField, admin.NameTaken, admin.UpstreamFixed),
    "update_model": (InvalidField,),
    "update_model_upstream": (InvalidField,),
    "add_model_upstream": (InvalidField, admin.NameTaken, admin.UpstreamFixed),
    "list_prices": (InvalidField,),
    "import_prices": (InvalidField, admin.ImportChanged, admin.PriceExists),
    "list_multipliers": (),
    "set_multiplier": (InvalidField, NotFound),
    "remove_multiplier": (),
    "create_price": (InvalidField, NotFound, admin.PriceExists),
    "create_chat_completion": (*_GENERATION, gateway.NotTranslatable, gateway.StreamTooLong),
    "create_message": (*_GENERATION, gateway.NotTranslatable, gateway.StreamTooLong),
    "create_response": (*_GENERATION, gateway.NotOffered, gateway.NotTranslatable, gateway.StreamTooLong),
    "create_embedding": _GENERATION,
    "count_message_tokens": _ASKING,
    "list_gateway_models": _CREDENTIAL,
    "get_gateway_model": (*_CREDENTIAL, gateway.UnknownModel),
    "get_calling_key": (*_CREDENTIAL, gateway.KeyRequired),
}


def list_refusals(
    operation_id: str, *, parameters: bool, body: bool, signed_in: bool, keyed: bool, changes: bool
) -> dict[str, list[str]]:
    """Return the operation's codes by status; raises KeyError for an operation that is not listed here."""
    found = {(error.status, error.code) for error in (*_OWN[operation_id], *EVERYWHERE)}
    if parameters or body:
        found |= {(400, "invalid_request"), (UnusableText.status, UnusableText.code)}
    if body:
        found.add((413, "body_too_large"))
    if keyed:
        found |= {(error.status, error.code) for error in _KEY}
    if signed_in:  # and X-Organization-Id may be no id, or name an organization of others
        found |= {(error.status, error.code) for error in _SIGNED_IN}
    if signed_in and changes:
        found.add((ImpersonationReadsOnly.status, ImpersonationReadsOnly.code))
    return {
        str(status): sorted(code for its, code in found if its == status) for status in sorted({s for s, _ in found})
    }
