"""Who writes: the engines, each behind the protocol in `base`."""
