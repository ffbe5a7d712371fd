"""What the reader reads for the pages, one module a subject. Several pages share a source."""
