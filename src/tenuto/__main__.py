"""`python -m tenuto` is `tenuto`."""

from tenuto.cli.main import run

run()
