-- What was not measured here but stated: compute imported from before the agents, and corrections. Signed amounts.

-- Nothing is ever taken back: a wrong correction is corrected by another one. Of entries with the same key the first
-- counts, so importing the same thing twice adds nothing.
CREATE VIEW adjustments AS
SELECT
    entry_index,
    at,
    kind,
    JSONExtractString(body, 'data', 'run_id') AS run_id,
    JSONExtractString(body, 'data', 'purpose') AS purpose,
    JSONExtractString(body, 'data', 'basis') AS basis,
    JSONExtractString(body, 'data', 'method') AS method,
    JSONExtractString(body, 'data', 'source') AS source,
    toInt256(JSONExtract(body, 'data', 'flop', 'Nullable(String)')) AS flop,
    toInt256(JSONExtractString(body, 'data', 'flop_low')) AS flop_low,
    toInt256(JSONExtractString(body, 'data', 'flop_high')) AS flop_high,
    parseDateTime64BestEffortOrNull(JSONExtractString(body, 'data', 'period_start'), 9, 'UTC') AS period_start,
    parseDateTime64BestEffortOrNull(JSONExtractString(body, 'data', 'period_end'), 9, 'UTC') AS period_end,
    JSONExtractString(body, 'data', 'reason') AS reason,
    JSONExtractString(body, 'author') AS author,
    JSONExtractString(body, 'data', 'key') AS key,
    JSONExtract(body, 'data', 'assumptions', 'Array(String)') AS assumptions
FROM journal
WHERE kind IN ('import', 'correction')
ORDER BY entry_index
LIMIT 1 BY key
COMMENT 'Compute that was imported or corrected, as signed amounts beside what was measured';
