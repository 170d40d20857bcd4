"""A thousand short jobs on a real Slurm: Heliostat beside PSI/J and a bare loop of `sbatch` and `squeue`."""
