-- The two roles and one database of an installation, made by a superuser. Said again, it changes nothing but passwords.
--
--   OWNER_PASSWORD=… RUNTIME_PASSWORD=… psql -v database=countinghouse -f config/operations/roles.sql postgres
--
-- countinghouse_owner   owns every table: migrations, dumps and restores, nothing else.
-- countinghouse_runtime reads and writes rows: web server, worker, beat and mcpctl. It owns nothing, so it can neither
--                       alter a table nor turn off a trigger, empty a table nor make one.
\set ON_ERROR_STOP on
\getenv owner_password OWNER_PASSWORD
\getenv runtime_password RUNTIME_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['countinghouse_owner', 'countinghouse_runtime']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE countinghouse_owner PASSWORD :'owner_password';
ALTER ROLE countinghouse_runtime PASSWORD :'runtime_password';

SELECT format('CREATE DATABASE %I OWNER countinghouse_owner', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO countinghouse_runtime;

\connect :"database"
GRANT USAGE ON SCHEMA public TO countinghouse_runtime;
-- Of tables that are there, and of those that migrations make later.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO countinghouse_runtime;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO countinghouse_runtime;
ALTER DEFAULT PRIVILEGES FOR ROLE countinghouse_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO countinghouse_runtime;
ALTER DEFAULT PRIVILEGES FOR ROLE countinghouse_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO countinghouse_runtime;
