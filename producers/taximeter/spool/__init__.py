"""The disk spool: what cannot be sent now is kept in files, by several processes in one directory, over any crash.

What `append` accepted under `Fsync.BATCH` or `Fsync.ALWAYS` is on the disk when it returns: neither a kill nor a power
cut loses it. It comes out at least once: a kill between sending and deleting sends a segment again, with the same event
ids. Damage costs the record that it hit and no other; the file is then kept, under another name.
"""

from __future__ import annotations

from taximeter.spool.segment import Segment
from taximeter.spool.settings import Fsync, SpoolSettings
from taximeter.spool.spool import Spool
from taximeter.spool.status import SpoolStatus, read_status

__all__ = ["Fsync", "Segment", "Spool", "SpoolSettings", "SpoolStatus", "read_status"]
