"""Keep the answers of calls that carry an Idempotency-Key, so that a retry is not charged again."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_2348"
down_revision = "2026_11_23_2340"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "idempotent_calls",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("caller_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("streamed", sa.Boolean(), nullable=False),
        sa.Column("answered", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("answer_encrypted", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "caller_id", "key", name=op.f("pk_idempotent_calls")),
    )
    op.create_index("ix_idempotent_calls_created_at", "idempotent_calls", ["created_at"], unique=False)
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON idempotent_calls TO operis_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("idempotent_calls")
