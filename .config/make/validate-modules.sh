#!/usr/bin/env bash
# Ansible's own judgement of the modules: documentation, argument specs and attributes agree. `ansible-test sanity` runs the
# same program, but fetches an installer of pip from the network first.
set -euo pipefail
tests=$(python -c 'import ansible_test, pathlib; print(pathlib.Path(ansible_test.__file__).parent)')
validate_modules=$tests/_util/controller/sanity/validate-modules
cd "$1"
export PYTHONPATH=$validate_modules ANSIBLE_COLLECTIONS_PATH="${PWD%/ansible_collections/*}"
python "$validate_modules/validate.py" --format plain --arg-spec --collection ansible_collections/somos/infra plugins/modules/*.py
