-- Read pg_hba.conf again, unless it is wrong: PostgreSQL would keep the old rules then and only tell its log.
\set ON_ERROR_STOP on
DO $$
DECLARE
  mistake record;
BEGIN
  FOR mistake IN SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL LOOP
    RAISE EXCEPTION 'pg_hba.conf line %: %', mistake.line_number, mistake.error;
  END LOOP;
END;
$$;
SELECT pg_reload_conf();
