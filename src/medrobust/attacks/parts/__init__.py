"""What attacks with a loop of their own share."""
