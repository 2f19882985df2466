r"""What the prompt says: the rules of `\n\nHuman:` and `\n\nAssistant:`. Pure."""
