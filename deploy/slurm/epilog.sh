#!/bin/sh
# Slurm epilog, as root: takes back what prolog.sh wrote, unless the next job has the GPU already.
set -eu
directory="${GPUSTAT:-/run/gpustat}"
for gpu in $(echo "${SLURM_JOB_GPUS:-}" | tr ',' ' '); do
    if [ "$(cat "$directory/$gpu" 2>/dev/null)" = "$SLURM_JOB_ID $SLURM_JOB_UID" ]; then rm -f "$directory/$gpu"; fi
done
