-- Records of some models go to another one, and keep the reported name in `extra`. Served by the index on (model, complexity), or,
-- for the newest records alone, by the primary key of the newest partition.
UPDATE public.routing_records
SET model = %(new)s, extra = jsonb_build_object(%(key)s::text, model) || coalesce(extra, '{}')
WHERE model = ANY (%(old)s) AND id > %(after_record_id)s;
