{{ config(materialized='view') }}
select ticker, max(last) as last from {{ ref('prices') }} group by ticker
