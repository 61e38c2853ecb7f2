"""Seed what the product starts with: the default plan and the built-in model operis/echo with its price."""

from alembic import op

from operis_db.scripting import run_script

revision = "2026_11_23_2030"
down_revision = "2026_11_23_2020"
branch_labels = None
depends_on = None

SEED = """
INSERT INTO catalog_version (version) VALUES (1);
INSERT INTO plans (id, name, is_default, welcome_grant_nano)
    VALUES ('00000000-0000-7000-8000-000000000001', 'Free', true, 1000000000);
INSERT INTO upstreams (id, name, protocol, base_url, api_key_encrypted, api_key_last_four)
    VALUES ('00000000-0000-7000-8000-000000000002', 'Built-in echo', 'echo', '', '', '');
INSERT INTO models (id, name, context_tokens, max_output_tokens, default_output_tokens, min_output_tokens)
    VALUES ('operis/echo', 'Operis Echo', 1000000, 1000000, 4096, 1);
INSERT INTO model_upstreams (id, model_id, upstream_id, upstream_model)
    VALUES ('00000000-0000-7000-8000-000000000003', 'operis/echo', '00000000-0000-7000-8000-000000000002', 'echo');
INSERT INTO prices (id, model_id, effective_from, input, output, cost_input, cost_output)
    VALUES ('00000000-0000-7000-8000-000000000004', 'operis/echo', '2026-01-01T00:00Z', 1000000, 2000000, 0, 0);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(SEED)


def downgrade() -> None:
    """Seeds go with the tables: prices refuse DELETE."""
