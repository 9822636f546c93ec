-- Derived from the evidence: the maximum of every counter, so that duplicates, replays and order change nothing.

-- sharded by meter_id
CREATE TABLE meters
(
    run           String                 COMMENT 'run that the work belongs to, or unattributed',
    meter_id      UInt64                 COMMENT 'hash of the meter''s key: incarnation and the columns from run to attribution',
    agent         String                 COMMENT 'agent that counted',
    cluster       LowCardinality(String),
    node          LowCardinality(String),
    incarnation   UUID,
    device        String                 COMMENT 'GPU, MIG instance, CPU package, or reporting process',
    purpose       LowCardinality(String),
    basis         LowCardinality(String) COMMENT 'hardware | architecture',
    method        LowCardinality(String) COMMENT 'how it was measured',
    dtype         LowCardinality(String),
    attribution   LowCardinality(String) COMMENT 'exact | split | low',
    first_at_ns   SimpleAggregateFunction(min, UInt64) COMMENT 'first reading, Unix ns',
    last_at_ns    SimpleAggregateFunction(max, UInt64) COMMENT 'last reading, Unix ns',
    flop          SimpleAggregateFunction(max, Nullable(UInt128)) COMMENT 'point estimate, FLOP; NULL where the method gives bounds only',
    flop_low      SimpleAggregateFunction(max, UInt128) COMMENT 'lower bound, FLOP',
    flop_high     SimpleAggregateFunction(max, UInt128) COMMENT 'upper bound, FLOP',
    int_op        SimpleAggregateFunction(max, Nullable(UInt128)) COMMENT 'integer operations of the tensor pipes',
    sm_cycles     SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'elapsed cycles, summed over SMs',
    tensor_cycles SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'cycles with any tensor pipe active, summed over SMs',
    hmma_cycles   SimpleAggregateFunction(max, Nullable(UInt64)),
    imma_cycles   SimpleAggregateFunction(max, Nullable(UInt64)),
    dmma_cycles   SimpleAggregateFunction(max, Nullable(UInt64)),
    dfma_cycles   SimpleAggregateFunction(max, Nullable(UInt64)),
    fp64_cycles   SimpleAggregateFunction(max, Nullable(UInt64)),
    fp32_cycles   SimpleAggregateFunction(max, Nullable(UInt64)),
    fp16_cycles   SimpleAggregateFunction(max, Nullable(UInt64)),
    int_cycles    SimpleAggregateFunction(max, Nullable(UInt64)),
    busy_ns       SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'time with any work on the device',
    observed_ns   SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'device time that a counter covers',
    gap_ns        SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'device time that no counter covers',
    energy_mj     SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'energy, millijoule',
    tokens        SimpleAggregateFunction(max, Nullable(UInt64)) COMMENT 'training tokens, as the loop reports them'
)
ENGINE = AggregatingMergeTree
PRIMARY KEY (run, meter_id)
ORDER BY (run, meter_id, incarnation, device, purpose, basis, method, dtype, attribution, agent, cluster, node)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Derived: one row per meter once merged; always read it through GROUP BY meter_id';

-- sharded by meter_id
CREATE TABLE curve
(
    run       String,
    basis     LowCardinality(String),
    meter_id  UInt64,
    hour      DateTime('UTC')       COMMENT 'start of the hour of the reading',
    flop      SimpleAggregateFunction(max, Nullable(UInt128)),
    flop_low  SimpleAggregateFunction(max, UInt128),
    flop_high SimpleAggregateFunction(max, UInt128),
    tokens    SimpleAggregateFunction(max, Nullable(UInt64))
)
ENGINE = AggregatingMergeTree
ORDER BY (run, basis, meter_id, hour)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Derived: the maximum per meter and hour; a meter without a reading in an hour stands where it stood before';

CREATE TABLE devices
(
    device         String,
    kind           LowCardinality(String) COMMENT 'gpu | mig | cpu | reporter',
    name           LowCardinality(String) COMMENT 'as the driver calls it',
    accelerator    LowCardinality(Nullable(String)) COMMENT 'row of the FLOP table; NULL when unknown there',
    units          Nullable(UInt32)       COMMENT 'SMs of a GPU, cores of a CPU',
    clock_max_mhz  Nullable(UInt32),
    parent         Nullable(String),
    driver         LowCardinality(Nullable(String)),
    method         LowCardinality(String) COMMENT 'best method that the device offers',
    flop_per_s_max Nullable(UInt128)      COMMENT 'the most that the silicon can do, FLOP per second',
    agent          String,
    cluster        LowCardinality(String),
    node           LowCardinality(String),
    sealed_at_ns   UInt64                 COMMENT 'when the agent said so; the latest row of an agent counts'
)
ENGINE = ReplacingMergeTree(sealed_at_ns)
ORDER BY (agent, device)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Derived: the inventory, as each agent states it';
