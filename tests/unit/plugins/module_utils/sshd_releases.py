"""What sshd of four distributions knows. Debian's lists are what `sshd -T` and `ssh -Q` print there, without what plays
no part; Ubuntu's were put together from the release notes of OpenSSH: no such server was at hand."""

from __future__ import annotations

OLD = ("diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "diffie-hellman-group14-sha256")
DH = ("diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512", "diffie-hellman-group-exchange-sha1")
NIST = ("ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521")
CURVES = ("diffie-hellman-group-exchange-sha256", *NIST, "curve25519-sha256", "curve25519-sha256@libssh.org")
SNTRUP = "sntrup761x25519-sha512@openssh.com"
KEX_OF_8_9 = [*OLD, *DH, *CURVES, SNTRUP]

CIPHERS = [
    *("3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-ctr", "aes192-ctr", "aes256-ctr"),
    *("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"),
]
MACS = [
    *("hmac-sha1", "hmac-sha1-96", "hmac-sha2-256", "hmac-sha2-512", "hmac-md5", "umac-64@openssh.com"),
    *("umac-128@openssh.com", "hmac-sha1-etm@openssh.com", "hmac-sha2-256-etm@openssh.com"),
    *("hmac-sha2-512-etm@openssh.com", "umac-64-etm@openssh.com", "umac-128-etm@openssh.com"),
]
SIGNATURES = [
    *("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com"),
    *("sk-ssh-ed25519-cert-v01@openssh.com", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256-cert-v01@openssh.com"),
    *("ssh-rsa", "ssh-rsa-cert-v01@openssh.com", "rsa-sha2-256", "rsa-sha2-256-cert-v01@openssh.com"),
    *("rsa-sha2-512", "rsa-sha2-512-cert-v01@openssh.com"),
]
GSS = ["gss-gex-sha1-", "gss-group14-sha1-", "gss-group16-sha512-", "gss-nistp256-sha256-", "gss-curve25519-sha256-"]

KEYWORDS_OF_8_9 = [
    *("port", "ciphers", "macs", "kexalgorithms", "hostkeyalgorithms", "pubkeyacceptedalgorithms"),
    *("hostbasedacceptedalgorithms", "casignaturealgorithms", "gssapikexalgorithms", "persourcemaxstartups"),
]


def offered(kex: list[str]) -> dict[str, list[str]]:
    return {"kex": kex, "cipher": CIPHERS, "mac": MACS, "key-sig": SIGNATURES, "kex-gss": GSS}


# Release → the keywords that it knows, the lists of `ssh -Q`.
RELEASES = {
    "Ubuntu 22.04, OpenSSH 8.9": (KEYWORDS_OF_8_9, offered(KEX_OF_8_9)),
    "Debian 12, OpenSSH 9.2": (
        [*KEYWORDS_OF_8_9, "requiredrsasize", "unusedconnectiontimeout"],
        offered([*OLD, *DH, *CURVES, "sntrup761x25519-sha512", SNTRUP]),
    ),
    "Ubuntu 24.04, OpenSSH 9.6": (
        [*KEYWORDS_OF_8_9, "requiredrsasize", "channeltimeout", "unusedconnectiontimeout"],
        offered(KEX_OF_8_9),
    ),
    "Debian 13, OpenSSH 10.0": (
        [*KEYWORDS_OF_8_9, "requiredrsasize", "channeltimeout", "persourcepenalties", "debianbanner"],
        offered([*OLD, *DH, *CURVES, "sntrup761x25519-sha512", SNTRUP, "mlkem768x25519-sha256"]),
    ),
}
