"""Is the exported model still right? Runs the files, compares, and packs the device's kit."""
