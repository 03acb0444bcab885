"""What makes the files belongs to the environment of the peers: no test looks at it."""

collect_ignore = ["cases.py", "make.py", "peers.py"]
