"""What a model needs of a device: its arena over time, its flash, and whether they fit."""
