"""`somos-backup`: this server's backups, each taken, kept, listed and proven.

Standard library only (Python 3.10 or later). It drives what it does not do better itself: restic, rclone, pgBackRest,
PostgreSQL's, Redis's and Docker's own programs.
"""
