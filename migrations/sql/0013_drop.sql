DELETE FROM retired_models WHERE model_name = '(other)';
DROP TABLE new_model_names;
