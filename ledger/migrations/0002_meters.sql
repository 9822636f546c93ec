-- Derived from the evidence: the maximum of every counter, so that duplicates, replays and order change nothing.

-- sharded by meter_id
CREATE TABLE meters
(
    run           String                 COMMENT 'run that the work belongs to, or unattributed',
    born          DateTime('UTC') MATERIALIZED UUIDv7ToDateTime(incarnation, 'UTC') COMMENT 'when the incarnation began, as its id says; old meters do not lie between new ones',
    meter_id      UInt64                 COMMENT 'hash of the meter''s key: incarnation and the columns from run to attribution',
    agent         SimpleAggregateFunction(any, String) COMMENT 'agent that counted: Ed25519 public key, base64url',
    cluster       SimpleAggregateFunction(any, LowCardinality(String)) COMMENT 'cluster that the agent says it is in',
    node          SimpleAggregateFunction(any, LowCardinality(String)) COMMENT 'node that the agent says it is on',
    incarnation   SimpleAggregateFunction(any, UUID) COMMENT 'one life of the agent process; its counters began at zero',
    device        SimpleAggregateFunction(any, String) COMMENT 'GPU, MIG instance, CPU package, or reporting process',
    purpose       SimpleAggregateFunction(any, LowCardinality(String)) COMMENT 'what the work was for: pre-training, evaluation, …',
    basis         SimpleAggregateFunction(any, LowCardinality(String)) COMMENT 'hardware | architecture',
    method        SimpleAggregateFunction(any, LowCardinality(String)) COMMENT 'how it was measured',
    dtype         SimpleAggregateFunction(any, LowCardinality(String)) COMMENT 'format that the work is priced in: bf16, fp8, …',
    attribution   SimpleAggregateFunction(any, LowCardinality(String)) COMMENT 'exact | split | low: how sure it is whose work it was',
    adds_with     SimpleAggregateFunction(max, UInt64) MATERIALIZED if(basis = 'hardware', 0, cityHash64(method)) COMMENT 'meters of a run with the same number are added: 0 is what was measured, else one way of reporting it',
    first_at_ns   SimpleAggregateFunction(min, UInt64) COMMENT 'first reading, Unix ns',
    last_at_ns    SimpleAggregateFunction(max, UInt64) COMMENT 'last reading, Unix ns',
    flop          SimpleAggregateFunction(max, Nullable(UInt128)) COMMENT 'point estimate, FLOP; NULL where the method gives bounds only',
    flop_low      SimpleAggregateFunction(max, UInt128) COMMENT 'lower bound, FLOP',
    flop_high     SimpleAggregateFunction(max, UInt128) COMMENT 'upper bound, FLOP',
    int_op        SimpleAggregateFunction(max, Nullable(UInt128)) COMMENT 'integer operations of the tensor pipes',
    sm_cycles     SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'elapsed cycles, summed over SMs',
    tensor_cycles SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'cycles with any tensor pipe active, summed over SMs',
    hmma_cycles   SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'cycles with the half-precision tensor pipe active (FP16, BF16, TF32), summed over SMs',
    imma_cycles   SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'cycles with the integer tensor pipe active, summed over SMs',
    dmma_cycles   SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'cycles with the double-precision matrix pipe active, summed over SMs',
    dfma_cycles   SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'cycles with the double-precision multiply-add pipe active, summed over SMs',
    fp64_cycles   SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'cycles with the FP64 pipe outside the tensor cores active, summed over SMs',
    fp32_cycles   SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'cycles with the FP32 pipe active, summed over SMs',
    fp16_cycles   SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'cycles with the FP16 pipe outside the tensor cores active, summed over SMs',
    int_cycles    SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'cycles with the integer pipe active, summed over SMs',
    busy_ns       SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'time with any work on the device',
    observed_ns   SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'device time that a counter covers',
    gap_ns        SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'device time that no counter covers',
    energy_mj     SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'energy, millijoule',
    tokens        SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'training tokens, as the loop reports them',
    recorded_at   SimpleAggregateFunction(max, DateTime('UTC')) MATERIALIZED now('UTC') COMMENT 'when a reading of it was last put here, or all of it computed again, by the engine''s clock; says what has changed, and nothing else',
    INDEX by_meter_id meter_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = AggregatingMergeTree
ORDER BY (run, born, meter_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Derived: one row per meter once merged; always read it through FINAL or GROUP BY meter_id';

-- sharded by meter_id
CREATE TABLE curve
(
    run       String                 COMMENT 'as in meters',
    basis     LowCardinality(String) COMMENT 'hardware | architecture',
    meter_id  UInt64                 COMMENT 'as in meters',
    hour      DateTime('UTC')        COMMENT 'start of the hour of the reading',
    flop      SimpleAggregateFunction(max, Nullable(UInt128)) COMMENT 'what the meter stood at in that hour, FLOP; NULL where the method gives bounds only',
    flop_low  SimpleAggregateFunction(max, UInt128) COMMENT 'its lower bound, FLOP',
    flop_high SimpleAggregateFunction(max, UInt128) COMMENT 'its upper bound, FLOP',
    tokens    SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'training tokens, as the loop reports them'
)
ENGINE = AggregatingMergeTree
ORDER BY (run, basis, meter_id, hour)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Derived: the maximum per meter and hour; a meter without a reading in an hour stands where it stood before';

CREATE TABLE devices
(
    device         String                 COMMENT 'stable id',
    kind           LowCardinality(String) COMMENT 'gpu | mig | cpu | reporter',
    name           LowCardinality(String) COMMENT 'as the driver calls it',
    accelerator    LowCardinality(Nullable(String)) COMMENT 'row of the FLOP table; NULL when unknown there',
    units          Nullable(UInt32)       COMMENT 'SMs of a GPU, cores of a CPU',
    clock_max_mhz  Nullable(UInt32)       COMMENT 'highest clock, MHz',
    parent         Nullable(String)       COMMENT 'GPU that a MIG instance is a part of',
    driver         LowCardinality(Nullable(String)) COMMENT 'version of the driver',
    method         LowCardinality(String) COMMENT 'best method that the device offers',
    flop_per_s_max Nullable(UInt128)      COMMENT 'the most that the silicon can do, FLOP per second',
    agent          String                 COMMENT 'agent that says so',
    cluster        LowCardinality(String) COMMENT 'cluster that the agent says it is in',
    node           LowCardinality(String) COMMENT 'node that the agent says it is on',
    sealed_at_ns   UInt64                 COMMENT 'when the agent said so; the latest row of an agent counts'
)
ENGINE = ReplacingMergeTree(sealed_at_ns)
ORDER BY (agent, device)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Derived: the inventory, as each agent states it';

-- Computed ahead for the page and for forecasts, by `ledger/rollups.py`. Nothing is decided by them: the exact totals
-- come from meters. What they hold only grows with the evidence, so a late refresh is late and never wrong by order.

CREATE TABLE run_curve
(
    run       String                COMMENT 'as in meters',
    adds_with UInt64                COMMENT 'as in meters',
    hour      DateTime('UTC')       COMMENT 'start of an hour in which the run moved',
    flop      SimpleAggregateFunction(max, UInt256) COMMENT 'what the run stood at by the end of that hour, FLOP; lower bounds stand in for missing points',
    flop_low  SimpleAggregateFunction(max, UInt256) COMMENT 'lower bound of it, FLOP',
    flop_high SimpleAggregateFunction(max, UInt256) COMMENT 'upper bound of it, FLOP',
    tokens    SimpleAggregateFunction(max, UInt256) COMMENT 'training tokens by then'
)
ENGINE = AggregatingMergeTree
ORDER BY (run, adds_with, hour)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Computed ahead: the cumulative curve of each run, hour by hour';

CREATE TABLE run_devices
(
    run         String                 COMMENT 'as in meters',
    adds_with   UInt64                 COMMENT 'as in meters',
    device      String                 COMMENT 'as in meters',
    cluster     LowCardinality(String) COMMENT 'as in meters',
    node        LowCardinality(String) COMMENT 'as in meters',
    purpose     LowCardinality(String) COMMENT 'as in meters',
    method      LowCardinality(String) COMMENT 'as in meters',
    dtype       LowCardinality(String) COMMENT 'as in meters',
    meters      SimpleAggregateFunction(max, UInt64)  COMMENT 'how many meters this sums',
    points      SimpleAggregateFunction(max, UInt64)  COMMENT 'how many of them have a point and not bounds alone',
    flop        SimpleAggregateFunction(max, UInt256) COMMENT 'sum of the points, and of lower bounds where there is none, FLOP',
    flop_low    SimpleAggregateFunction(max, UInt256) COMMENT 'sum of the lower bounds, FLOP',
    flop_high   SimpleAggregateFunction(max, UInt256) COMMENT 'sum of the upper bounds, FLOP',
    observed_ns SimpleAggregateFunction(max, UInt256) COMMENT 'device time that a counter covers',
    gap_ns      SimpleAggregateFunction(max, UInt256) COMMENT 'device time that no counter covers',
    energy_mj   SimpleAggregateFunction(max, UInt256) COMMENT 'energy, millijoule',
    first_at_ns SimpleAggregateFunction(min, UInt64)  COMMENT 'first reading, Unix ns',
    last_at_ns  SimpleAggregateFunction(max, UInt64)  COMMENT 'last reading, Unix ns'
)
ENGINE = AggregatingMergeTree
ORDER BY (run, adds_with, device, cluster, node, purpose, method, dtype)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Computed ahead: what each device did for each run, over all lives of its agent';

CREATE TABLE run_incarnations
(
    run         String                 COMMENT 'as in meters',
    adds_with   UInt64                 COMMENT 'as in meters',
    incarnation UUID                   COMMENT 'as in meters',
    agent       SimpleAggregateFunction(any, String) COMMENT 'as in meters',
    cluster     SimpleAggregateFunction(any, LowCardinality(String)) COMMENT 'as in meters',
    node        SimpleAggregateFunction(any, LowCardinality(String)) COMMENT 'as in meters',
    meters      SimpleAggregateFunction(max, UInt64)  COMMENT 'how many meters this sums',
    flop        SimpleAggregateFunction(max, UInt256) COMMENT 'sum of the points, and of lower bounds where there is none, FLOP',
    flop_low    SimpleAggregateFunction(max, UInt256) COMMENT 'sum of the lower bounds, FLOP',
    flop_high   SimpleAggregateFunction(max, UInt256) COMMENT 'sum of the upper bounds, FLOP',
    observed_ns SimpleAggregateFunction(max, UInt256) COMMENT 'device time that a counter covers',
    gap_ns      SimpleAggregateFunction(max, UInt256) COMMENT 'device time that no counter covers',
    first_at_ns SimpleAggregateFunction(min, UInt64)  COMMENT 'first reading, Unix ns',
    last_at_ns  SimpleAggregateFunction(max, UInt64)  COMMENT 'last reading, Unix ns'
)
ENGINE = AggregatingMergeTree
ORDER BY (run, adds_with, incarnation)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Computed ahead: what each life of an agent counted for each run';
