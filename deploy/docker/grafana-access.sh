#!/usr/bin/env bash
# Makes the role "grafana", or gives it its password anew, and lets it read what the dashboard shows.
set -euo pipefail
cd "$(dirname "$0")"
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 <<'SQL'
\set password `printenv GRAFANA_PASSWORD`
SELECT 'CREATE ROLE grafana LOGIN CONNECTION LIMIT 10'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grafana') \gexec
ALTER ROLE grafana PASSWORD :'password';
\i access.sql
SQL
