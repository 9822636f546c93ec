-- One view per question. Meters are always read through FINAL, which is their maximum, sums always in UInt256: sums of
-- UInt64 and UInt128 wrap silently.

CREATE VIEW meter_totals AS
SELECT
    m.run AS run_id,
    m.meter_id AS meter_id,
    m.agent AS agent,
    m.cluster AS cluster,
    m.node AS node,
    m.incarnation AS incarnation,
    m.device AS device,
    m.purpose AS purpose,
    if(m.adds_with = 0, 'hardware', 'architecture') AS basis,
    m.adds_with AS adds_with,
    m.method AS method,
    m.dtype AS dtype,
    m.attribution AS attribution,
    fromUnixTimestamp64Nano(toInt64(m.first_at_ns), 'UTC') AS first_at,
    fromUnixTimestamp64Nano(toInt64(m.last_at_ns), 'UTC') AS last_at,
    m.flop AS flop,
    m.flop_low AS flop_low,
    m.flop_high AS flop_high,
    m.int_op AS int_op,
    m.tensor_cycles AS tensor_cycles,
    m.busy_ns AS busy_ns,
    m.observed_ns AS observed_ns,
    m.gap_ns AS gap_ns,
    m.energy_mj AS energy_mj,
    m.tokens AS tokens
FROM meters AS m FINAL
COMMENT 'What every meter stands at';

-- flop is the sum of the points and, where a meter has bounds only, of its lower bound; NULL when no meter has a point.
CREATE VIEW totals_by_method AS
SELECT
    t.run_id AS run_id,
    t.basis AS basis,
    t.method AS method,
    count() AS meters,
    uniqExact(t.device) AS devices,
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
-- Grouped by numbers: grouping two million meters by words takes longer than adding them.
CREATE VIEW run_totals AS
SELECT
    t.run_id AS run_id,
    if(t.adds_with = 0, 'hardware', 'architecture') AS basis,
    if(sum(t.points) = 0, NULL, max(t.flop)) AS flop,
    max(t.flop_low) AS flop_low,
    max(t.flop_high) AS flop_high,
    if(sum(t.flop_high) = 0, 0, toFloat64(sum(t.bounds_only_flop_high)) / toFloat64(sum(t.flop_high))) AS bounds_only_share,
    max(t.int_op) AS int_op,
    max(t.tokens) AS tokens,
    sum(t.observed_ns) AS observed_ns,
    sum(t.gap_ns) AS gap_ns,
    sum(t.energy_mj) AS energy_mj,
    uniqExactMerge(t.device_set) AS devices,
    sum(t.meters) AS meters,
    arraySort(groupUniqArrayArray(t.methods)) AS methods,
    min(t.first_at) AS first_at,
    max(t.last_at) AS last_at
FROM
(
    SELECT
        m.run AS run_id,
        m.adds_with AS adds_with,
        count() AS meters,
        count(m.flop) AS points,
        uniqExactState(m.device) AS device_set,
        groupUniqArray(m.method) AS methods,
        sum(toUInt256(coalesce(m.flop, m.flop_low))) AS flop,
        sum(toUInt256(m.flop_low)) AS flop_low,
        sum(toUInt256(m.flop_high)) AS flop_high,
        sumIf(toUInt256(m.flop_high), m.flop IS NULL) AS bounds_only_flop_high,
        sum(toUInt256(m.int_op)) AS int_op,
        sum(toUInt256(m.observed_ns)) AS observed_ns,
        sum(toUInt256(m.gap_ns)) AS gap_ns,
        sum(toUInt256(m.energy_mj)) AS energy_mj,
        sum(toUInt256(m.tokens)) AS tokens,
        fromUnixTimestamp64Nano(toInt64(min(m.first_at_ns)), 'UTC') AS first_at,
        fromUnixTimestamp64Nano(toInt64(max(m.last_at_ns)), 'UTC') AS last_at
    FROM meters AS m FINAL
    WHERE m.run != 'unattributed'
    GROUP BY m.run, m.adds_with
) AS t
GROUP BY t.run_id, basis
COMMENT 'Cumulative training compute per run and basis, with bounds; the bases are never added together';

-- Read from what was computed ahead: as new as the last refresh, for charts and not for lines of law. Where a loop
-- reports in two ways, the larger stands, as in run_totals.
CREATE VIEW run_hours AS
SELECT
    h.run_id AS run_id,
    h.basis AS basis,
    h.hour AS hour,
    max(h.flop_then) OVER w AS flop,
    max(h.flop_low_then) OVER w AS flop_low,
    max(h.flop_high_then) OVER w AS flop_high,
    max(h.tokens_then) OVER w AS tokens
FROM
(
    SELECT
        c.run AS run_id,
        if(c.adds_with = 0, 'hardware', 'architecture') AS basis,
        c.hour AS hour,
        max(c.flop) AS flop_then,
        max(c.flop_low) AS flop_low_then,
        max(c.flop_high) AS flop_high_then,
        max(c.tokens) AS tokens_then
    FROM run_curve AS c
    GROUP BY c.run, basis, c.hour
) AS h
WINDOW w AS (PARTITION BY h.run_id, h.basis ORDER BY h.hour)
COMMENT 'What each run stood at by the end of each hour, computed ahead';

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
-- Where people leave the model or the format open, the first that an agent named holds.
CREATE VIEW run_declarations AS
SELECT
    r.run_id AS run_id,
    if(
        argMaxIf(r.model_id, r.entry_index, NOT r.by_agent) != '',
        argMaxIf(r.model_id, r.entry_index, NOT r.by_agent),
        argMinIf(r.model_id, r.entry_index, r.by_agent AND r.model_id != '')
    ) AS model_id,
    argMaxIf(r.purpose, r.entry_index, NOT r.by_agent) AS purpose,
    if(
        argMaxIf(r.dtype, r.entry_index, NOT r.by_agent) != '',
        argMaxIf(r.dtype, r.entry_index, NOT r.by_agent),
        argMinIf(r.dtype, r.entry_index, r.by_agent AND r.dtype != '')
    ) AS dtype,
    argMaxIf(tuple(r.planned_flop), r.entry_index, NOT r.by_agent).1 AS planned_flop,
    argMaxIf(tuple(r.planned_end), r.entry_index, NOT r.by_agent).1 AS planned_end,
    argMaxIf(tuple(r.devices), r.entry_index, NOT r.by_agent).1 AS declared_devices,
    argMaxIf(r.parent, r.entry_index, NOT r.by_agent) AS parent
FROM
(
    SELECT
        entry_index,
        startsWith(JSONExtractString(body, 'author'), 'agent:') AS by_agent,
        JSONExtractString(body, 'data', 'run_id') AS run_id,
        JSONExtractString(body, 'data', 'model_id') AS model_id,
        JSONExtractString(body, 'data', 'purpose') AS purpose,
        JSONExtractString(body, 'data', 'dtype') AS dtype,
        toUInt256OrNull(JSONExtractString(body, 'data', 'planned_flop')) AS planned_flop,
        parseDateTime64BestEffortOrNull(JSONExtractString(body, 'data', 'planned_end'), 9, 'UTC') AS planned_end,
        JSONExtract(body, 'data', 'devices', 'Nullable(UInt64)') AS devices,
        JSONExtractString(body, 'data', 'parent') AS parent
    FROM journal
    WHERE kind = 'run'
) AS r
GROUP BY r.run_id
COMMENT 'What is declared of every run that somebody declared';

-- A run that was only measured or imported stands here too, with empty declarations.
CREATE VIEW runs AS
SELECT
    k.run_id AS run_id,
    d.model_id AS model_id,
    d.purpose AS purpose,
    d.dtype AS dtype,
    d.planned_flop AS planned_flop,
    d.planned_end AS planned_end,
    d.declared_devices AS declared_devices,
    d.parent AS parent,
    k.declared AS declared,
    k.measured AS measured,
    k.adjusted AS adjusted
FROM
(
    SELECT
        run_id, toBool(max(known = 'declared')) AS declared, toBool(max(known = 'measured')) AS measured,
        toBool(max(known = 'adjusted')) AS adjusted
    FROM
    (
        SELECT run_id, 'declared' AS known FROM run_declarations
        UNION ALL
        SELECT DISTINCT run, 'measured' FROM meters WHERE run != 'unattributed'
        UNION ALL
        SELECT DISTINCT JSONExtractString(body, 'data', 'run_id'), 'adjusted' FROM journal
        WHERE kind IN ('import', 'correction')
    )
    GROUP BY run_id
) AS k
LEFT JOIN run_declarations AS d ON d.run_id = k.run_id
SETTINGS join_use_nulls = 0
COMMENT 'Every run that was declared, measured, imported or corrected';

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

-- The evidence, one row per reading, for whoever wants to see every number that an agent signed. Columns travel as
-- differences, and some as made of others: wire/decoding.py says how, and this says the same in SQL. Every array here
-- holds one element per column, meter or reading of a batch.
CREATE VIEW readings AS
SELECT
    agent, chain, seq, incarnation, cluster, node, excluded_reason,
    fromUnixTimestamp64Nano(toInt64(assumeNotNull(at_ns_counter)), 'UTC') AS at,
    keys_run AS run_id,
    keys_purpose AS purpose,
    keys_device AS device,
    keys_basis AS basis,
    keys_method AS method,
    keys_dtype AS dtype,
    keys_attribution AS attribution,
    toUInt128(flop_counter) AS flop,
    toUInt128(assumeNotNull(flop_low_counter)) AS flop_low,
    toUInt128(assumeNotNull(flop_high_counter)) AS flop_high,
    toUInt128(int_op_counter) AS int_op,
    toUInt64(sm_cycles_counter) AS sm_cycles,
    toUInt64(tensor_cycles_counter) AS tensor_cycles,
    toUInt64(hmma_cycles_counter) AS hmma_cycles,
    toUInt64(imma_cycles_counter) AS imma_cycles,
    toUInt64(dmma_cycles_counter) AS dmma_cycles,
    toUInt64(dfma_cycles_counter) AS dfma_cycles,
    toUInt64(fp64_cycles_counter) AS fp64_cycles,
    toUInt64(fp32_cycles_counter) AS fp32_cycles,
    toUInt64(fp16_cycles_counter) AS fp16_cycles,
    toUInt64(int_cycles_counter) AS int_cycles,
    toUInt64(busy_ns_counter) AS busy_ns,
    toUInt64(observed_ns_counter) AS observed_ns,
    toUInt64(gap_ns_counter) AS gap_ns,
    toUInt64(energy_mj_counter) AS energy_mj,
    toUInt64(tokens_counter) AS tokens
FROM
(
    -- All columns: ⌊what it is made of ÷ per⌋, plus its own sum. intDiv alone rounds towards zero.
    SELECT
        agent, chain, seq, incarnation, cluster, node, excluded_reason,
        arrayMap(t -> arrayFlatten(arrayMap((k, x) -> arrayWithConstant(k, x), counts, t)), key_texts) AS texts,
        arrayMap(
            (parts, per, own) -> arrayMap(
                (total, x) -> intDiv(total - ((total % per) + per) % per, per) + x,
                arrayFold(
                    (sum, part) -> arrayMap(
                        (a, b) -> a + coalesce(b, 0) * part.2,
                        sum,
                        if(part.1 = 'rows', numbers, listed[indexOf(names, part.1)])),
                    parts,
                    arrayMap(x -> toInt256(0), numbers)),
                own),
            terms, divisors, sums) AS counters
    FROM
    (
        -- The columns that are not made of others, save of the number of the reading.
        SELECT
            *,
            arrayMap(
                (parts, own) -> if(
                    length(parts) = 1 AND parts[1].1 = 'rows',
                    arrayMap((x, n) -> x + assumeNotNull(n) * parts[1].2, own, numbers),
                    own),
                terms, sums) AS listed
        FROM
        (
            -- Each column's own sum, meter by meter.
            SELECT
                *,
                arrayMap(k -> toNullable(toInt256(k)), arrayFlatten(arrayMap(k -> range(1, k + 1), counts))) AS numbers,
                arrayMap(
                    plus -> arrayMap(
                        (x, summed) -> if(isNull(x), NULL, summed),
                        plus,
                        arrayFlatten(arrayMap(
                            (start, k) -> arrayCumSum(arrayMap(x -> coalesce(x, toInt256(0)), arraySlice(plus, start, k))),
                            arrayMap((sum, k) -> sum - k + 1, arrayCumSum(counts), counts),
                            counts))),
                    arrayMap(
                        (sent, list) -> arrayMap(x -> toInt256OrNull(x), multiIf(
                            sent IN ('', 'null'), arrayWithConstant(rows, NULL),
                            NOT startsWith(sent, '['), arrayWithConstant(rows, toNullable(trim(BOTH '"' FROM sent))),
                            length(list) = rows, list,
                            arrayFlatten(arrayWithConstant(length(counts), list)))),
                        added,
                        arrayMap(sent -> JSONExtract(sent, 'Array(Nullable(String))'), added))) AS sums
            FROM
            (
                -- What was sent: a column by itself, or what it is made of, the divisor, and what is added.
                SELECT
                    agent, chain, seq, incarnation, cluster, node, excluded_reason,
                    ['at_ns', 'flop', 'flop_low', 'flop_high', 'int_op', 'sm_cycles', 'tensor_cycles', 'hmma_cycles',
                     'imma_cycles', 'dmma_cycles', 'dfma_cycles', 'fp64_cycles', 'fp32_cycles', 'fp16_cycles',
                     'int_cycles', 'busy_ns', 'observed_ns', 'gap_ns', 'energy_mj', 'tokens'] AS names,
                    JSONExtractRaw(body, 'readings') AS sent,
                    arrayMap(
                        key -> if(
                            JSONType(sent, 'meters', key) = 'String',
                            arrayWithConstant(meters, JSONExtractString(sent, 'meters', key)),
                            JSONExtract(sent, 'meters', key, 'Array(String)')),
                        ['run', 'purpose', 'device', 'basis', 'method', 'dtype', 'attribution']) AS key_texts,
                    arrayMax(arrayMap(
                        key -> if(JSONType(sent, 'meters', key) = 'String', 1, JSONLength(sent, 'meters', key)),
                        ['run', 'purpose', 'device', 'basis', 'method', 'dtype', 'attribution'])) AS meters,
                    if(
                        JSONType(sent, 'count') = 'Array',
                        JSONExtract(sent, 'count', 'Array(UInt64)'),
                        arrayWithConstant(meters, JSONExtractUInt(sent, 'count'))) AS counts,
                    arraySum(counts) AS rows,
                    arrayMap(name -> JSONExtractKeysAndValues(sent, name, 'of', 'Int64'), names) AS terms,
                    arrayMap(name -> toInt256(greatest(JSONExtractInt(sent, name, 'per'), 1)), names) AS divisors,
                    arrayMap(
                        name -> multiIf(
                            JSONType(sent, name) != 'Object', JSONExtractRaw(sent, name),
                            JSONHas(sent, name, 'plus'), JSONExtractRaw(sent, name, 'plus'),
                            '0'),
                        names) AS added
                FROM batches FINAL
            )
        )
    )
)
ARRAY JOIN
    counters[1] AS at_ns_counter,
    counters[2] AS flop_counter,
    counters[3] AS flop_low_counter,
    counters[4] AS flop_high_counter,
    counters[5] AS int_op_counter,
    counters[6] AS sm_cycles_counter,
    counters[7] AS tensor_cycles_counter,
    counters[8] AS hmma_cycles_counter,
    counters[9] AS imma_cycles_counter,
    counters[10] AS dmma_cycles_counter,
    counters[11] AS dfma_cycles_counter,
    counters[12] AS fp64_cycles_counter,
    counters[13] AS fp32_cycles_counter,
    counters[14] AS fp16_cycles_counter,
    counters[15] AS int_cycles_counter,
    counters[16] AS busy_ns_counter,
    counters[17] AS observed_ns_counter,
    counters[18] AS gap_ns_counter,
    counters[19] AS energy_mj_counter,
    counters[20] AS tokens_counter,
    texts[1] AS keys_run,
    texts[2] AS keys_purpose,
    texts[3] AS keys_device,
    texts[4] AS keys_basis,
    texts[5] AS keys_method,
    texts[6] AS keys_dtype,
    texts[7] AS keys_attribution
COMMENT 'The evidence, one row per reading';
