SELECT approx_percentile(day, 0.5), approx_percentile(last, 0.0), approx_percentile(last, ARRAY[0.0, 1.0]) FROM quotes
