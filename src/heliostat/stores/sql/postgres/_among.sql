-- One of the whole numbers of a JSON list; as an array it is sure to be looked up in an index.
= ANY (ARRAY(SELECT value::bigint FROM json_array_elements_text(:ids::json)))
