"""What the program `certificate` is made of. Standard library and the commands openssl and docker, nothing else."""
