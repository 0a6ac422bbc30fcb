"""The executor `slurm`: cells in arrays of jobs of a cluster whose nodes see the store, through submitit.

`Slurm` is all that may be imported: its fields are the options of the executor, what each job asks for. Inside:
`_options` checks them, `_share` is what a job runs, `_jobs` submits, `_queue` asks Slurm, `_watch` waits and submits
again, `_submissions` is what is left of it in the store, and `_status` reads that.
"""

from isotune.executors.slurm._executor import Slurm

__all__ = ["Slurm"]
