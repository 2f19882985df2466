r"""The rules of prompts: `\n\nHuman:` and `\n\nAssistant:` turns. Pure."""
