{% macro in_yen(column) %}cast({{ column }} as decimal(16, 2)){% endmacro %}
