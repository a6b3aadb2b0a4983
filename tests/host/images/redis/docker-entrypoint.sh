#!/bin/sh
# The contract of the official redis image: options alone mean redis-server, and root becomes redis after taking over /data.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then set -- redis-server "$@"; fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
  find . \! -user redis -exec chown redis {} +
  exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
# Data files belong to the server alone unless the caller has chosen another mask.
if [ "$(umask)" = 0022 ]; then umask 0077; fi
exec "$@"
