"""The map on disk: one SQLite file, one thread that writes it, readers beside it.

Two things are written. Reports go into a journal as the bytes they came in, which is cheap and is what makes an answer
of 200 durable. Every few seconds the edges they changed go into tables in one transaction together with the sequences
that are in them, and the journal is emptied up to there. After a crash the rest of the journal is applied again.
"""

from network_mapper.store.database import Database, StoreError, keep_temporary_files_beside
from network_mapper.store.writer import Checkpoint, StoreUnavailableError, Writer

__all__ = ["Checkpoint", "Database", "StoreError", "StoreUnavailableError", "Writer", "keep_temporary_files_beside"]
