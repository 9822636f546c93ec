#!/bin/sh
# Slurm prolog, as root: writes down which job each of its GPUs was given to, "<job> <uid>" in a file named by the GPU.
# In slurm.conf: Prolog=/etc/slurm/prolog.d/*  Epilog=/etc/slurm/epilog.d/*  PrologFlags=Alloc
set -eu
directory="${GPUSTAT:-/run/gpustat}"
install -d -m 0755 "$directory"
for gpu in $(echo "${SLURM_JOB_GPUS:-}" | tr ',' ' '); do
    # Under another name first: the agent never reads half a line.
    echo "$SLURM_JOB_ID $SLURM_JOB_UID" >"$directory/.$gpu"
    chmod 0644 "$directory/.$gpu"
    mv "$directory/.$gpu" "$directory/$gpu"
done
