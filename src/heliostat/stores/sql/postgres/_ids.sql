-- The whole numbers of a JSON list.
SELECT value::bigint FROM json_array_elements_text(:ids::json)
