-- Revision 0008: findings are ranked by the traffic that they concern. The grants on the table include the column.
ALTER TABLE findings ADD COLUMN traffic_share double precision;
COMMENT ON COLUMN findings.traffic_share IS 'share of the fleet''s decisions of 24 hours that the finding concerns, 0 to 1; null: not weighed yet, or there were none';
