#!/bin/sh
# Gives the secrets to one process and its children: `environment` and `env_file` would show in `docker inspect`.
# By hand: docker compose exec backend /opt/somos/entrypoint.sh COMMAND
set -eu
set -a
. /run/secrets/env
set +a
exec "$@"
