select email from {{ ref('customers') }} where most_recent_order < date '2024-01-01'
