"""SQLite, for one issuer on one machine."""

from issuer_server.storage.sqlite.adapter import SqliteStorage

__all__ = ["SqliteStorage"]
