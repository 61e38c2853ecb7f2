"""Chain the audit log, and seal what it says of persons under a key of each, so that erasing one breaks no link.

A link is made when the transaction commits: whoever writes to the log waits for others at that moment alone. Its digest
covers the row as it stands, sealed parts as ciphertext, and the digest before it. Only the trigger writes links.
"""

import sqlalchemy as sa
from alembic import op

from operis_db.scripting import run_script

revision = "2026_11_23_2340"
down_revision = "2026_11_23_2336"
branch_labels = None
depends_on = None

CHAIN = """
-- Columns that are null are left out, so that a later version may add one without breaking what was linked before it.
CREATE FUNCTION digest_audit_event(number bigint, previous bytea, event audit_events) RETURNS bytea
LANGUAGE sql STABLE SET timezone = 'UTC' SET bytea_output = 'hex' AS $$
    SELECT sha256(previous || convert_to(number || ' ' || (
        SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb(event)) WHERE value <> 'null'
    )::text, 'UTF8'))
$$;

CREATE FUNCTION link_audit_event() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    newest audit_links;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('operis.audit_links'));
    SELECT * INTO newest FROM audit_links ORDER BY number DESC LIMIT 1;
    INSERT INTO audit_links (number, event_id, digest) VALUES (
        coalesce(newest.number, 0) + 1, NEW.id,
        digest_audit_event(coalesce(newest.number, 0) + 1, coalesce(newest.digest, ''), NEW));
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER linked AFTER INSERT ON audit_events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION link_audit_event();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_links
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
DECLARE
    event audit_events;
    number bigint := 0;
    previous bytea := '';
BEGIN
    FOR event IN SELECT * FROM audit_events ORDER BY id LOOP
        number := number + 1;
        previous := digest_audit_event(number, previous, event);
        INSERT INTO audit_links (number, event_id, digest) VALUES (number, event.id, previous);
    END LOOP;
END $$;

GRANT SELECT ON audit_links TO operis_app;
REVOKE INSERT ON audit_links FROM operis_app;
GRANT SELECT, INSERT, DELETE ON person_keys TO operis_app;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "person_keys",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_person_keys")),
    )
    op.create_table(
        "audit_links",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_links")),
        sa.UniqueConstraint("event_id", name=op.f("uq_audit_links_event_id")),
    )
    op.add_column("audit_events", sa.Column("as_user_id", sa.Uuid(), nullable=True))
    op.add_column("audit_events", sa.Column("origin_sealed", sa.LargeBinary(), nullable=True))
    op.add_column("audit_events", sa.Column("state_sealed", sa.LargeBinary(), nullable=True))
    op.drop_column("audit_events", "address")
    op.drop_column("audit_events", "agent")
    op.create_index("ix_audit_events_actor_id_id", "audit_events", ["actor_id", "id"], unique=False)
    op.create_index("ix_audit_events_target_id_id", "audit_events", ["target_id", "id"], unique=False)
    run_script(CHAIN)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TRIGGER linked ON audit_events")
    op.execute("DROP FUNCTION link_audit_event")
    op.drop_table("audit_links")
    op.execute("DROP FUNCTION digest_audit_event")
    op.drop_index("ix_audit_events_target_id_id", "audit_events")
    op.drop_index("ix_audit_events_actor_id_id", "audit_events")
    op.add_column("audit_events", sa.Column("agent", sa.String(length=256), nullable=True))
    op.add_column("audit_events", sa.Column("address", sa.String(length=64), nullable=True))
    op.drop_column("audit_events", "state_sealed")
    op.drop_column("audit_events", "origin_sealed")
    op.drop_column("audit_events", "as_user_id")
    op.drop_table("person_keys")
