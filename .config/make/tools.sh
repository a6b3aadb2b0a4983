#!/usr/bin/env bash
# Installs what the Makefile needs before there is a virtual environment. Does nothing when all of it is there.
set -euo pipefail

python=${PYTHON:-python3}
missing=()
command -v ssh >/dev/null || missing+=(openssh-client)
command -v openssl >/dev/null || missing+=(openssl)
command -v git >/dev/null || missing+=(git)
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)

if ((${#missing[@]})); then
  sudo=()
  ((EUID == 0)) || sudo=(sudo)
  echo "==> installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

"$python" - <<'PYTHON'
import sys

if sys.version_info < (3, 11):
    sys.exit(f"{sys.executable} is Python {sys.version.split()[0]}; ansible-core 2.19 needs 3.11 or newer. "
             "Install one and say which: make PYTHON=python3.12 ...")
PYTHON
