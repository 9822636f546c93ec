"""What a report asks the ledger."""

SUBJECTS = """
SELECT DISTINCT subject_kind FROM subject_runs
WHERE subject = {subject:String} AND subject_kind IN ('model', 'system', 'run')
UNION DISTINCT
SELECT 'model' FROM models WHERE model_id = {subject:String}
"""

LINE = "SELECT * EXCEPT (line, declared_in) FROM thresholds WHERE id = {line:String}"

LINES = "SELECT id FROM thresholds WHERE subject != 'cluster' ORDER BY id"

STANDING = """
SELECT
    basis, original, flop, flop_low, flop_high, disputed_flop, excluded_flop, operator, line_flop, share, crossed,
    crossed_by_upper_bound, crossed_with_disputed, within_margin, condition
FROM threshold_status
WHERE subject = {subject:String} AND threshold = {line:String}
    AND subject_kind = if({of:String} = 'modification', 'modification', {kind:String})
ORDER BY basis DESC, original
"""

POLICY = (
    "SELECT policy, title, source, purpose, treatment FROM policies WHERE policy = {policy:String} ORDER BY purpose"
)

# Every amount behind the subject: by run, part that the run plays, purpose, basis and where the number comes from.
PARTS = """
SELECT
    s.run_id AS run_id,
    arraySort(groupUniqArray(s.part)) AS roles,
    a.basis AS basis,
    a.purpose AS purpose,
    a.part AS known_by,
    any(a.flop) AS flop,
    any(a.flop_low) AS flop_low,
    any(a.flop_high) AS flop_high
FROM subject_runs AS s
INNER JOIN
(
    SELECT
        run_id, basis, purpose, part,
        if(count(p.flop) = 0, NULL, sum(coalesce(p.flop, p.flop_low))) AS flop,
        sum(p.flop_low) AS flop_low,
        sum(p.flop_high) AS flop_high
    FROM account_parts_at(until = '2106-01-01 00:00:00') AS p
    GROUP BY run_id, basis, purpose, part
) AS a ON a.run_id = s.run_id
WHERE s.subject = {subject:String} AND s.subject_kind = {kind:String}
GROUP BY s.run_id, a.basis, a.purpose, a.part
ORDER BY a.basis DESC, run_id, purpose, known_by
"""

RUNS = """
SELECT run_id, model_id, purpose, dtype, planned_flop, planned_end, declared_devices
FROM runs WHERE run_id IN {runs:Array(String)} ORDER BY run_id
"""

LINEAGE = """
SELECT DISTINCT l.model_id AS model_id, l.kind AS kind, l.parent AS parent
FROM subject_models AS m INNER JOIN lineage AS l ON l.model_id = m.model_id
WHERE m.subject = {subject:String} AND m.subject_kind = {kind:String}
ORDER BY model_id, kind, parent
"""

UNKNOWN_MODELS = """
SELECT arrayJoin(unknown_models) AS model_id FROM unknown_parts
WHERE subject = {subject:String} AND subject_kind = {kind:String} ORDER BY model_id
"""

METHODS = """
SELECT run_id, basis, method, meters, devices, flop, flop_low, flop_high, first_at, last_at
FROM totals_by_method WHERE run_id IN {runs:Array(String)} ORDER BY run_id, basis DESC, method
"""

COVERAGE = """
SELECT
    run_id, devices, declared_devices, coverage, denominator, observed_ns, idle_ns, gap_ns, expected_ns, first_at,
    last_at
FROM coverage WHERE run_id IN {runs:Array(String)} ORDER BY run_id
"""

UNATTRIBUTED = """
SELECT count() AS devices, sum(u.flop_high) AS flop_high, sum(u.observed_ns) AS observed_ns, sum(u.gap_ns) AS gap_ns
FROM unattributed AS u
"""

ADJUSTMENTS = """
SELECT
    entry_index, at, kind, run_id, basis, source, flop, flop_low, flop_high, period_start, period_end, reason,
    author, assumptions
FROM adjustments WHERE run_id IN {runs:Array(String)} ORDER BY entry_index
"""

ALERTS = """
SELECT first_seen, subject_kind, subject, kind, percent, basis, flop, line_flop, expected_at, state, entry_index
FROM alert_history
WHERE threshold = {line:String} AND (
    subject_kind = 'run' AND subject IN {runs:Array(String)}
    OR subject_kind = {kind:String} AND subject = {subject:String})
ORDER BY entry_index
"""

FORESEEABLE = """
SELECT subject_kind, subject, line_flop, foreseeable_at, notify_by, because, rule, entry_index
FROM foreseeable
WHERE threshold = {line:String} AND (
    subject_kind = 'run' AND subject IN {runs:Array(String)}
    OR subject_kind = {kind:String} AND subject = {subject:String})
ORDER BY entry_index
"""

BASES = """
SELECT run_id, hardware_flop, hardware_flop_low, hardware_flop_high, architecture_flop, ratio, finding
FROM reconciliation WHERE run_id IN {runs:Array(String)} ORDER BY run_id
"""

# What each day added: the total of a meter by the end of a day less that by the end of the day before.
DAYS = """
SELECT day, sum(toInt256(d.flop - d.before)) AS flop, sum(toInt256(d.flop_high - d.high_before)) AS flop_high
FROM
(
    SELECT
        toStartOfDay(c.hour) AS day,
        max(coalesce(c.flop, c.flop_low)) AS flop,
        max(c.flop_high) AS flop_high,
        lagInFrame(flop, 1, 0) OVER w AS before,
        lagInFrame(flop_high, 1, 0) OVER w AS high_before
    FROM curve AS c
    WHERE c.run IN {runs:Array(String)} AND c.basis = 'hardware'
    GROUP BY c.run, c.meter_id, day
    WINDOW w AS (PARTITION BY c.run, c.meter_id ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
) AS d
GROUP BY day
ORDER BY day
"""

EVIDENCE = """
SELECT
    (SELECT count() FROM batches FINAL) AS batches,
    (SELECT countIf(excluded_reason != '') FROM batches FINAL) AS excluded_batches,
    (SELECT uniqExact(agent) FROM batches) AS agents,
    count() AS journal_entries,
    lower(hex(argMax(sha256, entry_index))) AS journal_head,
    argMax(key_id, entry_index) AS ledger_key
FROM journal
"""

CHECKPOINT = """
SELECT
    entry_index, at, JSONExtractUInt(body, 'data', 'size') AS size, JSONExtractString(body, 'data', 'root') AS root,
    lower(hex(sha256)) AS entry_sha256
FROM journal WHERE kind = 'checkpoint' ORDER BY entry_index DESC LIMIT 1
"""
