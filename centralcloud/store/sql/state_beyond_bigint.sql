-- A state of a rule, as revisions 0003 to 0006 store it, with a slice number that the column of revision 0007 cannot hold. Reads two
-- small tables whole.
SELECT stored."table", stored.rule, stored.model_name AS model, stored.complexity_level AS complexity, found.number #>> '{}' AS number
FROM (
    SELECT 'rule_scores' AS "table", rule, model_name, complexity_level, state FROM public.rule_scores
    UNION ALL
    SELECT 'model_scores', rule, model_name, complexity_level, state FROM public.model_scores
) AS stored
CROSS JOIN LATERAL jsonb_path_query(stored.state, '$.**.after_slice ? (@.type() == "number")') AS found (number)
WHERE round((found.number #>> '{}')::numeric) NOT BETWEEN -9223372036854775808 AND 9223372036854775807
ORDER BY 1, 2, 3, 4
LIMIT 1;
