#!/usr/bin/env bash
# The official image's entrypoint is a shell that starts ./qdrant beside itself and hands signals on; so is this one.
./qdrant "$@" &
server=$!
trap 'kill -TERM "$server" 2>/dev/null' TERM
trap 'kill -INT "$server" 2>/dev/null' INT
# A trapped signal ends the first wait early; the second one reports how the server itself ended.
wait "$server"
wait "$server"
