#!/usr/bin/env bash
# Creates the role "grafana" or sets its password again, and grants it the rights that the dashboard needs.
set -euo pipefail
cd "$(dirname "$0")"
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 <<'SQL'
\set password `printenv GRAFANA_PASSWORD`
SELECT 'CREATE ROLE grafana LOGIN CONNECTION LIMIT 10'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grafana') \gexec
ALTER ROLE grafana PASSWORD :'password';
\i access.sql
SQL
