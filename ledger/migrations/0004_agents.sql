-- What the journal says of each agent's key. The last approval lifts a revocation before it; a first use does not.
CREATE VIEW agents AS
SELECT
    e.agent AS agent,
    multiIf(countIf(e.approved) > 0, 'approved', countIf(e.kind = 'agent') > 0, 'first use', '') AS enrolment,
    if(countIf(e.approved) > 0, argMaxIf(e.cluster, e.n, e.approved), argMinIf(e.cluster, e.n, e.kind = 'agent')) AS cluster,
    if(countIf(e.approved) > 0, argMaxIf(e.node, e.n, e.approved), argMinIf(e.node, e.n, e.kind = 'agent')) AS node,
    minOrNullIf(e.at, e.kind = 'agent') AS enrolled_at,
    maxIf(e.n, e.kind = 'revocation') > maxIf(e.n, e.approved) AS revoked,
    if(revoked, argMaxIf(e.revoked_from, e.n, e.kind = 'revocation'), NULL) AS revoked_from,
    if(revoked, argMaxIf(e.reason, e.n, e.kind = 'revocation'), '') AS revoked_reason,
    max(e.n) - 1 AS entry_index
FROM
(
    SELECT
        JSONExtractString(body, 'data', 'agent') AS agent,
        JSONExtractString(body, 'data', 'cluster') AS cluster,
        JSONExtractString(body, 'data', 'node') AS node,
        kind,
        JSONExtractString(body, 'data', 'enrolment') = 'approved' AS approved,
        parseDateTime64BestEffortOrNull(JSONExtractString(body, 'data', 'from'), 9, 'UTC') AS revoked_from,
        JSONExtractString(body, 'data', 'reason') AS reason,
        at,
        entry_index + 1 AS n
    FROM journal
    WHERE kind IN ('agent', 'revocation')
) AS e
GROUP BY e.agent
COMMENT 'Agents'' keys: how each came to be trusted, and from when on it is not';

-- Whatever speaks against a batch. One that was counted before its key was revoked stays counted until the ledger is
-- rebuilt: a maximum cannot be taken back.
CREATE VIEW findings AS
SELECT
    if(b.excluded_reason = '', 'revoked', splitByString(': ', b.excluded_reason)[1]) AS kind,
    b.excluded_reason = '' AS counted,
    b.agent AS agent,
    b.cluster AS cluster,
    b.node AS node,
    b.chain AS chain,
    b.seq AS seq,
    lower(hex(b.sha256)) AS sha256,
    b.sealed_at AS sealed_at,
    b.received_at AS received_at,
    if(b.excluded_reason = '',
        concat('sealed_at is not before the revocation of its key: ', a.revoked_reason),
        substring(b.excluded_reason, position(b.excluded_reason, ': ') + 2)) AS detail,
    b.source_topic AS source_topic,
    b.source_partition AS source_partition,
    b.source_offset AS source_offset
FROM (SELECT * EXCEPT (body, signature) FROM batches FINAL) AS b
LEFT JOIN (SELECT * FROM agents WHERE revoked) AS a ON a.agent = b.agent
WHERE b.excluded_reason != '' OR (a.revoked_from IS NOT NULL AND b.sealed_at >= a.revoked_from)
SETTINGS join_use_nulls = 0
COMMENT 'Batches that are signed and cannot be true, or whose key was revoked: kept as evidence and raised here';
