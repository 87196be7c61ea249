#!/usr/bin/env bash
# Sets up and runs all tests, one process per core; arguments go to pytest, with paths from the root.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${DEFINE_VENV:-$root/.venv}/bin/python
[[ $python == /* ]] || python=$PWD/$python

"$root/scripts/setup.sh"
cd "$root"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "$python" -m pytest --numprocesses auto --dist loadfile "$@"
