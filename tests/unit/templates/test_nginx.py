"""The configuration that role nginx makes of the sites it is given."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from render import render_files, render_role

UPSTREAMS = {"web": {"address": "web", "port": 3000}, "far": {"address": "10.0.0.14", "port": 9000}}


def site(*locations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "shop", "server_name": "shop.test", "upstreams": UPSTREAMS, "locations": list(locations)} | more


def sites_conf(*sites: dict[str, Any], **overrides: Any) -> str:
    files = render_role("nginx", {"nginx_sites": list(sites), "nginx_htpasswd": ["u:h"]} | overrides)
    return files["nginx/conf.d/sites.conf"]


def block(text: str, head: str) -> list[str]:
    """The directives of the first block that begins with `head`."""
    found = re.search(rf"^ *{re.escape(head)} \{{\n(.*?)^ *\}}", text, re.MULTILINE | re.DOTALL)
    assert found, f"no {head} in\n{text}"
    return [line.strip() for line in found[1].splitlines() if line.strip()]


def test_a_name_is_resolved_again_and_an_address_is_not() -> None:
    text = sites_conf(site({"path": "/", "upstream": "web"}))
    assert "server web:3000 resolve;" in block(text, "upstream shop_web")
    assert "server 10.0.0.14:9000;" in block(text, "upstream shop_far")
    for name in ("shop_web", "shop_far"):
        assert f"zone {name} 64k;" in block(text, f"upstream {name}"), "`resolve` needs a zone"


@pytest.mark.parametrize(
    ("location", "directives"),
    [
        ({"rate_limit": {"zone": "login", "burst": 3}}, ["limit_req zone=login burst=3 nodelay;"]),
        ({"read_timeout": "120s"}, ["proxy_read_timeout 120s;"]),
        ({"buffering": False}, ["proxy_buffering off;", "proxy_request_buffering off;"]),
        ({"upstream_path": "/v2/"}, ["proxy_pass http://shop_web/v2/;"]),
        ({"basic_auth": True}, ['auth_basic "shop.test";', "auth_basic_user_file htpasswd;"]),
        ({"content_security_policy": "sandbox"}, ['add_header Content-Security-Policy "sandbox" always;']),
        (
            {"cache_control": "public"},
            [
                "include snippets/upstream_headers.conf;",
                "proxy_hide_header Cache-Control;",
                'add_header Cache-Control "public";',
            ],
        ),
        (
            {"websocket": True, "read_timeout": "1d"},
            [
                "include snippets/proxy.conf;",
                "proxy_set_header Upgrade $http_upgrade;",
                "proxy_set_header Connection $connection_upgrade;",
                "proxy_send_timeout 1d;",
            ],
        ),
        (
            {"read_only": True},
            ["limit_except GET { deny all; }", "include snippets/proxy.conf;", 'proxy_set_header Authorization "";'],
        ),
    ],
)
def test_a_key_of_a_location_becomes_its_directives(location: dict[str, Any], directives: list[str]) -> None:
    lines = block(sites_conf(site({"path": "/x/", "upstream": "web"} | location)), "location /x/")
    assert [line for line in directives if line not in lines] == []


def test_a_plain_location_only_forwards() -> None:
    assert block(sites_conf(site({"path": "/", "upstream": "web"})), "location /") == ["proxy_pass http://shop_web;"]


def test_what_no_location_covers_is_not_found() -> None:
    assert block(sites_conf(site({"path": "/x/", "upstream": "web"})), "location /") == ["return 404;"]


def test_an_s3_site_has_the_s3_snippet_and_its_own_limit() -> None:
    text = sites_conf(site({"path": "/", "upstream": "far"}, s3=True, max_body_size="0"))
    assert "include snippets/s3.conf;" in text
    assert "include snippets/proxy.conf;" not in text
    assert "client_max_body_size 0;" in text


def test_a_banned_address_is_denied_before_any_location_and_no_ban_file_has_to_be_there() -> None:
    files = render_role("nginx", {"nginx_sites": [site({"path": "/", "upstream": "web"})]})
    assert block(files["nginx/nginx.conf"], "map $remote_addr $denied") == ['default "";', "include deny/*.map;"]
    assert "if ($denied) {\n        return 403;" in files["nginx/conf.d/sites.conf"]


def test_who_the_visitor_is_is_believed_from_the_cdn_alone() -> None:
    def real_ip(**overrides: Any) -> list[str]:
        lines = render_role("nginx", overrides)["nginx/snippets/real_ip.conf"].splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    assert real_ip(nginx_client_networks=["173.245.48.0/20"]) == []
    assert real_ip(
        nginx_client_networks=["173.245.48.0/20", "2400:cb00::/32"], nginx_real_ip_header="CF-Connecting-IP"
    ) == [
        "real_ip_header CF-Connecting-IP;",
        "set_real_ip_from 173.245.48.0/20;",
        "set_real_ip_from 2400:cb00::/32;",
    ]


def test_strict_transport_security_says_more_only_when_asked() -> None:
    def promise(**overrides: Any) -> str:
        headers = render_role("nginx", overrides)["nginx/snippets/headers.conf"]
        return re.findall(r'on "(.*)";', headers)[0]

    assert promise() == "max-age=63072000"
    assert promise(nginx_hsts_include_subdomains=True, nginx_hsts_preload=True).endswith("; includeSubDomains; preload")


def test_without_a_site_there_is_no_redirect_to_nowhere() -> None:
    assert "server_name" not in render_role("nginx", {"nginx_sites": []})["nginx/conf.d/default.conf"]


def test_every_snippet_that_is_included_is_there_and_none_is_left_over() -> None:
    files = render_role("nginx", {"nginx_sites": [site({"path": "/", "upstream": "web"}), site(name="s3", s3=True)]})
    tree = {path.removeprefix("nginx/"): text for path, text in files.items() if path.startswith("nginx/")}
    included = {name for text in tree.values() for name in re.findall(r"include (snippets/\S+);", text)}
    assert included == {path for path in tree if path.startswith("snippets/")}


def test_the_passwords_are_a_secret_file() -> None:
    passwords = render_files("nginx", {"nginx_htpasswd": ["operator:hash"]})["nginx/htpasswd"]
    assert (passwords.owner, passwords.mode, passwords.secret) == ("101", "0400", True)


def test_without_passwords_no_such_file_is_written() -> None:
    assert "nginx/htpasswd" not in render_role("nginx")


def test_chain_and_key_are_read_from_one_file_in_the_directory_that_is_mounted() -> None:
    files = render_role("nginx", {"nginx_root": "/srv/somos"})
    paths = re.findall(r"^ssl_certificate(?:_key)? (\S+);$", files["nginx/snippets/tls.conf"], re.MULTILINE)
    assert paths == ["/etc/nginx-certs/certificate.pem"] * 2
    assert "/srv/somos/nginx-certs:/etc/nginx-certs:ro" in files["compose.d/nginx.yml"]


def test_only_the_two_public_ports_are_published() -> None:
    nginx = yaml.safe_load(render_role("nginx")["compose.d/nginx.yml"])["services"]["nginx"]
    assert nginx["ports"] == ["80:80", "443:443"]
    assert nginx["networks"] == ["edge"]


def test_logs_are_rotated_where_they_are_written() -> None:
    files = render_role("nginx", {"nginx_log_directory": "/srv/logs", "nginx_log_days": 3})
    rotation = files["etc/logrotate.d/somos-nginx"]
    assert "/srv/logs/*.log {" in rotation and "rotate 3" in rotation
    assert "-m 0640 /dev/null /srv/logs/$log.log" in rotation
    assert "/srv/logs:/var/log/nginx" in files["compose.d/nginx.yml"]
