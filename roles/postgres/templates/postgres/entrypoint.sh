#!/bin/bash
# The image's own entrypoint sets a password only when it creates the cluster. Ours must be in force after every start:
# it may have been rotated in the vault, or the cluster may have been restored from a time when it was another.
set -euo pipefail

# Repeated until it succeeds: the server comes up after this, and once more after it has created the cluster.
provision() {
  until pg_isready --quiet && psql --no-psqlrc --quiet --username postgres --dbname postgres --file /etc/postgresql/provision.sql; do
    sleep 1
  done
}

provision &
exec docker-entrypoint.sh "$@"
