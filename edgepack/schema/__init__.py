"""What a file format says, for its reader and its writer alike: codes, tables, padding rules."""
