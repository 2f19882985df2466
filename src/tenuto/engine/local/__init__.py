"""The embedded engine: open-weight models on this machine, in a process of their own."""
