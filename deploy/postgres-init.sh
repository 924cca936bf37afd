#!/bin/sh
# Run once by the image of PostgreSQL, as its superuser: the logins of the service, all with the one password of trying out.
set -eu
psql -v ON_ERROR_STOP=1 -U postgres -d "$POSTGRES_DB" \
  -v app_password="$POSTGRES_PASSWORD" -v migrator_password="$POSTGRES_PASSWORD" \
  -v relay_password="$POSTGRES_PASSWORD" -v retention_password="$POSTGRES_PASSWORD" \
  -f /setup/postgres-setup.sql
