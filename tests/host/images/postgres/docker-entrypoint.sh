#!/bin/bash
# The contract of the official postgres image, as far as the roles use it: POSTGRES_{DB,USER,PASSWORD,INITDB_ARGS} (each
# also as *_FILE), POSTGRES_HOST_AUTH_METHOD, and the scripts of /docker-entrypoint-initdb.d on an empty data directory.
set -Eeuo pipefail
shopt -s nullglob

# The value of a variable, or of the file that <variable>_FILE names.
setting() {
  local name=$1 file=${1}_FILE
  if [[ -n ${!name:-} && -n ${!file:-} ]]; then echo "error: both $name and $file are set (but are exclusive)" >&2; exit 1; fi
  if [[ -n ${!file:-} ]]; then export "$name=$(< "${!file}")"; else export "$name=${!name:-${2:-}}"; fi
  unset "$file"
}

initialize() {
  setting POSTGRES_PASSWORD
  setting POSTGRES_USER postgres
  setting POSTGRES_DB "$POSTGRES_USER"
  setting POSTGRES_INITDB_ARGS
  local method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
  if [[ -z $POSTGRES_PASSWORD && $method != trust ]]; then
    echo "error: the database is not initialized and no superuser password is given: set POSTGRES_PASSWORD_FILE" >&2
    exit 1
  fi
  # Word splitting is wanted: POSTGRES_INITDB_ARGS is a command line.
  # shellcheck disable=SC2086
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") $POSTGRES_INITDB_ARGS
  printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"

  # Nobody outside may meet the half-made database: it listens on its socket only until the scripts are through.
  PGUSER=$POSTGRES_USER pg_ctl -w start -o "-c listen_addresses='' -p 5432" "${server_options[@]}"
  export PGPASSWORD=$POSTGRES_PASSWORD
  if [[ $POSTGRES_DB != postgres ]]; then
    sql postgres -v db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db";'
  fi
  run_scripts
  PGUSER=$POSTGRES_USER pg_ctl -w -m fast stop
  unset PGPASSWORD
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

# sql DATABASE [psql argument…]
sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" --dbname "$@"; }

run_scripts() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    echo "$0: running $file"
    case $file in
      *.sh)     if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
      *.sql)    sql "$POSTGRES_DB" -f "$file" ;;
      *.sql.gz) gunzip -c "$file" | sql "$POSTGRES_DB" ;;
      *)        echo "$0: ignoring $file" ;;
    esac
  done
}

if [[ ${1:-} == -* ]]; then set -- postgres "$@"; fi

if [[ $1 == postgres && $(id -u) == 0 ]]; then
  mkdir -p "$PGDATA"
  find "$PGDATA" \! -user postgres -exec chown postgres {} +
  find /var/run/postgresql \! -user postgres -exec chown postgres {} +
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [[ $1 == postgres ]]; then
  mkdir -p "$PGDATA" && chmod 0700 "$PGDATA"
  if [[ ! -s $PGDATA/PG_VERSION ]]; then
    # The temporary server runs with the settings of the real one (extensions that must be preloaded, for instance).
    server_options=()
    if (( $# > 1 )); then server_options=(-o "$(printf '%q ' "${@:2}")"); fi
    initialize
  fi
  unset POSTGRES_PASSWORD POSTGRES_PASSWORD_FILE
fi
exec "$@"
