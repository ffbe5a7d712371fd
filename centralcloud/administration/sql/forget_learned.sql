-- Deletes everything that was learned of some models, or that an operator has set for them. Served by the primary keys. The history
-- of their scores stays. Returns how many scores were published.
WITH pins AS (DELETE FROM score_pins WHERE model_name = ANY (%(old)s)),
holds AS (DELETE FROM score_holds WHERE model_name = ANY (%(old)s)),
of_rules AS (DELETE FROM rule_scores WHERE model_name = ANY (%(old)s)),
retired AS (DELETE FROM retired_models WHERE model_name = ANY (%(old)s)),
published AS (DELETE FROM model_scores WHERE model_name = ANY (%(old)s) RETURNING 1)
SELECT count(*) FROM published;
