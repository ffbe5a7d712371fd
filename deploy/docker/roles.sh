#!/usr/bin/env bash
# Creates the roles that log in with a password from .env, or sets their passwords again. Runs as the superuser of the database
# at each start, before the migration. No other service has the superuser's password.
set -euo pipefail
if [ "$PGPASSWORD" = changeme ]; then
    echo 'POSTGRES_PASSWORD is still "changeme": set another one in deploy/docker/.env, then delete the database that was created' \
        'with it (docker compose -f deploy/docker/compose.yaml down --volumes) and start again' >&2
    exit 1
fi
for variable in OWNER_PASSWORD WORKER_PASSWORD DASHBOARD_PASSWORD GATEWAY_PASSWORD CONFIGURATOR_PASSWORD; do
    if [ "${!variable}" = changeme ]; then
        echo "$variable is still \"changeme\": set another one in deploy/docker/.env and start again" >&2
        exit 1
    fi
done
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 <<'SQL'
\set owner `printenv OWNER_PASSWORD`
\set worker `printenv WORKER_PASSWORD`
\set dashboard `printenv DASHBOARD_PASSWORD`
\set gateway `printenv GATEWAY_PASSWORD`
\set configurator `printenv CONFIGURATOR_PASSWORD`
SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY[
    'centralcloud_owner', 'centralcloud_worker', 'centralcloud_dashboard', 'centralcloud_gateway', 'centralcloud_configurator'
]) AS roles (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
-- The owner creates the logins of single instances.
ALTER ROLE centralcloud_owner LOGIN CREATEROLE PASSWORD :'owner';
ALTER ROLE centralcloud_worker LOGIN PASSWORD :'worker';
ALTER ROLE centralcloud_dashboard LOGIN PASSWORD :'dashboard' CONNECTION LIMIT 10;
ALTER ROLE centralcloud_gateway LOGIN PASSWORD :'gateway';
ALTER ROLE centralcloud_configurator LOGIN PASSWORD :'configurator';
SELECT format('ALTER DATABASE %I OWNER TO centralcloud_owner', current_database()) \gexec
-- From PostgreSQL 15 on the schema belongs to the owner of the database by itself.
ALTER SCHEMA public OWNER TO centralcloud_owner;
SQL
