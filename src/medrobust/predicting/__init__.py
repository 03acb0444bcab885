"""Answers to images that nobody has labeled, and the rule by which doubtful ones go to a person."""
