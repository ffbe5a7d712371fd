"""The sources of the pages, one module a subject. Several pages share a source."""
