"""What a task does with records: calls the user's code, sorts rows into folders, finds the bad ones.  No files."""
