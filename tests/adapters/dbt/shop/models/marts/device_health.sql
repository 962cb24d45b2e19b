{{ config(alias='health', schema='reports', post_hook="comment on table {{ this }} is 'one row for each device'") }}
select customer_id, product, threats from {{ ref('stg_devices') }}
