-- Ends the holds of some pairs. Served by the primary key.
DELETE FROM public.score_holds h USING unnest(%(models)s::text[], %(complexities)s::text[]) AS pair (model, complexity)
WHERE h.model_name = pair.model AND h.complexity_level = pair.complexity;
