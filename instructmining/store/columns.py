"""Columns that several tables of the data contract have."""

from instructmining.store.table import Column

ID = Column("example_id", "STRING", "first 128 bits of SHA-256 of the conversation, hex", True)
BUCKET = Column("bucket", "INT", "first three hex digits of example_id, 0 to 4095", True)
POOL = Column("pool", "STRING", "named set of examples", True)
SOURCE = Column("source", "STRING", "file or table the record came from", True)
POSITION = Column(
    "position", "BIGINT", "line, element or row number, from 1; of a table a row hash", True
)
FINGERPRINT = Column("fingerprint", "STRING", "what was measured with: see fingerprints", True)
RUN = Column("run_id", "STRING", "run that wrote the row", True)
WRITTEN = Column(
    "written_at", "TIMESTAMP", "when the row was written; null by older versions", by_store=True
)
