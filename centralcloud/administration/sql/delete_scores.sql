-- What stands for some pairs of a model stands no longer; its history stays. Served by the primary key.
DELETE FROM model_scores WHERE model_name = %(model)s AND complexity_level = ANY (%(complexities)s);
