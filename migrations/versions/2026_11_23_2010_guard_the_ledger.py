"""Let the database itself refuse to change history, make the months' partitions, and name the application's role."""

from alembic import op

from operis_db.scripting import run_script

revision = "2026_11_23_2010"
down_revision = "2026_11_23_2004"
branch_labels = None
depends_on = None

APPEND_ONLY = ("entries", "postings", "audit_events", "prices", "usage_records")

GUARDS = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION refuse_unbalanced_posting() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unbalanced uuid;
BEGIN
    SELECT posting_id INTO unbalanced FROM written GROUP BY organization_id, posting_id
    HAVING sum(amount_nano) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the entries of posting % do not sum to zero', unbalanced USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

-- All entries of a posting are written by one statement, so that this guard sees it whole.
CREATE TRIGGER balanced AFTER INSERT ON entries REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced_posting();
"""

# Months are UTC's. Attaching a table takes a lock that calls may share, creating a partition in place does not.
PARTITIONS = """
CREATE FUNCTION make_usage_partitions(months_ahead integer) RETURNS integer LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    first_month timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
    month timestamp;
    partition_name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('operis.make_usage_partitions'));
    FOR ahead IN -1 .. least(months_ahead, 60) LOOP
        month := first_month + make_interval(months => ahead);
        partition_name := 'usage_records_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass('public.' || partition_name) IS NOT NULL;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.usage_records INCLUDING ALL)', partition_name);
        EXECUTE format(
            'ALTER TABLE public.usage_records ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            partition_name, month::text || '+00', (month + interval '1 month')::text || '+00');
        -- The parent's trigger does not see a statement that names the partition.
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', partition_name);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
SELECT make_usage_partitions(12);
"""

# Rows that every call updates leave room on their page, so that an update touches no index.
STORAGE = """
ALTER TABLE wallets SET (fillfactor = 50);
ALTER TABLE grants SET (fillfactor = 50);
ALTER TABLE key_spending SET (fillfactor = 50);
ALTER TABLE holds SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
"""

ROLE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'operis_app') THEN
        CREATE ROLE operis_app NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;  -- another database's migration was faster
END $$;
GRANT USAGE ON SCHEMA public TO operis_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO operis_app;
GRANT INSERT ON ALL TABLES IN SCHEMA public TO operis_app;
REVOKE INSERT ON alembic_version, catalog_version FROM operis_app;
GRANT UPDATE ON users, organizations, memberships, sessions, api_keys, key_spending, plans, upstreams, models,
    model_upstreams, catalog_version, wallets, grants, holds TO operis_app;
GRANT DELETE ON memberships, sessions, model_upstreams, holds, idempotent_answers TO operis_app;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(GUARDS)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    run_script(PARTITIONS)
    run_script(STORAGE)
    run_script(ROLE)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM operis_app")
    op.execute("REVOKE USAGE ON SCHEMA public FROM operis_app")
    op.execute("DROP FUNCTION make_usage_partitions")
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER append_only ON {table}")
    op.execute("DROP TRIGGER balanced ON entries")
    op.execute("DROP FUNCTION refuse_unbalanced_posting")
    op.execute("DROP FUNCTION refuse_change CASCADE")  # with the triggers of the months' partitions
    for table in ("wallets", "grants", "key_spending", "holds"):
        op.execute(f"ALTER TABLE {table} RESET (fillfactor)")
    op.execute("ALTER TABLE holds RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)")
