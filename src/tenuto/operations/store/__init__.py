"""The store: API keys and the ledger of completions, in SQLite or PostgreSQL.

SQLAlchemy takes long to import, so `location`, `errors`, `rows`, `ledger` and `key_watch` do not
import it; the last two import it in their threads.
"""
