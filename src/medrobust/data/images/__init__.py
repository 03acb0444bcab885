"""A set of images: samples, how they are shown, where decoded ones are kept, batches, splits."""
