"""One file per data set, in the layout in which its source distributes it."""
