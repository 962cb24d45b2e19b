{{ config(materialized='ephemeral') }}
select customer_id, product, threats from {{ ref('stg_devices') }} where threats is not null
