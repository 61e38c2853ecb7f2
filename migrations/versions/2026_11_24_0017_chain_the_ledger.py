"""Chain the ledger: each row tells by which transaction it was written, and blocks seal them in that order.

Checks of the books are asked for, run and kept as rows, and what needs an operator's eye is an alert.
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

from operis_db.scripting import run_script

revision = "2026_11_24_0017"
down_revision = "2026_11_24_0010"
branch_labels = None
depends_on = None

CLOCK = """
-- A transaction's number, which no other has and which does not wrap. A database restored into another server finds
-- smaller numbers there: `operis migrate` then adds a constant to both functions, so that the clock never goes back.
CREATE FUNCTION ledger_clock() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT pg_current_xact_id()::text::bigint + 0';

-- Whatever was written before this moment of the clock is committed or gone: nothing can be added to it any more.
CREATE FUNCTION ledger_horizon() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + 0';

-- The time in a UUIDv7, which is the `created_at` of a request's records.
CREATE FUNCTION moment_of(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT timestamptz 'epoch'
        + ('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint * interval '1 millisecond'
$$;
"""

# A call that cost nothing has no posting; the chain finds its record by this note.
VOIDS = """
CREATE FUNCTION note_void() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO voids (organization_id, id) VALUES (NEW.organization_id, NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER note_void AFTER INSERT ON usage_records FOR EACH ROW
    WHEN (NEW.charge_nano = 0 AND NEW.loss_nano = 0) EXECUTE FUNCTION note_void();
INSERT INTO voids (organization_id, id) SELECT organization_id, id FROM usage_records
    WHERE charge_nano = 0 AND loss_nano = 0;
"""

APPEND_ONLY = ("voids", "chain_forms", "ledger_blocks")


def moment(name: str, *, default: bool = False, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()") if default else None, nullable=nullable
    )


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(CLOCK)
    op.add_column(
        "postings", sa.Column("written", sa.BigInteger(), server_default=sa.text("ledger_clock()"), nullable=False)
    )
    op.create_index("ix_postings_written", "postings", ["written"])
    op.create_index("ix_postings_written_other", "postings", ["written"], postgresql_where=sa.text("kind <> 'charge'"))
    op.create_table(
        "voids",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("written", sa.BigInteger(), server_default=sa.text("ledger_clock()"), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_voids")),
    )
    op.create_index("ix_voids_written", "voids", ["written"])
    run_script(VOIDS)
    op.create_table(
        "chain_forms",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("columns", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_forms")),
    )
    op.create_table(
        "ledger_blocks",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("low", sa.BigInteger(), nullable=False),
        sa.Column("high", sa.BigInteger(), nullable=False),
        sa.Column("form_id", sa.Integer(), nullable=False),
        sa.Column("postings", sa.Integer(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("grants", sa.Integer(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("ledger_hash", sa.LargeBinary(), nullable=False),
        sa.Column("usage_hash", sa.LargeBinary(), nullable=False),
        sa.Column("posting_marks", sa.LargeBinary(), nullable=False),
        sa.Column("record_marks", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        moment("cut_at"),
        sa.CheckConstraint("low < high", name=op.f("ck_ledger_blocks_range")),
        sa.ForeignKeyConstraint(["form_id"], ["chain_forms.id"], name=op.f("fk_ledger_blocks_form_id_chain_forms")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_ledger_blocks")),
        sa.UniqueConstraint("hash", name=op.f("uq_ledger_blocks_hash")),
    )
    op.create_index("ix_ledger_blocks_cut_at", "ledger_blocks", ["cut_at"])
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO operis_app")

    op.drop_table("ledger_checks")
    op.create_table(
        "ledger_checks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        moment("asked_at", default=True),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        moment("started_at", nullable=True),
        moment("finished_at", nullable=True),
        sa.Column("steps_done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("steps_total", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("rows_read", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("holds", sa.Boolean(), nullable=True),
        sa.Column("checks", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=True),
        sa.Column("block_hash", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("kind IN ('full', 'incremental')", name=op.f("ck_ledger_checks_kind")),
        sa.CheckConstraint("state IN ('queued', 'running', 'done')", name=op.f("ck_ledger_checks_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_checks")),
    )
    op.create_index("ix_ledger_checks_asked_at", "ledger_checks", ["asked_at"])
    op.create_index(
        "uq_ledger_checks_open", "ledger_checks", ["kind"], unique=True, postgresql_where=sa.text("state <> 'done'")
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ledger_checks TO operis_app")

    op.create_table(
        "alerts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        moment("raised_at", default=True),
        moment("seen_at", default=True),
        sa.Column("times", sa.Integer(), server_default=sa.text("1"), nullable=False),
        moment("acknowledged_at", nullable=True),
        sa.Column("acknowledged_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(
        "uq_alerts_open",
        "alerts",
        ["kind", "subject"],
        unique=True,
        postgresql_where=sa.text("acknowledged_at IS NULL"),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON alerts TO operis_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("alerts")
    op.drop_table("ledger_checks")
    context.script.get_revision("2026_11_23_2148").module.upgrade()
    op.drop_table("ledger_blocks")
    op.drop_table("chain_forms")
    op.execute("DROP TRIGGER note_void ON usage_records")
    op.execute("DROP FUNCTION note_void")
    op.drop_table("voids")
    op.drop_index("ix_postings_written_other", "postings")
    op.drop_index("ix_postings_written", "postings")
    op.drop_column("postings", "written")
    op.execute("DROP FUNCTION moment_of")
    op.execute("DROP FUNCTION ledger_horizon")
    op.execute("DROP FUNCTION ledger_clock")
