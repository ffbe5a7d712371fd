-- The models that gateways have sent events of, or that have a score.
SELECT name FROM centralcloud.models_heard_of() AS name;
