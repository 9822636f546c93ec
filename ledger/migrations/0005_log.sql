-- The order of all evidence: what a checkpoint's Merkle root is computed over. Recording does not touch it; the one
-- writer of the journal numbers what has come since, whenever a checkpoint is made.
CREATE TABLE evidence_log
(
    log_index UInt64                 COMMENT 'place in the log, from 0: the leaf of the Merkle tree',
    kind      LowCardinality(String) COMMENT 'batch | journal',
    agent     String                 COMMENT 'agent of a batch; empty for a journal entry',
    chain     UUID                   COMMENT 'chain of a batch; zero for a journal entry',
    seq       UInt64                 COMMENT 'seq of a batch; entry_index of a journal entry',
    sha256    FixedString(32)        COMMENT 'hash of the body; the leaf hash is SHA-256 of a zero byte and these 32 bytes'
)
ENGINE = MergeTree
ORDER BY log_index
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000
COMMENT 'Evidence: which piece of evidence has which number';
