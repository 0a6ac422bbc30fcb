"""Whether isotune holds on a machine with CUDA: `make gpu`, its steps, what it needs of the machine, the report."""
