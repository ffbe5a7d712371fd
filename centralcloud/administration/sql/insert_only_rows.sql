-- The only rows of tables that have one each.
INSERT INTO accounting DEFAULT VALUES ON CONFLICT DO NOTHING;
INSERT INTO learning_control DEFAULT VALUES ON CONFLICT DO NOTHING;
