"""Figures of a server for Prometheus: counted while requests end, read when it is scraped."""
