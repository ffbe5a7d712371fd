-- Served by the index on (model, complexity), or, for the newest records alone, by the primary key of the newest partition.
UPDATE public.routing_records SET model = %(new)s WHERE model = %(old)s AND id > %(after_record_id)s;
