"""Give keys secrets that rotate, scopes, networks and states; tell processes at once that somebody's rights changed.

The triggers notify inside the change's own transaction, so a listener hears of it when it is committed and not before.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from operis_db.scripting import run_script

revision = "2026_11_24_0006"
down_revision = "2026_11_23_2348"
branch_labels = None
depends_on = None

TRIGGERS = """
CREATE FUNCTION tell_of_rights() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('operis_rights', '');
    RETURN NULL;
END $$;
CREATE TRIGGER tell_of_rights AFTER UPDATE ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION tell_of_rights();
CREATE TRIGGER tell_of_rights AFTER UPDATE OF expires_at OR DELETE ON key_secrets
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_rights();
CREATE TRIGGER tell_of_rights AFTER UPDATE OF status OR DELETE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_rights();
CREATE TRIGGER tell_of_rights AFTER UPDATE OF status OR DELETE ON organizations
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_rights();
CREATE TRIGGER tell_of_rights AFTER UPDATE OR DELETE ON memberships
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_rights();
CREATE TRIGGER tell_of_rights AFTER UPDATE OF revoked_at OR DELETE ON sessions
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_rights();
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "key_secrets",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("pepper_version", sa.String(length=8), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("last_four", sa.String(length=4), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "key_id"],
            ["api_keys.organization_id", "api_keys.id"],
            name=op.f("fk_key_secrets_organization_id_api_keys"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_key_secrets")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_key_secrets_secret_hash")),
    )
    op.create_index("ix_key_secrets_organization_id_key_id", "key_secrets", ["organization_id", "key_id"], unique=False)
    op.create_index(
        "uq_key_secrets_newest",
        "key_secrets",
        ["organization_id", "key_id"],
        unique=True,
        postgresql_where=sa.text("expires_at IS NULL"),
    )
    op.execute(
        """
        INSERT INTO key_secrets
            (organization_id, id, key_id, secret_hash, pepper_version, prefix, last_four, created_at)
        SELECT organization_id, id, id, secret_hash, '', prefix, last_four, created_at FROM api_keys
        """
    )
    op.drop_constraint("uq_api_keys_secret_hash", "api_keys", type_="unique")
    op.drop_column("api_keys", "secret_hash")

    words = postgresql.ARRAY(sa.Text())
    op.add_column(
        "api_keys", sa.Column("scopes", words, server_default=sa.text("'{inference,models}'"), nullable=False)
    )
    op.add_column("api_keys", sa.Column("cidrs", words, server_default=sa.text("'{}'"), nullable=False))
    op.add_column("api_keys", sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("api_keys", sa.Column("disabled_by", sa.String(length=16), nullable=True))
    op.add_column("api_keys", sa.Column("reason", sa.String(length=500), nullable=True))
    op.add_column("api_keys", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_api_keys_disabled"), "api_keys", "(disabled_at IS NULL) = (disabled_by IS NULL)"
    )
    op.create_check_constraint(
        op.f("ck_api_keys_disabled_by"), "api_keys", "disabled_by IN ('organization', 'operator')"
    )
    op.create_check_constraint(op.f("ck_api_keys_deleted"), "api_keys", "deleted_at IS NULL OR revoked_at IS NOT NULL")
    op.create_index("ix_api_keys_id", "api_keys", ["id"], unique=False)

    op.create_table(
        "key_uses",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_address", sa.String(length=64), nullable=True),
        sa.Column("last_agent", sa.String(length=256), nullable=True),
        sa.PrimaryKeyConstraint("organization_id", "key_id", name=op.f("pk_key_uses")),
    )
    op.add_column("audit_events", sa.Column("key_id", sa.Uuid(), nullable=True))
    op.execute("GRANT SELECT, INSERT, UPDATE ON key_secrets, key_uses TO operis_app")
    op.execute("GRANT DELETE ON key_secrets TO operis_app")
    run_script(TRIGGERS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in ("api_keys", "key_secrets", "users", "organizations", "memberships", "sessions"):
        op.execute(f"DROP TRIGGER tell_of_rights ON {table}")
    op.execute("DROP FUNCTION tell_of_rights")
    op.drop_column("audit_events", "key_id")
    op.drop_table("key_uses")
    op.drop_index("ix_api_keys_id", table_name="api_keys")
    for name in ("disabled", "disabled_by", "deleted"):
        op.drop_constraint(op.f(f"ck_api_keys_{name}"), "api_keys", type_="check")
    for name in ("deleted_at", "reason", "disabled_by", "disabled_at", "cidrs", "scopes"):
        op.drop_column("api_keys", name)
    op.add_column("api_keys", sa.Column("secret_hash", sa.LargeBinary(), nullable=True))
    op.execute(
        """
        UPDATE api_keys k SET secret_hash = s.secret_hash FROM key_secrets s
        WHERE s.organization_id = k.organization_id AND s.key_id = k.id AND s.expires_at IS NULL
        """
    )
    op.alter_column("api_keys", "secret_hash", nullable=False)
    op.create_unique_constraint(op.f("uq_api_keys_secret_hash"), "api_keys", ["secret_hash"])
    op.drop_table("key_secrets")
