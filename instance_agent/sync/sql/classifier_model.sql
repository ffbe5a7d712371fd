-- A trained classifier as bytes, by primary key; null: there is none of this version, or its weights were removed.
SELECT centralcloud.task_classifier_model(%(version)s);
