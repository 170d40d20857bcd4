-- How tasks came out.
SELECT t.run_id, t.number, {settled} FROM {wanted}
