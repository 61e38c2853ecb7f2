"""What the tables know of a person: what is handed out, and how each is erased. The one place to look it up.

A table that gets a word about people gets a line here; a test walks every text column after an erasure. `:id` is the
user, `:email` the address, `:own` the organizations that end with them.
"""

# ruff: noqa: S608  # our own words, put together from our own words

_THEIR_KEYS = "(organization_id = ANY (:own) OR (user_id = :id AND NOT service))"

_THEIR_ADDRESSES = "(SELECT CAST(:email AS citext) UNION SELECT recipient::citext FROM mails WHERE user_id = :id)"
"""The newest, and those of before that mail went to."""

ERASURES: dict[str, str] = {
    "sessions": "DELETE FROM sessions WHERE user_id = :id",
    "impersonations": "DELETE FROM impersonations WHERE user_id = :id OR operator_id = :id",
    "one_time_links": "DELETE FROM one_time_links WHERE user_id = :id OR address = :email",
    "recovery_codes": "DELETE FROM recovery_codes WHERE user_id = :id",
    "second_factors": "DELETE FROM second_factors WHERE user_id = :id",
    "passkeys": "DELETE FROM passkeys WHERE user_id = :id",
    "passkey_challenges": "DELETE FROM passkey_challenges WHERE user_id = :id",
    "provider_identities": "DELETE FROM provider_identities WHERE user_id = :id",
    "provider_attempts": "DELETE FROM provider_attempts WHERE user_id = :id OR email = :email",
    "invitations": f"""
        DELETE FROM invitations WHERE email IN {_THEIR_ADDRESSES} OR accepted_by = :id OR organization_id = ANY (:own)
    """,
    "platform_invitations": f"DELETE FROM platform_invitations WHERE email IN {_THEIR_ADDRESSES}",
    "mails": f"DELETE FROM mails WHERE user_id = :id OR recipient::citext IN {_THEIR_ADDRESSES}",
    "idempotent_answers": f"""
        DELETE FROM idempotent_answers WHERE user_id = :id
            OR user_id IN (SELECT id FROM api_keys WHERE {_THEIR_KEYS})
    """,
    "idempotent_calls": f"""
        DELETE FROM idempotent_calls WHERE caller_id = :id OR organization_id = ANY (:own)
            OR caller_id IN (SELECT id FROM api_keys WHERE {_THEIR_KEYS})
    """,
    "key_uses": f"DELETE FROM key_uses WHERE key_id IN (SELECT id FROM api_keys WHERE {_THEIR_KEYS})",
    "key_secrets": f"DELETE FROM key_secrets WHERE key_id IN (SELECT id FROM api_keys WHERE {_THEIR_KEYS})",
    "spending": f"""
        UPDATE spending SET last_address = NULL, last_agent = NULL, last_model = NULL
        WHERE organization_id = ANY (:own) OR subject_id = :id
            OR subject_id IN (SELECT id FROM api_keys WHERE {_THEIR_KEYS})
    """,
    "api_keys": f"""
        UPDATE api_keys SET name = 'Erased', reason = NULL, cidrs = '{{}}', deleted_at = coalesce(deleted_at, now()),
            version = version + 1
        WHERE {_THEIR_KEYS}
    """,
    "memberships": "DELETE FROM memberships WHERE user_id = :id",
    "organizations": """
        UPDATE organizations SET name = 'Erased', timezone = 'UTC', status = 'deleted', suspended_reason = NULL
        WHERE id = ANY (:own)
    """,
    "users": """
        UPDATE users SET email = 'erased-' || id || '@erased.invalid', name = 'Erased', password_hash = '!',
            status = 'erased', suspended_until = NULL, suspended_reason = NULL, locale = 'en', time_zone = 'UTC',
            email_verified_at = NULL
        WHERE id = :id
    """,
}
"""In this order: names of keys are needed until what hangs on them is gone."""

EXPORTS: dict[str, str] = {
    "users": """
        SELECT id, email, name, status, suspended_until, suspended_reason, locale, time_zone, email_verified_at,
            created_at
        FROM users WHERE id = :id
    """,
    "sessions": """
        SELECT id, name, address, agent, created_at, rotated_at, expires_at, revoked_at, revoked_reason FROM sessions
        WHERE user_id = :id ORDER BY id DESC
    """,
    "passkeys": "SELECT name, created_at, last_used_at FROM passkeys WHERE user_id = :id ORDER BY id DESC",
    "provider_identities": """
        SELECT provider, issuer, subject, email, created_at, last_used_at FROM provider_identities
        WHERE user_id = :id ORDER BY id DESC
    """,
    "second_factors": "SELECT confirmed_at, created_at FROM second_factors WHERE user_id = :id",
    "one_time_links": "SELECT purpose, address, created_at, expires_at FROM one_time_links WHERE user_id = :id",
    "impersonations": """
        SELECT created_at, expires_at, ended_at FROM impersonations WHERE user_id = :id ORDER BY id DESC
    """,
    "memberships": """
        SELECT m.organization_id, o.name AS organization, o.personal, m.role, m.created_at
        FROM memberships m JOIN organizations o ON o.id = m.organization_id WHERE m.user_id = :id ORDER BY m.created_at
    """,
    "invitations": """
        SELECT organization_id, email, role, created_at, expires_at, accepted_at, revoked_at FROM invitations
        WHERE email = :email OR accepted_by = :id ORDER BY id DESC
    """,
    "platform_invitations": """
        SELECT email, created_at, expires_at, accepted_at, revoked_at FROM platform_invitations
        WHERE email = :email ORDER BY id DESC
    """,
    "mails": """
        SELECT template, recipient, created_at, sent_at FROM mails
        WHERE user_id = :id OR lower(recipient) = lower(:email) ORDER BY id DESC
    """,
    "api_keys": """
        SELECT id, organization_id, name, prefix, last_four, scopes, models, cidrs, created_at, expires_at, revoked_at,
            reason
        FROM api_keys WHERE user_id = :id AND NOT service ORDER BY id DESC
    """,
    "key_uses": """
        SELECT u.key_id, u.last_used_at, u.last_address, u.last_agent FROM key_uses u
        JOIN api_keys k ON k.id = u.key_id WHERE k.user_id = :id AND NOT k.service ORDER BY u.key_id
    """,
    "spending": """
        SELECT organization_id, subject_id, requests, last_used_at, last_address, last_agent, last_model FROM spending
        WHERE subject_id = :id OR subject_id IN (SELECT id FROM api_keys WHERE user_id = :id AND NOT service)
        ORDER BY organization_id, subject_id
    """,
    "requests": """
        SELECT id, organization_id, created_at, model_id, key_id, outcome, input, output, client_address, client_agent
        FROM usage_records
        WHERE user_id = :id AND organization_id IN (
            SELECT organization_id FROM memberships WHERE user_id = :id
            UNION SELECT organization_id FROM api_keys WHERE user_id = :id)
        ORDER BY created_at DESC
    """,
}
"""Newest first where there may be many."""
