-- What the assessor has said: alerts with their state, and the moments from which a crossing was foreseeable. Both are
-- journal entries; these views fold them. `ledger/assessment` writes them, docs/assessment.md says when.

CREATE VIEW alert_history AS
SELECT
    r.alert_id AS alert_id,
    multiIf(e.resolved_in > 0, 'resolved', e.acknowledged_in > 0, 'acknowledged', 'raised') AS state,
    r.kind AS kind,
    r.subject_kind AS subject_kind,
    r.subject AS subject,
    r.threshold AS threshold,
    r.policy AS policy,
    r.percent AS percent,
    r.lead_days AS lead_days,
    r.basis AS basis,
    r.flop AS flop,
    r.line_flop AS line_flop,
    r.expected_at AS expected_at,
    r.notify_by AS notify_by,
    r.summary AS summary,
    concat('docs/runbooks/', r.kind, '.md') AS runbook,
    r.evidence AS evidence,
    r.occurrence AS occurrence,
    r.at AS first_seen,
    if(e.acknowledged_in > 0, e.acknowledged_at, NULL) AS acknowledged_at,
    e.acknowledged_by AS acknowledged_by,
    e.acknowledged_note AS acknowledged_note,
    if(e.resolved_in > 0, e.resolved_at, NULL) AS resolved_at,
    e.resolved_reason AS resolved_reason,
    r.entry_index AS entry_index
FROM
(
    SELECT
        entry_index,
        at,
        JSONExtractString(body, 'data', 'alert_id') AS alert_id,
        JSONExtractString(body, 'data', 'kind') AS kind,
        JSONExtractString(body, 'data', 'subject_kind') AS subject_kind,
        JSONExtractString(body, 'data', 'subject') AS subject,
        JSONExtract(body, 'data', 'threshold', 'Nullable(String)') AS threshold,
        JSONExtractString(body, 'data', 'policy') AS policy,
        JSONExtract(body, 'data', 'percent', 'Nullable(UInt32)') AS percent,
        JSONExtract(body, 'data', 'lead_days', 'Nullable(UInt32)') AS lead_days,
        JSONExtractString(body, 'data', 'basis') AS basis,
        toInt256(JSONExtract(body, 'data', 'flop', 'Nullable(String)')) AS flop,
        toInt256(JSONExtract(body, 'data', 'line_flop', 'Nullable(String)')) AS line_flop,
        parseDateTime64BestEffortOrNull(JSONExtractString(body, 'data', 'expected_at'), 9, 'UTC') AS expected_at,
        parseDateTime64BestEffortOrNull(JSONExtractString(body, 'data', 'notify_by'), 9, 'UTC') AS notify_by,
        JSONExtractString(body, 'data', 'summary') AS summary,
        JSONExtractRaw(body, 'data', 'evidence') AS evidence,
        JSONExtract(body, 'data', 'occurrence', 'UInt32') AS occurrence
    FROM journal AS j
    WHERE j.kind = 'alert'
    ORDER BY entry_index
    LIMIT 1 BY alert_id
) AS r
LEFT JOIN
(
    SELECT
        JSONExtractString(body, 'data', 'alert_id') AS alert_id,
        maxIf(entry_index, kind = 'acknowledgement') AS acknowledged_in,
        argMinIf(at, entry_index, kind = 'acknowledgement') AS acknowledged_at,
        argMinIf(JSONExtractString(body, 'author'), entry_index, kind = 'acknowledgement') AS acknowledged_by,
        argMinIf(JSONExtractString(body, 'data', 'note'), entry_index, kind = 'acknowledgement') AS acknowledged_note,
        maxIf(entry_index, kind = 'resolution') AS resolved_in,
        argMinIf(at, entry_index, kind = 'resolution') AS resolved_at,
        argMinIf(JSONExtractString(body, 'data', 'reason'), entry_index, kind = 'resolution') AS resolved_reason
    FROM journal
    WHERE kind IN ('acknowledgement', 'resolution')
    GROUP BY alert_id
) AS e ON e.alert_id = r.alert_id
SETTINGS join_use_nulls = 0
COMMENT 'Every alert ever raised, once each, with what became of it: raised, acknowledged or resolved';

CREATE VIEW alerts AS
SELECT * FROM alert_history WHERE state != 'resolved'
COMMENT 'Alerts that are raised or acknowledged, and not resolved';

-- Of two entries for one subject, line and amount the first holds: the moment is never moved.
CREATE VIEW foreseeable AS
SELECT
    JSONExtractString(body, 'data', 'subject_kind') AS subject_kind,
    JSONExtractString(body, 'data', 'subject') AS subject,
    JSONExtractString(body, 'data', 'threshold') AS threshold,
    toUInt256(JSONExtractString(body, 'data', 'line_flop')) AS line_flop,
    at AS foreseeable_at,
    parseDateTime64BestEffortOrNull(JSONExtractString(body, 'data', 'notify_by'), 9, 'UTC') AS notify_by,
    JSONExtractString(body, 'data', 'because') AS because,
    JSONExtract(body, 'data', 'probability', 'Nullable(Float64)') AS probability,
    JSONExtractString(body, 'data', 'rule') AS rule,
    JSONExtractRaw(body, 'data', 'evidence') AS evidence,
    entry_index
FROM journal
WHERE kind = 'foreseeable'
ORDER BY entry_index
LIMIT 1 BY subject_kind, subject, threshold, line_flop
COMMENT 'When crossing a line became foreseeable, per subject and line, and by when that is to be notified';

-- What the hourly assessments said of a crossing that is not foreseeable yet: three in a row make it so, whatever was
-- restarted in between.
CREATE TABLE outlook
(
    subject_kind LowCardinality(String) COMMENT 'run | model | system',
    subject      String                 COMMENT 'its name',
    threshold    LowCardinality(String) COMMENT 'name of the line',
    line_flop    UInt256                COMMENT 'where the line was, FLOP',
    at           DateTime64(9, 'UTC')   COMMENT 'when it was assessed, by the ledger''s clock',
    probability  Float64                COMMENT 'of crossing before the planned end, or within ninety days without one',
    in_a_row     UInt32                 COMMENT 'so many hourly assessments up to this one said at least one half; 0 ends a row'
)
ENGINE = MergeTree
ORDER BY (subject_kind, subject, threshold, at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Computed: what the hourly assessments said of crossings that are not foreseeable yet'
