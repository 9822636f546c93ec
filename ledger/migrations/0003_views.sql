-- One view per question. Meters are always read through their maximum, sums always in UInt256: sums of UInt64 and
-- UInt128 wrap silently.

CREATE VIEW meter_totals AS
SELECT
    m.run AS run_id,
    m.meter_id AS meter_id,
    any(m.agent) AS agent,
    any(m.cluster) AS cluster,
    any(m.node) AS node,
    any(m.incarnation) AS incarnation,
    any(m.device) AS device,
    any(m.purpose) AS purpose,
    any(m.basis) AS basis,
    any(m.method) AS method,
    any(m.dtype) AS dtype,
    any(m.attribution) AS attribution,
    fromUnixTimestamp64Nano(toInt64(min(m.first_at_ns)), 'UTC') AS first_at,
    fromUnixTimestamp64Nano(toInt64(max(m.last_at_ns)), 'UTC') AS last_at,
    max(m.flop) AS flop,
    max(m.flop_low) AS flop_low,
    max(m.flop_high) AS flop_high,
    max(m.int_op) AS int_op,
    max(m.tensor_cycles) AS tensor_cycles,
    max(m.busy_ns) AS busy_ns,
    max(m.observed_ns) AS observed_ns,
    max(m.gap_ns) AS gap_ns,
    max(m.energy_mj) AS energy_mj,
    max(m.tokens) AS tokens
FROM meters AS m
GROUP BY m.run, m.meter_id
COMMENT 'What every meter stands at';

-- flop is the sum of the points and, where a meter has bounds only, of its lower bound; NULL when no meter has a point.
CREATE VIEW totals_by_method AS
SELECT
    t.run_id AS run_id,
    t.basis AS basis,
    t.method AS method,
    uniqExactState(t.device) AS device_set,
    count() AS meters,
    if(count(t.flop) = 0, NULL, sum(toUInt256(coalesce(t.flop, t.flop_low)))) AS flop,
    sum(toUInt256(t.flop_low)) AS flop_low,
    sum(toUInt256(t.flop_high)) AS flop_high,
    sumIf(toUInt256(t.flop_high), t.flop IS NULL) AS bounds_only_flop_high,
    sum(toUInt256(t.int_op)) AS int_op,
    sum(toUInt256(t.observed_ns)) AS observed_ns,
    sum(toUInt256(t.gap_ns)) AS gap_ns,
    sum(toUInt256(t.energy_mj)) AS energy_mj,
    sum(toUInt256(t.tokens)) AS tokens,
    min(t.first_at) AS first_at,
    max(t.last_at) AS last_at
FROM meter_totals AS t
GROUP BY t.run_id, t.basis, t.method
COMMENT 'Totals per run, basis and method';

-- Hardware methods cover different device time and are added. Reported methods are two statements of the same work, by
-- each rank or for the whole run: never added, the larger one stands. Where a method has bounds only, its lower bound
-- stands in for its point, as in totals_by_method: else the total could fall below its own lower bound.
CREATE VIEW run_totals AS
SELECT
    t.run_id AS run_id,
    t.basis AS basis,
    multiIf(
        count(t.flop) = 0, NULL,
        t.basis = 'hardware', sum(coalesce(t.flop, t.flop_low)),
        max(coalesce(t.flop, t.flop_low))) AS flop,
    if(t.basis = 'hardware', sum(t.flop_low), max(t.flop_low)) AS flop_low,
    if(t.basis = 'hardware', sum(t.flop_high), max(t.flop_high)) AS flop_high,
    if(sum(t.flop_high) = 0, 0, toFloat64(sum(t.bounds_only_flop_high)) / toFloat64(sum(t.flop_high))) AS bounds_only_share,
    if(t.basis = 'hardware', sum(t.int_op), max(t.int_op)) AS int_op,
    if(t.basis = 'hardware', sum(t.tokens), max(t.tokens)) AS tokens,
    sum(t.observed_ns) AS observed_ns,
    sum(t.gap_ns) AS gap_ns,
    sum(t.energy_mj) AS energy_mj,
    uniqExactMerge(t.device_set) AS devices,
    sum(t.meters) AS meters,
    arraySort(groupUniqArray(t.method)) AS methods,
    min(t.first_at) AS first_at,
    max(t.last_at) AS last_at
FROM totals_by_method AS t
WHERE t.run_id != 'unattributed'
GROUP BY t.run_id, t.basis
COMMENT 'Cumulative training compute per run and basis, with bounds; the bases are never added together';

CREATE VIEW unattributed AS
SELECT
    t.cluster AS cluster,
    t.node AS node,
    t.device AS device,
    arraySort(groupUniqArray(t.method)) AS methods,
    if(count(t.flop) = 0, NULL, sum(toUInt256(coalesce(t.flop, t.flop_low)))) AS flop,
    sum(toUInt256(t.flop_low)) AS flop_low,
    sum(toUInt256(t.flop_high)) AS flop_high,
    sum(toUInt256(t.observed_ns)) AS observed_ns,
    sum(toUInt256(t.gap_ns)) AS gap_ns
FROM meter_totals AS t
WHERE t.run_id = 'unattributed'
GROUP BY t.cluster, t.node, t.device
COMMENT 'Device time and compute that belong to no known run';

-- The last declaration of a run holds, with what it leaves open: argMax passes over a NULL, but not inside a tuple.
-- A run that was only measured stands here too, with empty declarations.
CREATE VIEW runs AS
SELECT
    r.run_id AS run_id,
    argMax(r.model_id, r.entry_index) AS model_id,
    argMax(r.purpose, r.entry_index) AS purpose,
    argMax(r.dtype, r.entry_index) AS dtype,
    argMax(tuple(r.planned_flop), r.entry_index).1 AS planned_flop,
    argMax(tuple(r.planned_end), r.entry_index).1 AS planned_end,
    argMax(tuple(r.devices), r.entry_index).1 AS declared_devices,
    toBool(max(r.entry_index) >= 0) AS declared,
    max(r.measured) AS measured
FROM
(
    SELECT
        JSONExtractString(body, 'data', 'run_id') AS run_id,
        JSONExtractString(body, 'data', 'model_id') AS model_id,
        JSONExtractString(body, 'data', 'purpose') AS purpose,
        JSONExtractString(body, 'data', 'dtype') AS dtype,
        toUInt256OrNull(JSONExtractString(body, 'data', 'planned_flop')) AS planned_flop,
        parseDateTime64BestEffortOrNull(JSONExtractString(body, 'data', 'planned_end'), 9, 'UTC') AS planned_end,
        JSONExtract(body, 'data', 'devices', 'Nullable(UInt64)') AS devices,
        toInt64(entry_index) AS entry_index,
        false AS measured
    FROM journal
    WHERE kind = 'run'
    UNION ALL
    SELECT DISTINCT run, '', '', '', NULL, NULL, NULL, -1, true
    FROM meters
    WHERE run != 'unattributed'
) AS r
GROUP BY r.run_id
COMMENT 'Every run that was declared or measured';

CREATE VIEW agents AS
SELECT
    JSONExtractString(body, 'data', 'agent') AS agent,
    JSONExtractString(body, 'data', 'cluster') AS cluster,
    JSONExtractString(body, 'data', 'node') AS node,
    JSONExtractString(body, 'data', 'enrolment') AS enrolment,
    at AS enrolled_at,
    entry_index
FROM journal
WHERE kind = 'agent'
COMMENT 'Agents'' keys, and how each came to be trusted';

CREATE VIEW alerts AS
SELECT
    JSONExtractString(body, 'data', 'alert_id') AS alert_id,
    JSONExtractString(body, 'data', 'run_id') AS run_id,
    JSONExtractString(body, 'data', 'threshold') AS threshold,
    JSONExtractString(body, 'data', 'kind') AS kind,
    JSONExtractUInt(body, 'data', 'percent') AS percent,
    JSONExtractString(body, 'data', 'basis') AS basis,
    toUInt256(JSONExtractString(body, 'data', 'flop')) AS flop,
    toUInt256(JSONExtractString(body, 'data', 'line_flop')) AS line_flop,
    parseDateTime64BestEffortOrNull(JSONExtractString(body, 'data', 'expected_at'), 9, 'UTC') AS expected_at,
    at AS raised_at,
    entry_index
FROM journal AS j
WHERE j.kind = 'alert'
COMMENT 'Every alert ever raised, once each';

-- Device time of a run against the device time it should have had. Without a declared world size the denominator is
-- unknown and so is the coverage: a node that died or never had an agent must not look covered. No device covers more
-- than the run's own time: what it idled before and after makes up for no other device.
CREATE VIEW coverage AS
SELECT
    c.run_id AS run_id,
    c.devices AS devices,
    d.declared_devices AS declared_devices,
    if(d.declared_devices IS NULL, 'unknown', 'declared world size') AS denominator,
    c.observed_ns AS observed_ns,
    c.idle_ns AS idle_ns,
    c.gap_ns AS gap_ns,
    toUInt256(d.declared_devices) * toUInt256(c.span_ns) AS expected_ns,
    if(coalesce(expected_ns, 0) = 0, NULL, least(1., toFloat64(arraySum(covered_ns -> least(covered_ns, toUInt256(c.span_ns)), c.device_ns)) / toFloat64(expected_ns))) AS coverage,
    c.first_at AS first_at,
    c.last_at AS last_at
FROM
(
    SELECT
        r.run_id AS run_id,
        count() AS devices,
        sum(r.observed_ns) AS observed_ns,
        sum(r.gap_ns) AS gap_ns,
        sum(u.idle_ns) AS idle_ns,
        groupArray(r.observed_ns + u.idle_ns) AS device_ns,
        min(r.first_at) AS first_at,
        max(r.last_at) AS last_at,
        dateDiff('nanosecond', min(r.first_at), max(r.last_at)) AS span_ns
    FROM
    (
        SELECT
            t.run_id AS run_id,
            t.device AS device,
            sum(toUInt256(coalesce(t.observed_ns, 0))) AS observed_ns,
            sum(toUInt256(coalesce(t.gap_ns, 0))) AS gap_ns,
            min(t.first_at) AS first_at,
            max(t.last_at) AS last_at
        FROM meter_totals AS t
        WHERE t.basis = 'hardware' AND t.run_id != 'unattributed'
        GROUP BY t.run_id, t.device
    ) AS r
    LEFT JOIN
    (
        SELECT t.device AS device, sum(toUInt256(coalesce(t.observed_ns, 0))) AS idle_ns
        FROM meter_totals AS t
        WHERE t.basis = 'hardware' AND t.run_id = 'unattributed'
        GROUP BY t.device
    ) AS u ON u.device = r.device
    GROUP BY r.run_id
) AS c
LEFT JOIN runs AS d ON d.run_id = c.run_id
SETTINGS join_use_nulls = 0
COMMENT 'Share of a run''s device time that was observed, and against what';

-- Two independent totals side by side. Hardware counts recomputation and padding, so a ratio of 1 to 1.15 is usual, up
-- to 1.5 with full recomputation; outside 0.9 to 1.6 is a finding.
CREATE VIEW reconciliation AS
SELECT
    t.run_id AS run_id,
    anyIf(t.flop, t.basis = 'hardware') AS hardware_flop,
    anyOrNullIf(t.flop_low, t.basis = 'hardware') AS hardware_flop_low,
    anyOrNullIf(t.flop_high, t.basis = 'hardware') AS hardware_flop_high,
    anyIf(t.flop, t.basis = 'architecture') AS architecture_flop,
    toFloat64(hardware_flop) / toFloat64(architecture_flop) AS ratio,
    multiIf(
        countIf(t.basis = 'hardware') = 0, 'no hardware basis',
        architecture_flop IS NULL, 'no architecture basis',
        hardware_flop IS NULL AND architecture_flop > hardware_flop_high, 'reported above the upper bound',
        hardware_flop IS NULL, 'within bounds',
        ratio < 0.9, 'hardware below reported',
        ratio > 1.6, 'hardware above reported',
        'agree') AS finding
FROM run_totals AS t
GROUP BY t.run_id
COMMENT 'Hardware and architecture totals of each run, side by side';

-- The evidence, one row per reading, for whoever wants to see every number that an agent signed.
CREATE VIEW readings AS
SELECT
    agent, chain, seq, incarnation, cluster, node, excluded_reason,
    fromUnixTimestamp64Nano(toInt64(at_ns), 'UTC') AS at,
    JSONExtract(body, 'readings', 'run', 'Array(String)')[n] AS run_id,
    JSONExtract(body, 'readings', 'purpose', 'Array(String)')[n] AS purpose,
    JSONExtract(body, 'readings', 'device', 'Array(String)')[n] AS device,
    JSONExtract(body, 'readings', 'basis', 'Array(String)')[n] AS basis,
    JSONExtract(body, 'readings', 'method', 'Array(String)')[n] AS method,
    JSONExtract(body, 'readings', 'dtype', 'Array(String)')[n] AS dtype,
    JSONExtract(body, 'readings', 'attribution', 'Array(String)')[n] AS attribution,
    toUInt128OrNull(JSONExtract(body, 'readings', 'flop', 'Array(Nullable(String))')[n]) AS flop,
    toUInt128(JSONExtract(body, 'readings', 'flop_low', 'Array(String)')[n]) AS flop_low,
    toUInt128(JSONExtract(body, 'readings', 'flop_high', 'Array(String)')[n]) AS flop_high,
    JSONExtract(body, 'readings', 'tensor_cycles', 'Array(Nullable(UInt64))')[n] AS tensor_cycles,
    JSONExtract(body, 'readings', 'busy_ns', 'Array(Nullable(UInt64))')[n] AS busy_ns,
    JSONExtract(body, 'readings', 'observed_ns', 'Array(Nullable(UInt64))')[n] AS observed_ns,
    JSONExtract(body, 'readings', 'gap_ns', 'Array(Nullable(UInt64))')[n] AS gap_ns,
    JSONExtract(body, 'readings', 'tokens', 'Array(Nullable(UInt64))')[n] AS tokens
FROM batches FINAL
ARRAY JOIN
    JSONExtract(body, 'readings', 'at_ns', 'Array(UInt64)') AS at_ns,
    arrayEnumerate(JSONExtract(body, 'readings', 'at_ns', 'Array(UInt64)')) AS n
COMMENT 'The evidence, one row per reading';
