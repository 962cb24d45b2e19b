{{ config(materialized='ephemeral') }}
select customer_id, product, threats from {{ source('telemetry', 'devices') }}
