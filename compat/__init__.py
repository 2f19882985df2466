"""The compatibility suite: old clients, unchanged, against a server that listens."""
