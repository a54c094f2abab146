"""A store whose writer writes when it is told to, in the caller's thread."""

from __future__ import annotations

import contextlib

from network_mapper.store import Database, StoreUnavailableError, Writer


class HandWriter(Writer):
    """Jobs wait until `flush`, which carries them out or lets them fail."""

    def __init__(self, path):
        Database(str(path)).close()
        super().__init__(str(path), sync="normal", max_bytes=0, deliver=lambda call, *given: call(*given))
        self.database = Database(str(path), sync="normal")
        self.database.connection.execute("PRAGMA synchronous = OFF")

    @property
    def waiting(self):
        return self._jobs.qsize()

    def flush(self, *, fail=False, most=1000):
        """Carry out what waits, each in its own transaction; or let it fail as a full disk does."""
        for _ in range(min(self._jobs.qsize(), most)):
            job = self._jobs.get_nowait()
            if fail:
                job.done(StoreUnavailableError("the disk is full"))
            else:
                self._commit(self.database, [job])

    def kill(self):
        """What waits is lost."""
        with contextlib.suppress(Exception):
            self.database.close()
