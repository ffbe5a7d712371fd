SELECT model_name FROM centralcloud.current_scores();
