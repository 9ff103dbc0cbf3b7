"""How the doctor finds out: situations, hypotheses and their claims."""
