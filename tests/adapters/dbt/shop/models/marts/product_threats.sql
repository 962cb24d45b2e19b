with devices as (
    select * from {{ ref('at_risk') }}
),

per_product as (
    select product, count(*) as devices, round(avg(threats), 1) as threats
    from devices
    group by product
    having count(distinct customer_id) >= 2
)

select * from per_product
