"""Settlement engines: each a process of its own, which meets the node in the database and nowhere else."""
