-- What became of each message about an alert, channel by channel: the outbox of alerts keeps its state here, so that
-- whoever writes the journal next goes on where the last one stopped.

-- A message is known by its message_id, which follows from the alert, how often it was raised, and the change: it is the
-- same for every attempt, whoever makes it.
CREATE TABLE deliveries
(
    at             DateTime64(6, 'UTC')   COMMENT 'when it was tried, by the clock of whoever tried' CODEC(Delta, ZSTD(1)),
    channel        LowCardinality(String) COMMENT 'name of the channel',
    channel_sha256 LowCardinality(String) COMMENT 'hash of the channel''s configuration, hex; what is secret is not part of it',
    message_id     String                 COMMENT 'what receivers tell a repeated message by; empty where a channel was added',
    alert_id       String                 COMMENT 'alert that it is about; empty where a channel was added',
    change         LowCardinality(String) COMMENT 'raised | acknowledged | resolved; empty where a channel was added',
    entry_index    UInt64                 COMMENT 'journal entry that it is about; where a channel was added, the newest one then',
    attempt        UInt32                 COMMENT 'how often this message had been tried on this channel, with this time',
    outcome        LowCardinality(String) COMMENT 'accepted | refused | unreached; added: the channel is used from here on',
    detail         String                 COMMENT 'what the channel said'
)
ENGINE = MergeTree
ORDER BY (channel, alert_id, at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Every attempt to deliver a message about an alert, never changed';

CREATE VIEW alert_deliveries AS
SELECT
    d.alert_id AS alert_id,
    d.channel AS channel,
    any(d.change) AS change,
    d.message_id AS message_id,
    minOrNullIf(d.at, d.outcome = 'accepted') AS accepted_at,
    max(d.attempt) AS attempts,
    min(d.at) AS first_tried_at,
    max(d.at) AS last_tried_at,
    if(countIf(d.outcome = 'accepted') > 0, 'accepted', argMax(d.outcome, d.attempt)) AS outcome,
    argMax(d.detail, (d.outcome = 'accepted', d.attempt)) AS detail,
    any(d.entry_index) AS entry_index
FROM deliveries AS d
WHERE d.outcome != 'added'
GROUP BY d.alert_id, d.channel, d.message_id
COMMENT 'How far each message about an alert has come on each channel that it was tried on';
