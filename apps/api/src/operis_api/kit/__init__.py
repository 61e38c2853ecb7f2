"""Code with no business word in it: errors, ids, money as text, paging, encryption, batching, HTTP rendering."""
