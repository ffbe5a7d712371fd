-- The only rows of tables that have one each.
INSERT INTO public.accounting DEFAULT VALUES ON CONFLICT DO NOTHING;
INSERT INTO public.learning_control DEFAULT VALUES ON CONFLICT DO NOTHING;
