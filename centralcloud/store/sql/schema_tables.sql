-- Which tables the schema keeps about itself: revisions before 0004 have no schema_compatibility. Looks at catalogs only.
SELECT
    to_regclass('centralcloud.schema_revision') IS NOT NULL AS has_revision,
    to_regclass('centralcloud.schema_compatibility') IS NOT NULL AS has_compatibility;
