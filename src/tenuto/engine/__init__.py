"""The engines: each a source of completions with the protocol in `base`."""
