"""Seal each open hold, so that a changed one is found before it is settled by what it then says."""

import sqlalchemy as sa
from alembic import op

from operis_db.scripting import run_script

revision = "2026_11_24_0215"
down_revision = "2026_11_24_0017"
branch_labels = None
depends_on = None

SEAL = """
-- Everything a hold says; its lease and what it delivered are given, since a checkpoint changes them.
CREATE FUNCTION seal_hold(hold holds, lease_until timestamptz, output_tokens bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT hash_record_extended(ROW(hold.organization_id, hold.id, hold.created_at, hold.amount_nano, hold.grant_ids,
        hold.grant_amounts_nano, hold.user_id, hold.key_id, hold.model_id, hold.price_id, hold.streamed,
        hold.prompt_tokens, hold.client_address, hold.client_agent, hold.tokens, hold.rated_second,
        hold.multiplier_numerator, hold.multiplier_denominator, lease_until, output_tokens), 0)
$$;

CREATE FUNCTION seal_placed_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := seal_hold(NEW, NEW.lease_until, NEW.output_tokens);
    RETURN NEW;
END $$;
CREATE TRIGGER seal_placed_hold BEFORE INSERT ON holds FOR EACH ROW EXECUTE FUNCTION seal_placed_hold();
UPDATE holds h SET seal = seal_hold(h, h.lease_until, h.output_tokens);
"""


PLACED = "coalesce(item.multiplier_numerator, 1), coalesce(item.multiplier_denominator, 1))::holds"
PLACED_WITH_SEAL = PLACED.replace(")::holds", ", 0)::holds")
"""`place_holds` makes whole rows, which the column makes longer; the trigger puts the seal there."""


def replace_in_place_holds(old: str, new: str) -> None:
    definition = op.get_bind().scalar(sa.text("SELECT pg_get_functiondef('place_holds(json)'::regprocedure)"))
    if definition is None or definition.count(old) != 1:
        raise RuntimeError(f"place_holds is not as this migration knows it: {old!r} is not there once")
    run_script(definition.replace(old, new))


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("holds", sa.Column("seal", sa.BigInteger(), server_default="0", nullable=False))
    run_script(SEAL)
    replace_in_place_holds(PLACED, PLACED_WITH_SEAL)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TRIGGER seal_placed_hold ON holds")
    op.execute("DROP FUNCTION seal_placed_hold")
    op.execute("DROP FUNCTION seal_hold")
    op.drop_column("holds", "seal")
    replace_in_place_holds(PLACED_WITH_SEAL, PLACED)
