"""Let people be erased: when, and which mails are theirs."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_24_0312"
down_revision = "2026_11_24_0251"
branch_labels = None
depends_on = None

STATUS = "ck_users_status"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("users", sa.Column("erase_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint(op.f(STATUS), "users")
    op.create_check_constraint(op.f(STATUS), "users", "status IN ('active', 'suspended', 'erasing', 'erased')")
    op.create_check_constraint(op.f("ck_users_erase_at"), "users", "status <> 'erasing' OR erase_at IS NOT NULL")
    op.create_index("ix_users_erase_at", "users", ["erase_at"], postgresql_where=sa.text("status = 'erasing'"))
    op.add_column("mails", sa.Column("user_id", sa.Uuid(), nullable=True))
    op.execute("GRANT DELETE ON invitations, platform_invitations, key_uses TO operis_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("REVOKE DELETE ON invitations, platform_invitations, key_uses FROM operis_app")
    op.drop_column("mails", "user_id")
    op.drop_index("ix_users_erase_at", "users")
    op.drop_constraint(op.f("ck_users_erase_at"), "users")
    op.drop_constraint(op.f(STATUS), "users")
    op.execute("UPDATE users SET status = 'suspended' WHERE status IN ('erasing', 'erased')")
    op.create_check_constraint(op.f(STATUS), "users", "status IN ('active', 'suspended')")
    op.drop_column("users", "erase_at")
