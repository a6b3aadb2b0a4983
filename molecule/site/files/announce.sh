#!/bin/sh
# announce.sh SERVER ADDRESS: IPv6 for that server, and a container beside it that announces itself to it as a router, each
# second. To it alone: other scenarios' servers are on the same network.
set -eu
server=$1 address=$2
docker exec "$server" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0 net.ipv6.conf.eth0.disable_ipv6=0
docker exec "$server" ip -6 address replace "$address/64" dev eth0 nodad
listens=$(docker exec "$server" ip -6 -oneline address show dev eth0 scope link | sed 's/.*inet6 \([^/]*\).*/\1/')
test -n "$listens"
docker rm --force "$server-router" > /dev/null 2>&1 || true
docker run --detach --name "$server-router" --label somos.test=container --network somos-demo --cap-add NET_ADMIN \
  --sysctl net.ipv6.conf.all.disable_ipv6=0 --entrypoint python3 "$(docker inspect --format '{{.Config.Image}}' "$server")" -c '
import socket, struct, sys, time
# ICMPv6 134, RFC 4861: hop limit 64, no flags, a router for 30 seconds, nothing said of reachability.
announcement = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 30, 0, 0)
out = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
while True:
    time.sleep(1)
    try:
        out.sendto(announcement, (sys.argv[1], 0, 0, socket.if_nametoindex("eth0")))
    except OSError:
        pass  # No address of its own yet.
' "$listens"
for attempt in $(seq 30); do
  if docker exec "$server" ip -6 route show default | grep -q "proto ra"; then exit 0; fi
  sleep 1
done
echo "$server has learned no route from $server-router" >&2
exit 1
