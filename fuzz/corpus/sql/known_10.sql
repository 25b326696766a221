SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'market' ORDER BY table_name
