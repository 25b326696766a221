{{ config(materialized='table', format='parquet', partitioned_by=['year']) }}
select 'PETR4' as ticker, 15.5e0 as last, 2020 as year
union all
select 'VALE3', 43.2e0, 2021
