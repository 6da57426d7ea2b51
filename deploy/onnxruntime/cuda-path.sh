#!/bin/sh
# Prints a value for LD_LIBRARY_PATH: the folders of CUDA's and cuDNN's libraries
# that pip installed (the packages nvidia-*), before what it has already. Without
# such packages it prints what it has.
#
# Also read: SLUICE_PYTHON (default python3).
set -eu

folders=$("${SLUICE_PYTHON:-python3}" - 2>/dev/null <<'PYTHON' || true
import glob, os
import nvidia
print(":".join(sorted(d for root in nvidia.__path__ for d in glob.glob(os.path.join(root, "*", "lib")))))
PYTHON
)
printf '%s\n' "$folders${folders:+${LD_LIBRARY_PATH:+:}}${LD_LIBRARY_PATH:-}"
