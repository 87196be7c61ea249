"""The set-up scripts against a fake pip and fake Pythons, the pins, and what setup.py declares.

Nothing here installs anything or uses the network.
"""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
HASHED = ["build.txt", "lock.txt", "fairseq.txt"]
REAL_PYTHON = shlex.quote(sys.executable)
PYTHONS = ["python3.10", "python3.11", "python3.12", "python3.13", "python3"]

# Stands for the Python of the environment: pip is played by the first matching line of
# FAKE_PIP_REPLIES ("words in the arguments|exit status|output"), the rest is the real Python.
FAKE_VENV_PYTHON = f"""#!/bin/bash
if [[ "$1 $2" == "-m pip" ]]; then
  echo "${{*:3}}" >>"$FAKE_PIP_CALLS"
  while IFS='|' read -r words status output; do
    if [[ -n $words && "$*" == *"$words"* ]]; then echo "$output"; exit "$status"; fi
  done <<<"$FAKE_PIP_REPLIES"
  exit 0
fi
if [[ $2 == *"import define, fairseq"* ]]; then exit 0; fi
exec {REAL_PYTHON} "$@"
"""

# Stands for a Python on PATH: `-m venv` makes a folder with the fake above.
FAKE_PYTHON = f"""#!/bin/bash
if [[ "$1 $2" == "-m venv" ]]; then
  mkdir -p "${{@: -1}}/bin"
  touch "${{@: -1}}/pyvenv.cfg"
  cp "$FAKE_VENV_PYTHON" "${{@: -1}}/bin/python"
  exit 0
fi
exec {REAL_PYTHON} "$@"
"""

# A Python that takes itself for another version.
OTHER_PYTHON = f"""#!/bin/bash
exec {REAL_PYTHON} -c 'import sys; sys.version_info = (VERSION); exec(sys.argv[1])' "$2"
"""


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


class Machine:
    """A copy of what the set-up reads, in a folder with a space, and a PATH with fakes in front."""

    def __init__(self, folder: Path):
        self.root = folder / "a clone"
        self.bin = folder / "bin"
        self.venv = folder / "an environment"
        self.calls = folder / "calls"
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        shutil.copytree(REQUIREMENTS, self.root / "requirements")
        shutil.copy(ROOT / "setup.py", self.root)
        write_program(folder / "venv_python", FAKE_VENV_PYTHON)
        for name in PYTHONS:
            write_program(self.bin / name, FAKE_PYTHON)
        write_program(self.bin / "nvidia-smi", "#!/bin/bash\nexit 9\n")
        self.fake_free_space(100)
        self.environment = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "DEFINE_VENV": str(self.venv),
            "FAKE_VENV_PYTHON": str(folder / "venv_python"),
            "FAKE_PIP_CALLS": str(self.calls),
            "FAKE_PIP_REPLIES": "",
            "DEFINE_ALLOCATOR": "none",
        }

    def fake_free_space(self, gibibytes: float) -> None:
        kibibytes = int(gibibytes * 2**20)
        header = "Filesystem 1024-blocks Used Available Capacity Mounted"
        row = f"disk 999999999 1 {kibibytes} 1% /"
        write_program(self.bin / "df", f"#!/bin/bash\necho '{header}'\necho '{row}'\n")

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(self.root / "scripts" / "setup.sh"), *arguments],
            cwd=self.bin,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def pip_calls(self) -> list[str]:
        calls = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return calls


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def error_of(result: subprocess.CompletedProcess, status: int = 2, lines: int | None = 1) -> str:
    """The last line of a failed set-up's messages, which are `lines` lines."""
    assert result.returncode == status
    found = result.stderr.splitlines()
    assert lines in (None, len(found)) and found[-1].startswith("error: ")
    return found[-1]


def test_set_up_installs_in_order_and_the_second_run_does_nothing(machine):
    first = machine.run()
    assert first.returncode == 0, first.stderr
    calls = machine.pip_calls()
    keys = ["build.txt", "lock.txt", "torch==2.13.0+cpu", "fairseq.txt", "--editable ."]
    assert len(calls) == len(keys)
    for call, key in zip(calls, keys, strict=True):
        assert call.startswith("install ") and call.endswith(key)
    assert ["--require-hashes" in call for call in calls] == [True, True, False, True, False]
    assert "--no-build-isolation" in calls[3] and "--no-deps" in calls[3]
    assert "--no-deps" in calls[4]

    second = machine.run()
    assert second.returncode == 0
    assert "up to date" in second.stdout
    assert machine.pip_calls() == []


@pytest.mark.parametrize(
    ("user", "library", "apt_status", "installs", "hints"),
    [
        (0, "", 0, True, False),
        (0, "", 100, True, True),
        (1000, "", 0, False, True),
        (0, "libtcmalloc_minimal.so.4", 0, False, False),
    ],
)
def test_the_allocator_s_package_is_installed_or_named(
    machine, tmp_path, user, library, apt_status, installs, hints
):
    calls = tmp_path / "apt_calls"
    for name, text in {
        "uname": "echo Linux",
        "id": f"echo {user}",
        "ldconfig": f"echo {library}",
        "apt-get": f'echo "$*" >>{shlex.quote(str(calls))}; exit {apt_status}',
    }.items():
        write_program(machine.bin / name, f"#!/bin/bash\n{text}\n")
    done = machine.run(DEFINE_ALLOCATOR="")
    assert done.returncode == 0, done.stderr
    assert (calls.exists() and "libtcmalloc-minimal4" in calls.read_text()) == installs
    assert ("hint: training on a CPU is faster with tcmalloc" in done.stdout) == hints


@pytest.mark.parametrize("changed", ["setup.py", "requirements/lock.txt", "requirements/torch.txt"])
def test_a_changed_pin_is_installed_again(machine, changed):
    machine.run()
    machine.pip_calls()
    with open(machine.root / changed, "a") as stream:
        stream.write("# changed\n")
    result = machine.run()
    assert "up to date" not in result.stdout
    assert len(machine.pip_calls()) == 5


@pytest.mark.parametrize(
    ("version", "verdict"), [("3, 14, 0", "3.14.0, too new"), ("3, 9, 18", "3.9.18, too old")]
)
def test_an_unfit_python_is_refused_in_one_sentence(machine, version, verdict):
    for name in PYTHONS:
        write_program(machine.bin / name, OTHER_PYTHON.replace("VERSION", version))
    error = error_of(machine.run())
    assert f"python3.11 ({verdict})" in error and "3.10 to 3.13" in error and "PYTHON=" in error
    assert machine.pip_calls() == []
    # Another one that fits is taken, unless one is named.
    write_program(machine.bin / "python3.12", "#!/bin/bash\nexit 127\n")
    write_program(machine.bin / "python3.13", FAKE_PYTHON)
    assert "python3.12" not in error_of(machine.run(PYTHON=str(machine.bin / "python3.11")))
    assert machine.run().returncode == 0


@pytest.mark.parametrize(("free", "driver", "fits"), [(2, 0, 0), (4, 0, 1), (4, 1, 0), (9, 1, 1)])
def test_free_space_is_asked_for_before_anything_is_installed(machine, free, driver, fits):
    machine.fake_free_space(free)
    write_program(machine.bin / "nvidia-smi", f"#!/bin/bash\nexit {0 if driver else 9}\n")
    result = machine.run()
    if fits:
        assert result.returncode == 0, result.stderr
    else:
        assert f"{free * 1024} MiB free" in error_of(result)
        assert machine.pip_calls() == [] and not machine.venv.exists()


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError("
            '"<conn>: Failed to establish a new connection: [Errno 101]")\'',
            "no package index could be reached",
        ),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "pins"),
        ("error: command 'g++' failed: No such file or directory", "C++ compiler"),
    ],
)
def test_a_failure_of_pip_is_explained_in_one_sentence(machine, reply, sentence):
    result = machine.run(FAKE_PIP_REPLIES=f"lock.txt|1|{reply}")
    assert reply in result.stderr
    assert sentence in error_of(result, lines=None) and result.stderr.count(sentence) == 1
    assert reply in (machine.venv / "setup.log").read_text()


def test_an_unforeseen_failure_is_shown_and_the_next_run_finishes_the_set_up(machine):
    failed = machine.run(FAKE_PIP_REPLIES="fairseq.txt|1|something unforeseen")
    assert "something unforeseen" in failed.stderr
    assert "error: building fairseq-fixed failed" in error_of(failed, status=1, lines=None)
    machine.pip_calls()
    assert machine.run().returncode == 0
    assert len(machine.pip_calls()) == 5
    assert "up to date" in machine.run().stdout


def torch_calls(machine: Machine) -> list[str]:
    return [call for call in machine.pip_calls() if "torch==" in call]


NO_CPU_BUILD = "+cpu|1|ERROR: No matching distribution found for torch==2.13.0+cpu"


def test_which_build_of_torch_is_installed(machine):
    machine.fake_free_space(4)  # enough for a CPU build only
    assert machine.run(FAKE_PIP_REPLIES=NO_CPU_BUILD).returncode == 2
    assert torch_calls(machine) == ["install torch==2.13.0+cpu"]
    machine.fake_free_space(100)
    result = machine.run(FAKE_PIP_REPLIES=NO_CPU_BUILD)
    assert result.returncode == 0
    (warning,) = result.stderr.splitlines()
    assert "CUDA" in warning and "TORCH_INDEX" in warning
    assert torch_calls(machine) == ["install torch==2.13.0+cpu", "install torch==2.13.0"]
    shutil.rmtree(machine.venv)
    machine.run(TORCH_INDEX="https://torch.example/cpu")
    assert torch_calls(machine) == ["install --index-url https://torch.example/cpu torch==2.13.0"]
    shutil.rmtree(machine.venv)
    write_program(machine.bin / "nvidia-smi", "#!/bin/bash\necho 'GPU 0'\n")
    machine.run()
    assert torch_calls(machine) == ["install torch==2.13.0"]


def test_a_folder_that_is_not_an_environment_is_left_alone(machine):
    machine.venv.mkdir()
    (machine.venv / "thesis.tex").write_text("dear")
    assert "not a virtual environment" in error_of(machine.run())
    assert [path.name for path in machine.venv.iterdir()] == ["thesis.tex"]


def test_help_and_unknown_arguments(machine):
    assert "usage: scripts/setup.sh" in machine.run("--help").stdout
    assert "--frobnicate" in error_of(machine.run("--frobnicate"))
    assert not machine.venv.exists()


def test_ci_hands_the_real_corpora_to_the_tests(machine):
    (machine.root / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", machine.root / ".ci")
    data = machine.root.parent / "shared" / "data"
    data.mkdir(parents=True)
    write_program(machine.root / "scripts" / "test.sh", '#!/bin/bash\necho "$DEFINE_DATA_SOURCE"\n')
    write_program(machine.root / "scripts" / "check.sh", "#!/bin/bash\n")
    result = subprocess.run(
        [str(machine.root / ".ci" / "run")], cwd="/", capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == str(data)


def pins(name: str) -> list[tuple[Requirement, list[str]]]:
    """The requirements of a file in requirements/, each with its hashes."""
    lines = [
        line
        for line in (REQUIREMENTS / name).read_text().replace("\\\n", " ").splitlines()
        if line.strip() and not line.strip().startswith("#")
    ]
    split = [line.split("--hash=") for line in lines]
    return [(Requirement(parts[0]), [part.strip() for part in parts[1:]]) for parts in split]


@pytest.mark.parametrize("name", HASHED)
def test_every_pin_is_exact_and_hashed(name):
    assert pins(name)
    for requirement, hashes in pins(name):
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", hash_) for hash_ in hashes)


@pytest.mark.parametrize("path", sorted(REQUIREMENTS.glob("*.*")), ids=lambda path: path.name)
def test_requirement_files_name_no_host_and_no_place(path):
    assert not re.search(
        r"https?:|file:|--index-url|--extra-index|--find-links|--trusted-host|(?:^|\s)/\w",
        path.read_text(),
    )


def locked_versions() -> dict[str, str]:
    """Name -> pinned version for the running Python."""
    versions = {}
    for name in [*HASHED, "torch.txt"]:
        for requirement, _ in pins(name):
            if requirement.marker is None or requirement.marker.evaluate():
                version = str(requirement.specifier).removeprefix("==")
                # A name that is pinned twice (build.txt and lock.txt) must be pinned alike.
                assert versions.setdefault(canonicalize_name(requirement.name), version) == version
    return versions


def declared() -> list[Requirement]:
    """The requirements in the lists of setup.py, those of its extras too."""
    assigned = [n.value for n in ast.parse((ROOT / "setup.py").read_text()).body if is_list(n)]
    lists = [node for value in assigned for node in ast.walk(value) if isinstance(node, ast.List)]
    return [Requirement(item.value) for found in lists for item in found.elts]


def is_list(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Dict)


def test_the_pins_are_inside_the_declared_ranges():
    versions = locked_versions()
    assert len(declared()) > 20
    for requirement in declared():
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


@pytest.mark.parametrize("package", ["torch", "fairseq-fixed"])
def test_the_lock_holds_what_torch_and_fairseq_ask_for(package):
    """They are installed apart from the lock; nothing unpinned may come along with them."""
    versions = locked_versions()
    for text in metadata.requires(package) or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        # The libraries of the CUDA build come with that build, in the versions that it pins.
        if requirement.name.startswith(("nvidia-", "cuda-", "triton")):
            continue
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), text


def test_every_package_that_is_imported_is_declared():
    distributions = metadata.packages_distributions()
    names = {canonicalize_name(requirement.name) for requirement in declared()}
    for path in (ROOT / "define").rglob("*.py"):
        for module in imported_modules(path):
            if module in sys.stdlib_module_names or module == "define":
                continue
            providers = {canonicalize_name(name) for name in distributions.get(module, [module])}
            assert providers & names, f"{path.relative_to(ROOT)} imports {module}"


def imported_modules(path: Path) -> set[str]:
    """The top-level names that a file imports, inside functions too."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules.add(node.module.split(".")[0])
    return modules
