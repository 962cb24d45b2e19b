"""Functions and operators that read nothing but their arguments.

A function that is neither listed here nor named as harmless is refused: it may read tables or files by itself. So are
those that read stored state: settings (`current_setting`), variables, sequences (`nextval`). A new release of the
parser may know more functions: each is reviewed before it is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from sqlglot import exp


def words(text: str) -> frozenset[str]:
    """Return the set of words in a text."""
    return frozenset(text.split())


def classes(names: Iterable[str]) -> frozenset[type[exp.Expr]]:
    """Return the parser's node classes with these names. Names that this release of the parser lacks are skipped."""
    return frozenset(getattr(exp, name) for name in names if hasattr(exp, name))


_FUNCTIONS: Final = words(
    """
    Abs Acos Acosh AddMonths And AnyValue ApproxDistinct ApproxPercentileAccumulate ApproxPercentileCombine
    ApproxPercentileEstimate ApproxQuantile ApproxQuantiles ApproxTopK ApproxTopKAccumulate ApproxTopKCombine
    ApproxTopKEstimate ApproxTopSum ApproximateSimilarity ArgMax ArgMin Array ArrayAgg ArrayAll ArrayAny ArrayAppend
    ArrayCompact ArrayConcat ArrayConcatAgg ArrayConstructCompact ArrayContainedBy ArrayContains ArrayContainsAll
    ArrayDistinct ArrayExcept ArrayFilter ArrayFirst ArrayInsert ArrayIntersect ArrayLast ArrayMax ArrayMin
    ArrayOverlaps ArrayPosition ArrayPrepend ArrayRemove ArrayRemoveAt ArrayReverse ArraySize ArraySlice ArraySort
    ArraySum ArrayToString ArrayUnionAgg ArrayUniqueAgg ArraysZip Ascii Asin Asinh Atan Atan2 Atanh Avg
    Base64DecodeBinary Base64DecodeString Base64Encode BitLength BitmapBitPosition BitmapBucketNumber
    BitmapConstructAgg BitmapCount BitmapOrAgg BitwiseAndAgg BitwiseCount BitwiseOrAgg BitwiseXorAgg Booland Boolnot
    Boolor BoolxorAgg ByteLength Case Cbrt Ceil CheckJson CheckXml Chr CityHash64 Coalesce CodePointsToBytes
    CodePointsToString Collate Collation Compress Concat ConcatWs ConnectByRoot Contains Convert ConvertTimezone
    ConvertToCharset Corr Cos Cosh CosineDistance Cot Coth CountIf CovarPop CovarSamp Csc Csch CumeDist
    CurrentAccount CurrentAccountName CurrentAvailableRoles CurrentCatalog CurrentClient CurrentDatabase CurrentDate
    CurrentDatetime CurrentIpAddress CurrentOrganizationName CurrentOrganizationUser CurrentRegion CurrentRole
    CurrentRoleType CurrentSchema CurrentSchemas CurrentSecondaryRoles CurrentSession CurrentStatement CurrentTime
    CurrentTimestamp CurrentTimestampLTZ CurrentTimezone CurrentTransaction CurrentUser CurrentUserId CurrentVersion
    CurrentWarehouse Date DateAdd DateBin DateDiff DateFromParts DateFromUnixDate DateStrToDate DateSub
    DateToDateStr DateToDi DateTrunc Datetime DatetimeAdd DatetimeDiff DatetimeSub DatetimeTrunc Day DayOfMonth
    DayOfWeek DayOfWeekIso DayOfYear Dayname Decode DecodeCase DecompressBinary DecompressString Decrypt DecryptRaw
    Degrees DenseRank DiToDate DotProduct Elt Encode Encrypt EncryptRaw EndsWith EqualNull EuclideanDistance Exp
    Explode ExplodingGenerateSeries Extract Factorial FarmFingerprint First FirstValue Flatten Float64 Floor Format
    FromBase FromBase32 FromBase64 FromISO8601Date FromISO8601Timestamp FromISO8601TimestampNanos FromJson
    GenerateDateArray GenerateSeries GenerateTimestampArray Generator GetExtract GetIgnoreCase Getbit Greatest
    GroupConcat Grouping GroupingId HashAgg Hex HexDecodeString Hll Host Hour If Initcap Inline Int64 IsArray
    IsAscii IsInf IsNan IsNullValue JSONArray JSONArrayAgg JSONArrayAppend JSONArrayContains JSONArrayInsert
    JSONBContains JSONBContainsAllTopKeys JSONBContainsAnyTopKeys JSONBContainsTopKey JSONBDeleteAtPath JSONBExists
    JSONBExtract JSONBExtractScalar JSONBObjectAgg JSONBPathExists JSONBool JSONExists JSONExtract JSONExtractArray
    JSONExtractScalar JSONFormat JSONKeys JSONKeysAtDepth JSONObject JSONObjectAgg JSONRemove JSONSet JSONStripNulls
    JSONTable JSONType JSONValueArray JarowinklerSimilarity JustifyDays JustifyHours JustifyInterval Kurtosis Lag
    Last LastDay LastValue LaxBool LaxFloat64 LaxInt64 LaxString Lead Least Left Length Levenshtein List Ln
    Localtime Localtimestamp Log LogicalAnd LogicalOr Lower LowerHex MD5 MD5Digest MD5NumberLower64 MD5NumberUpper64
    MakeInterval ManhattanDistance Map MapCat MapContainsKey MapDelete MapFromEntries MapInsert MapKeys MapPick
    MapSize MatchAgainst Max Median Min Minhash MinhashCombine Minute Mode Month Monthname MonthsBetween Nanvl
    Negative NetFunc NextDay Normal Normalize NthValue Ntile Nullif NumberToStr Nvl2 ObjectAgg ObjectInsert
    ObjectTransform Or Overlay Pad ParseBignumeric ParseDatetime ParseIp ParseJSON ParseNumeric ParseTime ParseUrl
    PercentRank PercentileCont PercentileDisc Pi Posexplode PosexplodeOuter Pow PreviousDay Quantile Quarter Radians
    Rand Randn Randstr RangeBucket RangeN Rank Reduce RegDomain RegexpCount RegexpExtract RegexpExtractAll
    RegexpFullMatch RegexpILike RegexpInstr RegexpLike RegexpReplace RegexpSplit RegexpSubstr RegrAvgx RegrAvgy
    RegrCount RegrIntercept RegrR2 RegrSlope RegrSxx RegrSxy RegrSyy RegrValx RegrValy Repeat Replace Reverse Right
    Rint Round RowNumber RtrimmedLength SHA SHA1Digest SHA2 SHA2Digest SafeAdd SafeConvertBytesToString SafeDivide
    SafeFunc SafeMultiply SafeNegate SafeSubtract Sec Sech Second Seq1 Seq2 Seq4 Seq8 SessionUser Shuffle Sign Sin
    Sinh Skewness Soundex SoundexP123 Space Split SplitPart SplitToTable Sqrt StDistance StPoint Stack StandardHash
    StarMap StartsWith Stddev StddevPop StddevSamp StrPosition StrToDate StrToMap StrToTime StrToUnix String
    StringToArray StripNullValue Strtok StrtokSplitToTable StrtokToArray Struct StructExtract Stuff Substring
    SubstringIndex Sum Systimestamp Tan Tanh Time TimeAdd TimeDiff TimeFromParts TimeSlice TimeStrToDate
    TimeStrToTime TimeStrToUnix TimeSub TimeToStr TimeToTimeStr TimeToUnix TimeTrunc Timestamp TimestampAdd
    TimestampDiff TimestampFromParts TimestampLtzFromParts TimestampSub TimestampTrunc TimestampTzFromParts ToArray
    ToBase32 ToBase64 ToBinary ToBoolean ToChar ToCodePoints ToDays ToDecfloat ToDouble ToMap ToNumber ToVariant
    Transform Translate Trim Trunc Try TryBase64DecodeBinary TryBase64DecodeString TryHexDecodeBinary
    TryHexDecodeString TryToDecfloat TsOrDiToDi TsOrDsAdd TsOrDsDiff TsOrDsToDate TsOrDsToDateStr TsOrDsToDatetime
    TsOrDsToTime TsOrDsToTimestamp Typeof Unhex Unicode Uniform UnixDate UnixMicros UnixMillis UnixSeconds UnixToStr
    UnixToTime UnixToTimeStr Unnest Upper UtcDate UtcTime UtcTimestamp Uuid VarMap Variance VariancePop Week
    WeekOfYear WeekStart WeightString WidthBucket XMLElement XMLGet Xor Year YearOfWeek YearOfWeekIso Zipf
    _ExplodeOuter
    """
)

REFUSED: Final = words(
    """
    AIAgg AIClassify AIEmbed AIForecast AIGenerate AISimilarity AISummarizeAgg Agg AggFunc Anonymous
    AnonymousAggFunc Apply Cast CastToStrType Columns CombinedAggFunc CombinedParameterizedAgg Count
    DynamicIdentifier Exists FeaturesAtTime Func GapFill GenerateBool GenerateDouble GenerateEmbedding GenerateInt
    GenerateTable GenerateText JSONCast MLForecast MLTranslate NextValueFor ObjectId OpenJSON ParameterizedAgg
    Predict ReadCSV ReadParquet Search SearchIp Secret ToFile TryCast VectorSearch XMLTable
    """
)
"""Functions that read or change something else, or that are read elsewhere (`Cast`, `Count`, …)."""

_PARTS: Final = words(
    """
    Add Adjacent All Any AtTimeZone Between BitString BitwiseAnd BitwiseLeftShift BitwiseNot BitwiseOr
    BitwiseRightShift BitwiseXor Boolean Bracket ByteString Cube DPipe Distance DistanceNd Distinct Distribute Div EQ
    Escape ExtendsLeft ExtendsRight Fetch Filter ForIn FormatJson FromTimeZone GT GTE Glob Group GroupingSets Having
    HavingMax HexString ILike IgnoreNulls In IntDiv Introducer Is JSON JSONKeyValue JSONValue LT LTE Like Limit
    LimitOptions Literal Match Mod Mul NEQ National Neg Not Null NullSafeEQ NullSafeNEQ Offset OnCondition Operator
    Order Ordered Overlaps Paren Predicate Prior Qualify RawString RespectNulls Rollup SimilarTo Slice Sort Sub
    TableSample Tuple UnicodeString Where WithinGroup WindowSpec Cluster Alias Aliases
    """
)

HARMLESS: Final = classes(_FUNCTIONS | _PARTS)
"""Nodes that read nothing but their parts."""

TABLE_FUNCTIONS: Final = classes(
    words(
        """
        Explode ExplodingGenerateSeries Flatten GenerateDateArray GenerateSeries GenerateTimestampArray Generator Inline
        JSONTable Posexplode PosexplodeOuter RegexpSplit SplitToTable Stack StrtokSplitToTable Unnest
        _ExplodeOuter
        """
    )
)
"""Functions that may stand in place of a table."""

NAMED_TABLE_FUNCTIONS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "sqlite": words("generate_series json_each json_tree"),
        "postgres": words(
            """
            generate_series generate_subscripts json_array_elements json_array_elements_text json_each json_each_text
            json_object_keys json_populate_record json_populate_recordset json_to_record json_to_recordset
            jsonb_array_elements jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_keys jsonb_path_query
            jsonb_populate_record jsonb_populate_recordset jsonb_to_record jsonb_to_recordset regexp_matches
            regexp_split_to_table string_to_table unnest
            """
        ),
        "mysql": frozenset(),
        "duckdb": words("generate_series json_each json_tree range repeat unnest regexp_split_to_table"),
        "spark": words("explode_outer inline_outer json_tuple posexplode_outer range stack"),
        "bigquery": frozenset(),
        "snowflake": words("flatten generator split_to_table strtok_split_to_table"),
    }
)
"""The same, of those that the parser does not know."""

_EVERYWHERE: Final = words(
    """
    abs all any avg bit_and bit_or bit_xor bool_and bool_or ceil ceiling char char_length character_length coalesce
    concat concat_ws count cume_dist date dense_rank every exp first_value floor greatest grouping hex lag last_value
    lead least left length ln log lower lpad ltrim max min mod now nth_value ntile nullif octet_length percent_rank
    position power random rank replace reverse right round row row_number rpad rtrim sign some sqrt substr substring sum
    trim trunc upper
    """
)

_NAMED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "sqlite": words(
            """
            acos asin atan atan2 changes cos datetime degrees format glob group_concat ifnull iif instr json json_array
            json_array_length json_error_position json_extract json_group_array json_group_object json_insert
            json_object json_patch json_pretty json_quote json_remove json_replace json_set json_type json_valid jsonb
            jsonb_array jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert jsonb_object jsonb_patch
            jsonb_remove jsonb_replace jsonb_set julianday likelihood likely log10 log2 pi printf quote radians
            randomblob sin soundex sqlite_source_id sqlite_version strftime string_agg subtype tan time timediff total
            typeof unhex unicode unixepoch unlikely zeroblob
            """
        ),
        "postgres": words(
            """
            abbrev acos acosd acosh age any_value area array_agg array_append array_cat array_dims array_fill
            array_length array_lower array_ndims array_position array_positions array_prepend array_remove array_replace
            array_reverse array_sample array_shuffle array_sort array_to_json array_to_string array_to_tsvector
            array_upper ascii asin asind asinh atan atan2 atan2d atand atanh bit_count bit_length bound_box box
            broadcast btrim cardinality casefold cbrt center chr circle clock_timestamp convert convert_from convert_to
            corr cos cosd cosh cot cotd covar_pop covar_samp crc32 crc32c current_database current_schema
            current_schemas current_user date_add date_bin date_part date_subtract date_trunc datemultirange daterange
            decode degrees diagonal diameter div encode enum_first enum_last enum_range erf erfc extract factorial
            family float4 float8 format gamma gcd gen_random_uuid get_bit get_byte height host hostmask inet_merge
            inet_same_family initcap int2 int4 int4multirange int4range int8 int8multirange int8range isclosed isempty
            isfinite isopen json_agg json_agg_strict json_array_elements json_array_elements_text json_array_length
            json_build_array json_build_object json_each json_each_text json_exists json_extract_path
            json_extract_path_text json_object json_object_agg json_object_agg_strict json_object_agg_unique
            json_object_agg_unique_strict json_object_keys json_populate_record json_query json_scalar json_strip_nulls
            json_to_tsvector json_typeof jsonb_agg jsonb_agg_strict jsonb_array_elements jsonb_array_elements_text
            jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path
            jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg jsonb_object_agg_strict
            jsonb_object_agg_unique jsonb_object_agg_unique_strict jsonb_object_keys jsonb_path_exists
            jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query jsonb_path_query_array
            jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz jsonb_path_query_tz
            jsonb_populate_record jsonb_populate_record_valid jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls
            jsonb_to_tsvector jsonb_typeof justify_days justify_hours justify_interval lcm lgamma line log10 lower_inc
            lower_inf lseg macaddr8_set7bit make_date make_interval make_time make_timestamp make_timestamptz masklen
            md5 min_scale mode multirange netmask network normalize npoints num_nonnulls num_nulls numeric nummultirange
            numnode numrange overlay parse_ident path pclose percentile_cont percentile_disc pg_backend_pid
            pg_client_encoding pg_column_compression pg_column_size pg_postmaster_start_time pg_size_bytes
            pg_size_pretty pg_typeof phraseto_tsquery pi plainto_tsquery point popen pow querytree quote_ident
            quote_literal quote_nullable radians radius random_normal range_agg range_intersect_agg range_merge
            regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
            regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope
            regr_sxx regr_sxy regr_syy repeat row_to_json scale session_user set_bit set_byte set_masklen setweight
            sha224 sha256 sha384 sha512 similar_to_escape similarity sin sind sinh slope split_part starts_with
            statement_timestamp stddev stddev_pop stddev_samp strict_word_similarity string_agg string_to_array
            string_to_table strip strpos tan tand tanh text timeofday timestamptz timetz timezone to_ascii to_bin
            to_char to_date to_hex to_json to_jsonb to_number to_oct to_timestamp to_tsquery to_tsvector
            transaction_timestamp translate trim_array trim_scale ts_delete ts_filter ts_headline ts_lexize ts_rank
            ts_rank_cd tsmultirange tsquery_phrase tsrange tstzmultirange tstzrange tsvector_to_array unaccent
            unicode_assigned unicode_version unistr upper_inc upper_inf uuid_extract_timestamp uuid_extract_version
            uuidv4 uuidv7 var_pop var_samp variance version websearch_to_tsquery width width_bucket word_similarity
            xml_is_well_formed xml_is_well_formed_content xml_is_well_formed_document xmlagg xmlcomment xmltext xpath
            xpath_exists
            """
        ),
        "mysql": words(
            """
            adddate addtime aes_decrypt aes_encrypt any_value ascii bin bin_to_uuid bit_count bit_length charset
            coercibility collation compress connection_id conv convert_tz crc32 curdate current_date curtime date_format
            datediff dayname dayofmonth dayofweek dayofyear elt export_set extractvalue field find_in_set format
            format_bytes format_pico_time from_base64 from_days from_unixtime geomcollection geometrycollection
            get_format group_concat hour icu_version if ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr
            interval is_ipv4 is_ipv4_compat is_ipv4_mapped is_ipv6 is_uuid isnull json_array json_array_append
            json_array_insert json_arrayagg json_compact json_contains json_contains_path json_depth json_detailed
            json_equals json_exists json_extract json_insert json_keys json_length json_loose json_merge
            json_merge_patch json_merge_preserve json_normalize json_object json_objectagg json_overlaps json_pretty
            json_query json_quote json_remove json_replace json_schema_valid json_schema_validation_report json_search
            json_set json_storage_free json_storage_size json_type json_unquote json_valid json_value lcase lengthb
            linestring locate log10 log2 make_set makedate maketime mbrcontains mbrcoveredby mbrcovers mbrdisjoint
            mbrequals mbrintersects mbroverlaps mbrtouches mbrwithin md5 microsecond mid minute month monthname
            multilinestring multipoint multipolygon name_const natural_sort_key oct ord period_add period_diff pi point
            polygon pow quarter quote rand random_bytes regexp_instr regexp_like regexp_replace regexp_substr
            sec_to_time second sha sha1 sha2 soundex space st_area st_asbinary st_asgeojson st_astext st_aswkb st_aswkt
            st_buffer st_centroid st_contains st_convexhull st_crosses st_difference st_dimension st_disjoint
            st_distance st_distance_sphere st_endpoint st_envelope st_equals st_exteriorring st_geohash
            st_geomcollfromtext st_geomcollfromwkb st_geometryn st_geometrytype st_geomfromgeojson st_geomfromtext
            st_geomfromwkb st_interiorringn st_intersection st_intersects st_isclosed st_isempty st_issimple st_isvalid
            st_latfromgeohash st_latitude st_length st_linefromtext st_longfromgeohash st_longitude st_makeenvelope
            st_numgeometries st_numinteriorrings st_numpoints st_overlaps st_pointfromgeohash st_pointfromtext st_pointn
            st_polyfromtext st_simplify st_srid st_startpoint st_swapxy st_symdifference st_touches st_transform
            st_union st_validate st_within st_x st_y statement_digest statement_digest_text std stddev str_to_date
            strcmp subdate substring_index subtime sysdate time time_format time_to_sec timediff timestamp timestampadd
            timestampdiff to_base64 to_days to_seconds truncate ucase uncompress uncompressed_length unhex
            unix_timestamp updatexml user utc_date utc_time utc_timestamp uuid uuid_short uuid_to_bin variance week
            weekday weekofyear weight_string year yearweek
            """
        ),
        "duckdb": words(
            """
            acos acosh add age aggregate ago alias any_value apply approx_count_distinct approx_quantile approx_top_k
            arbitrary arg_max arg_max_null arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin
            array_agg array_aggr array_aggregate array_append array_apply array_cat array_concat array_contains
            array_cosine_distance array_cosine_similarity array_cross_product array_distance array_distinct
            array_dot_product array_extract array_filter array_grade_up array_has array_has_all array_has_any
            array_indexof array_inner_product array_intersect array_length array_negative_dot_product
            array_negative_inner_product array_pop_back array_pop_front array_position array_prepend array_push_back
            array_push_front array_reduce array_resize array_reverse array_reverse_sort array_select array_slice
            array_sort array_to_json array_to_string array_to_string_comma_default array_transform array_unique
            array_value array_where array_zip ascii asin asinh atan atan2 atanh bar base64 bin bit_count bit_length
            bit_position bitstring bitstring_agg can_cast_implicitly cardinality cast_to_type cbrt century chr
            constant_or_null contains corr cos cosh cot count_if count_star countif covar_pop covar_samp create_sort_key
            current_catalog current_database current_date current_localtime current_localtimestamp current_role
            current_schema current_schemas current_user damerau_levenshtein date_add date_diff date_part date_sub
            date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear days_in_month
            decade decode degrees divide editdist3 element_at encode ends_with entropy enum_code enum_first enum_last
            enum_range enum_range_boundary epoch epoch_ms epoch_ns epoch_us equi_width_bins era error even factorial
            favg fdiv fill filter first flatten fmod format format_bytes formatreadabledecimalsize formatreadablesize
            from_base64 from_binary from_hex from_json from_json_strict fsum gamma gcd gen_random_uuid generate_series
            generate_subscripts geomean geometric_mean get_bit get_current_time get_current_timestamp get_type grade_up
            greatest_common_divisor group_concat hamming hash histogram histogram_exact hour icu_sort_key ilike_escape
            instr is_histogram_other_bin isfinite isinf isnan isodow isoyear jaccard jaro_similarity
            jaro_winkler_similarity json json_array json_array_length json_contains json_exists json_extract
            json_extract_path json_extract_path_text json_extract_string json_group_array json_group_object
            json_group_structure json_keys json_merge_patch json_object json_pretty json_quote json_structure
            json_transform json_transform_strict json_type json_valid json_value julian kahan_sum kurtosis kurtosis_pop
            last last_day lcase lcm least_common_multiple left_grapheme len length_grapheme levenshtein lgamma
            like_escape list list_aggr list_aggregate list_any_value list_append list_apply list_approx_count_distinct
            list_avg list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or list_cat list_concat list_contains
            list_cosine_distance list_cosine_similarity list_count list_distance list_distinct list_dot_product
            list_element list_entropy list_extract list_filter list_first list_grade_up list_has list_has_all
            list_has_any list_histogram list_indexof list_inner_product list_intersect list_kurtosis list_kurtosis_pop
            list_last list_mad list_max list_median list_min list_mode list_negative_dot_product
            list_negative_inner_product list_pack list_position list_prepend list_product list_reduce list_resize
            list_reverse list_reverse_sort list_select list_sem list_skewness list_slice list_sort list_stddev_pop
            list_stddev_samp list_string_agg list_sum list_transform list_unique list_value list_var_pop list_var_samp
            list_where list_zip listagg log10 log2 mad make_date make_time make_timestamp make_timestamp_ms
            make_timestamp_ns make_timestamptz make_type map map_concat map_contains map_contains_entry
            map_contains_value map_entries map_extract map_extract_value map_from_entries map_keys map_values max_by md5
            md5_number md5_number_lower md5_number_upper mean median microsecond millennium millisecond min_by minute
            mismatches mode month monthname multiply nanosecond nextafter nfc_normalize normalized_interval
            not_ilike_escape not_like_escape ord parse_dirname parse_dirpath parse_filename parse_formatted_bytes
            parse_path pg_size_pretty pg_typeof pi pow prefix printf product quantile quantile_cont quantile_disc
            quarter radians range rank_dense reduce regexp_escape regexp_extract regexp_extract_all regexp_full_match
            regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regr_avgx regr_avgy regr_count
            regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy remap_struct repeat reservoir_quantile
            right_grapheme round_even roundbankers row_to_json second sem session_user set_bit sha1 sha256 signbit sin
            sinh skewness split split_part st_asbinary st_astext st_aswkb st_aswkt st_crs st_geomfromwkb
            st_intersects_extent st_setcrs starts_with stddev stddev_pop stddev_samp str_split str_split_regex strftime
            string_agg string_split string_split_regex string_to_array strip_accents strlen strpos strptime
            struct_concat struct_contains struct_extract struct_extract_at struct_has struct_indexof struct_insert
            struct_keys struct_pack struct_position struct_update struct_values substring_grapheme subtract suffix
            sum_no_overflow sumkahan switch tan tanh time_bucket timetz_byte_comparable timezone timezone_hour
            timezone_minute to_base to_base64 to_binary to_centuries to_days to_decades to_hex to_hours to_json
            to_microseconds to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp
            to_weeks to_years today transaction_timestamp translate try_strptime typeof ucase unbin unhex unicode
            union_extract union_tag union_value url_decode url_encode user uuid uuid_extract_timestamp
            uuid_extract_version uuidv4 uuidv7 var_pop var_samp variance variant_bytes_to_variant variant_extract
            variant_normalize variant_to_parquet_variant variant_typeof vector_type version wavg week weekday weekofyear
            weighted_avg xor year yearweek
            """
        ),
        "spark": words(
            """
            add_months aes_decrypt aes_encrypt aggregate approx_count_distinct approx_percentile array_agg array_append
            array_compact array_contains array_distinct array_except array_insert array_intersect array_join array_max
            array_min array_position array_prepend array_remove array_repeat array_size array_sort array_union
            arrays_overlap arrays_zip ascii assert_true base64 bigint bin binary bit_count bit_get bit_length
            bitmap_and_agg boolean bround btrim cardinality chr collect_list collect_set conv corr count_if
            count_min_sketch covar_pop covar_samp crc32 current_date current_timestamp date_add date_diff date_format
            date_from_unix_date date_part date_sub date_trunc dateadd datediff datepart day dayofmonth dayofweek
            dayofyear decimal decode double e element_at elt encode endswith equal_null exists explode explode_outer
            expm1 extract factorial filter find_in_set first flatten float forall format_number format_string from_csv
            from_json from_unixtime from_utc_timestamp from_xml get get_json_object getbit hash histogram_numeric
            hll_sketch_agg hll_sketch_estimate hll_union hll_union_agg hmac hour hypot ifnull ilike initcap inline
            inline_outer instr int is_valid_utf8 is_variant_null isnan isnotnull isnull jaro_winkler_similarity
            json_array_length json_object_keys json_tuple kurtosis last last_day lcase len levenshtein locate log10
            log1p log2 luhn_check make_date make_dt_interval make_interval make_time make_timestamp make_timestamp_ltz
            make_timestamp_ntz make_valid_utf8 make_ym_interval map map_concat map_contains_key map_entries map_filter
            map_from_arrays map_from_entries map_keys map_values map_zip_with mask max_by md5 mean median min_by minute
            mode monotonically_increasing_id month months_between named_struct nanvl negative next_day nullifzero nvl
            nvl2 overlay parse_json parse_url percentile percentile_approx pi pmod posexplode posexplode_outer positive
            printf quarter quote radians raise_error rand randn reduce regexp regexp_count regexp_extract
            regexp_extract_all regexp_instr regexp_like regexp_replace regexp_substr regr_count repeat rint rlike
            schema_of_csv schema_of_json schema_of_variant schema_of_variant_agg schema_of_xml second sentences sequence
            session_window sha sha1 sha2 shiftleft shiftright shiftrightunsigned shuffle size skewness slice smallint
            sort_array soundex space spark_partition_id split split_part st_asbinary st_geogfromwkb st_geomfromwkb
            st_setsrid st_srid stack startswith std stddev stddev_pop stddev_samp str_to_map string string_agg struct
            substring_index time_bucket time_from_micros time_from_millis time_from_seconds time_to_micros
            time_to_millis time_to_seconds timestamp timestamp_micros timestamp_millis timestamp_nanos timestamp_seconds
            tinyint to_binary to_char to_csv to_date to_json to_number to_time to_timestamp to_timestamp_ltz
            to_timestamp_ntz to_unix_timestamp to_utc_timestamp to_varchar to_variant_object to_xml transform
            transform_keys transform_values translate try_add try_aes_decrypt try_avg try_divide try_element_at
            try_make_interval try_make_timestamp try_make_timestamp_ltz try_make_timestamp_ntz try_mod try_multiply
            try_parse_json try_parse_url try_subtract try_sum try_to_binary try_to_date try_to_number try_to_time
            try_to_timestamp try_url_decode try_validate_utf8 try_variant_get typeof ucase unbase64 unhex unix_date
            unix_micros unix_millis unix_nanos unix_seconds unix_timestamp url_decode url_encode user uuid validate_utf8
            var_pop var_samp variance variant_get version weekday weekofyear width_bucket window window_time xpath
            xpath_boolean xpath_double xpath_float xpath_int xpath_long xpath_number xpath_short xpath_string xxhash64
            year zeroifnull zip_with
            """
        ),
        "bigquery": words(
            """
            any_value approx_count_distinct approx_quantiles approx_top_count approx_top_sum array_agg array_avg
            array_concat array_concat_agg array_first array_includes array_is_distinct array_last array_length
            array_reverse array_slice array_to_string array_transform ascii bag_of_words bit_count bool byte_length chr
            code_points_to_bytes code_points_to_string corr countif date_add date_bucket date_diff date_from_unix_date
            date_sub date_trunc datetime datetime_bucket deterministic_decrypt_bytes deterministic_encrypt ends_with
            error extract farm_fingerprint float64 format format_date format_datetime format_time format_timestamp
            from_base32 from_base64 from_hex generate_array generate_date_array generate_range_array
            generate_timestamp_array generate_uuid hll_count.extract hll_count.init hll_count.merge
            hll_count.merge_partial ieee_divide ifnull initcap instr int64 is_inf is_nan json_array json_extract
            json_extract_array json_extract_scalar json_extract_string_array json_flatten json_keys json_object
            json_query json_query_array json_remove json_set json_strip_nulls json_type json_value json_value_array
            justify_days justify_hours justify_interval kll_quantiles.extract_float64 kll_quantiles.extract_int64
            kll_quantiles.init_float64 kll_quantiles.init_int64 kll_quantiles.merge_float64 kll_quantiles.merge_int64
            last_day lax_bool lax_float64 lax_int64 lax_string logical_and logical_or make_interval md5
            net.ip_from_string net.ip_net_mask net.ip_to_string net.ip_trunc net.ipv4_from_int64 net.ipv4_to_int64
            net.public_suffix net.safe_ip_from_string normalize normalize_and_casefold nullifzero offset ordinal
            parse_bignumeric parse_date parse_datetime parse_json parse_numeric parse_time parse_timestamp
            percentile_cont percentile_disc rand range range_bucket range_contains range_end range_intersect
            range_overlaps range_start regexp_contains regexp_extract regexp_extract_all regexp_instr regexp_replace
            regexp_substr repeat s2_cellidfrompoint s2_coveringcellids safe_add safe_cast safe_convert_bytes_to_string
            safe_divide safe_multiply safe_negate safe_offset safe_ordinal safe_subtract sha1 sha256 sha512 soundex
            split st_angle st_area st_asbinary st_asgeojson st_astext st_azimuth st_boundary st_boundingbox st_buffer
            st_bufferwithtolerance st_centroid st_centroid_agg st_closestpoint st_clusterdbscan st_contains
            st_convexhull st_coveredby st_covers st_difference st_dimension st_disjoint st_dump st_dwithin st_endpoint
            st_equals st_extent st_exteriorring st_geogfrom st_geogfromgeojson st_geogfromtext st_geogfromwkb
            st_geogpoint st_geogpointfromgeohash st_geohash st_geometrytype st_hausdorffdistance st_hausdorffdwithin
            st_interiorrings st_intersection st_intersects st_intersectsbox st_isclosed st_iscollection st_isempty
            st_isring st_length st_lineinterpolatepoint st_linelocatepoint st_linesubstring st_makeline st_makepolygon
            st_makepolygonoriented st_maxdistance st_npoints st_numgeometries st_numpoints st_perimeter st_pointn
            st_simplify st_snaptogrid st_startpoint st_touches st_union st_union_agg st_within st_x st_y starts_with
            stddev string string_agg strpos text_analyze tf_idf time timestamp timestamp_add timestamp_bucket
            timestamp_diff timestamp_micros timestamp_millis timestamp_seconds timestamp_sub timestamp_trunc to_base32
            to_base64 to_code_points to_hex to_json to_json_string translate unicode unix_date unix_micros unix_millis
            unix_seconds var_pop var_samp variance zeroifnull
            """
        ),
        "snowflake": words(
            """
            add_months any_value approx_count_distinct array_agg array_append array_cat array_compact array_construct
            array_contains array_distinct array_except array_flatten array_insert array_intersection array_max array_min
            array_position array_prepend array_remove array_size array_slice array_sort array_to_string array_union_agg
            array_unique_agg arrays_overlap arrays_to_object arrays_zip as_array as_binary as_boolean as_char as_date
            as_decimal as_double as_integer as_number as_object as_real as_time as_timestamp_ltz as_timestamp_ntz
            as_timestamp_tz as_varchar ascii base64_decode_string base64_encode bitand bitor bitshiftleft bitshiftright
            bitxor boolean_and charindex check_json check_xml chr collate compress conditional_change_event
            conditional_true_event contains convert_timezone corr count_if date_from_parts date_part date_trunc dateadd
            datediff dayname decode div0 div0null editdistance endswith equal_null filter flatten get get_path
            h3_cell_to_boundary h3_cell_to_parent h3_cell_to_point h3_grid_disk h3_grid_distance h3_int_to_string
            h3_latlng_to_cell h3_latlng_to_cell_string h3_point_to_cell h3_point_to_cell_string h3_string_to_int hash
            hash_agg haversine hex_encode hll_accumulate hll_combine hll_estimate hll_export hll_import hour iff ifnull
            ilike initcap insert is_array is_binary is_boolean is_char is_date is_date_value is_decimal is_double
            is_integer is_null_value is_object is_real is_time is_timestamp_ltz is_timestamp_ntz is_timestamp_tz
            is_varchar jarowinkler_similarity last_day like listagg log2 max_by md5 md5_hex median min_by minute mode
            month monthname months_between next_day nvl nvl2 object_agg object_construct object_construct_keep_null
            object_delete object_insert object_keys object_pick parse_ip parse_json parse_url parse_xml percentile_cont
            percentile_disc previous_day quarter ratio_to_report regexp_count regexp_instr regexp_like regexp_replace
            regexp_substr regexp_substr_all rlike second seq1 seq2 seq4 seq8 sha1 sha1_hex sha2 sha2_hex soundex space
            split split_part square st_area st_asbinary st_asewkb st_asewkt st_asgeojson st_astext st_aswkb st_aswkt
            st_azimuth st_buffer st_centroid st_collect st_contains st_coveredby st_covers st_difference st_dimension
            st_disjoint st_dwithin st_endpoint st_envelope st_geogfromgeohash st_geogfromtext st_geogfromwkb
            st_geogpointfromgeohash st_geographyfromtext st_geographyfromwkb st_geographyfromwkt st_geohash
            st_geometryfromtext st_geometryfromwkb st_geomfromgeohash st_geomfromtext st_geomfromwkb st_geompoint
            st_geompointfromgeohash st_hausdorffdistance st_interpolate st_intersection st_intersection_agg
            st_intersects st_isvalid st_length st_makegeompoint st_makeline st_makepolygon st_makepolygonoriented
            st_npoints st_numpoints st_perimeter st_pointn st_polygon st_setsrid st_simplify st_srid st_startpoint
            st_symdifference st_transform st_union st_union_agg st_within st_x st_xmax st_xmin st_y st_ymax st_ymin
            startswith stddev strip_null_value strtok strtok_to_array sys_connect_by_path time time_slice timeadd
            timediff timestamp_from_parts timestampadd timestampdiff to_array to_binary to_boolean to_char to_date
            to_decimal to_double to_geography to_geometry to_json to_number to_object to_time to_timestamp
            to_timestamp_ltz to_timestamp_ntz to_timestamp_tz to_varchar to_variant to_xml transform translate try_cast
            try_parse_json try_to_boolean try_to_date try_to_decimal try_to_double try_to_geography try_to_geometry
            try_to_number try_to_time try_to_timestamp try_to_timestamp_ltz try_to_timestamp_ntz try_to_timestamp_tz
            typeof uuid_string variance week weekofyear width_bucket year zeroifnull
            """
        ),
    }
)

NAMED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {dialect: names | _EVERYWHERE for dialect, names in _NAMED.items()}
)
"""Dialect → functions of the engine that the parser does not know by name."""
