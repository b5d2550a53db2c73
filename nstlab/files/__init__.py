"""Files: pictures decoded, sample pictures, filter files, writing that leaves nothing half-written."""
