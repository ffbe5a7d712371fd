-- How far each pair has been evaluated, and with which score: what a run must find unchanged when it publishes.
SELECT model_name, complexity_level, evaluated_through_slice, version FROM model_scores;
