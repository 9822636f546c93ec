-- Models, what they were made from, and what of their compute counts towards which line. Everything here is a view: the
-- journal's last word on a run, model, system, line or policy holds, and nothing can disagree with it.

-- One row per edge: `model_id` was made with `parent`. The last declaration of a model's edges holds as a whole.
CREATE VIEW lineage AS
SELECT e.model_id AS model_id, edge.1 AS kind, edge.2 AS parent, e.declared_in AS declared_in
FROM
(
    SELECT
        JSONExtractString(body, 'data', 'model_id') AS model_id,
        argMax(JSONExtract(body, 'data', 'edges', 'Array(Tuple(kind String, parent String))'), entry_index) AS edges,
        max(entry_index) AS declared_in
    FROM journal
    WHERE kind = 'lineage'
    GROUP BY model_id
) AS e
ARRAY JOIN e.edges AS edge
COMMENT 'What each model was made from: base, merge, data, teacher or reward, and the model that it names';

CREATE VIEW systems AS
SELECT s.system_id AS system_id, model_id
FROM
(
    SELECT
        JSONExtractString(body, 'data', 'system_id') AS system_id,
        argMax(JSONExtract(body, 'data', 'models', 'Array(String)'), entry_index) AS models
    FROM journal
    WHERE kind = 'system'
    GROUP BY system_id
) AS s
ARRAY JOIN s.models AS model_id
COMMENT 'Systems of several models: one row per system and model';

-- A model that only a run, an edge or a system names stands here too, with no traits declared.
CREATE VIEW models AS
SELECT
    m.model_id AS model_id,
    argMax(m.traits, m.entry_index) AS traits,
    toBool(max(m.entry_index) >= 0) AS declared
FROM
(
    SELECT
        JSONExtractString(body, 'data', 'model_id') AS model_id,
        JSONExtract(body, 'data', 'traits', 'Array(String)') AS traits,
        toInt64(entry_index) AS entry_index
    FROM journal
    WHERE kind = 'model'
    UNION ALL
    SELECT arrayJoin([model_id, parent]), [], -1 FROM lineage
    UNION ALL
    SELECT model_id, [], -1 FROM systems
    UNION ALL
    SELECT model_id, [], -1 FROM run_declarations WHERE model_id != ''
) AS m
GROUP BY m.model_id
COMMENT 'Every model that was declared or named, with the traits that lines ask about';

-- Which models are behind what, and in which part. Every step is made distinct, so the number of paths does not matter; a
-- cycle, which no declaration can make, would end at the depth below. What was modified (`original`) is followed beside
-- the modification, so that one can be held against the other.
CREATE VIEW subject_models AS
WITH RECURSIVE
reach AS
(
    SELECT subject_kind, subject, original, model_id, 'own' AS part, 0 AS depth
    FROM
    (
        SELECT 'model' AS subject_kind, model_id AS subject, '' AS original, model_id FROM models
        UNION ALL
        SELECT 'system', system_id, '', model_id FROM systems
        UNION ALL
        SELECT DISTINCT 'modification', model_id, parent, parent FROM lineage WHERE kind = 'base'
    )
    UNION ALL
    SELECT DISTINCT
        r.subject_kind,
        r.subject,
        r.original,
        l.parent,
        multiIf(
            r.part IN ('own', 'weights'), transform(
                l.kind, ['data', 'teacher', 'reward'], ['generator', 'teacher', 'reward model'], 'weights'),
            r.part = 'generator', 'behind a generator',
            r.part = 'teacher', 'behind a teacher',
            r.part),
        r.depth + 1
    FROM reach AS r
    INNER JOIN lineage AS l ON l.model_id = r.model_id
    WHERE r.depth < 256
)
SELECT DISTINCT subject_kind, subject, original, model_id, part FROM reach
COMMENT 'All models behind a model, a system or what was modified, with the part that each plays';

CREATE VIEW run_ancestors AS
WITH RECURSIVE reach AS
(
    SELECT run_id, parent AS ancestor, 1 AS depth FROM run_declarations WHERE parent != ''
    UNION ALL
    SELECT DISTINCT r.run_id, d.parent, r.depth + 1
    FROM reach AS r INNER JOIN run_declarations AS d ON d.run_id = r.ancestor
    WHERE d.parent != '' AND r.depth < 256
)
SELECT DISTINCT run_id, ancestor FROM reach
COMMENT 'The runs that each run continues, near and far';

CREATE VIEW subject_runs AS
SELECT
    m.subject_kind AS subject_kind,
    m.subject AS subject,
    m.original AS original,
    arrayJoin(arrayConcat([(r.run_id, m.part)], arrayMap(
        ancestor -> (ancestor, transform(
            m.part,
            ['own', 'generator', 'teacher'], ['weights', 'behind a generator', 'behind a teacher'], m.part)),
        r.ancestors))) AS reached,
    reached.1 AS run_id,
    reached.2 AS part,
    toBool(m.subject_kind = 'modification') AS of_original
FROM subject_models AS m
INNER JOIN
(
    SELECT d.run_id AS run_id, d.model_id AS model_id, a.ancestors AS ancestors
    FROM run_declarations AS d
    LEFT JOIN (SELECT run_id, groupArray(ancestor) AS ancestors FROM run_ancestors GROUP BY run_id) AS a
        ON a.run_id = d.run_id
    WHERE d.model_id != ''
) AS r ON r.model_id = m.model_id
UNION ALL
SELECT 'run', run_id, '', (run_id, 'own'), run_id, 'own', false FROM runs
UNION ALL
SELECT DISTINCT 'modification', d.model_id, e.parent, (d.run_id, 'own'), d.run_id, 'own', false
FROM run_declarations AS d INNER JOIN lineage AS e ON e.model_id = d.model_id WHERE e.kind = 'base'
COMMENT 'The runs behind every run, model, system and modification of a model, once per part that they play';

-- What is known of every run's compute, by purpose, up to an hour. Of two reported methods the larger one stands, as in
-- run_totals. A declared purpose holds for all that was measured of a run; without one the readings' own purposes do. An
-- import or correction keeps the purpose that it names. Up to a past hour the
-- integer operations of a meter that went on are known as a bound alone, and of an adjustment whose period was not over
-- the part that an even pace gives. `until` after the year 2105 is: all there is.
CREATE VIEW account_parts_at AS
SELECT
    a.run_id AS run_id,
    d.model_id AS model_id,
    a.basis AS basis,
    multiIf(
        a.part != 'measured' AND a.purpose != '', a.purpose,
        d.purpose != '', d.purpose,
        a.purpose != '', a.purpose,
        'pre-training') AS purpose,
    a.part AS part,
    a.flop AS flop,
    a.flop_low AS flop_low,
    a.flop_high AS flop_high,
    a.int_op AS int_op,
    a.int_op_high AS int_op_high
FROM
(
    SELECT run_id, basis, purpose, 'measured' AS part, flop, flop_low, flop_high, int_op, int_op_high
    FROM
    (
        SELECT
            *,
            argMax(method, (method_flop, method)) OVER (PARTITION BY run_id, basis) AS standing_method
        FROM
        (
            SELECT
                m.run_id AS run_id,
                m.basis AS basis,
                m.purpose AS purpose,
                m.method AS method,
                if(count(m.flop) = 0, NULL, toInt256(sum(toUInt256(coalesce(m.flop, m.flop_low))))) AS flop,
                toInt256(sum(toUInt256(m.flop_low))) AS flop_low,
                toInt256(sum(toUInt256(m.flop_high))) AS flop_high,
                toInt256(sum(toUInt256(coalesce(m.int_op, 0)))) AS int_op,
                toInt256(sum(toUInt256(coalesce(m.int_op_high, 0)))) AS int_op_high,
                sum(coalesce(flop, flop_low)) OVER (PARTITION BY run_id, basis, method) AS method_flop
            FROM
            (
                SELECT run_id, basis, purpose, method, flop, flop_low, flop_high, int_op, int_op AS int_op_high
                FROM meter_totals
                WHERE toYear({until:DateTime('UTC')}) > 2105
                UNION ALL
                SELECT
                    c.run, c.basis, k.purpose, k.method, c.flop, c.flop_low, c.flop_high,
                    if(k.last_at_ns < toUnixTimestamp({until:DateTime('UTC')}) * 1000000000, k.int_op, NULL),
                    k.int_op
                FROM
                (
                    SELECT run, basis, meter_id, max(flop) AS flop, max(flop_low) AS flop_low, max(flop_high) AS flop_high
                    FROM curve
                    WHERE toYear({until:DateTime('UTC')}) <= 2105 AND hour < {until:DateTime('UTC')}
                    GROUP BY run, basis, meter_id
                ) AS c
                INNER JOIN
                (
                    SELECT
                        run, meter_id, any(purpose) AS purpose, any(method) AS method,
                        max(int_op) AS int_op, max(last_at_ns) AS last_at_ns
                    FROM meters
                    WHERE toYear({until:DateTime('UTC')}) <= 2105
                    GROUP BY run, meter_id
                ) AS k ON k.run = c.run AND k.meter_id = c.meter_id
            ) AS m
            WHERE m.run_id != 'unattributed'
            GROUP BY m.run_id, m.basis, m.purpose, m.method
        )
    )
    WHERE basis = 'hardware' OR method = standing_method
    UNION ALL
    SELECT
        run_id,
        basis,
        purpose,
        if(kind = 'import', 'imported', 'corrected'),
        multiIf(share >= 1, j.flop, j.flop IS NULL, NULL, toInt256(intDiv(j.flop * gone_s, whole_s))),
        if(share >= 1, j.flop_low, least(j.flop_low, toInt256(0))),
        if(share >= 1, j.flop_high, greatest(j.flop_high, toInt256(0))),
        toInt256(0),
        toInt256(0)
    FROM
    (
        SELECT
            *,
            dateDiff('second', period_start, period_end) AS whole_s,
            dateDiff('second', period_start, toDateTime64({until:DateTime('UTC')}, 9, 'UTC')) AS gone_s,
            if(period_end IS NULL OR period_end <= {until:DateTime('UTC')}, 1., if(coalesce(whole_s, 0) <= 0, 0., toFloat64(gone_s) / toFloat64(whole_s))) AS share
        FROM adjustments
    ) AS j
    WHERE share > 0
) AS a
LEFT JOIN run_declarations AS d ON d.run_id = a.run_id
SETTINGS join_use_nulls = 0
COMMENT 'Compute of every run up to an hour, by purpose and by where the number comes from: until';

CREATE VIEW run_accounts AS
SELECT
    a.run_id AS run_id,
    any(a.model_id) AS model_id,
    a.basis AS basis,
    if(countIf(a.part = 'measured' AND a.flop IS NOT NULL) = 0, NULL, sumIf(coalesce(a.flop, a.flop_low), a.part = 'measured')) AS measured_flop,
    sumIf(a.flop_low, a.part = 'measured') AS measured_flop_low,
    sumIf(a.flop_high, a.part = 'measured') AS measured_flop_high,
    if(countIf(a.part = 'imported' AND a.flop IS NOT NULL) = 0, NULL, sumIf(coalesce(a.flop, a.flop_low), a.part = 'imported')) AS imported_flop,
    sumIf(a.flop_low, a.part = 'imported') AS imported_flop_low,
    sumIf(a.flop_high, a.part = 'imported') AS imported_flop_high,
    if(countIf(a.part = 'corrected' AND a.flop IS NOT NULL) = 0, NULL, sumIf(coalesce(a.flop, a.flop_low), a.part = 'corrected')) AS corrected_flop,
    sumIf(a.flop_low, a.part = 'corrected') AS corrected_flop_low,
    sumIf(a.flop_high, a.part = 'corrected') AS corrected_flop_high,
    if(count(a.flop) = 0, NULL, sum(coalesce(a.flop, a.flop_low))) AS flop,
    sum(a.flop_low) AS flop_low,
    sum(a.flop_high) AS flop_high,
    sum(a.int_op) AS int_op
FROM account_parts_at(until = '2106-01-01 00:00:00') AS a
GROUP BY a.run_id, a.basis
COMMENT 'Compute of every run per basis: measured, imported and corrected side by side, and their sum with bounds';

-- The last word on every policy and line. What we ship is put on record by the ledger when it opens, so that an
-- assessment of the past can be made again with what was on record then.
CREATE VIEW policies AS
SELECT p.policy AS policy, rule.1 AS purpose, rule.2 AS treatment, p.title AS title, p.source AS source, p.shipped AS shipped
FROM
(
    SELECT
        JSONExtractString(body, 'data', 'id') AS policy,
        argMax(JSONExtract(body, 'data', 'treatment', 'Map(String, String)'), entry_index) AS treatments,
        argMax(JSONExtractString(body, 'data', 'title'), entry_index) AS title,
        argMax(JSONExtractString(body, 'data', 'source'), entry_index) AS source,
        toBool(argMax(JSONExtractString(body, 'data', 'catalogue'), entry_index) != '') AS shipped
    FROM journal
    WHERE kind = 'policy'
    GROUP BY policy
) AS p
ARRAY JOIN CAST(p.treatments, 'Array(Tuple(String, String))') AS rule
COMMENT 'What counts towards a line, is excluded or disputed: one row per policy and purpose';

CREATE VIEW thresholds AS
SELECT
    t.id AS id,
    JSONExtractString(t.line, 'subject') AS subject,
    toUInt256OrNull(JSONExtractString(t.line, 'amount')) AS amount,
    JSONExtractString(t.line, 'operator') AS operator,
    JSONExtractString(t.line, 'unit') AS unit,
    JSONExtractString(t.line, 'original') AS original,
    JSONExtractString(t.line, 'policy') AS policy,
    JSONExtractString(t.line, 'status') AS status,
    toDate32OrNull(JSONExtractString(t.line, 'adopted_on')) AS adopted_on,
    toDate32OrNull(JSONExtractString(t.line, 'in_force_from')) AS in_force_from,
    toDate32OrNull(JSONExtractString(t.line, 'in_force_until')) AS in_force_until,
    JSONExtract(t.line, 'requires_any', 'Array(String)') AS requires_any,
    JSONExtractString(t.line, 'co_conditions') AS co_conditions,
    JSONExtractString(t.line, 'jurisdiction') AS jurisdiction,
    JSONExtractString(t.line, 'instrument') AS instrument,
    JSONExtractString(t.line, 'citation') AS citation,
    JSONExtractString(t.line, 'counts') AS counts,
    JSONExtractString(t.line, 'notification') AS notification,
    JSONExtract(t.line, 'notify_within_days', 'Nullable(UInt32)') AS notify_within_days,
    JSONExtractString(t.line, 'source') AS source,
    toDate32OrNull(JSONExtractString(t.line, 'retrieved_on')) AS retrieved_on,
    toBool(JSONExtractString(t.line, 'catalogue') != '') AS shipped,
    t.line AS line,
    t.declared_in AS declared_in
FROM
(
    SELECT
        JSONExtractString(body, 'data', 'id') AS id,
        argMax(JSONExtractRaw(body, 'data'), entry_index) AS line,
        max(entry_index) AS declared_in
    FROM journal
    WHERE kind = 'threshold'
    GROUP BY id
) AS t
COMMENT 'Every line on record, ours and the user''s own, in force or not';

-- A run that is reached in several parts counts once, in the part that counts most under the policy. Of a modification
-- `original_flop` is what the original took, with all behind it; NULL when nothing of it is on record.
CREATE VIEW subject_totals_at AS
SELECT
    c.subject_kind AS subject_kind,
    c.subject AS subject,
    c.original AS original,
    c.basis AS basis,
    c.policy AS policy,
    multiIf(countIf(c.rank = 0) = 0, toInt256(0), countIf(c.rank = 0 AND c.flop IS NOT NULL) = 0, NULL, sumIf(coalesce(c.flop, c.flop_low), c.rank = 0)) AS flop,
    sumIf(c.flop_low, c.rank = 0) AS flop_low,
    sumIf(c.flop_high, c.rank = 0) AS flop_high,
    multiIf(countIf(c.rank = 1) = 0, toInt256(0), countIf(c.rank = 1 AND c.flop IS NOT NULL) = 0, NULL, sumIf(coalesce(c.flop, c.flop_low), c.rank = 1)) AS disputed_flop,
    sumIf(c.flop_low, c.rank = 1) AS disputed_flop_low,
    sumIf(c.flop_high, c.rank = 1) AS disputed_flop_high,
    multiIf(countIf(c.rank = 2) = 0, toInt256(0), countIf(c.rank = 2 AND c.flop IS NOT NULL) = 0, NULL, sumIf(coalesce(c.flop, c.flop_low), c.rank = 2)) AS excluded_flop,
    sumIf(c.flop_low, c.rank = 2) AS excluded_flop_low,
    sumIf(c.flop_high, c.rank = 2) AS excluded_flop_high,
    sumIf(c.int_op, c.rank = 0) AS int_op,
    sumIf(c.int_op_high, c.rank = 0) AS int_op_high,
    sumIf(c.int_op, c.rank = 1) AS disputed_int_op,
    sumIf(c.int_op, c.rank = 2) AS excluded_int_op,
    uniqExactIf(c.run_id, c.rank < 3) AS runs,
    if(countIf(c.rank >= 3) = 0, NULL, sumIf(coalesce(c.flop, c.flop_low), c.rank = 3)) AS original_flop
FROM
(
    SELECT
        u.subject_kind AS subject_kind,
        u.subject AS subject,
        u.original AS original,
        u.run_id AS run_id,
        u.basis AS basis,
        u.purpose AS purpose,
        p.policy AS policy,
        min(transform(p.treatment, ['counted', 'disputed', 'excluded'], [0, 1, 2], 0)) + if(u.of_original, 3, 0) AS rank,
        any(u.flop) AS flop,
        any(u.flop_low) AS flop_low,
        any(u.flop_high) AS flop_high,
        any(u.int_op) AS int_op,
        any(u.int_op_high) AS int_op_high
    FROM
    (
        SELECT
            s.subject_kind AS subject_kind,
            s.subject AS subject,
            s.original AS original,
            s.of_original AS of_original,
            s.run_id AS run_id,
            a.basis AS basis,
            a.purpose AS purpose,
            multiIf(
                s.part IN ('generator', 'teacher') AND a.purpose IN ('synthetic data', 'public synthetic data'), a.purpose,
                s.part IN ('generator', 'behind a generator'), 'generator training',
                s.part IN ('teacher', 'behind a teacher'), 'distillation teacher',
                s.part = 'reward model', 'reward or value model',
                a.purpose IN (
                    'pre-training', 'continued pre-training', 'fine-tuning', 'reinforcement learning', 'rl rollouts',
                    'synthetic data', 'public synthetic data', 'distillation teacher', 'reward or value model',
                    'evaluation', 'experiment', 'failed segment'), a.purpose,
                'other') AS use,
            a.flop AS flop,
            a.flop_low AS flop_low,
            a.flop_high AS flop_high,
            a.int_op AS int_op,
            a.int_op_high AS int_op_high
        FROM subject_runs AS s
        INNER JOIN
        (
            SELECT
                parts.run_id AS run_id,
                parts.basis AS basis,
                parts.purpose AS purpose,
                if(count(parts.flop) = 0, NULL, sum(coalesce(parts.flop, parts.flop_low))) AS flop,
                sum(parts.flop_low) AS flop_low,
                sum(parts.flop_high) AS flop_high,
                sum(parts.int_op) AS int_op,
                sum(parts.int_op_high) AS int_op_high
            FROM account_parts_at(until = {until:DateTime('UTC')}) AS parts
            GROUP BY parts.run_id, parts.basis, parts.purpose
        ) AS a ON a.run_id = s.run_id
    ) AS u
    INNER JOIN policies AS p ON p.purpose = u.use
    GROUP BY u.subject_kind, u.subject, u.original, u.of_original, u.run_id, u.basis, u.purpose, p.policy
) AS c
GROUP BY c.subject_kind, c.subject, c.original, c.basis, c.policy
COMMENT 'Compute of every run, model, system and modification up to an hour, by what a policy does with it: until';

-- Models whose weights went in and of which no compute is on record: a total that has some is known to be too small.
CREATE VIEW unknown_parts AS
SELECT subject_kind, subject, original, arraySort(groupUniqArray(model_id)) AS unknown_models
FROM subject_models
WHERE part IN ('own', 'weights') AND model_id NOT IN (SELECT model_id FROM runs WHERE measured OR adjusted)
GROUP BY subject_kind, subject, original
COMMENT 'Per model, system and original of a modification: the models inside it of which no compute is known';

CREATE VIEW model_totals AS
SELECT t.subject AS model_id, t.* EXCEPT (subject_kind, subject, original, original_flop), u.unknown_models AS unknown_models
FROM subject_totals_at(until = '2106-01-01 00:00:00') AS t
LEFT JOIN (SELECT * FROM unknown_parts WHERE subject_kind = 'model') AS u ON u.subject = t.subject
WHERE t.subject_kind = 'model'
SETTINGS join_use_nulls = 0
COMMENT 'Compute of every model with all that went into it, per basis and policy: counted, disputed and excluded';

CREATE VIEW system_totals AS
SELECT t.subject AS system_id, t.* EXCEPT (subject_kind, subject, original, original_flop), u.unknown_models AS unknown_models
FROM subject_totals_at(until = '2106-01-01 00:00:00') AS t
LEFT JOIN (SELECT * FROM unknown_parts WHERE subject_kind = 'system') AS u ON u.subject = t.subject
WHERE t.subject_kind = 'system'
SETTINGS join_use_nulls = 0
COMMENT 'Compute of every system, each run once whichever of its models it belongs to, per basis and policy';

CREATE VIEW subject_traits AS
SELECT 'model' AS subject_kind, model_id AS subject, traits FROM models
UNION ALL
SELECT 'modification', model_id, traits FROM models
UNION ALL
SELECT 'system', s.system_id, arrayDistinct(groupArrayArray(m.traits))
FROM systems AS s INNER JOIN models AS m ON m.model_id = s.model_id GROUP BY s.system_id
UNION ALL
SELECT 'run', r.run_id, m.traits FROM run_declarations AS r INNER JOIN models AS m ON m.model_id = r.model_id
COMMENT 'What is declared of the model behind every run, model, system and modification';

-- Amounts of a line on modifications: a third of what the original took where that is known, else the amount in the text.
CREATE VIEW threshold_status_at AS
SELECT
    s.subject_kind AS subject_kind,
    s.subject AS subject,
    s.original AS original,
    s.id AS threshold,
    s.basis AS basis,
    s.policy AS policy,
    s.unit AS unit,
    s.counted AS flop,
    s.counted_low AS flop_low,
    s.counted_high AS flop_high,
    s.disputed AS disputed_flop,
    s.excluded AS excluded_flop,
    s.operator AS operator,
    s.line_amount AS line_flop,
    toFloat64(s.counted) / toFloat64(s.line_amount) AS share,
    toBool(multiIf(
        s.line_amount IS NULL, NULL,
        s.counted IS NOT NULL, s.counted > s.reach,
        s.counted_low > s.reach, true,
        s.counted_high <= s.reach, false,
        NULL)) AS crossed,
    toBool(s.counted_high > s.reach) AS crossed_by_upper_bound,
    toBool(coalesce(s.counted, s.counted_low) + s.disputed > s.reach) AS crossed_with_disputed,
    toBool(coalesce(s.counted, s.counted_low) * 13 > s.reach * 10 + if(s.operator = '>=', 9, 0)) AS within_margin,
    multiIf(empty(s.requires_any), '', hasAny(t.traits, s.requires_any), 'declared', 'not declared') AS condition,
    s.status AS status,
    s.adopted_on AS adopted_on,
    s.in_force_from AS in_force_from,
    s.in_force_until AS in_force_until
FROM
(
    SELECT
        f.*,
        if(f.operator = '>=', f.line_amount - 1, f.line_amount) AS reach,
        if(startsWith(f.unit, 'integer'), f.int_op, toInt256(0)) AS integers,
        f.flop + integers AS counted,
        f.flop_low + integers AS counted_low,
        f.flop_high + if(startsWith(f.unit, 'integer'), f.int_op_high, toInt256(0)) AS counted_high,
        coalesce(f.disputed_flop, f.disputed_flop_low) + if(startsWith(f.unit, 'integer'), f.disputed_int_op, toInt256(0)) AS disputed,
        coalesce(f.excluded_flop, f.excluded_flop_low) + if(startsWith(f.unit, 'integer'), f.excluded_int_op, toInt256(0)) AS excluded
    FROM
    (
        SELECT
            t.*,
            l.* EXCEPT (subject, policy, original),
            if(l.original = 'known', intDiv(t.original_flop, 3), toInt256(l.amount)) AS line_amount
        FROM
        (
            -- Of an original that is unknown on one basis, what the other says holds for both.
            SELECT
                * EXCEPT (original_flop),
                if(
                    (subject, original) IN (SELECT subject, original FROM unknown_parts WHERE subject_kind = 'modification'),
                    NULL,
                    coalesce(
                        m.original_flop,
                        max(m.original_flop) OVER (PARTITION BY subject_kind, subject, original, policy))) AS original_flop,
                original IN (SELECT model_id FROM models WHERE has(traits, 'systemic-risk')) AS systemic
            FROM subject_totals_at(until = {until:DateTime('UTC')}) AS m
        ) AS t
        INNER JOIN (SELECT *, if({policy:String} = '', policy, {policy:String}) AS under FROM thresholds WHERE subject != 'cluster') AS l
            ON l.under = t.policy
        WHERE (t.subject_kind = 'modification') = (l.subject = 'modification') AND t.runs > 0 AND multiIf(
            l.original IN ('', 'any'), true,
            l.original = 'known', t.original_flop IS NOT NULL,
            l.original = 'unknown with systemic risk', t.original_flop IS NULL AND t.systemic,
            t.original_flop IS NULL AND NOT t.systemic)
    ) AS f
) AS s
LEFT JOIN subject_traits AS t ON t.subject_kind = s.subject_kind AND t.subject = s.subject
SETTINGS join_use_nulls = 0
COMMENT 'Where everything stands against every line, with totals up to an hour (until) and under one policy, or each line''s own if it is empty: until, policy';

CREATE VIEW threshold_status AS
SELECT * FROM threshold_status_at(until = '2106-01-01 00:00:00', policy = '') AS s
COMMENT 'Where every run, model, system and modification stands against every line now; the line''s dates say whether it applies';

-- A MIG instance is a part of its GPU: where the whole is in the inventory, only the whole counts.
CREATE VIEW cluster_capacity AS
SELECT
    d.cluster AS cluster,
    d.name AS name,
    d.accelerator AS accelerator,
    count() AS devices,
    sum(toUInt256(d.flop_per_s_max)) AS flop_per_s_max,
    countIf(d.flop_per_s_max IS NULL) AS unknown_devices
FROM devices AS d FINAL
WHERE d.kind IN ('gpu', 'mig') AND (d.parent IS NULL OR d.parent NOT IN (SELECT device FROM devices))
GROUP BY d.cluster, d.name, d.accelerator
COMMENT 'What the accelerators of every cluster could do at most, FLOP per second, by model; without those of unknown rate';
