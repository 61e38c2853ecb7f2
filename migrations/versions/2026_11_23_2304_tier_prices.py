"""Give prices tiers for long prompts, and plans multipliers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_23_2304"
down_revision = "2026_11_23_2301"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(
        "prices",
        sa.Column("tiers", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
    )
    op.create_check_constraint("tiers", "prices", "jsonb_typeof(tiers) = 'array'")
    op.create_table(
        "plan_multipliers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.String(length=128), nullable=True),
        sa.Column("numerator", sa.Integer(), nullable=False),
        sa.Column("denominator", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("numerator >= 0 AND denominator >= 1", name=op.f("ck_plan_multipliers_fraction")),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_plan_multipliers_model_id_models")),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_plan_multipliers_plan_id_plans")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_multipliers")),
    )
    op.create_index(
        "uq_plan_multipliers",
        "plan_multipliers",
        ["plan_id", "model_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON plan_multipliers TO operis_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("plan_multipliers")
    op.drop_column("prices", "tiers")
