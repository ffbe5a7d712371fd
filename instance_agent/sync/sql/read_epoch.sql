-- The name of this history of the database: another one may lack what was confirmed before.
SELECT centralcloud.epoch();
