-- Served by the primary key.
DELETE FROM instances WHERE instance_id = %(instance_id)s;
