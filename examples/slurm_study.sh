#!/bin/bash
# A study on several machines of a SLURM cluster, through Ray: sbatch examples/slurm_study.sh STUDY [PROFILE] [FOLDER]
# The folder, the data and the environment with medrobust[ray] lie where every machine sees them. A job that was stopped
# goes on when it is submitted again. For a study without graphics cards leave --gpus-per-task out.
#SBATCH --job-name=medrobust-study
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail

study=${1:?name a study}
profile=${2:-paper}
folder=${3:-runs/study-$(basename "$study")-$profile}

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
ip=$(srun --nodes=1 --ntasks=1 --nodelist="$first" hostname --ip-address | awk '{print $1}')
port=$((20000 + SLURM_JOB_ID % 10000)) # two jobs of one machine do not meet
here=(--num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_PER_TASK:-0}" --disable-usage-stats --block)

srun --nodes=1 --ntasks=1 --nodelist="$first" \
  ray start --head --node-ip-address="$ip" --port="$port" --include-dashboard=false "${here[@]}" &
until ray status --address="$ip:$port" > /dev/null 2>&1; do sleep 2; done
if ((SLURM_NNODES > 1)); then
  srun --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$first" \
    ray start --address="$ip:$port" "${here[@]}" &
  sleep 20 # the others join; those that are late take the next cells
fi

medrobust study run "$study" --profile "$profile" --out "$folder" --launcher ray --address "$ip:$port"
