#!/usr/bin/env bash
# The image has no HTTP client, so bash speaks HTTP itself.
# Healthy means ready, and closed: a server that does not find its configuration starts without any key.
status() {
  exec 3<>/dev/tcp/127.0.0.1/6333 || return
  printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$1" >&3
  read -r _ code _ <&3
  echo "$1 $code"
}

ready=$(status /readyz)
closed=$(status /collections)
echo "$ready, without a key $closed"
[ "$ready" = "/readyz 200" ] && [ "$closed" = "/collections 401" ]
