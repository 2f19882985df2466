"""The other end: talks to a server of this API. Imports `wire` only."""
