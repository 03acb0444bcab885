"""One file a data set, in the layout in which its source distributes it."""
