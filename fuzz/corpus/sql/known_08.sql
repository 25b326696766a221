SELECT array_join(ARRAY[1, NULL], raw) FROM kinds
