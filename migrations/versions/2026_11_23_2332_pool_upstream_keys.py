"""Give upstreams further credentials, and keep what was last seen of their health."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_2332"
down_revision = "2026_11_23_2330"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "upstream_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("upstream_id", sa.Uuid(), nullable=False),
        sa.Column("api_key_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("api_key_last_four", sa.String(4), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["upstream_id"], ["upstreams.id"], name=op.f("fk_upstream_keys_upstream_id_upstreams")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upstream_keys")),
    )
    op.create_index("ix_upstream_keys_upstream_id", "upstream_keys", ["upstream_id"])
    op.create_table(
        "upstream_health",
        sa.Column("upstream_id", sa.Uuid(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("check_ok", sa.Boolean(), nullable=True),
        sa.Column("check_latency_ms", sa.Integer(), nullable=True),
        sa.Column("check_error", sa.Text(), nullable=True),
        sa.Column("resting_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_error_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["upstream_id"], ["upstreams.id"], name=op.f("fk_upstream_health_upstream_id_upstreams")
        ),
        sa.PrimaryKeyConstraint("upstream_id", name=op.f("pk_upstream_health")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON upstream_keys TO operis_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON upstream_health TO operis_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("upstream_health")
    op.drop_table("upstream_keys")
