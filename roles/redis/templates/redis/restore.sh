#!/bin/sh
# In a container of its own, while the service is down. A restore that was cut off is done anew.
#
#   look              prints what the data directory holds: empty, interrupted or data
#   restore yes|no    puts the snapshot on standard input in place of it, for a server that logs every write (appendonly) or not
set -eu
new=/data/restored

look() {
  case $(ls -A /data) in
    '') echo empty ;;
    restored) echo interrupted ;;
    *) echo data ;;
  esac
}

restore() {
  rm -rf "$new"
  mkdir "$new"
  cat > "$new/dump.rdb"
  # What cannot be loaded replaces nothing.
  redis-check-rdb "$new/dump.rdb" >&2 || { rm -rf "$new"; exit 1; }
  find /data -mindepth 1 -maxdepth 1 ! -path "$new" -exec rm -rf {} +
  if [ "$1" = yes ]; then
    # A server that logs every write reads its log alone: beside it a snapshot is ignored, and then overwritten. So it
    # becomes the log's own base.
    mv "$new/dump.rdb" "$new/appendonly.aof.1.base.rdb"
    echo 'file appendonly.aof.1.base.rdb seq 1 type b' > "$new/appendonly.aof.manifest"
    sync
    mv "$new" /data/appendonlydir
  else
    sync
    mv "$new/dump.rdb" /data/dump.rdb
    rmdir "$new"
  fi
  sync
}

"$@"
