-- Deletes everything that was learned of some models, or that an operator has set for them. Served by the primary keys. The history
-- of their scores stays. Returns how many scores were published.
WITH pins AS (DELETE FROM public.score_pins WHERE model_name = ANY (%(old)s)),
holds AS (DELETE FROM public.score_holds WHERE model_name = ANY (%(old)s)),
of_rules AS (DELETE FROM public.rule_scores WHERE model_name = ANY (%(old)s)),
versions AS (DELETE FROM public.model_versions WHERE model_name = ANY (%(old)s)),
changes AS (DELETE FROM public.model_changes WHERE model_name = ANY (%(old)s)),
retired AS (DELETE FROM public.retired_models WHERE model_name = ANY (%(old)s)),
published AS (DELETE FROM public.model_scores WHERE model_name = ANY (%(old)s) RETURNING 1)
SELECT count(*) FROM published;
