"""Studies: a grid of trainings and audits from one file, cell by cell, and what of a paper holds."""
