"""Compute from before the agents, put on record in the journal: GPU-hours, Prometheus' samples, Slurm's accounts."""
