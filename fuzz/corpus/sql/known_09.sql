SELECT timestamp '2020-04-01 13:20:00' AT TIME ZONE 'America/Sao_Paulo', hour(timestamp '2020-04-01 13:20:00' AT TIME ZONE 'America/Sao_Paulo')
