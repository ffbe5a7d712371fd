-- Unpublishes the scores of some pairs of a model; their history stays. Served by the primary key.
DELETE FROM public.model_scores WHERE model_name = %(model)s AND complexity_level = ANY (%(complexities)s);
