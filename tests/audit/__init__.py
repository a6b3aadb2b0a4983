"""`make audit`: independent instruments on converged servers. See README.md beside this file."""
