"""The registry outside: which images it has, and sending it the ones it lacks."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request

from .names import BUILD, CA, OUTSIDE, REGISTRY, REGISTRY_USER
from .shell import HostError, docker, run, step

PORT = 5000
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


class Registry:
    """The registry as the machine sees it: at a published port, as the name registry.somos.test is unknown there."""

    def __init__(self, password: str) -> None:
        # The engine takes a registry on the machine itself without knowing its authority.
        self.address = docker("port", OUTSIDE, f"{PORT}/tcp").splitlines()[0]
        self._login = base64.b64encode(f"{REGISTRY_USER}:{password}".encode()).decode()
        self._trust = ssl.create_default_context(cafile=str(CA))

    def status(self, path: str) -> int:
        request = urllib.request.Request(f"https://{self.address}/v2/{path}", method="HEAD")
        request.add_header("Authorization", f"Basic {self._login}")
        request.add_header("Accept", MANIFEST)
        try:
            with urllib.request.urlopen(request, context=self._trust, timeout=10) as answer:  # noqa: S310 (https only)
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def answers(self) -> bool:
        return self.status("") == 200

    def has(self, reference: str) -> bool:
        repository, _, tag = reference.rpartition(":")
        return self.status(f"{repository}/manifests/{tag}") == 200

    def push(self, reference: str) -> None:
        """Under its own name in the registry; the password goes through a file, not through arguments."""
        settings = BUILD / "engine" / "client"
        settings.mkdir(parents=True, exist_ok=True, mode=0o700)
        (settings / "config.json").write_text(json.dumps({"auths": {self.address: {"auth": self._login}}}))
        (settings / "config.json").chmod(0o600)
        target = f"{self.address}/{reference}"
        docker("tag", reference, target)
        try:
            run(["docker", "--config", str(settings), "push", "--quiet", target])
        finally:
            docker("image", "rm", target)

    def ensure(self, references: dict[str, str]) -> dict[str, str]:
        """Pushes what is missing; returns name -> the name under which a server pulls it."""
        if self.status("") == 401:
            raise HostError(f"the registry in {OUTSIDE} refuses the password of build/demo/secrets.json")
        for name, reference in references.items():
            if not self.has(reference):
                with step(f"Pushing {name}"):
                    self.push(reference)
        return {name: f"{REGISTRY}/{reference}" for name, reference in references.items()}
