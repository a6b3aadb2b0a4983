"""certbot's words, told so that somebody at three in the morning knows what to do."""

from __future__ import annotations

import re

from . import pem
from .settings import Settings

HTTP = {
    "dns": "The name needs an A or AAAA record with the address of this server, or of the proxy in front of it",
    "challenge": "The authority has to reach http://NAME/.well-known/acme-challenge/ on port 80 of this server: look "
    "at the name's A and AAAA records, at firewalls in between, and at redirects of a proxy in front",
}
DNS = {
    "dns": "Look whether the registrar names this zone (NS records), and whether a CNAME of _acme-challenge leads away",
    "challenge": "The authority did not see the record that was made: raise certbot_dns_propagation_s, and see that "
    "the zone at Cloudflare is the one that the registrar names",
}
CLOUDFLARE = (
    "certbot_cloudflare_token needs the right Zone / DNS / Edit for the zone (dash.cloudflare.com, My Profile, API "
    "Tokens); the name has to be in a zone that it is for"
)
# What certbot's output has in it, what that means, and what to do; the first that fits counts.
CASES = (
    (
        r"rateLimited|too many (certificates|failed|new orders|registrations|requests)",
        "The certificate authority takes no more orders for now (rate limit)",
        "Wait until the time that it names; nothing else helps. To try things out there is certbot_staging",
    ),
    (
        r"Network error .*Cloudflare",
        "Cloudflare's API does not answer",
        "The timer tries again; nothing has to be done",
    ),
    (r"Cloudflare|zone_id", "Cloudflare's API refuses what is needed for the DNS challenge", CLOUDFLARE),
    (
        r"Type:\s*dns|NXDOMAIN|DNS problem|no valid A records|could not resolve|No valid IP addresses|acme:error:dns",
        "The DNS does not say what it has to",
        "dns",
    ),
    (
        r"Type:\s*(unauthorized|connection|tls|incorrectResponse)|Some challenges have failed",
        "The challenge failed",
        "challenge",
    ),
    (
        r"acme:error:caa|Type:\s*caa",
        "A CAA record forbids this authority to give a certificate for the name",
        "Remove the record or name the authority in it",
    ),
    (
        r"rejectedIdentifier|policy forbids|forbidden by policy",
        "The certificate authority gives no certificate for such a name",
        "Look at certbot_extra_names and at the sites' names",
    ),
    (
        r"accountDoesNotExist|Account at .* does not exist",
        "The certificate authority does not know this server's account any more",
        "Move accounts/ out of certbot's directory; the next run makes a new account",
    ),
    (
        r"pull access denied|manifest unknown|failed to resolve reference|error response from daemon.*(pull|manifest)"
        r"|Cannot connect to the Docker daemon|no such service",
        "certbot's container could not be started",
        "Look at certbot_image and at the engine (`docker info`)",
    ),
    (
        r"Max retries exceeded|ConnectionError|timed? ?out|Connection aborted|Name or service not known|service is down"
        r"|Service busy|Temporary failure in name resolution|Network is unreachable|HTTPSConnectionPool",
        "The certificate authority does not answer",
        "The timer tries again; if it lasts, see letsencrypt.status.io and whether this server reaches {server}",
    ),
    (r"did not end within", "certbot hung", "Look at {server} and at the log; the timer tries again"),
)
NOISE = re.compile(
    r"^(Saving debug log|Some challenges have failed|Ask for help|Hint:|Plugins selected|Requesting a certificate|- - -"
    r"|Account registered|Certbot failed to authenticate|See the logfile|Container |Network |Waiting \d+ seconds"
    r"|Renewing an existing|An unexpected error occurred|Certificate is due)"
)
LONGEST = 700


def explain(said: str, settings: Settings) -> str:
    """What went wrong, the authority's own words for it, and what to do next."""
    own = "; ".join(line.strip() for line in said.splitlines() if line.strip() and not NOISE.match(line.strip()))
    advice = HTTP if settings.method == "http" else DNS
    for pattern, meaning, what_next in CASES:
        if re.search(pattern, said, re.IGNORECASE):
            what_next = advice.get(what_next, what_next).replace("{server}", settings.server)
            return f"{meaning}. It says: {own[-LONGEST:]}. {what_next}."
    return f"certbot failed. It says: {own[-LONGEST:]}. Its log is in /var/log/somos/certbot."


def with_what_now(errors: list[str], good: bool, current: pem.Certificate | None, problem: str) -> str:
    """The same, and what that means for visitors meanwhile."""
    if good and current:
        meanwhile = (
            f"Visitors notice nothing: the certificate in service is valid until {pem.moment(current.not_after)}."
        )
    elif problem:
        meanwhile = f"Visitors are warned by their browsers meanwhile: of the certificate in service, {problem}."
    else:
        meanwhile = "Visitors are shown another certificate than the one on disk meanwhile."
    again = (
        "To try again: `systemctl start somos-certificate.service` on the server, or the playbook with --tags certbot."
    )
    return " ".join([*errors, meanwhile, again])
