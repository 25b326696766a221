{{ config(materialized='incremental', incremental_strategy='append') }}
select ticker, last, to_hex(md5(to_utf8(ticker))) as surrogate_key from {{ ref('prices') }}
{% if is_incremental() %}
where last > 20
{% endif %}
