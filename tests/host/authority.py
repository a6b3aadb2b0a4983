"""The container that gives certificates: pebble, the DNS that it asks, and a stand-in of Cloudflare's API."""

from __future__ import annotations

import http.client
import json
import subprocess
from dataclasses import dataclass
from typing import Any

from . import pki
from .container import Container
from .images import ensure_images
from .names import ACME_NAME, AUTHORITY, AUTHORITY_IP, AUTHORITY_JSON, CLOUDFLARE_NAME, DOMAIN, NETWORK
from .shell import HostError, docker, wait_until
from .world import ensure_secrets

TOKEN_LENGTHS = {"edit": 40, "read": 40}
FOLDER = "/etc/somos-authority"
API = f"https://{CLOUDFLARE_NAME}/client/v4"


def container(image: str) -> Container:
    settings = {"tokens": ensure_secrets(AUTHORITY_JSON, TOKEN_LENGTHS), "zones": [DOMAIN]}
    return Container(
        name=AUTHORITY,
        image=image,
        arguments=[
            f"--hostname={AUTHORITY}",
            f"--network={NETWORK}",
            f"--ip={AUTHORITY_IP}",
            *(f"--network-alias={name}" for name in (ACME_NAME, CLOUDFLARE_NAME)),
        ],
        files={
            f"{FOLDER}/tls.crt": pki.AUTHORITY.path.read_bytes(),
            f"{FOLDER}/tls.key": pki.AUTHORITY.key.read_bytes(),
            f"{FOLDER}/tokens.json": json.dumps(settings).encode(),
        },
    )


def make_anew() -> None:
    """It remembers everything in memory alone, so a test that begins with a new one owes nothing to the last."""
    wanted = container(ensure_images(["authority"])["authority"])
    wanted.remove(with_volumes=True)
    wanted.create()
    wait_until(answers, seconds=30, what=f"{AUTHORITY} answers (see `docker logs {AUTHORITY}`)")


def remove() -> None:
    # Only the name matters here.
    Container(AUTHORITY, image="", arguments=[]).remove(with_volumes=True)


def answers() -> bool:
    try:
        return Authority().ask("GET", f"https://{ACME_NAME}/dir")["newOrder"] != ""
    except (HostError, KeyError):
        return False


@dataclass(frozen=True)
class Authority:
    """What tests ask of it and do to it, from the machine that runs them or from inside its container."""

    name: str = AUTHORITY

    @property
    def tokens(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(AUTHORITY_JSON.read_text())
        return found

    def fail_with(self, **faults: str) -> None:
        """These failures and no others; `front.py` lists them."""
        connection = http.client.HTTPConnection(AUTHORITY_IP, 8080, timeout=10)
        connection.request("PUT", "/faults", json.dumps(faults))
        connection.getresponse().read()
        connection.close()

    def disconnect(self) -> None:
        """Nobody reaches it any more; what it knows stays."""
        docker("network", "disconnect", NETWORK, self.name)

    @property
    def connected(self) -> bool:
        form = f'{{{{index .NetworkSettings.Networks "{NETWORK}"}}}}'
        return docker("inspect", "--format", form, self.name) != "<nil>"

    def connect(self) -> None:
        aliases = [f"--alias={name}" for name in (ACME_NAME, CLOUDFLARE_NAME)]
        docker("network", "connect", f"--ip={AUTHORITY_IP}", *aliases, NETWORK, self.name)
        wait_until(answers, seconds=30, what=f"{self.name} answers again")

    def ask(self, method: str, url: str, body: Any = None, token: str = "") -> Any:
        """The JSON that a URL of it answers with, whatever the status."""
        return json.loads(self.fetch(method, url, body, token))

    def root(self, port: int = 15000) -> str:
        """The certificate that everything it gives hangs on, as PEM text; 15001 is the port of the one for seconds."""
        return self.fetch("GET", f"https://{ACME_NAME}:{port}/roots/0")

    def fetch(self, method: str, url: str, body: Any = None, token: str = "") -> str:
        program = (
            "import json, ssl, sys, urllib.error, urllib.request as u\n"
            "method, url, body, token = json.load(sys.stdin)\n"
            "context = ssl.create_default_context()\n"
            "context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n"
            "headers = {'Authorization': 'Bearer ' + token, 'Content-Type': 'application/json'}\n"
            "data = None if body is None else json.dumps(body).encode()\n"
            "try: print(u.urlopen(u.Request(url, data, headers, method=method), context=context).read().decode())\n"
            "except urllib.error.HTTPError as error: print(error.read().decode())\n"
        )
        argv = ["docker", "exec", "--interactive", self.name, "python3", "-c", program]
        asked = subprocess.run(
            argv, input=json.dumps([method, url, body, token]), capture_output=True, text=True, check=False
        )
        if asked.returncode:
            raise HostError(f"{method} {url} in {self.name}: {asked.stderr.strip()[-500:]}")
        return asked.stdout

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A call of Cloudflare's API with the token that may change records."""
        return self.ask(method, API + path, body, self.tokens["edit"])

    def point(self, name: str, *addresses: str) -> None:
        """The A records of a name: these and no others."""
        zone = self.call("GET", f"/zones?name={DOMAIN}")["result"][0]["id"]
        for record in self.call("GET", f"/zones/{zone}/dns_records?type=A&name={name}")["result"]:
            self.call("DELETE", f"/zones/{zone}/dns_records/{record['id']}")
        for address in addresses:
            made = self.call("POST", f"/zones/{zone}/dns_records", {"type": "A", "name": name, "content": address})
            if not made["success"]:
                raise HostError(f"{name} {address}: {made['errors']}")
