"""What the modules for Qdrant know of it, without Ansible."""
