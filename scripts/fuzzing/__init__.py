"""The parts of scripts/fuzz.py: valid files, ways to spoil them, cases, and the processes in which they run."""
