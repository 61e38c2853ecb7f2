"""Give operators four roles, tell personal organizations from shared ones, and let each have exactly one owner."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_2252"
down_revision = "2026_11_23_2148"
branch_labels = None
depends_on = None

OPERATORS = "role IN ('user', 'superadmin', 'support', 'finance', 'read-only')"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_constraint(op.f("ck_users_role"), "users")
    op.execute("UPDATE users SET role = 'superadmin' WHERE role = 'admin'")
    op.create_check_constraint(op.f("ck_users_role"), "users", OPERATORS)
    op.add_column("organizations", sa.Column("personal", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.execute(
        "UPDATE organizations SET personal = true WHERE id IN "
        "(SELECT DISTINCT ON (owner_id) id FROM organizations ORDER BY owner_id, created_at)"
    )
    op.create_index(
        "uq_organizations_personal",
        "organizations",
        ["owner_id"],
        unique=True,
        postgresql_where=sa.text("personal"),
    )
    op.drop_constraint(op.f("ck_organizations_status"), "organizations")
    op.create_check_constraint(
        op.f("ck_organizations_status"), "organizations", "status IN ('active', 'suspended', 'deleted')"
    )
    op.create_index(
        "uq_memberships_owner",
        "memberships",
        ["organization_id"],
        unique=True,
        postgresql_where=sa.text("role = 'owner'"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("uq_memberships_owner", "memberships")
    op.execute("UPDATE organizations SET status = 'suspended' WHERE status = 'deleted'")
    op.drop_constraint(op.f("ck_organizations_status"), "organizations")
    op.create_check_constraint(op.f("ck_organizations_status"), "organizations", "status IN ('active', 'suspended')")
    op.drop_index("uq_organizations_personal", "organizations")
    op.drop_column("organizations", "personal")
    op.drop_constraint(op.f("ck_users_role"), "users")
    op.execute("UPDATE users SET role = CASE role WHEN 'user' THEN 'user' ELSE 'admin' END")
    op.create_check_constraint(op.f("ck_users_role"), "users", "role IN ('user', 'admin')")
