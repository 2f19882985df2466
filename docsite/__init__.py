"""The documentation site: pages that are generated, and how files beside `docs/` join it."""
