#!/usr/bin/env bash
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/setup.sh

Creates the virtual environment .venv and installs the versions pinned in requirements/ and the
project, with the tools for development, sweeps and tracking. Does nothing if the environment is up
to date, and continues an interrupted set-up. Exit status: 0 done, 2 a problem of this machine that
the message explains, 1 anything else.

  PYTHON=/path/to/python   the Python for a new environment (default: the first suitable one
                           of python3.11, 3.12, 3.13, 3.10)
  DEFINE_VENV=FOLDER       folder of the environment (default: .venv in the project's folder)
  TORCH_INDEX=ADDRESS      package index for torch, for example one with CPU builds
  DEFINE_ALLOCATOR=none    do not install tcmalloc, which speeds up training on a CPU
TEXT
}

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

# find_python CANDIDATES...: prints the first that has a fit version and can make environments.
find_python() {
  local candidate verdict found=""
  for candidate in "$@"; do
    command -v "$candidate" >/dev/null || continue
    verdict=$("$candidate" -c '
import sys
version = ".".join(map(str, sys.version_info[:3]))
if sys.version_info < (3, 10):
    print(version + ", too old")
elif sys.version_info >= (3, 14):
    print(version + ", too new")
else:
    try:
        import ensurepip, venv
        print("fit")
    except ImportError:
        print(version + ", without its venv module")
' 2>/dev/null) || verdict="does not run"
    if [[ $verdict == fit ]]; then
      command -v "$candidate"
      return
    fi
    found="${found:+$found, }$candidate ($verdict)"
  done
  fail "no fit Python: this project needs 3.10 to 3.13 with the venv module (hydra-core 1.3" \
    "breaks on 3.14), found: ${found:-none}; install one or name it with PYTHON=/path/to/python."
}

make_environment() {
  if [[ -n "$(ls -A "$venv" 2>/dev/null)" && ! -f $venv/pyvenv.cfg ]]; then
    fail "$venv is not a virtual environment and not empty; choose another folder with DEFINE_VENV."
  fi
  if (find_python "$venv/bin/python" && "$venv/bin/python" -c 'import pip') >/dev/null 2>&1; then
    return
  fi
  local candidates=(python3.11 python3.12 python3.13 python3.10 python3) base output
  if [[ -n ${PYTHON:-} ]]; then candidates=("$PYTHON"); fi
  base=$(find_python "${candidates[@]}")
  output=$("$base" -m venv --clear "$venv" 2>&1) || explain "making $venv" "$output"
}

# What the environment must agree with: the pins, this folder (the install is editable), its Python.
fingerprint() {
  "$venv/bin/python" - "$root" <<'PY'
import hashlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
digest = hashlib.sha256(f"{root}\n{sys.version}".encode())
for path in [*sorted((root / "requirements").glob("*.txt")), root / "setup.py"]:
    digest.update(path.read_bytes())
print(digest.hexdigest())
PY
}

# need_space GIGABYTES: for the whole environment; what an interrupted set-up left counts as done.
need_space() {
  local folder=$venv free used
  while [[ ! -d $folder ]]; do folder=$(dirname "$folder"); done
  free=$(df -Pk "$folder" | awk 'NR == 2 {print $4}')
  used=$(du -sk "$venv" 2>/dev/null | awk '{print $1}') || true
  if ((free + ${used:-0} < $1 * 1024 * 1024)); then
    fail "the disk of $venv has $((free / 1024)) MiB free and the set-up needs about $1 GiB; make" \
      "room or choose a folder on another disk with DEFINE_VENV."
  fi
}

has_nvidia() {
  nvidia-smi -L >/dev/null 2>&1
}

# attempt LABEL COMMAND...: its output in the log and in $output, one line on the terminal.
attempt() {
  local label=$1 begin=$SECONDS status=0 lines
  shift
  printf '%-58s' "$label ..."
  lines=$(wc -l <"$log")
  "$@" >>"$log" 2>&1 || status=$?
  output=$(tail -n "+$((lines + 1))" "$log")
  if ((status == 0)); then printf '%5d s\n' $((SECONDS - begin)); else printf ' failed\n'; fi
  return "$status"
}

step() {
  attempt "$@" || explain "$1" "$output"
}

# says PATTERN TEXT: whether the text has a match of the extended regular expression.
says() {
  grep -qE "$1" <<<"$2"
}

no_network='Failed to establish a new connection|NameResolutionError|Max retries exceeded'
no_network+='|name resolution|Network is unreachable|ReadTimeoutError|ConnectTimeoutError'
no_network+='|ProxyError|ConnectionResetError|IncompleteRead'

# explain WHAT OUTPUT: the end of the output and one sentence about its cause; ends the set-up.
explain() {
  local what=${1% (*)}
  printf '%s\n' "$2" | tail -n 15 >&2
  if says 'No space left on device|Errno 28|Disk quota exceeded' "$2"; then
    fail "the disk is full ($what); make room, or move DEFINE_VENV or TMPDIR to another disk, and" \
      "run this again."
  elif says 'DO NOT MATCH THE HASHES' "$2"; then
    fail "a downloaded package is not the one that requirements/ pins ($what); check the package" \
      "index that pip is set up with."
  elif says "Python\.h|command '[^']*(gcc|g\+\+|cc|c\+\+|clang)' failed: No such file" "$2"; then
    fail "a C++ compiler or Python's headers are missing ($what); install them (Debian: g++" \
      "python3-dev) and run this again."
  elif says "$no_network" "$2"; then
    fail "no package index could be reached ($what); check the network and pip's settings and run" \
      "this again."
  elif says 'Permission denied|Read-only file system' "$2"; then
    fail "$venv cannot be written ($what); give access or choose another folder with DEFINE_VENV."
  fi
  echo "error: $what failed, see its output above; the full log is $log." >&2
  exit 1
}

install_torch() {
  local torch
  torch=$(grep '^torch==' requirements/torch.txt)
  if [[ -n ${TORCH_INDEX:-} ]]; then
    step "installing $torch of TORCH_INDEX" "${pip_install[@]}" --index-url "$TORCH_INDEX" "$torch"
  elif has_nvidia || [[ $(uname -s) != Linux ]]; then
    step "installing $torch" "${pip_install[@]}" "$torch"
  # "+cpu" names a build that only some indexes have; the plain version would be the CUDA build.
  elif ! attempt "installing $torch, CPU build" "${pip_install[@]}" "$torch+cpu"; then
    if says "$no_network" "$output" || ! says 'No matching distribution' "$output"; then
      explain "installing $torch" "$output"
    fi
    need_space 8
    echo "warning: pip finds no CPU build of torch, so the CUDA build with GBs of libraries" \
      "follows; to avoid it, stop and set TORCH_INDEX to an index that has CPU builds." >&2
    step "installing $torch" "${pip_install[@]}" "$torch"
  fi
}

# `define` preloads tcmalloc, a package of the system's and not of Python's; all works without it.
install_allocator() {
  local package=libtcmalloc-minimal4
  [[ $(uname -s) == Linux && ${DEFINE_ALLOCATOR:-} != none ]] || return 0
  if says libtcmalloc "$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>&1)"; then return 0; fi
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null &&
    attempt "installing $package" apt-get install -y --no-install-recommends "$package"; then
    return 0
  fi
  echo "hint: training on a CPU is faster with tcmalloc (Debian: sudo apt-get install $package)."
}

case ${1:-} in
'') ;;
-h | --help)
  usage
  exit
  ;;
*) fail "scripts/setup.sh takes no argument $1; see scripts/setup.sh --help." ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${DEFINE_VENV:-$root/.venv}
[[ $venv == /* ]] || venv=$PWD/$venv
stamp=$venv/define-setup.stamp
log=$venv/setup.log
pip_install=("$venv/bin/python" -m pip install)
cd "$root"
# Settings that would let packages from outside the environment pass for installed ones.
unset PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE=1 PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1

if [[ -x $venv/bin/python && -f $stamp && $(<"$stamp") == "$(fingerprint)" ]]; then
  echo "set-up: up to date ($venv)"
  exit
fi
trap 'printf "\ninterrupted; run scripts/setup.sh again to continue.\n" >&2; exit 130' INT TERM

if has_nvidia; then need_space 8; else need_space 3; fi
make_environment
rm -f "$stamp"
: >"$log"
echo "set-up in $venv (pip's output: $log)"
step "installing the build tools" "${pip_install[@]}" --require-hashes -r requirements/build.txt
step "installing the locked packages" "${pip_install[@]}" --require-hashes --no-build-isolation \
  -r requirements/lock.txt
install_torch
step "building fairseq-fixed (about 3 minutes)" "${pip_install[@]}" --require-hashes --no-deps \
  --no-build-isolation -r requirements/fairseq.txt
step "installing this project" "${pip_install[@]}" --no-deps --no-build-isolation --editable .
install_allocator
step "checking that all of it imports" "$venv/bin/python" -c 'import define, fairseq, hydra, torch'
fingerprint >"$stamp.new"
mv "$stamp.new" "$stamp"
echo "set-up: done in $SECONDS s; activate it with: source $venv/bin/activate"
