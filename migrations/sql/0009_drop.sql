DROP TABLE ignored_values;
