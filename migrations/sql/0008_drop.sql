ALTER TABLE findings DROP COLUMN traffic_share;
