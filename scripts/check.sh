#!/usr/bin/env bash
# Sets up, then checks style, types, shell scripts and documentation. Takes no arguments.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${DEFINE_VENV:-$root/.venv}
[[ $venv == /* ]] || venv=$PWD/$venv

"$root/scripts/setup.sh"
cd "$root"
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
"$venv/bin/shellcheck" scripts/*.sh .ci/run
# Strict: a broken link or anchor is an error.
NO_MKDOCS_2_WARNING=1 "$venv/bin/mkdocs" build --strict --quiet
echo 'all checks passed'
