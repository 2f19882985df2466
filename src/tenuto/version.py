"""The version of the package: the only place that holds it."""

from typing import Final

__version__: Final = "0.1.0"
