"""What the test world calls its things and where it keeps them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES_DIR = Path(__file__).resolve().parent / "images"
BUILD = ROOT / "build"
DEMO = BUILD / "demo"
ENGINE_LOG = BUILD / "engine" / "dockerd.log"

SSH_KEY = DEMO / "id_ed25519"
CA = DEMO / "ca.pem"
TLS = DEMO / "tls"
SECRETS = DEMO / "secrets.json"
IMAGES_JSON = DEMO / "images.json"
# Where the S3 endpoint outside is and who may enter; backups go there.
OUTSIDE_JSON = DEMO / "outside.json"

REPOSITORY = "somos-test"
NETWORK = "somos-demo"
SUBNET = "10.77.0.0/24"
DOMAIN = "somos.test"

OUTSIDE = "somos-demo-outside"
OUTSIDE_IP = "10.77.0.2"
REGISTRY = f"registry.{DOMAIN}:5000"
REGISTRY_USER = "somos"
S3_ENDPOINT = "s3.outside.test:8333"

# Who gives certificates, and the stand-in of Cloudflare's API with the DNS that both believe.
AUTHORITY = "somos-demo-authority"
AUTHORITY_IP = "10.77.0.3"
ACME_NAME = "acme.outside.test"
CLOUDFLARE_NAME = "api.cloudflare.test"
# Its zones, its tokens, and where it is.
AUTHORITY_JSON = DEMO / "authority.json"

DEMO_SERVER = "somos-demo"
DEMO_SERVER_IP = "10.77.0.10"
# The names under which visitors know the demo's server.
SITES = [f"{name}.{DOMAIN}" for name in ("app", "s3", "monitor")]

# What we made carries this label: only that is ever pruned or removed.
OWNER_LABEL = "somos.test"
