-- The two chains that everything else is derived from.

-- One row per sealed batch, its bytes exactly as the agent signed them. A replay writes the same row again.
-- sharded by cityHash64(agent, chain)
CREATE TABLE batches
(
    agent           String                 COMMENT 'Ed25519 public key of the agent, base64url',
    chain           UUID                   COMMENT 'the agent''s chain of batches, born with its outbox',
    seq             UInt64                 COMMENT 'place in the chain, from 0',
    sha256          FixedString(32)        COMMENT 'hash of body; the next batch of the chain names it as prev',
    schema          LowCardinality(String) COMMENT 'version of the wire format',
    body            String                 COMMENT 'the signed bytes: UTF-8 JSON' CODEC(ZSTD(1)),
    signature       FixedString(64)        COMMENT 'Ed25519 signature of body by agent',
    cluster         LowCardinality(String) COMMENT 'cluster that the agent says it is in',
    node            LowCardinality(String) COMMENT 'node that the agent says it is on',
    incarnation     UUID                   COMMENT 'one life of the agent process',
    sealed_at       DateTime64(9, 'UTC')   COMMENT 'when the agent sealed it, by its own clock' CODEC(Delta, ZSTD(1)),
    received_at     DateTime64(6, 'UTC')   COMMENT 'when the collector recorded it' CODEC(Delta, ZSTD(1)),
    source_topic    LowCardinality(String) COMMENT 'where it was read: topic',
    source_partition UInt32                COMMENT 'where it was read: partition',
    source_offset   Int64                  COMMENT 'where it was read: offset' CODEC(Delta, ZSTD(1)),
    excluded_reason LowCardinality(String) COMMENT 'kind: why it counts towards no total; empty when it counts',
    -- Whose chain and whose incarnation it is, is asked once for each.
    INDEX chain_index chain TYPE bloom_filter GRANULARITY 4,
    INDEX incarnation_index incarnation TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree
ORDER BY (agent, chain, seq, sha256)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Evidence: every sealed batch, byte for byte';

-- The ledger's own chain: enrolments, declarations, alerts. Appended by one writer, never updated.
CREATE TABLE journal
(
    entry_index UInt64                 COMMENT 'place in the journal, from 0',
    at          DateTime64(9, 'UTC')   COMMENT 'when it was written, by the ledger''s clock',
    kind        LowCardinality(String) COMMENT 'what it says: agent, run, model, lineage, system, policy, threshold, import, correction, checkpoint, alert …',
    body        String                 COMMENT 'the signed bytes: UTF-8 JSON with index, prev, at, kind, author, data' CODEC(ZSTD(3)),
    sha256      FixedString(32)        COMMENT 'hash of body; the next entry names it as prev',
    signature   FixedString(64)        COMMENT 'Ed25519 signature of body by key_id',
    key_id      String                 COMMENT 'Ed25519 public key of the ledger, base64url',
    request     String                 COMMENT 'what it was asked for under: the same one is written once; may be empty'
)
ENGINE = MergeTree
ORDER BY entry_index
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000
COMMENT 'Evidence: the signed journal of the ledger';

-- On a server many have something to put on record, and one signs it: the others ask here.
CREATE TABLE journal_requests
(
    id     String                                      COMMENT 'made by whoever asks; what has the same id is written once',
    at     DateTime64(6, 'UTC')   DEFAULT now64(6)     COMMENT 'when, by the server''s clock',
    user   LowCardinality(String) DEFAULT currentUser() COMMENT 'who, as the server knows them',
    kind   LowCardinality(String)                      COMMENT 'as in journal',
    author String                                      COMMENT 'who, as they say themselves',
    data   String                                      COMMENT 'what should be written, JSON'
)
ENGINE = MergeTree
ORDER BY (at, id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What others ask the writer of the journal to write';
