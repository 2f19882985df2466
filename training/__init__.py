"""The training pipeline of `tenuto-mini`: corpus → tokenizer → train → export → evaluate.

Each step is a module with a command line, such as `python -m training.tokenizer`; the README beside
this file shows them in order. Nothing here is needed to run the server.
"""

import os

# On shared cores the threads of OpenMP burn four times the CPU time of the work itself by spinning
# while they wait. OpenMP reads these settings once, when torch is first imported, so they are made
# here, in the one place that is certain to run earlier.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
