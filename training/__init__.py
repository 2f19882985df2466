"""The training pipeline of `tenuto-mini`: corpus → tokenizer → train → export → evaluate.

Each step is a module with a command line, such as `python -m training.tokenizer`; the README beside
this file shows them in order. The server needs none of them.
"""

import os

# On shared cores, idle OpenMP threads spin and take four times the CPU time of the work itself.
# OpenMP reads these settings once, when torch is first imported; this module always runs earlier.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
